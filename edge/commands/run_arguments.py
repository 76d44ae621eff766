"""The command line of `vla-edge run`."""

import argparse
import re
from pathlib import Path

from edge.bundle.choice import AUTO, AUTO_HELP
from edge.commands.arguments import ArgumentParser, add_engine, non_negative_int, parallel_int, positive_float
from edge.errors import UsageError
from edge.goals.goals import GOALS
from edge.motor.operator.panel import EXAMPLE
from edge.plugins import CAMERAS, MOTORS, PluginGroup
from edge.robots.choose import RobotChoice, choose_addresses, choose_robot
from edge.robots.sections import parse_mount
from edge.runs.live.run_page import add_page
from edge.runs.log import LEVELS
from edge.runs.recording.run_tap import add_recording
from edge.runs.viewers.run_viewers import add_viewers
from edge.runtime.cameras import DEFAULT_CAMERA

CAMERA_NAME = re.compile(r"[A-Za-z]\w{0,31}", re.ASCII)


def run_arguments() -> ArgumentParser:
    """Return the parser of the command line of `vla-edge run`."""
    parser = ArgumentParser(
        "run",
        "Drive a robot to a goal. The space bar, Ctrl-C and `vla-edge stop` in another terminal stop it.",
    )
    parser.add_argument("--goal", required=True, help=f"one of {', '.join(GOALS)}")
    parser.add_argument("--target", help='what the goal is about, such as "red cup"')
    parser.add_argument(
        "--robot",
        help="a robot file by its path or its name in robots/, or a robot of a package: sim (default), "
        '"sim?noise=8"',
    )
    parser.add_argument(
        "--camera",
        action="append",
        type=camera,
        metavar="[NAME=]URI",
        help=f"address of a camera, instead of a robot: {_schemes(CAMERAS)} (docs/cameras.md). file://PATH "
        "is a video, or pictures that are shown one by one, each until it is answered; file://PATH?rate=HZ: "
        "at that rate; file://PATH?every=N: one image in N, one by one. Repeat it for several cameras, each "
        f"with its name; the model sees with the only one, or with {DEFAULT_CAMERA!r}",
    )
    parser.add_argument(
        "--motors",
        help=f"address of the motors, with --camera: {_schemes(MOTORS)}, such as "
        "mavlink:///dev/ttyACM0?baud=115200; null:// moves nothing (docs/mavlink.md, docs/serial-bases.md, "
        "docs/from-ros2.md)",
    )
    add_operator(parser)
    parser.add_argument(
        "--mount",
        metavar="fov=,height=,pitch=,forward=",
        help="where the camera sits that the model sees with, with --camera and --motors: "
        '"fov=55,height=0.35,pitch=0,forward=0.1", in degrees (from top to bottom; downwards) and metres '
        "(above the floor; ahead of the base's centre). Motors that move something need it",
    )
    parser.add_argument(
        "--max-speed", type=positive_float, metavar="M_S", help="drive slower than the base may; never faster"
    )
    parser.add_argument(
        "--accept-stop-time",
        action="store_true",
        help="drive a base whose file says that it stops by itself late, or never",
    )
    parser.add_argument("--bundle", default=AUTO, help=f"the model: {AUTO_HELP}")
    parser.add_argument(
        "--max-seconds", type=positive_float, default=120.0, help="time limit of the drive (%(default)g)"
    )
    parser.add_argument(
        "--seed", type=non_negative_int, default=1, help="seed of the simulated room (%(default)s)"
    )
    parser.add_argument("--absent", action="store_true", help="simulate a room without the target")
    parser.add_argument(
        "--runs-dir", type=Path, default=Path("runs"), help="folder that gets the run's folder (%(default)s/)"
    )
    add_recording(parser)
    add_page(parser)
    add_viewers(parser)
    parser.add_argument(
        "--threads", type=parallel_int, default=1, help="threads of the inference engine (%(default)s)"
    )
    add_engine(parser)
    parser.add_argument(
        "--restarts",
        type=non_negative_int,
        metavar="N",
        help="start the engine afresh after a fault of its own, at most so often; the base stands meanwhile "
        "(default: what the bundle states, mostly 0)",
    )
    parser.add_argument(
        "--allow-unproved", action="store_true", help="accept a bundle that failed its export's gate"
    )
    parser.add_argument(
        "--allow-domain",
        action="store_true",
        help="let a bundle that has only seen simulated rooms see with a real camera",
    )
    parser.add_argument(
        "--log-level", choices=LEVELS, default="info", help="least level in the run's run.log (%(default)s)"
    )
    parser.add_argument(
        "--root", type=Path, default=Path("/"), help=argparse.SUPPRESS
    )  # see `vla-edge doctor`
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    return parser


def _schemes(group: PluginGroup) -> str:
    return ", ".join(f"{name}://" for name in group.names())


def add_operator(parser: ArgumentParser) -> None:
    """Add the options for what a person stops and drives the robot with."""
    parser.add_argument(
        "--gamepad",
        metavar="DEVICE",
        help="a gamepad that stops the robot (B) and drives it (left stick): "
        "/dev/input/by-id/…-event-joystick, with ?deadman=tr behind it only while that button is held",
    )
    parser.add_argument(
        "--estop",
        metavar="URI",
        help="a contact that stops the robot when it opens: gpio:///dev/gpiochip0?line=17",
    )


def operator_addresses(options: argparse.Namespace) -> list[str]:
    """Return the addresses of what a person stops and drives the robot with. Raises UsageError."""
    pad: str = options.gamepad or ""
    if options.estop and not options.estop.startswith("gpio://"):
        raise UsageError(f"--estop {options.estop[:200]!r} is not a gpio:// address", EXAMPLE)
    pads = [pad if pad.startswith("gamepad://") else f"gamepad://{pad}"] if pad else []
    return [*pads, *([options.estop] if options.estop else [])]


def camera(text: str) -> tuple[str, str]:
    """Split [NAME=]URI into name and URI."""
    name, separator, uri = text.partition("=")
    if not separator or "/" in name:  # an URI may have a "=" of its own, behind its "://"
        return DEFAULT_CAMERA, text
    if not CAMERA_NAME.fullmatch(name):
        raise argparse.ArgumentTypeError(
            f"{name[:40]!r} is not a camera's name: a letter, then letters, digits and _, 32 at most"
        )
    return name, uri


def choose_hardware(options: argparse.Namespace) -> RobotChoice:
    """Return what the options mean: a robot, or cameras and motors. Raises UsageError if they don't agree."""
    if options.camera is None and options.motors is None:
        if options.mount is not None:
            raise UsageError("--mount goes with --camera and --motors", "a robot states its own mount")
        return choose_robot(options.robot or "sim", options.accept_stop_time, options.max_speed)
    if options.robot is not None or options.absent:
        raise UsageError("--robot and --absent don't go with --camera and --motors", "leave one of them out")
    if options.camera is None or options.motors is None:
        raise UsageError("--camera and --motors go together", "to watch without moving: --motors null://")
    names = [name for name, _ in options.camera]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise UsageError(
            f"several cameras have the name {min(doubled)!r}",
            f"name each: --camera {DEFAULT_CAMERA}=URI --camera wrist=URI",
        )
    mount = None if options.mount is None else parse_mount(options.mount)
    return choose_addresses(dict(options.camera), options.motors, mount, options.max_speed)
