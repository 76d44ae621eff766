"""`vla-edge robot ...`: write a robot file, check it against the hardware, measure how the base stops."""

import math
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from edge.base_spec import BaseSpec
from edge.commands.arguments import ArgumentParser, positive_float
from edge.commands.output import print_json
from edge.errors import SafetyStop, UsageError
from edge.perception.lens import Lens
from edge.records import CameraMount, Goal
from edge.robots.check import Finding, check_camera, check_motors
from edge.robots.choose import MAX_STOP_TIME_S, open_file
from edge.robots.robot_file import RobotFile, find_robot_file, is_real, read_robot_file, seen_through
from edge.robots.stop_test import measure_stop
from edge.robots.stop_time import LONGEST_S
from edge.robots.write import write_stop_time
from edge.runtime.robot import Robot, RobotOptions, find_robot

STOP_TEST_M_S = 0.1
_CONSENT = (
    "The base will arm, drive ahead at {speed:g} m/s for a second and then get no command for {silent:g} s:\n"
    "{room:.1f} m if it never stops by itself. Put its wheels off the ground, or clear {clear:g} m of floor\n"
    "ahead of it, and keep a hand at its switch.\nType yes to go on: "
)


def check(argv: list[str]) -> int:
    """Check a robot file; returns 0, or the exit code of the first thing that is wrong."""
    options = _check_arguments().parse_args(argv)
    file = read_robot_file(find_robot_file(options.file) or Path(options.file))
    if options.stop_test and not options.json:
        with opened(file, options.out) as robot:
            return _stop_test(file, robot, options.speed)
    if options.stop_test:
        raise UsageError("--stop-test asks before it drives, and --json is for machines", "leave out --json")
    with opened(file, options.out) as robot:
        mounts, lenses = robot.mounts, file.lenses
        findings = [
            finding
            for name, uri in robot.camera_uris.items()
            for finding in check_camera(
                name, uri, _mount_of(mounts.get(name), lenses.get(name)), options.out, lenses.get(name)
            )
        ]
        findings.append(check_motors(robot))
    findings.append(_stop_finding(file, is_real(robot.motors_uri)))
    code = next((each.exit_code for each in findings if each.exit_code), 0)
    _print(file, findings, options.json)
    return code


def _check_arguments() -> ArgumentParser:
    parser = ArgumentParser(
        "robot check", "Check a robot file: read it, open cameras and motors without arming, save a picture."
    )
    parser.add_argument("file", help="a robot file, or its name in robots/")
    parser.add_argument(
        "--stop-test",
        action="store_true",
        help="drive slowly, fall silent, measure how long the base goes on, and write that into the file",
    )
    parser.add_argument(
        "--speed",
        type=positive_float,
        metavar="M_S",
        help=f"of the stop test ({STOP_TEST_M_S:g}, or the lowest at which the base drives without pauses)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("robot-check"), help="folder of the pictures (%(default)s/)"
    )
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    return parser


def _mount_of(mount: CameraMount | None, lens: Lens | None) -> CameraMount | None:
    return None if mount is None else seen_through(lens, mount)


@contextmanager
def opened(file: RobotFile, out: Path, seed: int = 1) -> Generator[Robot]:
    """Yield the robot of a file; the mount may be missing. `out`, `seed`: of a package's robot."""
    if not file.sections.opens:
        yield open_file(file, measured=False)
        return

    def make_folder() -> Path:
        out.mkdir(parents=True, exist_ok=True)
        return out

    open_robot, settings = find_robot(file.sections.opens)
    robot: Robot = open_robot(RobotOptions(Goal("describe_scene"), make_folder, seed, settings=settings))
    try:
        yield robot
    finally:
        robot.close()


def _stop_finding(file: RobotFile, moves: bool) -> Finding:
    measured, command = file.sections.stop_time_s, f"`vla-edge robot check {file.path} --stop-test`"
    if not moves:
        return Finding("stop time", "its motors move nothing")
    if measured is None:
        return Finding("stop time", "not measured", "", f"{command} measures it")
    late = not isinstance(measured, float) or measured > MAX_STOP_TIME_S
    found = f"{measured} s" if isinstance(measured, float) else str(measured)
    wrong = f"longer than {MAX_STOP_TIME_S:g} s: a drive needs --accept-stop-time" if late else ""
    return Finding("stop time", found, wrong, "lower the command timeout of its firmware" if late else "")


def _test_speed(base: BaseSpec, speed_m_s: float | None) -> float:
    """Return the speed of the stop test. Raises UsageError for one that the base can't keep up.

    Below its lowest speed a base is driven by pulses, and a silence that begins in a pause measures nothing.
    """
    speed_m_s = max(min(STOP_TEST_M_S, base.linear_m_s), base.lowest_m_s) if speed_m_s is None else speed_m_s
    if speed_m_s > max(base.linear_m_s, base.lowest_m_s):
        raise UsageError(
            f"--speed {speed_m_s:g} is above the base's {base.linear_m_s:g} m/s", "take a lower one"
        )
    if speed_m_s < base.lowest_m_s:
        raise UsageError(
            f"--speed {speed_m_s:g} is below {base.lowest_m_s:g} m/s, the lowest at which the base drives "
            "without pauses",
            "leave --speed out",
        )
    return speed_m_s


def _stop_test(file: RobotFile, robot: Robot, speed_m_s: float | None) -> int:
    """Ask, measure, and write what was measured into the file."""
    if not is_real(robot.motors_uri):
        raise UsageError(f"{file.path}: motors {robot.motors_uri} move nothing", "name the base's own driver")
    base = replace(robot.base, **file.measured)
    speed_m_s = _test_speed(base, speed_m_s)
    room_m = speed_m_s * (LONGEST_S + 1)
    clear_m = max(1.0, math.ceil(2 * room_m))
    consent = _CONSENT.format(speed=speed_m_s, silent=LONGEST_S, room=room_m, clear=clear_m)
    print(consent, end="", flush=True)
    if sys.stdin.readline().strip().lower() != "yes":
        raise UsageError("the stop test was not agreed to: nothing has moved", "type yes to go on")
    measure = measure_stop(robot.motors_uri, base, speed_m_s, lambda text: print(text, flush=True))
    stop_time_s = measure.stop_time_s
    if stop_time_s is None:
        stop_time_s = _ask_stop_time()
    else:
        print(f"it drove {measure.speed_m_s:.2f} m/s, and went {measure.went_m:.2f} m in the silence")
    write_stop_time(file.path, stop_time_s)
    never = math.isinf(stop_time_s)
    did = "did not stop" if never else f"stood after {stop_time_s:.2f} s"
    print(f"the base {did}: written into {file.path}")
    if stop_time_s <= MAX_STOP_TIME_S:
        return 0
    raise SafetyStop(
        f"the base {'never stops' if never else f'stops after {stop_time_s:.2f} s'} by itself "
        f"(limit {MAX_STOP_TIME_S:g} s)",
        "give its firmware a shorter command timeout, then measure again; until then a drive needs "
        "--accept-stop-time",
    )


def _ask_stop_time() -> float:
    """Ask the person who watched it. Raises UsageError for what is not a time."""
    print(
        "The base reports no odometry that could tell. How many seconds after `silent` did it stand?\n"
        "A number such as 0.4, or never: ",
        end="",
        flush=True,
    )
    text = sys.stdin.readline().strip().lower()
    if text == "never":
        return math.inf
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not 0 <= value <= LONGEST_S:
        raise UsageError(
            f"{text[:40]!r} is not a time from 0 to {LONGEST_S:g} seconds, or never",
            "measure again: nothing written",
        )
    return value


def _print(file: RobotFile, findings: list[Finding], as_json: bool) -> None:
    if as_json:
        keys = ("what", "found", "wrong", "hint")
        rows = [{key: getattr(each, key) for key in keys} for each in findings]
        print_json({"file": str(file.path), "findings": rows})
        return
    print(f"{file.path}: {file.sections.name or 'a robot'}")
    for each in findings:
        print(f"{each.what:<14} {each.found}")
        if each.wrong:
            print(f"{'':<14} wrong: {each.wrong}")
        if each.hint:
            print(f"{'':<14} {each.hint}")
