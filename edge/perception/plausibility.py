"""Whether what a camera shows agrees with what the base does: frozen, late, looped and foreign pictures.

At the first doubt the base stands, and what the picture does then tells: one that stays is of now, one that
goes on moving is of another time, and one that never moved with the base is frozen, or the base slips.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum

from edge.cameras.health import CameraFault
from edge.perception.panorama import Panoramas
from edge.perception.picture_change import PictureMotion
from edge.perception.picture_lag import BaseMotion, LagFit
from edge.perception.picture_signs import SPAN_S, Lasting, PictureSigns, SignReader
from edge.records import CameraMount, Frame, StopCause

# By odometry, and where the base does not measure its motion, by what it was told.
LATE_S, LATE_TOLD_S = 0.25, 0.6  # a larger lag is a fault
DOUBT_S, DOUBT_TOLD_S = 0.25, 0.7  # the picture contradicts the base for so long: the base stands
STAYED_S = 0.1  # the same, and then the base stands: the picture has missed its last motion
DOUBT_FRAMES, FAULT_FRAMES = 3, 8  # frames in a row with too large a lag, or with turns against the base
JUMP_LOOK_S = 0.4  # a picture that jumped and then stays for so long, while the base stands, is of now
MOST_LOOK_S = 2.4  # while the base stands; longer than any lag that is looked for
AWAY_S = 0.5  # without a frame for so long, what was before tells nothing any more
MOVING_S = 0.35  # a picture that moves for so long, while the base stands, is not of now
# By so much more than the limit a picture that is late goes on moving long enough to be seen to. One that is
# not seen to may still be: it is, if the same lag is measured again, by other turns.
SEEN_LATE_S, SAME_LAG_S, AGAIN_S = MOVING_S + 0.2, 0.15, 15.0
FOREIGN_S = 3.0  # and if it goes on for so long, it is not of any time that this base knows
MOVED_FRAMES = 3  # on the way back from a contact: the picture is not frozen
JUMPS, JUMPS_WITHIN_S = 4, 15.0  # so many jumps are more than lamps make
STAND_LIMIT_S = 3.0  # a base that was told to stand and does not
CONFIRMED_S = 10.0  # a small lag that was measured is believed for so long
LAST_LOOK_S = 0.8  # an arrival takes so long a stand if the lag is known; if it is not, MOST_LOOK_S
STILL_S = 0.15  # with a still picture at its end

_RESTART = "else restart the camera, or the process that reads it; then run it again"
_QUEUE = (
    "its pictures wait in a queue: keep only the newest one at every stage (a smaller latency= of rtsp://, "
    "max-buffers=1 drop=true of an appsink, fewer or smaller frames on a weak line); a delay that stays "
    "as it is can be measured, and is then counted: `vla-edge calibrate latency`; then run it again"
)
_FOREIGN = (
    "is it a live camera, of this robot, and upright? `flip=` in its address turns and mirrors the picture"
)
_SLIP = f"the camera is frozen, or the base does not move though its wheels do: is it blocked? {_RESTART}"


class Doubt(Enum):
    """Why the base stands for a look; the value is for people."""

    JUMPED = "jumped to another picture"
    STILL = "does not change its picture while the base moves"
    MOVING = "shows motion while the base stands"
    LATE = "shows turns too late"
    AGAINST = "turns against the base"


@dataclass(slots=True)
class Look:
    """A look at what the picture does while the base stands. Times in seconds."""

    doubt: Doubt
    since_s: float
    base_moved: bool  # as it began
    moved_s: float = 0.0  # for so long the picture moved while the base stood
    moved_until_s: float = 0.0
    stood_from_s: float = 0.0


class Plausibility:
    """Judges the frames of the camera that the policy sees with. Give each new one to `take`, once.

    `fault` ends the drive; `doubt` tells why the base should stand for now.
    """

    def __init__(self, camera: str, mount: CameraMount, base: BaseMotion) -> None:
        self.fault: CameraFault | None = None
        self.lag_s: float | None = None  # measured last, by turns
        self._camera, self._mount, self._base = camera, mount, base
        self._size: tuple[int, ...] = ()
        self._reader: SignReader | None = None  # None: the camera looks too steeply down or up
        self._signs: PictureSigns | None = None
        self._look: Look | None = None
        self._contradicts, self._moving, self._still = Lasting(), Lasting(), Lasting()
        self._still_s = 0.0
        self._stayed = False  # it was still while the base moved, and has not moved since
        self._late_frames = self._against_frames = 0
        self._unseen: tuple[float, float] | None = None  # when the base stood for a lag in vain, and the lag
        self._confirmed_s: float | None = None  # when a small lag was measured last
        self._jumped_s: deque[float] = deque(maxlen=JUMPS)  # when a look for a jump began
        self._newest_ns: int | None = None  # stamp of the newest frame
        self._age_s = 0.0  # age of the newest frame, by its stamp
        self.held = False  # the base stands, and may have been held: a small way back will tell
        self._goes_back = False  # from a contact
        self._back_s = 0.0  # when that began
        self._moved_back = 0  # frames since then in which the picture was another
        self._frozen: CameraFault | None = None  # it stayed on the way back, too

    @property
    def doubt(self) -> str:
        """What is odd about the camera, such as "shows turns too late"; empty if nothing is."""
        return "" if self._look is None else self._look.doubt.value

    @property
    def may_arrive(self) -> bool:
        """True if an arrival that is claimed now is not that of an old picture."""
        signs = self._signs
        if self._reader is None and self._size:
            return True
        if signs is None or self._look is not None:
            return False
        known = self._confirmed_s is not None and signs.time_s - self._confirmed_s <= CONFIRMED_S
        return signs.stood_s >= MOST_LOOK_S or (
            known and signs.stood_s >= LAST_LOOK_S and self._still_s >= STILL_S
        )

    def take(self, frame: Frame, now_ns: int) -> None:
        """Judge a new frame, later than all before."""
        if self._newest_ns is not None and frame.stamp_ns - self._newest_ns > AWAY_S * 1e9:
            self._forget()
        self._newest_ns = frame.stamp_ns
        self._note_contact(self._base.goes_back)
        self.fault, self._age_s = self._frozen, (now_ns - frame.stamp_ns) / 1e9
        if frame.image.shape != self._size:
            self._size = frame.image.shape
            panoramas = Panoramas.of(self._mount, self._size[1], self._size[0])
            self._reader = None if panoramas is None else SignReader(panoramas, self._base)
        self._signs = signs = None if self._reader is None else self._reader.take(frame.image, frame.stamp_ns)
        if signs is None:
            return
        if self._goes_back:
            self._moved_back += self._reader is not None and not self._reader.stays_since(self._back_s)
            return
        contradicts_s, moving_s = self._last(signs)
        self._count(signs.fit, signs.time_s)
        if self._look is None:
            self._begin(signs, contradicts_s, moving_s)
        if self._look is not None:
            self._judge(self._look, signs)

    def _note_contact(self, goes_back: bool) -> None:
        """Note whether the base goes back from a contact now: meanwhile nothing is odd, and then all is new.

        A base that was held moves its picture on the way back. If that stays, it is the camera that is still.
        """
        was, self._goes_back = self._goes_back, goes_back
        if goes_back and not was:
            self._back_s, self._moved_back = (self._newest_ns or 0) / 1e9, 0
        if was and not goes_back:
            if self.held and self._moved_back < MOVED_FRAMES:
                self._frozen = self._still_fault()
            self._forget()

    def _forget(self) -> None:
        """Begin anew, as with the first frame."""
        self.held, self.lag_s, self._signs, self._look = False, None, None, None
        self._size, self._reader = (), None
        self._contradicts, self._moving, self._still = Lasting(), Lasting(), Lasting()
        self._still_s, self._stayed = 0.0, False
        self._late_frames = self._against_frames = 0
        self._unseen = self._confirmed_s = None
        self._jumped_s.clear()

    def _last(self, signs: PictureSigns) -> tuple[float, float]:
        """Return for how long the picture has been still while the base moves, and the other way round."""
        moves = signs.picture is PictureMotion.MOVES
        self._still_s = self._still.take(not moves and signs.stood_s > 0, signs.time_s)
        moving = signs.moved_alone and self._settled(signs)
        contradicts_s = self._contradicts.take(signs.stays, signs.time_s)
        self._stayed = not moves and (self._stayed or contradicts_s >= STAYED_S)
        return contradicts_s, self._moving.take(moving, signs.time_s)

    def _settled(self, signs: PictureSigns) -> bool:
        """Return True if all of the motion that the picture shows should be that of a standing base."""
        return signs.stood_s > SPAN_S + self._by_odometry(LATE_S, LATE_TOLD_S)

    def _by_odometry(self, measured: float, told: float) -> float:
        return measured if self._base.measured else told

    def _count(self, fit: LagFit | None, now_s: float) -> None:
        """Count frames in a row with too large a lag, and with turns against the base."""
        late = False
        if fit is not None and fit.sure:
            self.lag_s = fit.lag_s
            late = fit.lag_s > self._by_odometry(LATE_S, LATE_TOLD_S) + 1e-6
            self._confirmed_s = self._confirmed_s if late else now_s
        self._late_frames = self._late_frames + 1 if late else 0
        against = fit is not None and fit.mirrored
        self._against_frames = self._against_frames + 1 if against else 0

    def _begin(self, signs: PictureSigns, contradicts_s: float, moving_s: float) -> None:
        """Begin a look if anything is odd."""
        doubt_s = self._by_odometry(DOUBT_S, DOUBT_TOLD_S)
        odd = {
            Doubt.LATE: self._late_frames >= DOUBT_FRAMES,
            Doubt.AGAINST: self._against_frames >= DOUBT_FRAMES,
            Doubt.STILL: contradicts_s >= doubt_s or (self._stayed and self._settled(signs)),
            Doubt.MOVING: moving_s >= doubt_s,
            Doubt.JUMPED: signs.jumped,
        }
        doubt = next((doubt for doubt, is_so in odd.items() if is_so), None)
        if doubt is Doubt.JUMPED:
            self._jumped_s.append(signs.time_s)
        if doubt is not None:
            self._confirmed_s = None
            self._look = Look(doubt, signs.time_s, signs.base_moves)

    def _judge(self, look: Look, signs: PictureSigns) -> None:
        """Go on with a look: it ends by a fault, by nothing being wrong, or goes on."""
        if self._late_frames >= FAULT_FRAMES and self.lag_s is not None and self._is_late(self.lag_s, signs):
            self.fault = self._late(self.lag_s)
        elif len(self._jumped_s) == JUMPS and signs.time_s - self._jumped_s[0] < JUMPS_WITHIN_S:
            self.fault = self._foreign(
                f"jumped {JUMPS} times within {signs.time_s - self._jumped_s[0]:.0f} s"
            )
        elif self._against_frames >= FAULT_FRAMES:
            self.fault = self._foreign(Doubt.AGAINST.value)
        elif not self._settled(signs):
            if signs.time_s - look.since_s > STAND_LIMIT_S:
                self._end(look, signs)
        elif signs.moved_alone:
            self._note_motion(look, signs)
        elif signs.jumped and look.moved_s >= MOVING_S:
            self.fault = self._foreign("moves and jumps while the base stands")  # a late one only ends
        elif look.moved_s >= MOVING_S:
            if signs.time_s - look.moved_until_s > SPAN_S:
                # The motion that it showed last ended up to SPAN_S before.
                self.fault = self._late(look.moved_until_s - look.stood_from_s - SPAN_S)
        else:
            looked_s = min(self._still_s, signs.time_s - look.since_s - SPAN_S)
            if signs.stood_s >= MOST_LOOK_S or (look.doubt is Doubt.JUMPED and looked_s >= JUMP_LOOK_S):
                self._end(look, signs)

    def _is_late(self, lag_s: float, signs: PictureSigns) -> bool:
        """Return True if a measured lag is a fault at once: a large one is seen while the base stands."""
        if lag_s < self._by_odometry(LATE_S, LATE_TOLD_S) + SEEN_LATE_S:
            return True
        at_s, before_s = self._unseen or (-AGAIN_S, lag_s)
        return signs.time_s - at_s < AGAIN_S and abs(lag_s - before_s) < SAME_LAG_S

    def _note_motion(self, look: Look, signs: PictureSigns) -> None:
        look.stood_from_s = signs.time_s - signs.stood_s
        gap_s = signs.time_s - look.moved_until_s
        look.moved_s += gap_s if gap_s < SPAN_S else 0.0
        look.moved_until_s = signs.time_s
        if signs.stood_s >= FOREIGN_S and look.moved_s >= MOVING_S:
            self.fault = self._foreign(f"moves while the base stands, for {look.moved_s:.1f} s")

    def _end(self, look: Look, signs: PictureSigns) -> None:
        """End a look that showed no motion: what was odd before it counts."""
        if look.doubt is Doubt.STILL:
            self.held = True
        elif look.doubt is Doubt.AGAINST:
            self.fault = self._foreign(look.doubt.value)
        else:
            if look.doubt is Doubt.LATE and self._reader is not None and self.lag_s is not None:
                self._unseen = signs.time_s, self.lag_s
                self._reader.forget_turns()  # other turns must tell the same
            if look.doubt is Doubt.JUMPED and look.base_moved and self._reader is not None:
                self._reader.was_of_now(signs.time_s)  # the base passes a thing that is near
            self._look, self._stayed = None, False

    def _still_fault(self) -> CameraFault:
        how = "moves" if self._base.measured else "is told to move"
        what = f"its picture does not change while the base {how}, on and back"
        return self._fault(StopCause.CAMERA_STILL, what, _SLIP)

    def _late(self, lag_s: float) -> CameraFault:
        shown_ms, stamp_ms = 1e3 * (lag_s + self._age_s), 1e3 * self._age_s
        limit_ms = 1e3 * self._by_odometry(LATE_S, LATE_TOLD_S)
        what = f"its picture is about {shown_ms:.0f} ms old, its stamp says {stamp_ms:.0f} ms"
        return self._fault(StopCause.CAMERA_LATE, f"{what} (limit {limit_ms:.0f} ms more)", _QUEUE)

    def _foreign(self, what: str) -> CameraFault:
        return self._fault(StopCause.CAMERA_FOREIGN, f"its picture {what}", _FOREIGN)

    def _fault(self, cause: StopCause, what: str, hint: str) -> CameraFault:
        return CameraFault(cause, f"camera {self._camera!r}: {what}", hint)
