"""The protocols at the runtime's edges. Constructing opens, the context manager closes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from edge.records import (
    ActionChunk,
    Detection,
    DriveEnd,
    Frame,
    Goal,
    MotorStatus,
    Observation,
    Odometry,
    Velocity,
)

Tensor = NDArray[Any]


class Closing(ABC):
    """Base of all that is open until it is closed. Close it, or use it as a context manager."""

    @abstractmethod
    def close(self) -> object:
        """Give back what is held. A second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Camera(Protocol):
    """A source of frames; only the newest one counts."""

    name: str

    def latest(self, max_age_s: float) -> Frame:
        """The newest frame. Raises StaleFrame when it is older than max_age_s."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Feedback:
    """What an actuator says of itself. None where it does not know."""

    armed: bool
    odometry: Odometry | None = None
    battery_fraction: float | None = None  # [0, 1]
    fault: str = ""  # non-empty: it refuses to move, and why


class Motors(Protocol):
    """A driver of the actuator. Lives in the motor process only."""

    max_rate_hz: float  # setpoints per second that the line to the actuator carries

    def arm(self) -> None:
        """Ask the actuator to arm; `read().armed` tells when it has. Called until then."""
        ...

    def write(self, command: Velocity) -> Velocity:
        """Send one setpoint; returns what was actually sent. Never blocks longer than a tick."""
        ...

    def stop(self) -> None:
        """Send zero and disarm; never raises."""
        ...

    def read(self) -> Feedback: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of an engine."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class Engine(Protocol):
    """One compiled graph. An output that only another engine needs may stay where the engine keeps it: it has
    a dtype and a shape, and `np.asarray` copies it out."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Inference:
    """What the model said of one frame. `stages_ms` holds the time that each stage took."""

    frame: Frame
    text: str
    confidence: float  # [0, 1]
    stages_ms: Mapping[str, float]
    chunk: ActionChunk | None = None  # policies that answer with actions
    cut: bool = False  # the model had more to say, and was not let

    @property
    def words(self) -> str:
        """The text for people, who should know where it was cut off."""
        return f"{self.text} … (cut off)" if self.cut else self.text


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    """What a policy is about, for people and for the loop."""

    state: str  # search | confirm | approach | arrived | follow | lost | look ...
    reached: bool = False  # the goal is done: the loop stops the robot and ends
    answer: str = ""  # for goals that end in words
    detection: Detection | None = None  # newest box, tracked to the newest frame


class Policy(Protocol):
    """Turns observations into action chunks.

    `infer` is slow, stateless towards control, and runs in a worker; `act` is fast and runs at every frame,
    with the newest finished inference (each is handed over exactly once) or None. `infer` is asked about
    every frame that comes while it is idle, or at the policy's own rate where it is `Paced`.
    """

    @property
    def status(self) -> PolicyStatus: ...

    def reset(self, goal: Goal) -> None: ...

    def infer(self, observation: Observation) -> Inference: ...

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk | None: ...


@runtime_checkable
class Paced(Protocol):
    """A policy that wants to be asked at a rate of its own, such as that of its demonstrations."""

    period_ns: int  # > 0; between the frames that `infer` is asked about


@runtime_checkable
class NamesCamera(Protocol):
    """A policy that sees with one camera of several. Others see with the only camera, or with "front"."""

    camera: str


class DriveObserver(Protocol):
    """Follows a drive without taking part in it. Events come in the order in which they happen."""

    def on_start(self, stamp_ns: int) -> None:
        """The drive starts: the model is warm, the base is armed if the goal moves it."""
        ...

    def on_frame(self, observation: Observation, policy: PolicyStatus) -> None:
        """The policy has acted on a frame set, and what it decided was sent."""
        ...

    def on_inference(self, inference: Inference) -> None:
        """The model has answered."""
        ...

    def on_chunk(self, chunk: ActionChunk) -> None:
        """A chunk was sent to the motor process."""
        ...

    def on_status(self, status: MotorStatus) -> None:
        """The motor process has reported; each report comes once, also before the start."""
        ...

    def on_end(self, end: DriveEnd) -> None:
        """The drive has ended and the base stands; the last event, however the drive ended."""
        ...
