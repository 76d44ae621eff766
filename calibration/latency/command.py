"""The command `vla-edge calibrate latency`: measure how late a camera is, write it into the robot file."""

import argparse
import sys

import numpy as np

from calibration.latency.blinking import record_blinks
from calibration.latency.blinks import BlinkFit, BlinkRecord, blink_criteria, fit_blinks, shining
from calibration.latency.flow import YawFlow
from calibration.latency.judge import LAGS_S, Floats, draw, judge
from calibration.latency.lights import SCREEN, opened_light
from calibration.latency.turning import TurnRecorder, check_turns, record_turns
from calibration.latency.turns import FORMLESS_HINT, TurnFit, TurnRecord, fit_turns, turning_criteria
from calibration.verdict import Verdict, add_options, conclude, folder_of, robot_file_of
from edge.cameras.open import open_camera
from edge.clock import MonotonicClock
from edge.commands.arguments import ArgumentParser, non_negative_int
from edge.commands.output import ProgressLine
from edge.commands.robot import opened
from edge.errors import UsageError
from edge.motor.client import MotorProcess
from edge.motor.limits import MotorLimits
from edge.perception.lens import behind
from edge.perception.picture_lag import LEAST_TURNS
from edge.records import CameraMount, Image
from edge.robots.robot_file import RobotFile, is_real, seen_through
from edge.robots.write import write_delay
from edge.runtime.cameras import chosen_camera
from edge.runtime.robot import PLAIN_MOUNT, Robot

TURNING, BLINKING = "turning", "blinking"
_CONSENT = (
    "The base will arm and turn on the spot, there and back by some 45 degrees, for 15 s. Clear the floor\n"
    "around it, and keep a hand at its switch.\nType yes to go on: "
)
# Other than the 50 and 100 Hz of most odometry, so that some of it is read as soon as it comes.
TICK_HZ = 61.0
SHOWN_S = 5.0  # so much of the record is in the picture
_LATER = "what the base's odometry is late by is not seen: the delay is that much too small"
_SCREEN = "a screen shows what it is told a frame or two later: that is in the delay; an LED has none"


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(argv)
    file = robot_file_of(options)
    with opened(file, folder_of(options, file), options.seed) as robot:
        name = chosen_camera(robot.camera_uris, options.camera or "")
        verdict, picture, delay_s = (_by_turning if options.by == TURNING else _by_blinking)(
            options, file, robot, name
        )

    def save() -> str:
        write_delay(file.path, name, delay_s)
        return f"written into {file.path}: its frames are that much older from now on"

    return conclude(verdict, picture, folder_of(options, file) / f"latency-{name}", save, options)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "calibrate latency",
        "Measure the time from a camera's exposure to the stamp that its frames get, and write it into the "
        "robot file: the runtime then counts it.",
    )
    add_options(parser)
    parser.add_argument("--camera", metavar="NAME", help="which camera of the file (the one that drives)")
    parser.add_argument(
        "--by", choices=(TURNING, BLINKING), default=TURNING,
        help="the base turns there and back, and its odometry tells when; or a light blinks (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--light", default=SCREEN, metavar="NAME",
        help="what blinks: an LED of /sys/class/leds, or the screen, which is this terminal (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=non_negative_int, default=1, help="seed of a simulated room (%(default)s)"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before the base turns")
    return parser


Measured = tuple[Verdict, Image, float]


def _by_turning(options: argparse.Namespace, file: RobotFile, robot: Robot, name: str) -> Measured:
    """Turn the base, and return what that showed."""
    mount = seen_through(file.lenses.get(name), robot.mounts.get(name, PLAIN_MOUNT))
    check_turns(robot.base, mount)
    if not is_real(robot.motors_uri):
        raise UsageError(
            f"{file.path}: motors {robot.motors_uri} turn nothing", "measure by a light: --by blinking"
        )
    _ask(options.yes)
    record = _record(file, robot, name, mount)
    if len(record.turns) < LEAST_TURNS:
        raise UsageError(
            f"delay of camera {name}: not measured: turns seen between {len(record.turns)} frames of "
            f"{record.frames} that came while the base turned (at least {LEAST_TURNS})",
            FORMLESS_HINT,
        )
    fit = fit_turns(record, LAGS_S)
    verdict = judge(name, TURNING, fit.delay, turning_criteria(record, fit), [_LATER])
    picture = draw(fit.delay, *_turn_curves(record, fit), ("turn rate", "s", "rad/s"))
    return verdict, picture, fit.delay.delay_s


def _record(file: RobotFile, robot: Robot, name: str, mount: CameraMount) -> TurnRecord:
    camera = behind(file.lenses.get(name), open_camera(robot.camera_uris[name], MonotonicClock(), name))
    try:
        with (
            MotorProcess.start(robot.motors_uri, MotorLimits.of(robot.base), TICK_HZ) as motor,
            ProgressLine() as line,
        ):
            recorder = TurnRecorder(camera, motor, YawFlow(mount))
            return record_turns(
                recorder, robot.base, lambda done, of: line.show("turns", done, of, "there and back")
            )
    finally:
        camera.close()


def _turn_curves(record: TurnRecord, fit: TurnFit) -> tuple[Floats, Floats]:
    """Return turn rates by time (N, 2): of the picture, earlier by the delay, and of the base."""
    turns, start_s = record.turns, record.rounds_s[0][0]
    middles_s = turns[:, :2].mean(axis=1) - fit.delay.delay_s
    rates = turns[:, 2] / (turns[:, 1] - turns[:, 0]) / fit.scale
    seen = np.stack([middles_s - start_s, rates], 1)
    made = np.array(
        [(each.stamp_ns / 1e9 - start_s, each.velocity.angular_z_rad_s) for each in record.odometry]
    )
    return _shown(seen), _shown(made)


def _shown(curve: Floats) -> Floats:
    return curve[(curve[:, 0] > -0.5) & (curve[:, 0] < SHOWN_S)]


def _by_blinking(options: argparse.Namespace, file: RobotFile, robot: Robot, name: str) -> Measured:
    """Let a light blink, and return what the camera saw of it."""
    camera = open_camera(robot.camera_uris[name], MonotonicClock(), name)
    try:
        with opened_light(options.light) as light, ProgressLine() as line:
            record = record_blinks(
                camera, light, lambda done, of: line.show("blinks", done, of, options.light)
            )
    finally:
        camera.close()
    fit = fit_blinks(record, LAGS_S)
    notes = [f"exposure of some {1e3 * fit.exposure_s:.0f} ms, to whose middle the delay counts"]
    notes += [_SCREEN] if options.light == SCREEN else []
    verdict = judge(name, BLINKING, fit.delay, blink_criteria(record, fit), notes)
    picture = draw(fit.delay, *_blink_curves(record, fit), ("brightness after a switch on", "s", "share"))
    return verdict, picture, fit.delay.delay_s


def _blink_curves(record: BlinkRecord, fit: BlinkFit) -> tuple[Floats, Floats]:
    """Return brightness by the time since the light went on (N, 2): as seen, and as expected."""
    on_s = record.switches_s[::2]
    since_s = (record.stamps_s - fit.delay.delay_s)[:, None] - on_s
    frame, switch = np.nonzero(np.abs(since_s) < 0.15)
    seen = np.stack([since_s[frame, switch], fit.levels[frame]], 1)
    times_s = np.linspace(-0.15, 0.15, 301)
    return seen, np.stack([times_s, shining(times_s, np.zeros(1), fit.exposure_s)], 1)


def _ask(agreed: bool) -> None:
    """Ask before the base turns. Raises UsageError unless the answer is yes."""
    if agreed:
        return
    print(_CONSENT, end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() != "yes":
        raise UsageError("the turn was not agreed to: nothing has moved", "type yes to go on, or --yes")
