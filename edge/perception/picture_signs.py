"""What a frame, after those before it, tells of the picture's motion, beside what the base did meanwhile."""

from dataclasses import dataclass

import numpy as np

from edge.perception.panorama import Grey, Panoramas
from edge.perception.picture_change import LONGEST_NS, SPAN_NS, Changes, Jumps, PictureMotion
from edge.perception.picture_lag import BaseMotion, LagFit, TurnsSeen
from edge.records import Image

SPAN_S = SPAN_NS / 1e9
STANDS_M, STANDS_RAD = 0.01, 0.015  # a base that stands moves by less, however slowly
MOST_STOOD_S = 5.0  # nobody asks for more, and odometry drifts
RESTS_M, RESTS_RAD = 0.004, 0.005  # one that moves by more within SPAN_S may move the picture of a near thing
# With so much of a way any picture of a room changes, but for plain ones; twice that if it only was told to.
MOVES_M, MOVES_RAD = 0.10, 0.06
ALLOWED_LAGS_S = np.array([0.0, 0.1, 0.2])
AS_EXPECTED_RAD = 0.1  # between two frames; a picture turns with the base but for this


@dataclass(frozen=True, slots=True)
class PictureSigns:
    """What the picture and the base did up to a frame. Times in seconds."""

    time_s: float  # when the frame was captured
    picture: PictureMotion
    jumped: bool
    base_moves: bool  # it does not stand, and was MOVES_M or MOVES_RAD off not long ago
    stays: bool  # and the picture has not changed since then
    stood_s: float  # for so long the base has stood; 0 if it does not
    moved_alone: bool  # the picture moved while the base did not even creep
    fit: LagFit | None


class Lasting:
    """Measures for how long something has been so without a break."""

    def __init__(self) -> None:
        self._since_s: float | None = None

    def take(self, so: bool, now_s: float) -> float:
        """Return the seconds; 0 if it is not so, or only from now on."""
        self._since_s = (now_s if self._since_s is None else self._since_s) if so else None
        return 0.0 if self._since_s is None else now_s - self._since_s


class SignReader:
    """Reads the signs of one camera's frames, all of one size."""

    def __init__(self, panoramas: Panoramas, base: BaseMotion) -> None:
        self._panoramas, self._base = panoramas, base
        self._changes, self._jumps, self._turns = Changes(), Jumps(panoramas), TurnsSeen()
        self._before: tuple[float, Grey] | None = None
        self._stands = Lasting()

    def take(self, image: Image, stamp_ns: int) -> PictureSigns | None:
        """Return the signs of the next frame; None for the first one."""
        now_s, panorama = stamp_ns / 1e9, self._panoramas.make(image)
        picture = self._changes.take(panorama, stamp_ns)
        before, self._before = self._before, (now_s, panorama)
        if before is None:
            return None
        jumped = self._turn(before, (now_s, panorama))
        if jumped:  # what was before it tells nothing of the motion after it
            self._changes.begin_anew()
            picture = self._changes.take(panorama, stamp_ns)
        way_m, way_rad = self._base.between(now_s - SPAN_S, now_s) or (0.0, 0.0)
        stands = way_m < STANDS_M and way_rad < STANDS_RAD
        stood_s = self._stands.take(stands, now_s) + SPAN_S if stands else self._stands.take(False, now_s)
        crept_s = self._base.so_far_before(now_s, STANDS_M, STANDS_RAD, MOST_STOOD_S)
        stood_s = stood_s if crept_s is None else min(stood_s, now_s - crept_s)
        surely = 1.0 if self._base.measured else 2.0
        far_s = self._base.so_far_before(now_s, surely * MOVES_M, surely * MOVES_RAD, LONGEST_NS / 1e9)
        moves = far_s is not None and not stands
        stays = moves and picture is PictureMotion.STILL
        if stays and far_s is not None and far_s < now_s - SPAN_S:
            stays = self.stays_since(far_s)
        alone = picture is PictureMotion.MOVES and way_m < RESTS_M and way_rad < RESTS_RAD
        fit = self._turns.fit(self._base)
        return PictureSigns(now_s, picture, jumped, moves, stays, stood_s, alone, fit)

    def was_of_now(self, now_s: float) -> None:
        """Note that the picture after the newest jump was of now."""
        self._jumps.was_of_now(now_s)

    def forget_turns(self) -> None:
        """Measure the lag anew, by the turns to come."""
        self._turns.forget()

    def stays_since(self, since_s: float) -> bool:
        """Return True if the picture has not changed since then."""
        return self._changes.since(round(since_s * 1e9)) is PictureMotion.STILL

    def _turn(self, before: tuple[float, Grey], after: tuple[float, Grey]) -> bool:
        """Take in the turn between two frames. Returns True if the picture jumped between them."""
        (from_s, one), (to_s, other) = before, after
        # The picture may be a little late, by which it is off whenever the base begins or ends to turn.
        headings_rad = self._base.yaw_at(np.array([from_s, to_s])[:, None] - ALLOWED_LAGS_S)
        expected_rad = [float(turn_rad) for turn_rad in headings_rad[1] - headings_rad[0]]
        turn_rad = self._panoramas.turn(one, other)
        if turn_rad is not None and abs(turn_rad - expected_rad[0]) < AS_EXPECTED_RAD:
            expected_rad.append(turn_rad)
        if self._jumps.take(one, other, expected_rad, to_s):
            self._turns.forget()
            return True
        if turn_rad is not None:
            self._turns.add(from_s, to_s, turn_rad)
        return False
