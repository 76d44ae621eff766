"""What the log of a base's firmware says about safety. Velocities in m/s and rad/s, stamps in ns."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.motor.limits import MotorLimits

TICK_S = 0.02
BATCH_S = 0.01  # setpoints that come closer together were read at once
JITTER_S = 0.015  # between a setpoint's tick and the firmware's stamp, both sides
CLEAN_S = (0.017, 0.0235)  # time between ticks by which jerk can be judged
CLEAN_JITTER_S = 0.004
CAUGHT_UP = 3  # ticks on time
WINDOW = 10  # setpoints over which accelerations are judged
ROUNDING = 1e-4
BOARD_LIMIT_S = 0.29  # without setpoints for so long the board itself goes to zero


@dataclass(frozen=True, slots=True)
class Setpoint:
    """One line of firmware.jsonl: what reached the actuator."""

    stamp_ns: int
    linear: complex  # x + i y
    angular: float
    armed: bool

    @property
    def moving(self) -> bool:
        """True if it is not zero."""
        return self.linear != 0 or self.angular != 0


def read_setpoints(log: Path) -> list[Setpoint]:
    """Return the whole lines of a firmware's log; none if it is not there."""
    text = log.read_text() if log.is_file() else ""
    lines = (json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines())
    return [
        Setpoint(
            line["stamp_ns"], complex(line["linear_x"], line["linear_y"]), line["angular_z"], line["armed"]
        )
        for line in lines
    ]


def unsafe_setpoints(lines: Sequence[Setpoint], limits: MotorLimits, board_stops: bool = False) -> list[str]:
    """Return what no setpoint may be: above a limit, moving unarmed, too quick a change; each kind once.

    `board_stops`: the board itself went to zero at once, so that is not judged.
    """
    found: dict[str, str] = {}
    for line in lines:
        if (
            abs(line.linear) > limits.linear_m_s + ROUNDING
            or abs(line.angular) > limits.angular_rad_s + ROUNDING
        ):
            found.setdefault(
                "limit", f"above its limit: {abs(line.linear):.3f} m/s, {line.angular:.3f} rad/s"
            )
        if not (math.isfinite(abs(line.linear)) and math.isfinite(line.angular)):
            found.setdefault("finite", "a setpoint that is not a number")
        if line.moving and not line.armed:
            found.setdefault("armed", "motion while disarmed")
    times = [line.stamp_ns / 1e9 for line in lines]
    late, early = _lateness(times), _earliness(times)
    linear, angular = [line.linear for line in lines], [complex(line.angular) for line in lines]
    for unit, values, accel, decel, jerk in (
        ("m/s", linear, limits.linear_accel_m_s2, limits.linear_decel_m_s2, limits.linear_jerk_m_s3),
        (
            "rad/s",
            angular,
            limits.angular_accel_rad_s2,
            limits.angular_decel_rad_s2,
            limits.angular_jerk_rad_s3,
        ),
    ):
        for kind, said in _changes(times, (late, early), values, (accel, decel), board_stops):
            found.setdefault(f"{kind} {unit}", f"{said} {unit}")
        for said in _jerks(times, values, jerk):
            found.setdefault(f"jerk {unit}", f"{said} {unit}")
    return list(found.values())


def _lateness(times: Sequence[float]) -> list[float]:
    """Return by how much each setpoint may have been read later than it was sent, once a tick.

    A board that stalls reads late and several at once; after a few ticks on time it has caught up. One that
    comes soon after another may have been sent between two ticks, as the first one of a stop is.
    """
    late = [0.0] * min(1, len(times))
    on_time = 0
    for i in range(1, len(times)):
        gap_s = times[i] - times[i - 1]
        on_time = on_time + 1 if CLEAN_S[0] <= gap_s <= CLEAN_S[1] else 0
        late.append(
            0.0 if on_time >= CAUGHT_UP else max(0.0, late[-1] + gap_s - (0 if gap_s < BATCH_S else TICK_S))
        )
    return late


def _earliness(times: Sequence[float]) -> list[float]:
    """Return by how much each may have been stamped too early: the board stalled just before it was read."""
    early = [0.0] * len(times)
    for i in range(len(times) - 2, -1, -1):
        gap_s = times[i + 1] - times[i]
        early[i] = early[i + 1] if gap_s < BATCH_S else max(0.0, gap_s - TICK_S)
    return early


def _changes(
    times: Sequence[float],
    late_early: tuple[Sequence[float], Sequence[float]],
    values: Sequence[complex],
    accel_decel: tuple[float, float],
    board_stops: bool,
) -> list[tuple[str, str]]:
    """Return changes of velocity over a few setpoints that are quicker than accelerations allow."""
    (accel, decel), (late, early) = accel_decel, late_early
    found: list[tuple[str, str]] = []
    for i in range(len(values)):
        for j in range(i + 1, min(i + 1 + WINDOW, len(values))):
            if values[j] == 0 and (board_stops or times[j] - times[j - 1] > BOARD_LIMIT_S):
                break  # what follows begins anew at zero
            span_s = times[j] - times[i] + late[i] + early[j] + JITTER_S
            growth, change = abs(values[j]) - abs(values[i]), abs(values[j] - values[i])
            if growth > accel * span_s + ROUNDING:
                found.append(("accel", f"sped up by {growth:.3f} within {span_s * 1e3:.0f} ms"))
            if change > decel * span_s + ROUNDING:
                found.append(("decel", f"changed by {change:.3f} within {span_s * 1e3:.0f} ms"))
    return found


def _jerks(times: Sequence[float], values: Sequence[complex], jerk: float) -> list[str]:
    """Return speeds that grow more suddenly than the jerk allows, over ticks that came on time."""
    found: list[str] = []
    low_s, high_s = CLEAN_S
    for i in range(2, len(values)):
        before_s, now_s = times[i - 1] - times[i - 2], times[i] - times[i - 1]
        if not (low_s <= before_s <= high_s and low_s <= now_s <= high_s):
            continue
        growth = abs(values[i]) - abs(values[i - 1])
        span_s = now_s + CLEAN_JITTER_S
        going_on = abs(values[i - 1] - values[i - 2]) * span_s / (before_s - CLEAN_JITTER_S)
        if growth > going_on + jerk * span_s**2 + ROUNDING:
            found.append(f"sped up by {growth:.3f} at once, {going_on:.3f} before")
    return found


def stands_after_ms(lines: Sequence[Setpoint], since_ns: int) -> float | None:
    """Return when the base was told to stand for good, 0 if it stood; None if its last setpoint moves it."""
    moving = [i for i, line in enumerate(lines) if line.moving]
    if not moving:
        return 0.0
    if moving[-1] + 1 == len(lines):
        return None
    return max(0.0, (lines[moving[-1] + 1].stamp_ns - since_ns) / 1e6)  # a setpoint holds until the next one


def first_zero_ms(lines: Sequence[Setpoint], since_ns: int) -> float | None:
    """Return when the base was first told to stand after `since_ns`; it may move again."""
    zero = next((line for line in lines if line.stamp_ns > since_ns and not line.moving), None)
    return None if zero is None else (zero.stamp_ns - since_ns) / 1e6
