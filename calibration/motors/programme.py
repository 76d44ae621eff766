"""The programme that a base drives to be measured: levels and a ramp on each axis, out and back.

It is driven through the ordinary motor process, as a run is. What was told and what the base measured
meanwhile is kept with its times.
"""

import math
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from calibration.motors.axes import Axis, parts
from edge.child import KeptChild
from edge.errors import MotorFault
from edge.motor.client import MotorProcess
from edge.motor.wire import Message
from edge.records import ActionChunk, MotorState, MotorStatus, Odometry

LEVELS = (0.04, 0.08, 0.12, 0.18, 0.25, 0.35, 0.5, 0.7, 1.0)  # shares of the highest command
STEADY_S = 0.7  # at a level, after its ramp: a late base needs some of it, and the end is measured
MEASURED_S = 0.2
REST_S = 0.4  # between two levels
RAMP_S, RAMP_SHARE = 3.0, 0.3  # up and down again
TOO_FAST = 1.05  # a level that would really be faster than the axis's highest by this is left out
ROW_S, ROWS = 0.05, 6  # rows of a chunk; a chunk is sent for each
POLL_S = 0.004
ARM_LIMIT_S = 3.0
ODOMETRY_LIMIT_S = 2.0
OTHERWISE = 4  # levels that moved the wrong way, or something else, end an axis


@dataclass(frozen=True, slots=True)
class Level:
    """One level of commands and what the base measured at its end."""

    command: float
    measured: float  # mean along the axis
    spread: float  # standard deviation
    aside: float  # the fastest other motion: m/s, or rad/s times SIDE_M


@dataclass
class Trace:
    """What was told and measured on one axis. Times are CLOCK_MONOTONIC seconds."""

    axis: Axis
    told: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    measured: list[tuple[float, float, float, float]] = field(
        default_factory=list[tuple[float, float, float, float]]
    )  # time, x, y, turn
    levels: list[Level] = field(default_factory=list[Level])
    read_s: list[float] = field(default_factory=list[float])  # from each tick to the stamp of its odometry
    short: str = ""  # why not every level was driven

    def take(self, status: MotorStatus) -> None:
        """Take in a report of the motor process."""
        told_s, odometry = status.stamp_ns / 1e9, status.odometry
        if not self.told or told_s > self.told[-1][0]:
            self.told.append((told_s, self.axis.of(status.sent)))
        if odometry is not None and (not self.measured or odometry.stamp_ns / 1e9 > self.measured[-1][0]):
            self.measured.append((odometry.stamp_ns / 1e9, *parts(odometry.velocity)))
            self.read_s.append(odometry.stamp_ns / 1e9 - told_s)

    @property
    def stamped_late_s(self) -> float:
        """How much later than measured odometry is stamped on average: half a tick, if as it is read."""
        tick_s = float(np.median(np.diff([told_s for told_s, _ in self.told])))
        as_read = 0 <= float(np.median(self.read_s)) < tick_s / 4
        return tick_s / 2 if as_read else 0.0


class RecordedMotor(MotorProcess):
    """A motor process of whose reports none is missed, however late they are read."""

    def __init__(self, child: subprocess.Popen[bytes] | KeptChild, control: socket.socket) -> None:
        super().__init__(child, control)
        self.reports: list[MotorStatus] = []

    def _take(self, message: Message) -> None:
        super()._take(message)
        if isinstance(message, MotorStatus):
            self.reports.append(message)


class ProgrammeDriver:
    """Drives an armed base by rows, and watches that nothing stops it. Times are those of CLOCK_MONOTONIC.

    Its chunks are bounded by the base's way: where this process halts, the base stands once the rows are
    over, and goes on afterwards.
    """

    def __init__(self, motor: RecordedMotor, check: Callable[[], None], room_m: float) -> None:
        """`check` raises what ends the programme; beyond `room_m` from where it is now it ends as well."""
        self._motor, self._check, self._room_m = motor, check, room_m
        self._decision = 0
        self._start: Odometry | None = None

    def arm(self) -> None:
        """Arm, and wait for odometry. Raises MotorFault if the base does not, or measures nothing."""
        self._motor.arm()
        deadline_s = time.monotonic() + ARM_LIMIT_S
        while (status := self._motor.status()).state is not MotorState.HOLDING:
            self._wait(deadline_s, f"the base did not arm: {status.reason or f'within {ARM_LIMIT_S:g} s'}")
        deadline_s = time.monotonic() + ODOMETRY_LIMIT_S
        while (status := self._motor.status()).odometry is None:
            self._wait(
                deadline_s,
                f"no odometry: the base has reported none within {ODOMETRY_LIMIT_S:g} s, and nothing else "
                "measures how fast it goes",
            )
        self._start = status.odometry

    def drive(self, row_at: Callable[[float], np.ndarray], seconds: float, trace: Trace) -> None:
        """Drive rows by their time for so many seconds. Raises MotorFault if something stops the base."""
        begun_s = time.monotonic()
        while (since_s := time.monotonic() - begun_s) < seconds:
            self._decision += 1
            now_ns = time.monotonic_ns()
            rows = np.array([row_at(min(since_s + i * ROW_S, seconds)) for i in range(ROWS)], np.float32)
            until_ns = now_ns + round(ROWS * ROW_S * 1e9)
            self._motor.send(ActionChunk(rows, ROW_S, now_ns, until_ns, 1.0, self._decision, True))
            end_s = min(begun_s + seconds, time.monotonic() + ROW_S)
            while time.monotonic() < end_s:
                self._look(trace)
                time.sleep(POLL_S)

    def _look(self, trace: Trace) -> None:
        self._check()
        status = self._motor.status()
        if status.state not in (MotorState.HOLDING, MotorState.FOLLOWING):
            self._motor.stop("the calibration ended")
            why = status.reason or status.state.value
            raise MotorFault(f"the motor process stopped the base: {why}", "mend that, then measure again")
        here, start = status.odometry, self._start
        if here is not None and start is not None:
            away_m = math.hypot(here.x_m - start.x_m, here.y_m - start.y_m)
            if away_m > self._room_m:
                self._motor.stop("it left its room")
                raise MotorFault(
                    f"the base is {away_m:.2f} m from where it began (limit {self._room_m:.2f} m)",
                    "is its odometry in metres? A lower --speed needs less room",
                )
        for report in self._motor.reports:
            trace.take(report)
        self._motor.reports.clear()

    def _wait(self, deadline_s: float, why: str) -> None:
        self._check()
        if time.monotonic() > deadline_s:
            raise MotorFault(why, "`vla-edge robot check FILE` says what its driver reports")
        time.sleep(POLL_S)


def measure_axis(axis: Axis, driver: ProgrammeDriver, on_level: Callable[[Level], None]) -> Trace:
    """Drive the programme of an axis and return what was told and measured."""
    trace = Trace(axis)
    driver.drive(lambda _: axis.row(0.0), REST_S, trace)
    for share in LEVELS:
        command = share * axis.highest
        trace.short = _why_short(trace, command)
        if trace.short:
            break
        for signed in (command, -command):
            trace.levels.append(_level(signed, driver, trace))
            on_level(trace.levels[-1])
    if not trace.short:
        for sign in (1, -1):
            top = sign * RAMP_SHARE * axis.highest
            driver.drive(lambda t, top=top: axis.row(top * (1 - abs(2 * t / RAMP_S - 1))), RAMP_S, trace)
            driver.drive(lambda _: axis.row(0.0), REST_S, trace)
    return trace


def level_s(axis: Axis, command: float) -> float:
    """Return how long a level is told, seconds."""
    return abs(command) / axis.accel + STEADY_S


def way_of(axis: Axis) -> float:
    """Return the longest way in one direction if the base does what it is told, metres or radians."""
    return axis.highest * (level_s(axis, axis.highest) - axis.highest / axis.accel / 2 + 0.2)


def programme_s(axes: Iterator[Axis]) -> float:
    """Return how long the programme of these axes takes, seconds."""
    levels_s = (
        sum(2 * (level_s(axis, share * axis.highest) + REST_S) for share in LEVELS)
        + 2 * (RAMP_S + REST_S) + REST_S
        for axis in axes
    )  # fmt: skip
    return sum(levels_s)


def _level(command: float, driver: ProgrammeDriver, trace: Trace) -> Level:
    axis = trace.axis
    driver.drive(lambda _: axis.row(command), level_s(axis, command), trace)
    end_s = time.monotonic()
    late = np.array([row for row in trace.measured if row[0] > end_s - MEASURED_S]).reshape(-1, 4)
    driver.drive(lambda _: axis.row(0.0), REST_S, trace)
    if not len(late):
        return Level(command, math.nan, math.nan, math.nan)
    along, others = late[:, 1 + axis.column], np.delete(late[:, 1:], axis.column, axis=1)
    return Level(command, float(along.mean()), float(along.std()), float(np.abs(others.mean(axis=0)).max()))


def _why_short(trace: Trace, command: float) -> str:
    """Return why the next level is not driven; empty if it is."""
    axis, driven = trace.axis, trace.levels
    if any(math.isnan(each.measured) for each in driven):
        return "its odometry had a gap"
    moved = [each for each in driven if abs(each.measured) > axis.noise]
    if sum(each.measured * each.command < 0 for each in moved) >= OTHERWISE:
        return "it goes the other way"
    aside = [each for each in driven if each.aside > max(3 * axis.noise, abs(each.command))]
    if len(aside) >= OTHERWISE:
        return "it moves otherwise than told"
    fastest = max((abs(each.measured / each.command) for each in driven), default=0.0)
    if command * fastest > TOO_FAST * axis.highest:
        return f"{command:.2f} {axis.unit} would be {command * fastest:.2f}, its limit is {axis.highest:.2f}"
    return ""
