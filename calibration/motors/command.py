"""The command `vla-edge calibrate motors`: drive a short programme, and write what the base makes of it."""

import argparse
import contextlib
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from calibration.motors.axes import Axis, as_it_is, axes_of
from calibration.motors.fit import AxisFit, fit_axis
from calibration.motors.judge import draw, judge
from calibration.motors.programme import (
    Level,
    ProgrammeDriver,
    RecordedMotor,
    Trace,
    measure_axis,
    programme_s,
    way_of,
)
from calibration.verdict import add_options, conclude, folder_of, robot_file_of
from edge.base_spec import BaseSpec
from edge.commands.arguments import ArgumentParser, positive_float
from edge.commands.output import ProgressLine
from edge.commands.robot import opened
from edge.commands.run_arguments import add_operator, operator_addresses
from edge.errors import UsageError, write_hint
from edge.motor.limits import MotorLimits
from edge.robots.robot_file import RobotFile, is_real
from edge.robots.write import write_values
from edge.robots.yaml_tree import Place
from edge.runtime.keyboard import heed_keyboard
from edge.runtime.operator import Operator
from edge.runtime.signals import Interrupts
from edge.runtime.stop_server import StopServer

SLOWEST_M_S = 0.15  # a programme below tells nothing of a scale
_CONSENT = (
    "The base will arm and drive: {axes}, each at {levels} up to {speeds}, out and back,\n"
    "for {seconds:.0f} s in all. Put it on the floor that it drives on, clear {room:.1f} m around\n"
    "its middle, and keep a hand at its switch. The space bar, Ctrl-C or `vla-edge stop {folder}` stop it.\n"
)


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(argv)
    file = robot_file_of(options)
    folder = folder_of(options, file)
    with opened(file, folder) as robot:
        if not is_real(robot.motors_uri):
            raise UsageError(
                f"{file.path}: motors {robot.motors_uri} move nothing", "name the base's own driver"
            )
        base = _base_to_measure(file, robot.base, options.speed)
        axes = axes_of(base)
        room_m = 2 * max(way_of(axis) for axis in axes if axis.column < 2)
        _ask(options, axes, room_m + base.radius_m, folder)
        traces = _drive(options, robot.motors_uri, base, axes, room_m, folder)
    fits = [fit_axis(trace) for trace in traces]
    verdict = judge(fits, traces)

    def save() -> str:
        write_values(file.path, values_of(file, fits))
        return f"written into {file.path}: the motor process sends what gives the speeds that are wanted"

    return conclude(verdict, draw(fits, traces), folder / "motors", save, options)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "calibrate motors",
        "Drive a short programme of levels and ramps on each axis, compare what was told with what the "
        "base's odometry measured, and write scale, dead band, delay and lowest speed into the robot file.",
    )
    add_options(parser)
    parser.add_argument(
        "--speed", type=positive_float, metavar="M_S", help="the highest that is told (the base's own limit)"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before it moves")
    add_operator(parser)
    return parser


def _base_to_measure(file: RobotFile, base: BaseSpec, speed_m_s: float | None) -> BaseSpec:
    """Return the base as it is without a correction, with the highest speed that is told."""
    stated = {} if file.sections.opens else file.sections.base or {}
    linear_m_s = float(stated.get("linear_m_s", base.linear_m_s))
    angular_rad_s = float(stated.get("angular_rad_s", base.angular_rad_s))
    if speed_m_s is not None and not SLOWEST_M_S <= speed_m_s <= linear_m_s:
        raise UsageError(
            f"--speed {speed_m_s:g} is not from {SLOWEST_M_S:g} to the base's {linear_m_s:g} m/s",
            "leave it out, with room around it",
        )
    return as_it_is(base, speed_m_s or linear_m_s, angular_rad_s)


def _ask(options: argparse.Namespace, axes: Sequence[Axis], room_m: float, folder: Path) -> None:
    """Say what will move, and ask. Raises UsageError without consent."""
    speeds = " and ".join(dict.fromkeys(f"{axis.highest:g} {axis.unit}" for axis in axes))
    names, seconds = ", ".join(axis.name for axis in axes), programme_s(iter(axes))
    room_m = math.ceil(10 * room_m) / 10
    print(
        _CONSENT.format(
            axes=names, levels="nine levels", speeds=speeds, seconds=seconds, room=room_m, folder=folder
        ),
        end="", file=sys.stderr, flush=True,
    )  # fmt: skip
    if options.yes:
        return
    print("Type yes to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() != "yes":
        raise UsageError(
            "the calibration was not agreed to: nothing has moved", "type yes to go on, or add --yes"
        )


def _drive(
    options: argparse.Namespace,
    motors_uri: str,
    base: BaseSpec,
    axes: Sequence[Axis],
    room_m: float,
    folder: Path,
) -> list[Trace]:
    """Drive the programme of each axis. The base stands and is disarmed afterwards, however it ends."""
    interrupts, operators = Interrupts(), operator_addresses(options)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"can't write {folder}: {error.strerror}", write_hint(error)) from error
    with contextlib.ExitStack() as stack:
        stack.enter_context(interrupts.caught())
        motor = stack.enter_context(RecordedMotor.start(motors_uri, MotorLimits.of(base), operator=operators))
        operator = Operator(motor.stop)
        stack.enter_context(heed_keyboard(operator.stop))
        stack.enter_context(StopServer(folder, operator.stop))
        progress = stack.enter_context(ProgressLine())

        def check() -> None:
            interrupts.check()
            operator.check()

        driver = ProgrammeDriver(motor, check, room_m)
        driver.arm()
        traces: list[Trace] = []
        for axis in axes:
            traces.append(measure_axis(axis, driver, lambda level, axis=axis: _show(progress, axis, level)))
            if traces[-1].short.startswith("it "):  # it moves otherwise than told: the other axes would, too
                break
        return traces


def _show(progress: ProgressLine, axis: Axis, level: Level) -> None:
    progress.show(axis.name, 0, 0, f"{level.command:+.2f} {axis.unit} gives {level.measured:+.3f}")


def values_of(file: RobotFile, fits: Sequence[AxisFit]) -> dict[Place, str]:
    """Return what is written into the robot file, the last line first, as `write_values` adds them.

    Raises UsageError for a base that goes the other way.
    """
    if wrong := [fit.axis.name for fit in fits if fit.scale < 0]:
        raise UsageError(
            f"motors: {wrong[0]} goes the other way, and no robot file can say so", "swap its motors first"
        )
    stated = file.sections.base or {}
    values: dict[Place, str] = {}
    for fit in fits:
        values[("base", fit.axis.scale_key)] = f"{fit.scale:.4g}"
        values[("base", fit.axis.offset_key)] = f"{fit.dead_band:.3g}"
    for key in dict.fromkeys(fit.axis.lowest_key for fit in fits):
        lowest = max(fit.lowest for fit in fits if fit.axis.lowest_key == key)
        if lowest or key in stated:
            values[("base", key)] = f"{lowest:.3g}"
    # A stated dead band is measured now, and jumped over.
    values |= {("base", key): "0" for key in ("dead_band_m_s", "dead_band_rad_s") if key in stated}
    values[("base", "delay_s")] = f"{max(fit.delay_s for fit in fits):.3f}"
    return dict(reversed(values.items()))
