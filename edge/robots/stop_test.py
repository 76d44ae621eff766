"""Drive a base slowly, fall silent, and measure until it stands."""

import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from edge.base_spec import BaseSpec
from edge.errors import MotorFault
from edge.motor.client import MotorProcess
from edge.motor.limits import MotorLimits
from edge.records import ActionChunk, MotorState, Odometry
from edge.robots.stop_time import LONGEST_S, moved_m_s, stop_time_s

ARM_LIMIT_S = 3.0
DRIVE_S = 1.0
CHUNK_EVERY_S = 0.05
CHUNK_S = 0.3
POLL_S = 0.005
TICK_NS = 20_000_000  # the last setpoint may have been sent so long before the silence
LEAST_SHARE = 0.3  # share of the commanded speed that a base must reach for its stop to mean anything


@dataclass(frozen=True, slots=True)
class StopMeasure:
    """What the silence showed."""

    stop_time_s: float | None  # infinity: it did not stop; None: it has no odometry to tell by
    speed_m_s: float  # before the silence, by odometry
    went_m: float  # during the silence


def measure_stop(
    motors_uri: str, base: BaseSpec, speed_m_s: float, say: Callable[[str], None]
) -> StopMeasure:
    """Arm, drive ahead at `speed_m_s` for a second, fall silent for LONGEST_S, then stop for good.

    Raises what opening the motors raises, and MotorFault if the base does not arm or does not move.
    """
    # A dead band must stay below the highest speed; the rows below ask for no more than `speed_m_s` anyway.
    slow = not base.lowest_m_s or bool(base.fixed_speed_m_s)
    limits = MotorLimits.of(replace(base, linear_m_s=speed_m_s) if slow else base)
    with MotorProcess.start(motors_uri, limits, module="edge.robots.silent_process") as motor:
        trace: list[Odometry] = []
        _arm(motor)
        say(f"driving ahead at {speed_m_s:g} m/s for {DRIVE_S:g} s")
        _drive(motor, speed_m_s, trace)
        reached_m_s = moved_m_s(trace, time.monotonic_ns())
        if trace and reached_m_s < LEAST_SHARE * speed_m_s:
            raise MotorFault(
                f"the base was told {speed_m_s:g} m/s for {DRIVE_S:g} s, and its odometry shows at most "
                f"{reached_m_s:.2f} m/s",
                "a base with a dead band needs more: --speed 0.2; and is its odometry in metres?",
            )
        os.kill(motor.pid, signal.SIGUSR1)
        silent_ns = time.monotonic_ns() - TICK_NS
        say(f"silent from now on, for {LONGEST_S:g} s")
        _record(motor, trace, LONGEST_S + POLL_S)
        if not trace:
            return StopMeasure(None, math.nan, math.nan)
        return StopMeasure(stop_time_s(trace, silent_ns), reached_m_s, _went_m(trace, silent_ns))


def _arm(motor: MotorProcess) -> None:
    motor.arm()
    deadline_s = time.monotonic() + ARM_LIMIT_S
    while (status := motor.status()).state is not MotorState.HOLDING:
        if time.monotonic() > deadline_s:
            why = status.reason or f"not armed within {ARM_LIMIT_S:g} s"
            raise MotorFault(f"the base did not arm: {why}", "is its emergency stop released?")
        time.sleep(POLL_S)


def _drive(motor: MotorProcess, speed_m_s: float, trace: list[Odometry]) -> None:
    """Follow chunks for DRIVE_S. Raises MotorFault if the motor process stops the base meanwhile."""
    rows = np.tile(np.array((speed_m_s, 0.0, 0.0), np.float32), (round(CHUNK_S / CHUNK_EVERY_S), 1))
    for decision in range(round(DRIVE_S / CHUNK_EVERY_S)):
        now_ns = time.monotonic_ns()
        motor.send(ActionChunk(rows, CHUNK_EVERY_S, now_ns, now_ns + round(CHUNK_S * 1e9), 1.0, decision))
        _record(motor, trace, CHUNK_EVERY_S)
        status = motor.status()
        if status.state in (MotorState.RAMPING, MotorState.LATCHED):
            raise MotorFault(f"the motor process stopped: {status.reason}", "mend that, then measure again")


def _record(motor: MotorProcess, trace: list[Odometry], seconds: float) -> None:
    """Append the odometry of the next seconds."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        odometry = motor.status().odometry
        if odometry is not None and (not trace or odometry.stamp_ns > trace[-1].stamp_ns):
            trace.append(odometry)
        time.sleep(POLL_S)


def _went_m(trace: list[Odometry], silent_ns: int) -> float:
    start = next((each for each in trace if each.stamp_ns >= silent_ns), trace[-1])
    return math.hypot(trace[-1].x_m - start.x_m, trace[-1].y_m - start.y_m)
