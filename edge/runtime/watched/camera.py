"""One camera of a drive: its frames, checked as they come, and its faults."""

import logging
import time
from dataclasses import replace

from edge.cameras.frame_check import checked
from edge.cameras.health import CameraFault, CameraHealth
from edge.cameras.slot import CHECK_DEVICE
from edge.clock import Clock, age_over
from edge.errors import StaleFrame
from edge.interfaces import (
    AnnouncesFrames,
    AwaitsAnswers,
    Camera,
    PlaysRecording,
    ShowsStills,
    SuggestsFaster,
)
from edge.perception.picture_lag import BaseMotion
from edge.perception.plausibility import Plausibility
from edge.plugins import Blaming
from edge.records import CameraMount, Frame, Odometry, StopCause
from edge.runs.log import fields
from edge.runtime.ending import DriveStop
from edge.runtime.watched.delay import exposed, told

POLL_S = 0.002  # so often a camera is looked at
# So long at most one that announces its frames is waited for: no two reports of the motor process come in it.
ANNOUNCED_S = 0.018
_ANY_AGE_S = 1e9

log = logging.getLogger(__name__)


class WatchedCamera:
    """A camera whose frames are checked as they come, by its contract and, if it is live, by its health.

    With a mount it is also judged by whether what it shows agrees with what the base does. A measured
    delay is taken off the stamps; only the judge of stamps sees them as the camera gave them.
    """

    def __init__(
        self,
        name: str,
        camera: Camera,
        clock: Clock,
        mount: CameraMount | None,
        base: BaseMotion,
        delay_s: float = 0.0,
    ) -> None:
        self.camera = camera
        self._name = name
        self._blaming = Blaming(camera, f"camera {name!r}")
        self._clock = clock
        self._delay_s = delay_s
        # Whether it is one takes longer to find out than all else that a turn of the loop does.
        self._announces = camera if isinstance(camera, AnnouncesFrames) else None
        self._awaits = camera if isinstance(camera, AwaitsAnswers) else None
        live = not (isinstance(camera, PlaysRecording) and camera.plays_recording)
        stills = isinstance(camera, ShowsStills) and camera.shows_stills
        self._health = CameraHealth(name, stills) if live else None
        self._plausible = Plausibility(name, mount, base) if live and mount is not None else None
        self._raw: Frame | None = None  # newest frame of the camera, as it came
        self._seq = -1  # number of the newest frame
        self._frame: Frame | None = None  # newest one that may be used

    @property
    def doubt(self) -> str:
        """Why the base holds for now: the camera and what is wrong; empty if nothing is."""
        judges = filter(None, (self._health, self._plausible))
        doubt = next((judge.doubt for judge in judges if judge.doubt), "")
        return f"camera {self._name!r} {doubt}" if doubt else ""

    @property
    def held(self) -> str:
        """What shows that something held the base; empty if nothing does."""
        held = self._plausible is not None and self._plausible.held
        return f"the picture of camera {self._name!r} stays while its wheels turn" if held else ""

    @property
    def suspect(self) -> bool:
        """True if its newest frame looks as a fault begins."""
        return self._health is not None and self._health.suspect

    @property
    def may_arrive(self) -> bool:
        """True if nothing speaks against an arrival that is claimed by its newest frame."""
        return not self.suspect and (self._plausible is None or self._plausible.may_arrive)

    @property
    def ready(self) -> bool:
        """True once its frames are steady."""
        return self._health is None or self._health.ready

    @property
    def dropped(self) -> int:
        """The number of frames that were left out for their stamps."""
        return self._health.dropped if self._health is not None else 0

    def latest(self, max_age_s: float, odometry: Odometry | None) -> Frame:
        """Return the newest frame that may be used.

        Raises StaleFrame if that is too old, DriveStop for a fault of the camera, HardwareMissing if its code
        fails or breaks the contract of frames.
        """
        try:
            self._take(self._read(max_age_s), odometry)
        except StaleFrame:
            self._explain(odometry)
            raise
        self._raise_fault()
        if self._frame is None:
            raise StaleFrame(f"camera {self._name!r}: none of its frames has a stamp of this clock yet")
        age_s = (self._clock.now_ns() - self._frame.stamp_ns) / 1e9
        if self._frame.seq != self._seq and self._health is not None and age_s > max_age_s:
            raise _stop(self._health.stamp_fault)  # newer ones were left out
        if self._delay_s and age_s > max_age_s:
            age = age_over(round(age_s * 1e9), round(max_age_s * 1e9))
            raise StaleFrame(
                f"camera {self._name!r}: newest frame is {age}{told(self._delay_s)}", CHECK_DEVICE
            )
        return self._frame

    def _read(self, max_age_s: float) -> Frame:
        with self._blaming:
            return self.camera.latest(max_age_s)

    def wait(self) -> None:
        """Wait for a frame, a moment at most. Raises PluginError if the camera's code fails."""
        if self._announces is not None:
            with self._blaming:
                self._announces.wait(ANNOUNCED_S)
        else:
            time.sleep(POLL_S)

    def answered(self) -> None:
        """Tell the camera, if it waits for that, that the policy has answered about the newest frame set."""
        if self._awaits is not None:
            with self._blaming:
                self._awaits.answered()

    def _take(self, raw: Frame, odometry: Odometry | None) -> None:
        if self._raw is not None and raw is self._raw:
            return
        frame = checked(raw, self._raw, self._name, self.camera)
        self._raw = raw
        if raw.seq == self._seq:
            return
        self._seq = raw.seq
        now_ns = self._clock.now_ns()
        if self._health is not None and not self._health.take(frame, now_ns, odometry):
            self._note_dropped(raw)
            return
        self._frame = exposed(frame, self._delay_s)
        if self._plausible is not None:
            self._plausible.take(self._frame, now_ns)

    def _note_dropped(self, raw: Frame) -> None:
        level = logging.WARNING if self.dropped == 1 else logging.DEBUG
        log.log(level, "frame dropped for its stamp", extra=fields(camera=self._name, frame_ns=raw.stamp_ns))

    def _raise_fault(self) -> None:
        """Raise the fault that the newest frame shows, as often as it is looked at."""
        fault = None if self._health is None else self._health.fault
        if self._plausible is not None:
            # While the base stands for a look, that tells a picture that is late from one that is frozen.
            looks = bool(self._plausible.doubt)
            fault = None if looks and fault is not None and fault.cause is StopCause.CAMERA_STILL else fault
            fault = fault or self._plausible.fault
        if fault is None:
            return
        slow_hz = None if self._health is None else self._health.slow_hz
        is_slow = fault.cause is StopCause.CAMERA_SLOW
        if is_slow and slow_hz is not None and isinstance(self.camera, SuggestsFaster):
            with self._blaming:
                fault = replace(fault, hint=self.camera.faster(slow_hz))
        raise _stop(fault)

    def _explain(self, odometry: Odometry | None) -> None:
        """Look at a frame that is too old: where a fault of the camera is why, raise that."""
        try:
            raw = self._read(_ANY_AGE_S)
        except StaleFrame:
            if self._health is not None and self._health.slow_hz is not None:
                self._raise_fault()  # between two of its frames a slow camera is always away
            return
        self._take(raw, odometry)
        self._raise_fault()
        if self._health is not None and self._frame is not None and self._frame.seq != self._seq:
            raise _stop(self._health.stamp_fault)


def _stop(fault: CameraFault) -> DriveStop:
    return DriveStop(fault.cause, fault.message, fault.hint)
