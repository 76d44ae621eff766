"""What was wrong with one run: an end that its fault does not explain, or motion that must not be."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.soak.faults.fault import WENT_ON, Fault, named_machine, right_code
from benchmarks.soak.setpoints import Setpoint, first_zero_ms, stands_after_ms, unsafe_setpoints
from edge.motor.limits import MotorLimits

JUST_BEFORE_NS = 100_000_000  # a base that moved so shortly before its fault was under way


@dataclass(frozen=True, slots=True)
class Left:
    """What one run left behind. Stamps are CLOCK_MONOTONIC ns."""

    end: str  # see `benchmarks.soak.faults.fault.end_of`
    code: int
    said: str  # what the run told a person
    lines: Sequence[Setpoint]
    injected_ns: int | None  # None: it ended before
    ended_ns: int
    stalled_ms: float = 0.0  # how late this machine woke a process from the fault until the base stood
    warm_ns: int | None = None  # when a slow model was warm
    wrong: str = ""  # what an injection itself found wrong


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """What a run comes to."""

    violations: tuple[str, ...]
    by_machine: bool  # this machine was too slow, and the run says so
    zero_ms: float | None  # from the fault until the base stood, if the fault has a bound
    bound_ms: float | None


def judge(fault: Fault, left: Left, limits: MotorLimits | None = None) -> RunVerdict:
    """Judge a run with a fault. A run that ended before its fault is judged as one without."""
    limits = limits or MotorLimits()
    allowed = fault.ends if left.injected_ns is not None else (WENT_ON,)
    by_machine = left.end not in allowed and named_machine(left.end, left.said)
    found = [left.wrong] if left.wrong else []
    found += _end_violations(allowed, left, by_machine)
    found += unsafe_setpoints(left.lines, limits, fault.board_stops)
    if left.warm_ns is not None and any(line.armed and line.stamp_ns < left.warm_ns for line in left.lines):
        found.append("armed before the model was warm")
    if not fault.board_dies:
        found += _motion_at_the_end(left)
    zero_ms, bound_ms = _zero(fault, left)
    if bound_ms is not None and not fault.board_dies:
        most_ms = bound_ms + left.stalled_ms
        if zero_ms is None:
            found.append(f"never stood after its fault (limit {bound_ms:.0f} ms)")
        elif zero_ms > most_ms:
            late = f"{bound_ms:.0f} ms, and {left.stalled_ms:.0f} ms that the machine stalled"
            found.append(f"stood {zero_ms:.0f} ms after its fault (limit {late})")
    return RunVerdict(tuple(found), by_machine, zero_ms, bound_ms)


def _end_violations(allowed: Sequence[str], left: Left, by_machine: bool) -> list[str]:
    """Return what is wrong with how it ended."""
    found = [] if right_code(left.end, left.code) else [f"ended as {left.end} with exit code {left.code}"]
    if "Traceback" in left.said:
        found.append("told a person a traceback")
    if left.end not in allowed and not by_machine:
        found.append(
            f"ended as {left.end}, expected {' or '.join(allowed)}: {' '.join(left.said.split())[:300]}"
        )
    return found


def _motion_at_the_end(left: Left) -> list[str]:
    found: list[str] = []
    if left.lines and left.lines[-1].moving:
        found.append("its last setpoint moves the base")
    if left.code >= 0 and any(line.moving and line.stamp_ns > left.ended_ns for line in left.lines):
        found.append("moved after it had ended")
    return found


def _zero(fault: Fault, left: Left) -> tuple[float | None, float | None]:
    """Return when it stood after its fault and when it should have, ms; None, None if nothing is bounded."""
    bound_ms = fault.hold_ms if fault.zero_ms is None else fault.zero_ms
    since_ns = left.injected_ns
    if bound_ms is None or since_ns is None:
        return None, None
    just_before = (line for line in left.lines if since_ns - JUST_BEFORE_NS < line.stamp_ns <= since_ns)
    under_way = any(line.moving for line in just_before)
    if fault.zero_ms is not None:
        return stands_after_ms(left.lines, since_ns), bound_ms
    return (first_zero_ms(left.lines, since_ns), bound_ms) if under_way else (None, None)
