"""The delay at which the turns of a picture are those of the base, found between two frames."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.latency.judge import DelayFit, lowest
from calibration.verdict import Criterion
from edge.perception.picture_lag import ERROR_RAD_S, BaseMotion, turns_made
from edge.records import Odometry

LEAST_TURNED_RAD = 3.0  # in all, by odometry
LEAST_SEEN = 0.5  # share of the frames between which the picture showed a turn
SCALE = (0.8, 1.25)  # how far the picture turns for a turn of the base
ROUND_SPAN_S = 0.15  # the delay of one round is looked for so far from that of all
FORMLESS_HINT = "let the camera see things with forms, not a bare wall, in good light, and nothing that moves"
_MOVING_RAD_S = 0.1

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """What was recorded while the base turned there and back. Times in seconds of CLOCK_MONOTONIC."""

    turns: Floats  # (N, 3): from and to, by the camera's own stamps, and radians
    frames: int  # that came while the base turned
    seen: int  # those that showed a turn
    odometry: Sequence[Odometry]
    rounds_s: Sequence[tuple[float, float]]  # when each there and back began and ended

    @property
    def base(self) -> BaseMotion:
        """The way of the base."""
        motion = BaseMotion(len(self.odometry) + 1)
        for each in self.odometry:
            motion.measure(each)
        return motion


@dataclass(frozen=True, slots=True)
class TurnFit:
    """The delay, and how well the turns agree with it."""

    delay: DelayFit
    scale: float  # turn of the picture for one of the base
    error_rad_s: float  # root mean square


def fit_turns(record: TurnRecord, lags_s: Floats) -> TurnFit:
    """Return the delay of a record with 20 turns or more, out of these lags, which are evenly spaced."""
    base, turns = record.base, record.turns
    errors, scales = _errors(turns, base, lags_s)
    delay_s = lowest(lags_s, errors)
    rounds_s = [_of_round(turns, base, each, delay_s) for each in record.rounds_s]
    best = int(errors.argmin())
    delay = DelayFit(delay_s, tuple(each for each in rounds_s if each is not None), lags_s, errors)
    return TurnFit(delay, float(scales[best]), float(errors[best]))


def _of_round(turns: Floats, base: BaseMotion, round_s: tuple[float, float], delay_s: float) -> float | None:
    """Return the delay by one there and back alone; None if too few turns of it were seen."""
    inside = (turns[:, 0] - delay_s >= round_s[0]) & (turns[:, 1] - delay_s <= round_s[1])
    if inside.sum() < 10:
        return None
    lags_s = delay_s + np.arange(-ROUND_SPAN_S, ROUND_SPAN_S, 0.001)
    return lowest(lags_s, _errors(turns[inside], base, lags_s)[0])


def _errors(turns: Floats, base: BaseMotion, lags_s: Floats) -> tuple[Floats, Floats]:
    """Return the root mean square error, rad/s, at each lag, and the scale that makes it least there."""
    span_s, seen_rad = (turns[:, 1] - turns[:, 0])[:, None], turns[:, 2:]
    made_rad_s, seen_rad_s = turns_made(turns, base, lags_s) / span_s, seen_rad / span_s
    scales = (made_rad_s * seen_rad_s).sum(axis=0) / np.maximum((made_rad_s**2).sum(axis=0), 1e-9)
    return np.sqrt(((seen_rad_s - scales * made_rad_s) ** 2).mean(axis=0)), scales


def turning_criteria(record: TurnRecord, fit: TurnFit) -> list[Criterion]:
    """Return what a record of turns must meet."""
    yaws = np.unwrap([each.yaw_rad for each in record.odometry]) if record.odometry else np.zeros(1)
    turned_rad, seen = float(np.abs(np.diff(yaws)).sum()), record.seen / max(record.frames, 1)
    low, high = SCALE
    return [
        Criterion(
            "turned", f"{turned_rad:.1f} rad in all", f"at least {LEAST_TURNED_RAD:g} rad",
            turned_rad >= LEAST_TURNED_RAD, "let the base turn freely, its wheels on the floor",
        ),
        Criterion(
            "turns seen", f"in {seen:.0%} of {record.frames} frames", f"at least {LEAST_SEEN:.0%}",
            seen >= LEAST_SEEN, FORMLESS_HINT,
        ),
        Criterion(
            "agreement", f"{fit.error_rad_s:.3f} rad/s apart", f"at most {ERROR_RAD_S:g} rad/s",
            fit.error_rad_s <= ERROR_RAD_S, "keep people out of the picture, and the base from slipping",
        ),
        Criterion(
            "scale", f"{fit.scale:.2f} of the base's turn", f"{low:g} to {high:g}", low <= fit.scale <= high,
            "is the camera's field of view right, and the image upright? `vla-edge robot check` draws it",
        ),
    ]  # fmt: skip


def moving_frames(odometry: Sequence[Odometry], times_s: Sequence[tuple[float, float]]) -> int:
    """Return the number of frames, by the times before and of each, in which the base turned."""
    if len(odometry) < 2 or not times_s:
        return 0
    at_s = [each.stamp_ns / 1e9 for each in odometry]
    rates = np.abs([each.velocity.angular_z_rad_s for each in odometry])
    return int((np.interp([to_s for _, to_s in times_s], at_s, rates) > _MOVING_RAD_S).sum())
