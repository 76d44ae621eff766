"""What turns that were taken side by side say: spreads, ratios to this runtime, and which goals are met."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.latency.statistics import interval

MEASURES = ("cpu_ms", "ms", "loop_ms")  # processor time, time by the clock, processor time of the loop alone


def held_against(turns: Mapping[str, Sequence[Mapping[str, Any]]], ours: str) -> dict[str, dict[str, Any]]:
    """Return each peer's spreads, and its ratios to `ours`, turn by turn: 2 takes twice as long.

    Every peer has as many turns; a measure that a turn lacks is left out.
    """
    rows: dict[str, dict[str, Any]] = {}
    for name, own in turns.items():
        row: dict[str, Any] = {"turns": len(own)}
        for measure in MEASURES:
            if measure in own[0] and measure in turns[ours][0]:
                values, reference = (_values(each, measure) for each in (own, turns[ours]))
                row[measure] = spread(values)
                row[f"{measure}_times_ours"] = ratio(values / reference)
        rows[name] = row
    return rows


def spread(values: NDArray[np.float64]) -> dict[str, float]:
    """Return the median with the percentiles 10 and 90."""
    low, middle, high = np.percentile(values, (10, 50, 90))
    return {"p10": round(float(low), 3), "p50": round(float(middle), 3), "p90": round(float(high), 3)}


def ratio(values: NDArray[np.float64]) -> dict[str, float]:
    """Return the median of ratios with its bootstrap interval at 95 %."""
    low, high = interval(values.tolist())
    return {
        "median": round(float(np.median(values)), 3),
        "low": round(low, 3),
        "high": round(high, 3),
    }


def _values(turns: Sequence[Mapping[str, Any]], measure: str) -> NDArray[np.float64]:
    return np.array([turn[measure] for turn in turns], np.float64)


@dataclass(frozen=True)
class PeerGoal:
    """A peer takes at least `times` as much as this runtime does."""

    part: str
    peer: str
    measure: str
    times: float  # 1: this runtime is ahead


GOALS = (
    PeerGoal("decision", "transformers eager", "cpu_ms", 4.0),
    PeerGoal("decision", "onnxruntime fp32", "cpu_ms", 1.0),
    PeerGoal("decision", "openvino fp32", "cpu_ms", 1.0),
    PeerGoal("decision", "openvino", "cpu_ms", 1.0),
    PeerGoal("decision", "openvino int8", "cpu_ms", 1.0),
    PeerGoal("loop", "LeRobot record", "cpu_ms", 5.0),
    PeerGoal("camera", "cv2", "loop_ms", 2.0),
    PeerGoal("camera", "lerobot", "loop_ms", 2.0),
    PeerGoal("camera", "cv2", "cpu_ms", 2.0),
    PeerGoal("camera", "lerobot", "cpu_ms", 2.0),
)


def judged(parts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the goals of the parts that were measured: "met" is None for a peer that was not.

    A goal is met if the median ratio reaches it, and its interval excludes that both take the same.
    """
    found: list[dict[str, Any]] = []
    for goal in GOALS:
        if goal.part not in parts:
            continue
        row = parts[goal.part]["peers"].get(goal.peer, {})
        ratio = row.get(f"{goal.measure}_times_ours")
        met = None if ratio is None else ratio["median"] >= goal.times and ratio["low"] > 1
        named = {"part": goal.part, "peer": goal.peer, "measure": goal.measure, "times": goal.times}
        found.append({**named, "measured": ratio, "met": met})
    return found
