"""What a base makes of commands, fitted: scale, dead band, lowest speed, delay and lag of one axis.

A command u gives scale * (|u| - dead band) once it is large enough to move the base at all, `delay_s` later
and behind that with the time constant `lag_s`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.motors.axes import Axis
from calibration.motors.programme import Level, Trace
from edge.errors import UsageError

STEP_S = 0.004  # the series that are compared have a value so often
DELAYS_S, LAGS_S = (0.0, 0.6), (0.0, 0.4)  # that are tried
FINER = 6  # times the grid of delays and lags is made finer
BENT = 0.15  # share by which the slowest motion is above the line of the others, if that is its lowest
FEWEST_POINTS = 3  # a line through fewer says nothing of its own error
SMALL_BAND = 0.01  # share of the highest command: a dead band below is none

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AxisFit:
    """What was fitted of an axis, and how well."""

    axis: Axis
    scale: float  # negative if it goes the other way
    dead_band: float  # that commands lose
    lowest: float  # least speed that it really goes at; 0 if it can go at any
    start: float  # least command that moves it
    delay_s: float
    lag_s: float
    error: float  # root mean square of what is left, as a share of the fastest motion
    moved: int  # levels at which it moved
    unlike: float  # share by which its two ways differ at the highest level that both had
    model: Floats  # (N, 2): times and fitted velocities

    def speed(self, commands: Floats) -> Floats:
        """Return the velocities that commands give, in the end."""
        return response(commands, self.scale, self.dead_band, self.start, self.lowest)


def response(commands: Floats, scale: float, dead_band: float, start: float, lowest: float) -> Floats:
    """Return what commands give, in the end."""
    size = np.abs(commands)
    speed = np.maximum(abs(scale) * np.maximum(size - dead_band, 0), lowest)
    return np.sign(scale) * np.sign(commands) * np.where(size >= max(start, 1e-9), speed, 0.0)


def fit_axis(trace: Trace) -> AxisFit:
    """Fit an axis. Raises UsageError if it moved at too few levels to tell anything."""
    axis, levels = trace.axis, [each for each in trace.levels if np.isfinite(each.measured)]
    moving = [each for each in levels if abs(each.measured) > axis.noise]
    if len(moving) < FEWEST_POINTS:
        raise UsageError(
            f"{axis.name}: it moved at {len(moving)} of {len(levels)} levels "
            f"up to {axis.highest:g} {axis.unit}",
            "is it in the right mode, its battery charged, its wheels on the ground? Are the units of its "
            "driver metres and radians?",
        )
    sign = float(np.sign(sum(each.measured * each.command for each in moving)))
    scale, dead_band = _line(moving)
    start, lowest = _beginning(axis, levels, moving, scale, dead_band)
    told, times_s, measured = _series(trace)
    given = response(told, sign * scale, dead_band, start, lowest)
    delay_s, lag_s = _latency(told_s := _grid(trace), given, times_s, measured)
    fitted = np.interp(times_s - delay_s, told_s, lagged(given, lag_s))
    fastest = max(float(np.abs(measured).max()), 1e-9)
    error = float(np.sqrt(((measured - fitted) ** 2).mean())) / fastest
    return AxisFit(
        axis, sign * scale, dead_band, lowest, start, delay_s, lag_s, error, len(moving), _unlike(moving),
        np.stack([times_s, fitted], 1),
    )  # fmt: skip


def _line(moving: Sequence[Level]) -> tuple[float, float]:
    """Return scale and dead band of the levels; the slowest ones are left out, which a lowest speed bends."""
    commands = np.abs([each.command for each in moving])
    speeds = np.abs([each.measured for each in moving])
    faster = speeds > (1 + BENT) * speeds.min()
    kept = faster if len(set(commands[faster])) >= FEWEST_POINTS else np.ones(len(moving), bool)
    slope, at_zero = np.polyfit(commands[kept], speeds[kept], 1)
    scale = max(float(slope), 1e-6)
    dead_band = max(0.0, -float(at_zero) / scale)
    if dead_band < SMALL_BAND * commands.max():
        # A line through zero: what little is missing is the error of the line.
        scale = float(commands[kept] @ speeds[kept] / (commands[kept] @ commands[kept]))
        dead_band = 0.0
    return scale, dead_band


def _beginning(
    axis: Axis, levels: Sequence[Level], moving: Sequence[Level], scale: float, dead_band: float
) -> tuple[float, float]:
    """Return the least command that moves the base, and the speed that it then has; 0 if it can go at any."""
    first = min(abs(each.command) for each in moving)
    still = max((abs(each.command) for each in levels if abs(each.command) < first), default=0.0)
    slowest = float(np.mean([abs(each.measured) for each in moving if abs(each.command) == first]))
    on_line = scale * (first - dead_band)
    if slowest > (1 + BENT) * on_line + axis.noise:  # it goes at this speed or not at all
        return still or first, slowest
    barely = dead_band + axis.noise / scale  # the slowest motion that counts as one
    if still > barely:  # it stood where the line says that it should move
        return first, on_line
    return dead_band, 0.0


def _grid(trace: Trace) -> Floats:
    return np.arange(trace.told[0][0], trace.told[-1][0] + 1.0, STEP_S)


def _series(trace: Trace) -> tuple[Floats, Floats, Floats]:
    """Return what was told at the times of the grid, and times and values of what was measured."""
    told, grid_s = np.array(trace.told), _grid(trace)
    at = np.clip(np.searchsorted(told[:, 0], grid_s, "right") - 1, 0, len(told) - 1)
    measured = np.array(trace.measured)
    return told[at, 1], measured[:, 0] - trace.stamped_late_s, measured[:, 1 + trace.axis.column]


def lagged(given: Floats, lag_s: float) -> Floats:
    """Return a series of the grid behind itself by a time constant."""
    if lag_s < STEP_S / 2:
        return given
    kernel: Floats = np.exp(-np.arange(0.0, 6 * lag_s, STEP_S) / lag_s)
    return np.convolve(given, kernel / kernel.sum()).real[: len(given)]


def _latency(told_s: Floats, given: Floats, times_s: Floats, measured: Floats) -> tuple[float, float]:
    """Return the delay and the lag, seconds, at which what was given is what was measured."""
    delays, lags = np.linspace(*DELAYS_S, 31), np.linspace(*LAGS_S, 21)
    best = (0.0, 0.0)
    for _ in range(FINER):
        errors = {
            (float(delay_s), float(lag_s)): float(
                ((np.interp(times_s - delay_s, told_s, late) - measured) ** 2).sum()
            )
            for lag_s in lags
            for late in [lagged(given, float(lag_s))]
            for delay_s in delays
        }
        best = min(errors, key=lambda key: errors[key])
        steps = (delays[1] - delays[0]), (lags[1] - lags[0])
        delays, lags = (
            np.unique(np.clip(np.linspace(at - 2 * step, at + 2 * step, 9), 0, None))
            for at, step in zip(best, steps, strict=True)
        )
    return best


def _unlike(moving: Sequence[Level]) -> float:
    """Return the share by which the speeds of both ways differ at the highest level that moved both."""
    both = {each.command: abs(each.measured) for each in moving}
    top = max((command for command in both if command > 0 and -command in both), default=0.0)
    if not top:
        return 1.0
    return 2 * abs(both[top] - both[-top]) / (both[top] + both[-top])
