"""Whether a process that lives long grows: its samples, warmed up, first against last, and their slope."""

import os
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.soak.processes import Holdings, holdings
from edge.interfaces import Closing

WARM_UP_S = 60.0
SHARE_S = 30.0  # the first and the last of these are compared
LEAST_S = 240.0  # a shorter series tells nothing about growth
MOST_GROWTH = 0.02
MOST_POINTS = 200  # for the slope
COUNTED = ("descriptors", "threads", "segments")


@dataclass(frozen=True, slots=True)
class HeldSample:
    """What a process held at a moment of CLOCK_MONOTONIC, seconds."""

    time_s: float
    role: str
    pid: int
    held: Holdings


class Sampler(Closing):
    """Samples once a second what the processes hold that `roles` names."""

    def __init__(self, roles: Callable[[], Mapping[str, int]]) -> None:
        self.samples: list[HeldSample] = []
        self._roles = roles
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="sampler", daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._over.wait(1.0):
            for role, pid in {**self._roles(), "soak": os.getpid()}.items():
                held = holdings(pid)
                if held is not None:
                    self.samples.append(HeldSample(time.monotonic(), role, pid, held))

    def close(self) -> None:
        """End the thread."""
        self._over.set()
        self._thread.join()


def growth(samples: Sequence[HeldSample]) -> dict[str, dict[str, Any]]:
    """Return the figures by role, of the process that lived longest in it."""
    figures: dict[str, dict[str, Any]] = {}
    began_s = min((each.time_s for each in samples), default=0.0)
    for role in dict.fromkeys(each.role for each in samples):
        pids = [each.pid for each in samples if each.role == role]
        longest = max(set(pids), key=pids.count)
        warm = [e for e in samples if e.pid == longest and e.time_s - began_s > WARM_UP_S]
        if warm:
            figures[role] = {"processes": len(set(pids)), **_figures(warm)}
    return figures


def _figures(warm: Sequence[HeldSample]) -> dict[str, Any]:
    first = [asdict(e.held) for e in warm if e.time_s - warm[0].time_s <= SHARE_S]
    last = [asdict(e.held) for e in warm if warm[-1].time_s - e.time_s <= SHARE_S]
    found: dict[str, Any] = {"seconds": round(warm[-1].time_s - warm[0].time_s)}
    for key in asdict(warm[0].held):
        found[key] = [statistics.median_low([each[key] for each in part]) for part in (first, last)]
    found["rss_kib_per_h"] = round(slope([(e.time_s, e.held.rss_kib) for e in warm]) * 3600)
    return found


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the median of the slopes between all pairs of points (Theil and Sen); 0 for fewer than two."""
    few = points[:: max(1, len(points) // MOST_POINTS)]
    slopes = [(y1 - y0) / (x1 - x0) for i, (x0, y0) in enumerate(few) for x1, y1 in few[i + 1 :] if x1 > x0]
    return statistics.median(slopes) if slopes else 0.0


def grown(figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return which processes hold more than they did, of those that were sampled for long enough."""
    found: list[str] = []
    for role, each in figures.items():
        if each["seconds"] < LEAST_S:
            continue
        first, last = each["rss_kib"]
        if last > first * (1 + MOST_GROWTH):
            found.append(f"{role}: memory grew by {last / first - 1:.1%}, {first} to {last} KiB")
        for key in COUNTED:
            before, after = each[key]
            if after > before:
                found.append(f"{role}: {key} grew from {before} to {after}")
    return found
