"""Whether what was measured of an axis is good enough to drive by, and its picture."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from calibration.chart import BLUE, GREY, ORANGE, RED, Axes, grid
from calibration.motors.fit import AxisFit
from calibration.motors.programme import LEVELS, Trace
from calibration.verdict import Criterion, Verdict
from edge.records import Image

FEWEST_MOVED = 8  # levels, both ways counted
MOST_ERROR, MOST_UNLIKE, MOST_UNSTEADY, MOST_ASIDE = 0.06, 0.1, 0.1, 0.25
SCALES = (0.4, 2.5)
FAST = 0.3  # share of the highest speed: slower levels say little of what else the base does
SLIPS = "measure on the floor that it drives on: slipping wheels, a carpet, a cable that pulls?"
SWAPS = {
    "ahead": "swap the two wires of every motor, or its sign in the firmware",
    "sideways": "swap the sign of its sideways motion in the firmware",
    "turn": "swap left and right: the plugs of the motors, or their places in the firmware",
}
MOST_DELAY_S, MOST_GAP_S, GAPS = 0.3, 0.15, 0.99  # gaps of odometry; a busy machine makes a few


def judge(fits: Sequence[AxisFit], traces: Sequence[Trace]) -> Verdict:
    """Return the verdict about a base."""
    pairs = list(zip(fits, traces, strict=True))
    criteria = [each for fit, trace in pairs for each in (*_of_motion(fit, trace), *_of_fit(fit))]
    notes = [f"{each.axis.name}: not every level was driven: {each.short}" for each in traces if each.short]
    return Verdict("motors", criteria, {fit.axis.name: _figures(fit, trace) for fit, trace in pairs}, notes)


def _of_motion(fit: AxisFit, trace: Trace) -> Iterator[Criterion]:
    """Yield what tells whether the base moves as told at all."""
    name, noise = fit.axis.name, fit.axis.noise
    top = max((abs(each.measured) for each in trace.levels), default=0.0)
    fast = [each for each in trace.levels if abs(each.measured) > max(FAST * top, noise)]
    aside = max((each.aside / abs(each.measured) for each in fast), default=0.0)
    unsteady = max((each.spread / abs(each.measured) for each in fast), default=1.0)
    gap_s = float(np.quantile(np.diff([row[0] for row in trace.measured]), GAPS))
    yield Criterion(
        f"{name}: direction", "as told" if fit.scale > 0 else "the other way", "as told", fit.scale > 0,
        SWAPS[name],
    )  # fmt: skip
    yield Criterion(
        f"{name}: alone", f"{aside:.0%} aside", f"at most {MOST_ASIDE:.0%}", aside <= MOST_ASIDE,
        "one wheel turns the other way: swap its two wires, or its sign in the firmware",
    )  # fmt: skip
    yield Criterion(
        f"{name}: moved", f"at {fit.moved} of {2 * len(LEVELS)} levels", f"at least {FEWEST_MOVED}",
        fit.moved >= FEWEST_MOVED, "charge its battery, and raise its limit or --speed",
    )  # fmt: skip
    yield Criterion(
        f"{name}: odometry", f"gaps of {1e3 * gap_s:.0f} ms", f"at most {1e3 * MOST_GAP_S:.0f} ms",
        gap_s <= MOST_GAP_S, "a faster line, or a machine with less to do",
    )  # fmt: skip
    yield Criterion(
        f"{name}: steady", f"within {unsteady:.1%}", f"at most {MOST_UNSTEADY:.0%}",
        unsteady <= MOST_UNSTEADY, SLIPS,
    )  # fmt: skip


def _of_fit(fit: AxisFit) -> Iterator[Criterion]:
    """Yield what tells whether the fit can be driven by."""
    name, unit = fit.axis.name, fit.axis.unit
    yield Criterion(
        f"{name}: scale", f"{fit.scale:.3f}, dead band {fit.dead_band:.3f} {unit}",
        f"{SCALES[0]:g} to {SCALES[1]:g}", SCALES[0] <= abs(fit.scale) <= SCALES[1],
        "the size of its wheels or its track is wrong in its firmware or address",
    )  # fmt: skip
    yield Criterion(
        f"{name}: delay", f"{1e3 * fit.delay_s:.0f} ms, lag {1e3 * fit.lag_s:.0f} ms",
        f"at most {1e3 * MOST_DELAY_S:.0f} ms", fit.delay_s <= MOST_DELAY_S,
        "a cable in place of the radio, a controller that reads its commands more often",
    )  # fmt: skip
    yield Criterion(
        f"{name}: both ways", f"differ by {fit.unlike:.1%}", f"at most {MOST_UNLIKE:.0%}",
        fit.unlike <= MOST_UNLIKE, SLIPS,
    )  # fmt: skip
    yield Criterion(
        f"{name}: residual", f"{fit.error:.1%} of the fastest", f"at most {MOST_ERROR:.0%}",
        fit.error <= MOST_ERROR, SLIPS,
    )  # fmt: skip


def _figures(fit: AxisFit, trace: Trace) -> dict[str, object]:
    return {
        "scale": fit.scale, "dead_band": fit.dead_band, "lowest": fit.lowest, "start": fit.start,
        "delay_s": fit.delay_s, "lag_s": fit.lag_s, "error": fit.error, "unit": fit.axis.unit,
        "levels": [[each.command, each.measured] for each in trace.levels if math.isfinite(each.measured)],
    }  # fmt: skip


def draw(fits: Sequence[AxisFit], traces: Sequence[Trace]) -> Image:
    """Return the picture: a row an axis: told, measured and fitted over time; what each command gave."""
    return grid([[_over_time(*each), _by_command(*each)] for each in zip(fits, traces, strict=True)])


def _over_time(fit: AxisFit, trace: Trace) -> Image:
    told, measured = np.array(trace.told), np.array(trace.measured)
    start_s, top = (
        told[0, 0],
        1.1 * max(float(np.abs(told[:, 1]).max()), float(np.abs(fit.model[:, 1]).max())),
    )
    axes = Axes(
        f"{fit.axis.name}: told grey, measured blue, fitted orange",
        (0, told[-1, 0] - start_s),
        (-top, top),
        (760, 300),
    )
    axes.line(np.stack([told[:, 0] - start_s, told[:, 1]], 1), GREY)
    axes.line(np.stack([measured[:, 0] - start_s, measured[:, 1 + fit.axis.column]], 1), BLUE)
    axes.line(np.stack([fit.model[:, 0] - start_s, fit.model[:, 1]], 1), ORANGE)
    axes.label("s", fit.axis.unit)
    return axes.image


def _by_command(fit: AxisFit, trace: Trace) -> Image:
    points = np.array(
        [[each.command, each.measured] for each in trace.levels if math.isfinite(each.measured)]
    )
    top = 1.1 * float(np.abs(points).max())
    axes = Axes("measured by command; red: as told", (-top, top), (-top, top), (360, 300))
    axes.line([[-top, -top], [top, top]], RED)
    across = np.linspace(-top, top, 400)
    axes.line(np.stack([across, fit.speed(across)], 1), ORANGE)
    axes.points(points)
    axes.label(f"{fit.axis.unit} told", fit.axis.unit)
    return axes.image
