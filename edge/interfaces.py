"""The protocols at the runtime's edges. A constructor opens, `close` or the context manager closes."""

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
    Feedback,
    Frame,
    Goal,
    MotorStatus,
    Observation,
    Outcome,
    Velocity,
)

Tensor = NDArray[Any]


class Closing(ABC):
    """Base of all that stays open until it is closed. Close it, or use it as a context manager."""

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
        """Return the newest frame. Raises StaleFrame if it is older than `max_age_s`, or if there is none."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class AwaitsAnswers(Protocol):
    """A camera that shows each of its images until the policy has answered about it."""

    def answered(self) -> None:
        """Show the next image from now on."""
        ...


@runtime_checkable
class PlaysRecording(Protocol):
    """A camera whose frames were taken before: what they show says nothing about a device."""

    plays_recording: bool


@runtime_checkable
class ShowsStills(Protocol):
    """A live camera whose picture may stay the same to the last bit while nothing moves.

    One that decodes a compressed stream, or draws without noise. A sensor's picture always changes.
    """

    shows_stills: bool


@runtime_checkable
class AnnouncesFrames(Protocol):
    """A camera that can be waited for, so that nobody needs to look again and again."""

    def wait(self, timeout_s: float) -> None:
        """Wait until there is a frame that nobody waited for before, at most for so long."""
        ...


@runtime_checkable
class SuggestsFaster(Protocol):
    """A camera that knows what could make it faster."""

    def faster(self, rate_hz: float) -> str:
        """Return what to do about a camera that gives only `rate_hz` frames a second, with what to type."""
        ...


@runtime_checkable
class NamesChannels(Protocol):
    """A camera whose images are not RGB: `channels` is "BGR", and they are converted."""

    channels: str


class Motors(Protocol):
    """A driver of an actuator. It lives in the motor process only."""

    max_rate_hz: float  # setpoints per second that the line to the actuator carries

    def arm(self) -> None:
        """Ask the actuator to arm. Called again until `read().armed` is true."""
        ...

    def write(self, command: Velocity) -> Velocity:
        """Send one setpoint and return what was sent. Never blocks longer than a tick.

        Raises HardwareMissing if the line is gone, MotorFault if the actuator does not take it.
        """
        ...

    def stop(self) -> None:
        """Send zero and disarm; never raises."""
        ...

    def read(self) -> Feedback:
        """Return the newest feedback. Never blocks. Raises HardwareMissing if the line is gone."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class KnowsSideways(Protocol):
    """Motors that know whether their base obeys a sideways setpoint. Others obey what their robot states."""

    sideways: bool


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of an engine."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class Engine(Protocol):
    """One compiled graph.

    An output that only another engine needs may stay in the engine's memory: it has a dtype and a shape, and
    `np.asarray` copies it out.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Inference:
    """The model's answer to one frame. `stages_ms` holds the time that each stage took."""

    frame: Frame
    text: str
    confidence: float  # [0, 1]
    stages_ms: Mapping[str, float]
    chunk: ActionChunk | None = None  # policies that answer with actions
    cut: bool = False  # stopped at the token limit, before its end token
    detections: tuple[Detection, ...] = ()  # policies that read the boxes themselves, each with its label

    @property
    def words(self) -> str:
        """Return the text for people, marked if it was cut off."""
        return f"{self.text} … (cut off)" if self.cut else self.text


@dataclass(frozen=True, slots=True)
class PolicyEnding:
    """How a policy ends a drive, and why."""

    outcome: Outcome
    reason: str  # for people


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    """What a policy is doing, for people and for the loop."""

    state: str  # search | confirm | approach | arrived | follow | lost | look ...
    reached: bool = False  # the goal is done: the loop stops the robot and ends
    answer: str = ""  # for goals that end in words
    detection: Detection | None = None  # newest box, tracked to the newest frame
    ending: PolicyEnding | None = None  # the drive ends so, though the goal is not reached; None: it goes on
    at_limit: PolicyEnding | None = None  # how it would end if its time were over now; None: by a timeout
    kept_fraction: float | None = None  # follow_object: share of the time that it kept its distance
    slowed_to_m_s: float | None = None  # highest speed, as answers come late; 0: stop-look-move; None: full


class Policy(Protocol):
    """Turns observations into action chunks.

    `infer` is slow, stateless towards control, and runs in a worker; `act` is fast and runs at every frame,
    with the newest finished inference (each is handed over exactly once) or None. `infer` gets every frame
    that comes while it is idle, or frames at the policy's own rate if it is `Paced`.
    """

    @property
    def status(self) -> PolicyStatus: ...

    def reset(self, goal: Goal) -> None: ...

    def infer(self, observation: Observation) -> Inference: ...

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk | None: ...


@runtime_checkable
class Paced(Protocol):
    """A policy that infers at a rate of its own, such as that of its demonstrations."""

    period_ns: int  # > 0; between the frames that `infer` gets


@runtime_checkable
class PicksFrames(Protocol):
    """A policy that does not infer every frame that is due, such as one that looks from a standstill."""

    def wants(self, observation: Observation, inference: Inference | None) -> bool:
        """Return True if this frame is one to infer. `inference` is handed over with the same frame."""
        ...


@runtime_checkable
class NamesCamera(Protocol):
    """A policy that sees with one camera of several. Others see with the only camera, or with "front"."""

    camera: str


@runtime_checkable
class LooksRound(Protocol):
    """A policy that turns the base in place to look round, for a goal that needs no motion."""

    looks_round: bool  # False on a base that can't


@runtime_checkable
class HeedsContacts(Protocol):
    """A policy that wants to know of contacts."""

    def touched(self, motion: Velocity) -> None:
        """Take note that this motion has just touched something; the base goes back a little now."""


@runtime_checkable
class UsesOdometry(Protocol):
    """A policy that drives otherwise, or not at all, on a base that does not measure its motion."""

    needs_odometry: bool  # True: it can't drive without
    without_odometry: str  # for people: what odometry is for, or what it does without


class DriveObserver(Protocol):
    """Follows a drive without taking part in it. Events come in the order in which they happen."""

    def on_start(self, stamp_ns: int) -> None:
        """Take note that the drive starts: the model is warm, the base is armed if the goal moves it."""
        ...

    def on_frame(self, observation: Observation, policy: PolicyStatus) -> None:
        """Take a frame set on which the policy has acted; what it decided was sent."""
        ...

    def on_inference(self, inference: Inference) -> None:
        """Take an answer of the model."""
        ...

    def on_chunk(self, chunk: ActionChunk) -> None:
        """Take a chunk that was sent to the motor process."""
        ...

    def on_status(self, status: MotorStatus) -> None:
        """Take a report of the motor process; each comes once, also before the start."""
        ...

    def on_end(self, end: DriveEnd) -> None:
        """Take the drive's end, the last event however it ended; the base stands."""
        ...
