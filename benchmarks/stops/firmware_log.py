"""What the firmware's own log, `firmware.jsonl` in a run's folder, says of a base that had to stop."""

import json
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from edge.motor.limits import MotorLimits

SLACK_MS = 50.0  # time from death to the first braking setpoint, and the firmware's rounding to a tick
BEFORE_NS = 1_000_000_000  # how long before its death a base's setpoints tell whether the machine keeps up
START_LIMIT_S = 15.0  # time to start and to reach a speed


def read_setpoints(log: Path) -> list[dict[str, Any]]:
    """Return the setpoints that the firmware has applied so far; none without the file."""
    if not log.is_file():
        return []
    lines = log.read_text().split("\n")[:-1]  # the last one may be half written
    return [json.loads(line) for line in lines]


def speed_of(setpoint: dict[str, Any]) -> float:
    """Return the length of a setpoint's linear velocity, m/s."""
    return (setpoint["linear_x"] ** 2 + setpoint["linear_y"] ** 2) ** 0.5


def await_setpoint(
    runs: Path, wanted: Callable[[dict[str, Any]], bool], limit_s: float = START_LIMIT_S
) -> Path | None:
    """Return the log of the run in `runs` whose newest setpoint is a wanted one; None after `limit_s`."""
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        for log in runs.glob("*/firmware.jsonl"):
            setpoints = read_setpoints(log)
            if setpoints and wanted(setpoints[-1]):
                return log
        time.sleep(0.01)
    return None


def judge_stop(setpoints: list[dict[str, Any]], since_ns: int) -> dict[str, Any]:
    """Return the time from `since_ns` to the first zero setpoint after which nothing moves, and its limit."""
    limits = MotorLimits()
    before = [s for s in setpoints if s["stamp_ns"] <= since_ns][-1]
    stamps_ns = [s["stamp_ns"] for s in setpoints if since_ns - BEFORE_NS <= s["stamp_ns"] <= since_ns]
    ramp_s = max(
        speed_of(before) / limits.linear_decel_m_s2,
        abs(before["angular_z"]) / limits.angular_decel_rad_s2,
    )
    after = [s for s in setpoints if s["stamp_ns"] > since_ns]
    moving = [i for i, s in enumerate(after) if speed_of(s) > 0 or s["angular_z"] != 0]
    still = after[moving[-1] + 1 :] if moving else after
    zero_ms = (still[0]["stamp_ns"] - since_ns) / 1e6 if still else None
    limit_ms = SLACK_MS + ramp_s * 1e3
    return {
        "speed_m_s": round(speed_of(before), 3),
        "zero_ms": None if zero_ms is None else round(zero_ms, 1),
        "limit_ms": round(limit_ms, 1),
        "in_time": zero_ms is not None and zero_ms <= limit_ms,
        # Only before the death: nothing that the kill breaks can make it longer.
        "gap_ms": round(max((b - a for a, b in pairwise(stamps_ns)), default=0) / 1e6, 1),
    }
