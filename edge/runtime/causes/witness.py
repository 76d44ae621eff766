"""Follows a drive to tell, once it was stopped for lateness, what was late."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median

from edge.clock import Clock
from edge.errors import CameraAway, EdgeError, StaleFrame
from edge.interfaces import Camera, Inference, PolicyStatus
from edge.records import ActionChunk, DriveEnd, MotorStatus, Observation, StopCause
from edge.runtime.causes.halts import KEPT_NS, HaltWatch
from edge.runtime.causes.judge import SHARE, Evidence, of_machine, of_others
from edge.runtime.causes.look import look_at
from edge.runtime.ending import DriveStop

LIMIT_NS, BY_WAY_LIMIT_NS, SILENT_LIMIT_NS = 250_000_000, 3_000_000_000, 2_000_000_000
TICK_NS = 20_000_000  # one period of the motor process


@dataclass(frozen=True, slots=True)
class Late:
    """What was too old when a drive was stopped."""

    cause: StopCause
    limit_ns: int
    since_ns: int  # the capture of its frame, or when it was asked for


class Witness:
    """An observer of a drive, to be called at once: what it notes are times. It also names what was late.

    Call `stopped` at the moment at which something ended the drive, and `name` once the base stands: a camera
    is looked at for a second then.
    """

    def __init__(self, clock: Clock, halts: HaltWatch) -> None:
        self._clock, self._halts = clock, halts
        self._frames: dict[str, int] = {}  # stamp of the newest frame that was acted on, by camera
        self._chunk: tuple[int, bool] | None = None  # the newest: frame's stamp, whether by way
        self._status_ns = 0  # when the motor process was heard last: right before the policy acts
        self._missed = 0
        self._motor_halts: deque[tuple[int, int]] = deque(maxlen=100)  # when it was known, for how long
        self._acts: deque[tuple[int, int]] = deque(maxlen=100)  # until when, for how long
        self._answers_ns: deque[int] = deque(maxlen=100)  # what the model computed for each
        self._stopped_ns = 0
        self._asked_ns = 0  # since when an answer has been waited for; 0: none

    def on_start(self, stamp_ns: int) -> None:
        """Note nothing."""

    def on_frame(self, observation: Observation, policy: PolicyStatus) -> None:
        """Note the frames, and how long the policy took over them."""
        now_ns = self._clock.now_ns()
        self._acts.append((now_ns, now_ns - self._status_ns))
        self._frames = {name: frame.given_ns for name, frame in observation.frames.items()}

    def on_inference(self, inference: Inference) -> None:
        """Note how long the model computed."""
        self._answers_ns.append(round(sum(inference.stages_ms.values()) * 1e6))

    def on_chunk(self, chunk: ActionChunk) -> None:
        """Note the frame that it answers."""
        self._chunk = chunk.t0_ns, chunk.by_way

    def on_status(self, status: MotorStatus) -> None:
        """Note ticks that the motor process missed."""
        self._status_ns = self._clock.now_ns()
        if status.missed_ticks > self._missed:
            self._motor_halts.append((self._status_ns, (status.missed_ticks - self._missed) * TICK_NS))
        self._missed = status.missed_ticks

    def on_end(self, end: DriveEnd) -> None:
        """Note nothing."""

    def stopped(self, asked_ns: int) -> None:
        """Note that now is the stop. `asked_ns`: since when an answer has been waited for; 0 if none is."""
        self._stopped_ns, self._asked_ns = self._clock.now_ns(), asked_ns

    def name(self, error: BaseException, cameras: Mapping[str, Camera]) -> DriveStop | None:
        """Return the stop with what was late, by what was measured; None if `error` says all that is known.

        Looks at a camera for a second, if its frames may be why.
        """
        late = self._late(error)
        if late is None:
            return None
        assert isinstance(error, EdgeError)
        found = self._measured(late, error)
        machine = of_machine(found)
        if machine is not None:
            return machine
        camera = self._old_camera(late, error.message, cameras)
        if camera:
            found = replace(found, camera=camera, look=look_at(camera, cameras[camera], self._clock))
        return of_others(found)

    def _late(self, error: BaseException) -> Late | None:
        """Return what was too old, and since when; None for an error that is not about lateness."""
        cause = error.cause if isinstance(error, DriveStop) else StopCause.STALE_FRAME
        if cause is StopCause.MODEL_SILENT and self._asked_ns:
            return Late(cause, SILENT_LIMIT_NS, self._asked_ns)
        if cause is StopCause.STALE_CHUNK and self._chunk is not None:
            frame_ns, by_way = self._chunk
            return Late(cause, BY_WAY_LIMIT_NS if by_way else LIMIT_NS, frame_ns)
        if isinstance(error, StaleFrame) and not isinstance(error, CameraAway):
            return Late(cause, LIMIT_NS, min(self._frames.values(), default=self._stopped_ns))
        return None

    def _measured(self, late: Late, error: EdgeError) -> Evidence:
        """Return what was measured of the machine, the model and the policy since then."""
        since_ns = min(late.since_ns, self._stopped_ns - late.limit_ns)
        halts = self._halts.halts(since_ns)
        newest_ns = max(self._frames.values(), default=0)
        behind = newest_ns - late.since_ns > SHARE * late.limit_ns  # the chunk, not the frames
        acts_ns = [took_ns for until_ns, took_ns in self._acts if until_ns > since_ns]
        silent = late.cause is StopCause.MODEL_SILENT
        usual_ns = round(median(self._answers_ns)) if self._answers_ns else 0
        return Evidence(
            error.message,
            late.cause,
            error.hint,
            late.limit_ns,
            self._stopped_ns - late.since_ns,
            sum(until - max(since, since_ns) for since, until in halts),
            sum(took_ns for known_ns, took_ns in self._motor_halts if known_ns > since_ns),
            len(self._halts.halts(self._stopped_ns - KEPT_NS)),
            self._halts.waited_ns(since_ns),
            model_ns=self._model_ns() if behind and not silent else 0,
            usual_model_ns=usual_ns,
            policy_ns=0 if silent else max(acts_ns, default=0),
        )

    def _model_ns(self) -> int:
        """Return how long the newest answer took, or the one that is waited for, whichever was longer."""
        waited_ns = self._stopped_ns - self._asked_ns if self._asked_ns else 0
        return max(waited_ns, self._answers_ns[-1] if self._answers_ns else 0)

    def _old_camera(self, late: Late, message: str, cameras: Mapping[str, Camera]) -> str:
        """Return the camera whose frames may be why; empty if they were fresh."""
        if late.cause is StopCause.MODEL_SILENT:
            return ""
        told = next((name for name in cameras if repr(name) in message), "")
        if told or not self._frames:
            return told
        name, stamp_ns = min(self._frames.items(), key=lambda each: each[1])
        return name if self._stopped_ns - stamp_ns > SHARE * late.limit_ns else ""
