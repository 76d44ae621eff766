"""Starts the engine afresh within a run, where that is allowed, while the base stands.

An engine's fault may have spoilt the whole process: after a CUDA error nothing that it computes can be
trusted, and a thread that hangs in native code can't be ended. So the program itself is replaced by exec,
with the same process id and arguments. The motor process goes on meanwhile: latched, with setpoints of zero,
and with the operator's gamepad and stop line in its hands. The new program loads the model, warms up, waits
for fresh frames and arms on purpose, as every run does.
"""

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from edge.cameras.shm import HandsOver, keep_rings
from edge.clock import Clock
from edge.errors import EdgeError, MotorFault, PluginError
from edge.interfaces import Camera, Inference, PolicyStatus
from edge.motor.client import MotorProcess
from edge.motor.operator.takeover import BY_OPERATOR
from edge.records import ActionChunk, DriveEnd, MotorState, MotorStatus, Observation, StopCause
from edge.runs.live.client import KeptPage, LivePage
from edge.runs.log import fields
from edge.runs.tap.ending import KeptTap
from edge.runs.tap.tap import Tap
from edge.runtime.drive import Drive
from edge.runtime.operator import Operator
from edge.runtime.robot import KeepsRunning, PlainRobot, Robot
from edge.runtime.signals import Interrupts
from edge.runtime.stop_server import StopServer
from edge.supervision.kept import KeptRun, Restart

ENGINE_CAUSES = (StopCause.ENGINE_FAULT, StopCause.MODEL_SILENT)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeptParts:
    """What goes on while the program is replaced, and whom a person stops the drive by."""

    folder: Path
    robot: Robot
    cameras: Mapping[str, Camera]
    motor: MotorProcess
    stops: StopServer
    operator: Operator
    interrupts: Interrupts
    page: LivePage | None = None
    taps: Sequence[Tap] = ()


class EngineRestarts:
    """The restarts of one run, at most `most`; an inline observer of its drive."""

    def __init__(self, most: int, kept: KeptRun | None, max_seconds: float, argv: Sequence[str]) -> None:
        """Go on with a kept run. `max_seconds` is the time limit of the drive, with all of its parts.

        A program that was not started by the arguments `argv` of a run is never replaced: it is not ours.
        """
        self.kept = kept
        keep_rings(kept.rings if kept else {})
        self.done = list(kept.restarts) if kept else []
        self.left_s = round(max_seconds - (kept.driven_s if kept else 0.0), 1)
        self.parts: KeptParts | None = None  # once they are open
        self._most = most
        self._end: DriveEnd | None = None
        self._own = sys.orig_argv[-len(argv) :] == list(argv)

    def motor(self, start: Callable[[], MotorProcess]) -> MotorProcess:
        """Return the motor process that was kept, or start one."""
        return MotorProcess.kept(self.kept.motor_pid, self.kept.motor_fd) if self.kept else start()

    @property
    def kept_robot(self) -> Mapping[str, Any]:
        """What the robot that was kept needs to go on; empty if a robot is to be opened."""
        return self.kept.robot if self.kept else {}

    @property
    def kept_stop(self) -> tuple[int, str] | None:
        """Socket and token of the stop over HTTP that were kept."""
        return (self.kept.stop_fd, self.kept.stop_token) if self.kept else None

    @property
    def kept_page(self) -> KeptPage | None:
        """The live page that was kept."""
        return self.kept.page if self.kept else None

    @property
    def kept_taps(self) -> Sequence[KeptTap]:
        """The taps of the drives before, in their order."""
        return self.kept.taps if self.kept else ()

    def to_json(self) -> list[dict[str, Any]]:
        """Return what summary.json says of the restarts."""
        return [each.to_json() for each in self.done]

    def drive(self, drive: Drive, clock: Clock, closes: Sequence[ExitStack]) -> DriveEnd:
        """Run the drive; does not return if its engine is started afresh, but closes `closes`.

        Raises what ended the drive otherwise.
        """
        try:
            return drive.run(self.left_s)
        except EdgeError:
            if self._end is not None and self.may(self._end):
                self._restart(self._end, clock, closes)
            raise

    def on_start(self, stamp_ns: int) -> None:
        """Note how long the base stood for the newest restart."""
        if self.done:
            stood_s = round((stamp_ns - self.done[-1].stopped_ns) / 1e9, 3)
            self.done[-1] = replace(self.done[-1], stood_s=stood_s)
            log.info("drives on", extra=fields(stood_s=stood_s))

    def on_frame(self, observation: Observation, policy: PolicyStatus) -> None:
        """Do nothing."""

    def on_inference(self, inference: Inference) -> None:
        """Do nothing."""

    def on_chunk(self, chunk: ActionChunk) -> None:
        """Do nothing."""

    def on_status(self, status: MotorStatus) -> None:
        """Do nothing."""

    def on_end(self, end: DriveEnd) -> None:
        """Keep how it ended."""
        self._end = end

    def may(self, end: DriveEnd) -> bool:
        """Return whether a drive that ended so goes on: only if nothing but the engine failed.

        Never after a stop by a person, and only while the base stands, latched.
        """
        parts = self.parts
        if parts is None or not self._own or end.cause not in ENGINE_CAUSES or len(self.done) >= self._most:
            return False
        if parts.operator.reason or parts.interrupts.name or end.seconds >= self.left_s:
            return False
        if parts.robot.recorded or not isinstance(parts.robot, PlainRobot | KeepsRunning):
            return False
        try:
            status = parts.motor.status()
        except (MotorFault, PluginError):
            return False
        return status.state is MotorState.LATCHED and status.cause not in BY_OPERATOR

    def told(self, end: DriveEnd) -> DriveEnd:
        """Return how the run ended, with the number of restarts if they did not mend it."""
        if not self.done or end.cause not in ENGINE_CAUSES:
            return end
        times = "once" if len(self.done) == 1 else f"{len(self.done)} times"
        return replace(end, reason=f"{end.reason} (the engine had been started again {times})")

    def _restart(self, end: DriveEnd, clock: Clock, closes: Sequence[ExitStack]) -> None:
        """Close what is not kept and replace this program. Returns only if that fails."""
        assert self.parts is not None  # `may` said so
        number, after_s = len(self.done) + 1, end.seconds + (self.kept.driven_s if self.kept else 0.0)
        self.done.append(Restart(end.cause.value, end.reason, round(after_s, 3), clock.now_ns()))
        log.warning("engine restart", extra=fields(number=number, most=self._most, reason=end.reason))
        said = f"{end.reason}: the base stands, the engine is started again ({number} of {self._most})"
        print(f"note: {said}", file=sys.stderr, flush=True)
        # Before they are closed: the memory has no name by which it could be opened again.
        rings = [each.hand_over() for each in self.parts.cameras.values() if isinstance(each, HandsOver)]
        taps = [*self.kept_taps, *(each.hand_over() for each in self.parts.taps)]
        for each in closes:
            each.close()
        try:
            ring_fds = {name: fd for ring in rings for name, fd in ring.items()}
            _replace_program(self.parts, self.done, ring_fds, taps)
        except OSError as error:
            self.parts.interrupts.let_in()
            print(f"note: the program can't be started again: {error.strerror}", file=sys.stderr)


def _replace_program(
    parts: KeptParts, restarts: Sequence[Restart], rings: Mapping[str, int], taps: Sequence[KeptTap]
) -> NoReturn:
    """Replace this program by the same one, which goes on with the parts. Raises OSError."""
    robot = parts.robot.hand_over() if isinstance(parts.robot, KeepsRunning) else {}
    kept = KeptRun(
        folder=parts.folder,
        restarts=restarts,
        motor_pid=parts.motor.pid,
        motor_fd=parts.motor.fd,
        stop_fd=parts.stops.fd,
        stop_token=parts.stops.token,
        rings=rings,
        page=parts.page.hand_over() if parts.page else None,
        robot=robot,
        taps=taps,
    )
    environment = kept.hand_over()
    sys.stdout.flush()
    parts.interrupts.keep_out()
    parts.interrupts.check()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
