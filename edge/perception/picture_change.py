"""Whether a picture moves as a whole, stays, or jumps, whatever moves in a part of it."""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from enum import Enum
from statistics import median

import numpy as np
from numpy.typing import NDArray

from edge.perception.panorama import COLUMNS, Grey, Panoramas

SPAN_NS = 300_000_000  # two panoramas so far apart are compared
LONGEST_NS = 3_000_000_000  # and at most so far where the base is slow
MOVES_SHARE, STILL_SHARE = 0.6, 0.2  # such a share of the cells with forms has changed
THIRD_SHARE = 0.5  # and at least so many in the left, the middle and the right third: a person fills one
JUMP_FACTOR, JUMP_LEVELS = 1.8, 0.5  # by both a frame must differ more from the one before than usual
JUMP_AFTER = 1.4  # and by this factor more than any of the last three: a base that starts comes slowly
USUAL = 10  # frames that tell what is usual
OF_NOW_S = 15.0  # after a jump that was of now, for so long only one larger by JUMP_AFTER counts

_CELL = 8  # columns of a cell, which is one row high
_LEAST_CELLS = 6  # with forms; with fewer a picture says nothing
_LEAST_NOISE = 0.5  # grey levels
_FORM, _CHANGE = 3.0, 2.5  # times the noise: a cell has a form; a cell has changed
_NOISE_GROWTH = 1.002  # a frame, so that noise which grows with the dark is learned

Cells = NDArray[np.float32]


class PictureMotion(Enum):
    """What a picture as a whole did over SPAN_NS."""

    MOVES = "moves"
    STILL = "still"
    UNKNOWN = "unknown"  # it has too few forms, or a part of it moves


class Changes:
    """Compares each panorama with one of SPAN_NS ago, and on demand with an older one."""

    def __init__(self) -> None:
        self._past: deque[tuple[int, Grey]] = deque()  # stamps and panoramas, oldest first
        self._noise: float | None = None  # grey levels of a cell

    def take(self, panorama: Grey, stamp_ns: int) -> PictureMotion:
        """Take in the next panorama and return what the picture did."""
        if self._past:
            # Where everything moves no cell shows the noise alone, so the least of all frames counts.
            newest = _low(_levels(panorama - self._past[-1][1]))
            known = newest if self._noise is None else min(newest, self._noise * _NOISE_GROWTH)
            self._noise = max(_LEAST_NOISE, known)
        self._past.append((stamp_ns, panorama))
        while len(self._past) > 2 and self._past[1][0] <= stamp_ns - LONGEST_NS:
            self._past.popleft()
        return self.since(stamp_ns - SPAN_NS)

    def since(self, from_ns: int) -> PictureMotion:
        """Return what the picture did since then; UNKNOWN if that time is not known."""
        at = bisect_right(self._past, from_ns, key=lambda taken: taken[0])
        return self._compared(self._past[at - 1][1], self._past[-1][1]) if at else PictureMotion.UNKNOWN

    def begin_anew(self) -> None:
        """Forget the panoramas so far."""
        self._past.clear()

    def _compared(self, before: Grey, after: Grey) -> PictureMotion:
        noise = self._noise or _LEAST_NOISE
        formed = _spread(before) > _FORM * noise
        changed = _levels(after - _in_light_of(after, before)) > _CHANGE * noise
        if formed.sum() < _LEAST_CELLS:
            return PictureMotion.UNKNOWN
        share = changed[formed].mean()
        if share <= STILL_SHARE:
            return PictureMotion.STILL
        thirds = zip(np.array_split(formed, 3, axis=1), np.array_split(changed, 3, axis=1), strict=True)
        spread = all(part[form].mean() >= THIRD_SHARE for form, part in thirds if form.sum() >= 2)
        return PictureMotion.MOVES if share >= MOVES_SHARE and spread else PictureMotion.UNKNOWN


class Jumps:
    """Notices a frame that differs from the one before as none of the last ones did."""

    def __init__(self, panoramas: Panoramas) -> None:
        self._panoramas = panoramas
        self._usual: deque[float] = deque(maxlen=USUAL)
        self._jump = 0.0  # levels of the newest jump
        self._of_now, self._of_now_until_s = 0.0, 0.0

    def take(self, before: Grey, after: Grey, turns_rad: Sequence[float], now_s: float) -> bool:
        """Return True if the picture jumped between two frames, by whichever turn may lie between them."""
        levels = self._panoramas.difference(before, after, turns_rad)
        jumped = (
            len(self._usual) == USUAL and self._is_jump(levels) and levels > JUMP_AFTER * self._known(now_s)
        )
        self._usual.append(levels)
        self._jump = levels if jumped else self._jump
        return jumped

    def was_of_now(self, now_s: float) -> None:
        """Note that the picture after the newest jump was of now."""
        self._of_now, self._of_now_until_s = max(self._jump, self._known(now_s)), now_s + OF_NOW_S

    def _known(self, now_s: float) -> float:
        return self._of_now if now_s < self._of_now_until_s else 0.0

    def _is_jump(self, levels: float) -> bool:
        usual = list(self._usual)
        middle = median(usual)
        least = max(JUMP_FACTOR * middle, JUMP_LEVELS + middle)
        return levels > max(least, JUMP_AFTER * max(usual[-3:]))


def _in_light_of(after: Grey, before: Grey) -> Grey:
    """Return a panorama in the light of a later one: a lamp or the camera's exposure changes all of it."""
    light = after.mean()
    x, y = before - before.mean(), after - light
    gain = min(max(float((x * y).mean() / max(float((x * x).mean()), 1e-6)), 0.5), 2.0)
    lit = gain * x + light
    # The light is the same if that explains most of the picture: then something has come in.
    same = _middle(np.abs(after - before)) <= _middle(np.abs(after - lit))
    return before if same else lit


def _low(values: Cells) -> float:
    """Return the 20th percentile of values; numpy's own takes several times as long for so few."""
    ordered, at = np.sort(values, axis=None), 0.2 * (values.size - 1)
    below, above = float(ordered[int(at)]), float(ordered[min(int(at) + 1, values.size - 1)])
    return below + (at - int(at)) * (above - below)


def _middle(values: Grey) -> float:
    """Return the median of values."""
    half = values.size // 2
    parted = np.partition(values, (half - 1, half), axis=None)
    return float(parted[half] if values.size % 2 else parted[half - 1 : half + 1].mean())


def _levels(difference: Grey) -> Cells:
    """Return the mean of absolute differences in each cell, (R, C)."""
    return _cells(np.abs(difference)).mean(axis=2)


def _spread(panorama: Grey) -> Cells:
    """Return the standard deviation of grey levels in each cell, (R, C)."""
    return _cells(panorama).std(axis=2)


def _cells(panorama: Grey) -> Grey:
    """Return a panorama (R, COLUMNS) as cells, (R, C, _CELL)."""
    return np.reshape(panorama, (len(panorama), COLUMNS // _CELL, _CELL))
