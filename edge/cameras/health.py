"""What the frames of a live camera tell about the camera: a frozen, dark, slow or wrongly stamped one.

Pure: times come as arguments. A frame costs some 20 µs, as only a grid of its pixels is looked at.
"""

import math
from dataclasses import dataclass

from edge.cameras.frame_measures import (
    AHEAD_NS,
    BLACK_LEVEL,
    FORMLESS_STD,
    LEAST_RATE_HZ,
    ODD_WINDOW,
    WHITE_LEVEL,
    Grey,
    Lighting,
    Rate,
    Repeats,
    Stamps,
    Turns,
    cells_of,
    grid_of,
)
from edge.records import Frame, Image, Odometry, StopCause

REPEATS_S = 0.3  # the same content for so long is a fault: a sensor never gives one picture twice
UNLIT_S = 0.5  # black, white or covered for so long is a fault
DOUBT_S = 0.15  # either for so long is a doubt: the base holds
ODD_SHARE = 0.2  # share of the last ODD_WINDOW frames; more with odd stamps are a fault
AWAY_S = 0.5  # without a frame for so long, what was before tells nothing any more
READY_FRAMES = 5  # before a camera counts as steady

_UNLIT = {
    StopCause.CAMERA_BLACK: f"is black: no part of its picture is above grey level {BLACK_LEVEL:g}",
    StopCause.CAMERA_WHITE: f"is white: no part of its picture is below grey level {WHITE_LEVEL:g}",
    StopCause.CAMERA_COVERED: f"is covered: its grey levels vary by less than {FORMLESS_STD:g}",
}
_SEE = "`vla-edge run --camera ADDRESS --motors null:// ...` shows its pictures in frames.png"
_RESTART = "unplug and plug the camera, or restart the process that reads it; then run it again"
_LENS = f"uncover the lens, light the room, or set the camera's exposure; {_SEE}"
_CLOCK = (
    "its driver must stamp frames with CLOCK_MONOTONIC at the exposure or the first byte, "
    "see docs/adding-a-camera-or-driver.md"
)
_SLOW = (
    "take MJPG instead of YUYV, a smaller size, or a USB port of its own; "
    "`v4l2-ctl --list-formats-ext` lists the camera's formats with their rates"
)
_SLIP = f"the camera is frozen, or the base does not turn though its wheels do. {_RESTART}"
_RESIZE = "fix the size in the camera's address or driver, so that nothing renegotiates it; then run it again"


@dataclass(frozen=True, slots=True)
class CameraFault:
    """What is wrong with a camera."""

    cause: StopCause
    message: str  # begins with the camera's name
    hint: str


class CameraHealth:
    """Judges one live camera by its frames. Give each new frame to `take`, once.

    `fault` tells what ends a drive, and `doubt` why the base holds for now; both are of the newest frame.
    `shows_stills` is for a camera whose picture may stay the same while nothing moves.
    """

    def __init__(self, camera: str, shows_stills: bool = False) -> None:
        self.fault: CameraFault | None = None
        self.doubt = ""  # such as "is black"; empty if nothing is wrong
        self.dropped = 0  # frames with odd stamps
        self._camera = camera
        self._shows_stills = shows_stills
        self.suspect = False  # the newest frame looks as a fault begins: it repeats, or has no light
        self._frames = 0
        self._size: tuple[int, ...] | None = None
        self._stamps = Stamps()
        self._rate = Rate()
        self._repeats = Repeats()
        self._light = Lighting()
        self._turns = Turns()
        self._newest_ns: int | None = None  # stamp of the newest frame that may be used

    @property
    def ready(self) -> bool:
        """True once enough frames came, and nothing is wrong with the newest one."""
        steady = self._frames >= READY_FRAMES and self.slow_hz is None
        return steady and self.fault is None and not self.suspect

    @property
    def slow_hz(self) -> float | None:
        """The camera's frames a second, if they are too few."""
        return self._rate.slow_hz

    def take(self, frame: Frame, now_ns: int, odometry: Odometry | None) -> bool:
        """Judge a new frame. Returns False if its stamp is odd: then it must not be used."""
        self.fault, self.doubt = None, ""
        usable = self._stamps.take(frame.stamp_ns, now_ns)
        self.dropped += not usable
        if (ahead_ns := self._stamps.ahead_ns) is not None:
            self.fault = self._other_clock(ahead_ns)
        elif self._stamps.odd > ODD_SHARE * ODD_WINDOW:
            self.fault = self._odd_stamps()
        if not usable:
            return False
        self._frames += 1
        self._rate.take(frame)
        if self._newest_ns is not None and frame.stamp_ns - self._newest_ns > AWAY_S * 1e9:
            self._repeats, self._light, self._turns = Repeats(), Lighting(), Turns()
        self._newest_ns = frame.stamp_ns
        faults = (self._resized(frame.image), self._slow(), *self._content(frame, odometry))
        self.fault = self.fault or next((fault for fault in faults if fault is not None), None)
        return True

    @property
    def stamp_fault(self) -> CameraFault:
        """What is wrong with the camera if no usable frame has come for too long."""
        ahead_ns = self._stamps.newest_ahead_ns
        return self._other_clock(ahead_ns) if ahead_ns > AHEAD_NS else self._odd_stamps()

    def _content(self, frame: Frame, odometry: Odometry | None) -> tuple[CameraFault | None, ...]:
        grid = grid_of(frame.image)
        cells = cells_of(grid)
        unlit = self._unlit(cells, frame, odometry)
        # What is black may well be so to the last bit, which is then not the point.
        repeated = None if self._shows_stills or self.suspect else self._repeated(frame, grid)
        return unlit, repeated, self._still(cells, frame.stamp_ns, odometry)

    def _other_clock(self, ahead_ns: int) -> CameraFault:
        return self._fault(
            StopCause.CAMERA_CLOCK,
            f"stamps are {_time(abs(ahead_ns))} {'ahead of' if ahead_ns > 0 else 'behind'} CLOCK_MONOTONIC",
            _CLOCK,
        )

    def _odd_stamps(self) -> CameraFault:
        count = f"{self._stamps.odd} of its last {self._stamps.judged} frames"
        limit = f"limit {ODD_SHARE:.0%} of {ODD_WINDOW}"
        what = f"stamps go backwards, or ahead of the clock, in {count} ({limit})"
        return self._fault(StopCause.CAMERA_BACKWARDS, what, _CLOCK)

    def _resized(self, image: Image) -> CameraFault | None:
        before, self._size = self._size, image.shape[:2]
        if before is None or before == self._size:
            return None
        sizes = f"from {before[1]}x{before[0]} to {image.shape[1]}x{image.shape[0]}"
        return self._fault(StopCause.CAMERA_RESIZED, f"picture changed its size {sizes}", _RESIZE)

    def _slow(self) -> CameraFault | None:
        if (rate_hz := self.slow_hz) is None:
            return None
        rates = f"{rate_hz:.1f} frames a second (at least {LEAST_RATE_HZ:g} are needed)"
        return CameraFault(StopCause.CAMERA_SLOW, f"camera {self._camera!r} gives {rates}", _SLOW)

    def _repeated(self, frame: Frame, grid: Image) -> CameraFault | None:
        same_s = self._repeats.take(frame, grid)
        self.suspect = same_s > 0
        if same_s >= DOUBT_S:
            self.doubt = "repeats its picture"
        if same_s < REPEATS_S:
            return None
        message = f"repeats its picture: the same for {same_s:.2f} s (limit {REPEATS_S:g} s)"
        return CameraFault(StopCause.CAMERA_REPEATS, f"camera {self._camera!r} {message}", _RESTART)

    def _unlit(self, cells: Grey, frame: Frame, odometry: Odometry | None) -> CameraFault | None:
        cause, unlit_s = self._light.take(cells, frame.stamp_ns, odometry)
        self.suspect = cause is not StopCause.NONE
        if unlit_s >= DOUBT_S:
            self.doubt = _UNLIT[cause]
        if unlit_s < UNLIT_S:
            return None
        message = f"camera {self._camera!r} {_UNLIT[cause]}, for {unlit_s:.1f} s (limit {UNLIT_S:g} s)"
        return CameraFault(cause, message, _LENS)

    def _still(self, cells: Grey, stamp_ns: int, odometry: Odometry | None) -> CameraFault | None:
        turned_rad = self._turns.take(cells, stamp_ns, odometry)
        if turned_rad is None:
            return None
        turned = f"{math.degrees(turned_rad):.0f} degrees"
        return self._fault(
            StopCause.CAMERA_STILL, f"picture does not change while the base turns: {turned}", _SLIP
        )

    def _fault(self, cause: StopCause, what: str, hint: str) -> CameraFault:
        return CameraFault(cause, f"camera {self._camera!r}: its {what}", hint)


def _time(duration_ns: int) -> str:
    return f"{duration_ns / 1e6:.0f} ms" if duration_ns < 1_000_000_000 else f"{duration_ns / 1e9:.1f} s"
