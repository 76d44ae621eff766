"""The delay at which the brightness of a picture is that of a light that was switched."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.latency.judge import DelayFit, lowest
from calibration.verdict import Criterion
from edge.records import Image

COLUMNS, ROWS = 40, 30  # cells in which the light is looked for
LEAST_STEP = 8.0  # grey levels between dark and bright
LEAST_CLEAR = 3.0  # times what is left over
LEAST_SWITCHES = 20
PARTS = 4
EXPOSURES_S = (0.001, 0.004, 0.008, 0.016, 0.033)  # exposure times that are tried
_PART_SPAN_S = 0.06
_ALIKE = 0.8  # correlation of a cell with the one that blinks most

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BlinkRecord:
    """What was recorded while a light blinked. Times in seconds of CLOCK_MONOTONIC."""

    stamps_s: Floats  # (N,) of the frames, by the camera itself
    cells: Floats  # (N, ROWS * COLUMNS) grey levels
    switches_s: Floats  # (S,): the light went on at the first, off at the second, and so on


@dataclass(frozen=True, slots=True)
class BlinkFit:
    """The delay, and how clearly the light was seen."""

    delay: DelayFit
    levels: Floats  # (N,) 0 dark to 1 bright
    step: float  # grey levels between them
    error: float  # root mean square, as a share of the step
    exposure_s: float


def cells_of(image: Image) -> Floats:
    """Return the grey levels of an image's cells, (ROWS * COLUMNS,)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(cv2.resize(grey, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA), np.float64).ravel()


def fit_blinks(record: BlinkRecord, lags_s: Floats) -> BlinkFit:
    """Return the delay of a record with some frames and switches, out of these lags."""
    signal = _blinking(record.cells)
    fits = {each: _errors(record, signal, lags_s, each) for each in EXPOSURES_S}
    exposure_s = min(fits, key=lambda each: float(fits[each][0].min()))
    errors, steps = fits[exposure_s]
    best = int(errors.argmin())
    delay_s, step = lowest(lags_s, errors), float(steps[best])
    lit = shining(record.stamps_s - delay_s, record.switches_s, exposure_s)
    dark = float((signal - step * lit).mean())
    levels = (signal - dark) / step if step else signal
    parts = (_of_part(record, signal, part, delay_s, exposure_s) for part in range(PARTS))
    parts_s = tuple(each for each in parts if each is not None)
    # Shares of the step, so that errors of several lights compare.
    delay = DelayFit(delay_s, parts_s, lags_s, errors / max(abs(step), 1e-9))
    return BlinkFit(delay, levels, step, float(delay.errors[best]), exposure_s)


def _blinking(cells: Floats) -> Floats:
    """Return the mean of the cells that blink together, (N,)."""
    apart = cells - cells.mean(axis=0)
    spreads = np.sqrt((apart**2).mean(axis=0))
    most = apart[:, int(spreads.argmax())]
    alike = (apart * most[:, None]).mean(axis=0) / np.maximum(spreads * spreads.max(), 1e-9)
    chosen = (alike > _ALIKE) & (spreads > 0.3 * spreads.max())
    return np.asarray(cells[:, chosen].mean(axis=1), np.float64)


def shining(times_s: Floats, switches_s: Floats, exposure_s: float) -> Floats:
    """Return which share of an exposure around each time the light shone, [0, 1]."""
    half_s = exposure_s / 2
    at_s = np.stack([switches_s - half_s, switches_s + half_s], 1).ravel()
    on = np.arange(len(switches_s)) % 2
    levels = np.stack([on, 1 - on], 1).ravel().astype(np.float64)
    return np.interp(times_s, at_s, levels)


def _errors(record: BlinkRecord, signal: Floats, lags_s: Floats, exposure_s: float) -> tuple[Floats, Floats]:
    """Return the root mean square error, grey levels, at each lag, and the step that makes it least there."""
    errors, steps = np.zeros(len(lags_s)), np.zeros(len(lags_s))
    apart = signal - signal.mean()
    for at, lag_s in enumerate(lags_s):
        lit = shining(record.stamps_s - lag_s, record.switches_s, exposure_s)
        lit -= lit.mean()
        steps[at] = float(lit @ apart) / max(float(lit @ lit), 1e-9)
        # A light that goes off where it should go on is another delay, not a dark light.
        steps[at] = max(0.0, steps[at])
        errors[at] = np.sqrt(((apart - steps[at] * lit) ** 2).mean())
    return errors, steps


def _of_part(
    record: BlinkRecord, signal: Floats, part: int, delay_s: float, exposure_s: float
) -> float | None:
    """Return the delay by one part of the switches alone; None if few frames came meanwhile."""
    switches_s = record.switches_s
    first, last = (round(each * len(switches_s) / PARTS) for each in (part, part + 1))
    until_s = switches_s[last] if last < len(switches_s) else np.inf
    inside = (record.stamps_s - delay_s >= switches_s[first] - 0.1) & (
        record.stamps_s - delay_s < until_s - 0.1
    )
    if inside.sum() < 10:
        return None
    part_record = BlinkRecord(record.stamps_s[inside], record.cells[inside], switches_s)
    lags_s = delay_s + np.arange(-_PART_SPAN_S, _PART_SPAN_S, 0.001)
    return lowest(lags_s, _errors(part_record, signal[inside], lags_s, exposure_s)[0])


def blink_criteria(record: BlinkRecord, fit: BlinkFit) -> list[Criterion]:
    """Return what a record of blinks must meet."""
    clear = 1 / max(fit.error, 1e-9)
    return [
        Criterion(
            "switches", f"{len(record.switches_s)}", f"at least {LEAST_SWITCHES}",
            len(record.switches_s) >= LEAST_SWITCHES, "give it more time",
        ),
        Criterion(
            "step", f"{fit.step:.1f} grey levels", f"at least {LEAST_STEP:g}", fit.step >= LEAST_STEP,
            "bring the light nearer, or darken the room; does it blink at all?",
        ),
        Criterion(
            "clear", f"{clear:.1f} times the rest", f"at least {LEAST_CLEAR:g} times", clear >= LEAST_CLEAR,
            "fix the camera's exposure, and let nothing else move in the picture",
        ),
    ]  # fmt: skip
