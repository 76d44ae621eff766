"""Whether a measured delay is good enough to drive by, and its picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.chart import BLUE, GREEN, ORANGE, Axes, grid
from calibration.verdict import Criterion, Verdict
from edge.motor.limits import MotorLimits
from edge.perception.picture_lag import APART_FACTOR, APART_S
from edge.records import Image
from edge.runtime.watched.delay import MOST_DELAY_S, caution

LAGS_S = np.arange(-0.1, 1.0, 0.001)  # delays that are tried
LEAST_DELAY_S = -0.01  # a camera can't be early; less than this are odometry or stamps that are wrong
MOST_SPREAD_S = 0.01  # standard deviation of the parts of a measurement
FEWEST_PARTS = 3
_QUEUE = (
    "mend the camera: its pictures wait in a queue; keep only the newest at every stage (a smaller latency= "
    "of rtsp://, max-buffers=1 drop=true of an appsink)"
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DelayFit:
    """A camera's delay, seconds, and what tells how good it is."""

    delay_s: float
    parts_s: tuple[float, ...]  # by each part of the measurement alone
    lags_s: Floats  # (L,) that were tried
    errors: Floats  # (L,) at each

    @property
    def spread_s(self) -> float:
        """The standard deviation of the parts; infinity if they are too few."""
        return float(np.std(self.parts_s, ddof=1)) if len(self.parts_s) >= FEWEST_PARTS else float("inf")

    @property
    def apart(self) -> float:
        """How many times worse the best delay that is another one fits."""
        others = self.errors[np.abs(self.lags_s - self.delay_s) > APART_S]
        return float(others.min()) / max(float(self.errors.min()), 1e-9)


def lowest(lags_s: Floats, errors: Floats) -> float:
    """Return the lag of the least error, between two of them by a parabola."""
    best = int(errors.argmin())
    if not 0 < best < len(errors) - 1:
        return float(lags_s[best])
    before, least, after = (float(error) ** 2 for error in errors[best - 1 : best + 2])
    bend = before - 2 * least + after
    beside = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return float(lags_s[best] + beside * (lags_s[1] - lags_s[0]))


def judge(
    camera: str, by: str, fit: DelayFit, criteria: Sequence[Criterion], notes: Sequence[str]
) -> Verdict:
    """Return the verdict about a camera's delay; `criteria` are those of the way in which it was measured."""
    parts_ms = [round(1e3 * each, 1) for each in fit.parts_s]
    figures = {"by": by, "delay_ms": round(1e3 * fit.delay_s, 2), "parts_ms": parts_ms}
    follows = caution(camera, max(0.0, fit.delay_s), MotorLimits()) if fit.delay_s <= MOST_DELAY_S else ""
    return Verdict(
        f"delay of camera {camera}",
        [*criteria, *_common(fit)],
        figures,
        [*notes, *([follows] if follows else [])],
    )


def _common(fit: DelayFit) -> list[Criterion]:
    delay_s = fit.delay_s
    late = delay_s > MOST_DELAY_S
    return [
        Criterion(
            "one delay alone", f"others fit {fit.apart:.1f} times worse", f"at least {APART_FACTOR:g} times",
            fit.apart >= APART_FACTOR, "keep all still but what is measured, and measure again",
        ),
        Criterion(
            "spread", f"{1e3 * fit.spread_s:.1f} ms over {len(fit.parts_s)} parts",
            f"at most {1e3 * MOST_SPREAD_S:g} ms", fit.spread_s <= MOST_SPREAD_S,
            "close what else uses this machine: a camera whose delay varies can't be compensated",
        ),
        Criterion(
            "delay", f"{1e3 * delay_s:.1f} ms", f"{1e3 * LEAST_DELAY_S:g} to {1e3 * MOST_DELAY_S:g} ms",
            LEAST_DELAY_S <= delay_s <= MOST_DELAY_S,
            _QUEUE if late else "its stamps are early, or the base's odometry comes late",
        ),
    ]  # fmt: skip


def draw(fit: DelayFit, seen: Floats, expected: Floats, words: tuple[str, str, str]) -> Image:
    """Return the picture: what was seen (N, 2) on what is expected (M, 2), and the errors by delay.

    `words`: a title, and what the axes of the first chart count.
    """
    both = np.concatenate([seen, expected])
    low, high = both.min(axis=0), both.max(axis=0)
    room = 0.05 * max(float(high[1] - low[1]), 1e-3)
    first = Axes(words[0], (low[0], high[0]), (low[1] - room, high[1] + room), (640, 360))
    first.line(expected, GREEN)
    first.points(seen, BLUE, 2)
    first.label(words[1], words[2])
    lags_ms = 1e3 * fit.lags_s
    second = Axes(
        f"delay {1e3 * fit.delay_s:.1f} ms", (lags_ms[0], lags_ms[-1]), (0, 1.05 * fit.errors.max())
    )
    second.line(np.stack([lags_ms, fit.errors], 1))
    for part_s in fit.parts_s:
        second.points([(1e3 * part_s, float(fit.errors.min()))], ORANGE)
    second.label("delay, ms; orange: by each part alone", "error")
    return grid([[first.image, second.image]])
