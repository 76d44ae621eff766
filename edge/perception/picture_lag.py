"""How far a picture is behind the base: turns that it shows against turns that the base made."""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.records import MotorStatus, Odometry

MOST_LAG_S, LAG_STEP_S = 2.0, 0.1  # lags that are tried
WINDOW_S = 4.0  # turns of so long are compared
LEAST_TURNS = 20  # between frames, that a lag needs
ERROR_RAD_S = 0.15  # root mean square; turns of the best lag differ by less
APART_S, APART_FACTOR, APART_RAD_S = 0.25, 1.8, 0.08  # lags so far off must fit so much worse
MIRRORED_RAD_S = 0.3  # turns of a picture on its head differ by more at every lag
OUTLIER_RAD_S = 1.5  # a larger difference counts no more than this
FORESEEN_S = 0.2  # the newest motion is taken to go on for so long

_FASTEST_M_S, _FASTEST_RAD_S = 3.0, 6.0  # what moved faster was not moved, but located anew
_LENGTH = 1024  # motions that are kept

Floats = NDArray[np.float64]


class BaseMotion:
    """The way of the base of the last seconds: as it measures it, or, if it does not, as it was told."""

    def __init__(self, length: int = _LENGTH) -> None:
        """Begin without any. `length`: motions that are kept; half of them at least."""
        self.measured = False
        self.goes_back = False  # from a contact
        self._length = length
        self._rows = np.zeros((length, 4))  # time, x, y, yaw: seconds, metres, radians that go on beyond pi
        self._count = 0
        self._odometry: Odometry | None = None

    def take(self, status: MotorStatus) -> None:
        """Take in a report of the motor process."""
        if status.odometry is not None:
            self.measure(status.odometry)
        elif not self.measured:
            sent, dt_s = status.sent, self._since(status.stamp_ns / 1e9)
            yaw_rad = self._rows[self._count - 1, 3] if self._count else 0.0
            c, s = math.cos(yaw_rad), math.sin(yaw_rad)
            x_m = (c * sent.linear_x_m_s - s * sent.linear_y_m_s) * dt_s
            y_m = (s * sent.linear_x_m_s + c * sent.linear_y_m_s) * dt_s
            self._add(status.stamp_ns / 1e9, x_m, y_m, sent.angular_z_rad_s * dt_s)

    def measure(self, odometry: Odometry) -> None:
        """Take in what the base measures. From now on only that counts."""
        if not self.measured:
            self.measured, self._count = True, 0
        before, self._odometry = self._odometry or odometry, odometry
        x_m, y_m = odometry.x_m - before.x_m, odometry.y_m - before.y_m
        turn_rad = math.remainder(odometry.yaw_rad - before.yaw_rad, 2 * math.pi)
        dt_s = (odometry.stamp_ns - before.stamp_ns) / 1e9
        if not math.hypot(x_m, y_m) <= _FASTEST_M_S * dt_s or not abs(turn_rad) <= _FASTEST_RAD_S * dt_s:
            x_m = y_m = turn_rad = 0.0
        self._add(odometry.stamp_ns / 1e9, x_m, y_m, turn_rad)

    def yaw_at(self, times_s: Floats) -> Floats:
        """Return the headings at these times, radians; the newest turn goes on for FORESEEN_S."""
        rows = self._rows[: self._count]
        if self._count < 2:
            return np.zeros_like(times_s)
        ahead_s = np.minimum(np.maximum(times_s - rows[-1, 0], 0), FORESEEN_S)
        rate_rad_s = (rows[-1, 3] - rows[-2, 3]) / (rows[-1, 0] - rows[-2, 0])
        return np.interp(times_s, rows[:, 0], rows[:, 3]) + ahead_s * rate_rad_s

    def between(self, from_s: float, to_s: float) -> tuple[float, float] | None:
        """Return how far apart two positions and two headings of that time are at most: metres, radians.

        None if that time is not known.
        """
        rows = self._rows[: self._count]
        if self._count == 0 or rows[0, 0] > from_s or rows[-1, 0] < to_s - FORESEEN_S:
            return None
        first = max(0, int(np.searchsorted(rows[:, 0], from_s, "right")) - 1)
        last = int(np.searchsorted(rows[:, 0], to_s, "right"))
        x_m, y_m, yaw_rad = np.ptp(rows[first : max(last, first + 1), 1:], axis=0)
        return math.hypot(x_m, y_m), float(yaw_rad)

    def so_far_before(self, now_s: float, way_m: float, way_rad: float, longest_s: float) -> float | None:
        """Return the newest time at which the base was so far from where it is now, or so much turned.

        None if it was not within `longest_s`.
        """
        times_s = self._rows[: self._count, 0]
        first, end = np.searchsorted(times_s, [now_s - longest_s, now_s])
        if end <= first:
            return None
        apart = self._rows[first:end, 1:] - self._rows[min(end, self._count - 1), 1:]
        far = np.flatnonzero((np.hypot(apart[:, 0], apart[:, 1]) >= way_m) | (np.abs(apart[:, 2]) >= way_rad))
        return float(times_s[first + far[-1]]) if far.size else None

    def _since(self, time_s: float) -> float:
        return max(0.0, time_s - self._rows[self._count - 1, 0]) if self._count else 0.0

    def _add(self, time_s: float, x_m: float, y_m: float, turn_rad: float) -> None:
        before = self._rows[self._count - 1] if self._count else np.zeros(4)
        if self._count and time_s <= before[0]:
            return
        if self._count == self._length:
            half = self._length // 2
            self._rows[:half], self._count = self._rows[self._length - half :], half
        self._rows[self._count] = time_s, before[1] + x_m, before[2] + y_m, before[3] + turn_rad
        self._count += 1


@dataclass(frozen=True, slots=True)
class LagFit:
    """How well turns of a picture agree with those of the base at the best lag."""

    lag_s: float
    sure: bool  # no other lag fits nearly as well
    mirrored: bool  # the picture turns against the base, and fits at no lag


class TurnsSeen:
    """The turns between frames of the last WINDOW_S."""

    def __init__(self) -> None:
        self._turns: deque[tuple[float, float, float]] = deque()  # from and to, seconds, and radians

    def add(self, from_s: float, to_s: float, turn_rad: float) -> None:
        """Take in a turn that the picture showed between two frames."""
        self._turns.append((from_s, to_s, turn_rad))
        while self._turns[0][1] < to_s - WINDOW_S:
            self._turns.popleft()

    def forget(self) -> None:
        """Begin anew: what comes is not to be compared together with what was."""
        self._turns.clear()

    def fit(self, base: BaseMotion) -> LagFit | None:
        """Return the lag at which these turns are those of the base; None if they are too few."""
        return None if len(self._turns) < LEAST_TURNS else lag_of(np.array(self._turns), base)


def lag_of(turns: Floats, base: BaseMotion) -> LagFit:
    """Return the lag at which turns (N, 3), each from, to and radians, are those of the base."""
    lags_s = np.arange(0.0, MOST_LAG_S + LAG_STEP_S / 2, LAG_STEP_S)
    turn_rad, span_s = turns[:, 2], (turns[:, 1] - turns[:, 0])[:, None]
    made_rad = turns_made(turns, base, lags_s)
    errors = _errors((turn_rad[:, None] - made_rad) / span_s)
    best = int(errors.argmin())
    # A picture that never turns, as a frozen one, would fit at any time at which the base stood.
    never = float(_errors(turn_rad[:, None] / span_s)[0])
    others = min(float(errors[np.abs(lags_s - lags_s[best]) > APART_S].min()), never)
    sure = errors[best] < ERROR_RAD_S and others > max(APART_FACTOR * errors[best], APART_RAD_S)
    against = float(_errors((turn_rad[:, None] + made_rad[:, :1]) / span_s)[0])
    mirrored = against < ERROR_RAD_S and errors[best] > MIRRORED_RAD_S
    return LagFit(float(lags_s[best]), bool(sure), bool(mirrored))


def turns_made(turns: Floats, base: BaseMotion, lags_s: Floats) -> Floats:
    """Return the turns (N, L) of the base in the times of `turns`, earlier by each lag (L,): radians."""
    headings_rad = base.yaw_at(turns[:, :2, None] - lags_s)
    return headings_rad[:, 1] - headings_rad[:, 0]


def _errors(off_rad_s: Floats) -> Floats:
    """Return the root mean square of differences (N, L) for each lag, (L,)."""
    return np.sqrt((np.minimum(np.abs(off_rad_s), OUTLIER_RAD_S) ** 2).mean(axis=0))
