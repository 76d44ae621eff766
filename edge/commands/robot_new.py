"""`vla-edge robot new FILE`: write a robot file by asking, or with what is plugged in."""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from edge.address import without_password
from edge.base_spec import DriveKind
from edge.commands.arguments import ArgumentParser
from edge.errors import HardwareMissing, UsageError
from edge.files import write_whole
from edge.records import CameraMount
from edge.robots.plugged_in import Plugged, find_cameras, find_ports
from edge.robots.robot_file import parse_robot_file
from edge.robots.sections import parse_mount
from edge.robots.template import NewRobot

_T = TypeVar("_T")
_NUMBERS = {  # numbers of a base: question, default
    "radius_m": ("radius of the circle that holds the robot, metres", 0.2),
    "linear_m_s": ("highest speed, m/s, at most 0.5", 0.3),
    "angular_rad_s": ("highest turn rate, rad/s, at most 1", 0.8),
    "wheel_base_m": ("distance between the axles, metres", 0.25),
}
_MOUNT = {  # question, default
    "fov": ("what the camera shows from top to bottom, degrees", 45.0),
    "height": ("its lens above the floor, metres", 0.3),
    "pitch": ("how far it looks down, degrees; level is 0", 0.0),
    "forward": ("its lens ahead of the middle of the base, metres", 0.1),
}


def main(argv: list[str]) -> int:
    """Write a robot file; returns the exit code."""
    options = _arguments().parse_args(argv)
    path: Path = options.file
    if path.exists():
        raise UsageError(f"{path} is there already", "name another file: nothing is written over")
    cameras, ports = find_cameras(options.root), find_ports(options.root)
    mount = None if options.mount is None else parse_mount(options.mount)
    robot = _taken(options, cameras, ports, mount) if options.yes else _asked(options, cameras, ports, mount)
    text = robot.to_yaml().replace("FILE", str(path))
    parse_robot_file(text, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror}", "name another file") from error
    print(f"{path}: camera {without_password(robot.camera)}, motors {robot.motors}")
    print("next: measure the mount and write it in" if robot.mount is None else "next: check it", end="")
    print(f"; `vla-edge robot check {path}`")
    return 0


def _arguments() -> ArgumentParser:
    parser = ArgumentParser("robot new", "Write a robot file by asking. Enter takes what stands in brackets.")
    parser.add_argument("file", type=Path, help="the file to write, such as my-robot.yaml")
    parser.add_argument("--yes", action="store_true", help="ask nothing: take what is plugged in")
    parser.add_argument("--camera", metavar="URI", help="address of the camera")
    parser.add_argument("--motors", metavar="URI", help="address of the motors")
    parser.add_argument("--mount", metavar="fov=,height=,pitch=,forward=", help="where the camera sits")
    parser.add_argument("--root", type=Path, default=Path("/"), help=argparse.SUPPRESS)
    return parser


def _taken(
    options: argparse.Namespace,
    cameras: Sequence[Plugged],
    ports: Sequence[Plugged],
    mount: CameraMount | None,
) -> NewRobot:
    """Return the robot of what is plugged in. Raises HardwareMissing if that is nothing, or not one thing."""
    camera = options.camera or _only(cameras, "camera", "--camera csi://0 or --camera v4l2:///dev/video0")
    motors = options.motors or _only(ports, "serial port", "--motors mavlink:///dev/ttyACM0")
    if "://" not in motors:
        raise HardwareMissing(
            f"what is behind {motors} can't be told by its name",
            f"say it: --motors waveshare://{motors}, arduino://{motors} or mavlink://{motors}",
        )
    numbers = {key: default for key, (_, default) in _NUMBERS.items() if key != "wheel_base_m"}
    return NewRobot(options.file.stem, camera, motors, mount, numbers=numbers, measured=False)


def _only(found: Sequence[Plugged], noun: str, instead: str) -> str:
    if len(found) == 1:
        return found[0].address
    which = ", ".join(each.about for each in found) or "none"
    count = f"{len(found)} {noun}s are plugged in, and one is wanted: {which}"
    raise HardwareMissing(count if found else f"no {noun} is plugged in", f"say which: {instead}")


def _asked(
    options: argparse.Namespace,
    cameras: Sequence[Plugged],
    ports: Sequence[Plugged],
    mount: CameraMount | None,
) -> NewRobot:
    name = _ask("name of the robot", options.file.stem, str)
    camera = options.camera or _ask_place("camera", cameras, "csi://0, v4l2:///dev/video0, rtsp://…")
    motors = options.motors or _ask_place(
        "motors", ports, "mavlink://, waveshare://, arduino://, ros2:///cmd_vel"
    )
    while "://" not in motors:
        scheme = _ask(f"what is at {motors}: mavlink, waveshare or arduino", "", str)
        motors = f"{scheme}://{motors}" if scheme else motors
    mount = mount or _ask_mount()
    kinds = ", ".join(kind.value for kind in DriveKind)
    drive = _ask(f"wheels: {kinds}", DriveKind.DIFFERENTIAL.value, _drive_kind)
    keys = [key for key in _NUMBERS if key != "wheel_base_m" or drive is DriveKind.ACKERMANN]
    numbers = {key: _ask_number(*_NUMBERS[key], _base_check(key, drive)) for key in keys}
    return NewRobot(name, camera, motors, mount, drive, numbers)


def _drive_kind(text: str) -> DriveKind:
    kinds = {kind.value: kind for kind in DriveKind}
    if text not in kinds:
        raise ValueError(f"{text[:40]!r} is none of {', '.join(kinds)}")
    return kinds[text]


def _ask_place(noun: str, found: Sequence[Plugged], examples: str) -> str:
    for index, each in enumerate(found, start=1):
        print(f"  {index}  {each.address}  {each.about}")

    def chosen(text: str) -> str:
        if text.isascii() and text.isdigit() and 1 <= int(text) <= len(found):
            return found[int(text) - 1].address
        if "://" not in text:
            raise ValueError(f"neither a number of the list nor an address: {examples}")
        return text

    return _ask(f"{noun}: a number, or an address ({examples})", "1" if found else "", chosen)


def _ask_mount() -> CameraMount:
    """Ask for the four numbers of a mount, each checked with the others at their defaults."""
    values: dict[str, float] = {}
    for key, (question, default) in _MOUNT.items():

        def checked(value: float, key: str = key) -> None:
            numbers = {name: given for name, (_, given) in _MOUNT.items()} | {key: value}
            parse_mount(",".join(f"{name}={number!r}" for name, number in numbers.items()))

        values[key] = _ask_number(question, default, checked)
    return parse_mount(",".join(f"{name}={number!r}" for name, number in values.items()))


def _base_check(key: str, drive: DriveKind) -> Callable[[float], None]:
    """Return a check of one number of a base, in a file whose other numbers are right."""

    def checked(value: float) -> None:
        numbers = {name: default for name, (_, default) in _NUMBERS.items() if name != "wheel_base_m"}
        if drive is DriveKind.ACKERMANN:
            numbers["wheel_base_m"] = _NUMBERS["wheel_base_m"][1]
        robot = NewRobot("x", "x://x", "x://x", drive=drive, numbers=numbers | {key: value})
        parse_robot_file(robot.to_yaml(), Path("the answer"))

    return checked


def _ask_number(question: str, default: float, check: Callable[[float], None]) -> float:
    def number(text: str) -> float:
        try:
            value = float(text) if text.isascii() and "_" not in text else math.nan
        except ValueError:
            raise ValueError(f"{text[:40]!r} is not a number") from None
        check(value)
        return value

    return _ask(question, f"{default:g}", number)


def _ask(question: str, default: str, read: Callable[[str], _T]) -> _T:
    """Ask until the answer can be read; Enter takes the default. Raises UsageError when the input ends."""
    while True:
        print(f"{question}{f' [{default}]' if default else ''}: ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            print()
            raise UsageError("the answers ended early: nothing was written", "--yes asks nothing")
        try:
            return read(line.strip() or default)
        except UsageError as error:
            print(f"  {error.message}")
        except ValueError as error:
            print(f"  {error}")
