"""`vla-edge run`: check everything, start everything, drive, and leave a folder that shows what happened."""

import argparse
import contextlib
import json
import logging
import os
import re
import sys
from pathlib import Path
from typing import Any

from edge.bundle.bundle import Bundle, load_bundle
from edge.cameras.open import open_camera
from edge.clock import MonotonicClock
from edge.commands.arguments import ArgumentParser, non_negative_int, positive_float, positive_int
from edge.errors import EdgeError, UsageError
from edge.goals.goals import GOALS, parse_goal
from edge.goals.prompts import goal_prompt
from edge.goals.vocabulary import check_target
from edge.interfaces import Camera
from edge.model.boxes import BoxReader
from edge.motor.client import MotorProcess
from edge.motor.limits import MotorLimits
from edge.records import DriveEnd, Goal, Outcome
from edge.runs.drive_log import DriveLog
from edge.runs.folder import RunFolder
from edge.runs.log import LEVELS, RunLog, fields
from edge.runs.room import RoomMap
from edge.runs.summary import Summary
from edge.runs.tally import Tally
from edge.runs.terminal import LiveLine
from edge.runtime.cameras import DEFAULT_CAMERA, CameraSet, pacing_camera
from edge.runtime.drive import MAX_FRAME_AGE_S, Drive, DriveParts
from edge.runtime.ending import ending_of, judged
from edge.runtime.loop import ThreadWorker
from edge.runtime.robot import PlainRobot, Robot, RobotOptions, find_robot
from edge.runtime.signals import Interrupts

CAMERA_NAME = re.compile(r"[A-Za-z]\w{0,31}", re.ASCII)

log = logging.getLogger(__name__)


def main(argv: list[str]) -> int:
    """Run one goal; returns the exit code: 0 done, 3 not reached, 4 to 6 faults, 130 after Ctrl-C."""
    options = _arguments().parse_args(argv)
    goal = parse_goal(options.goal, options.target)
    _check_hardware(options)
    bundle = load_bundle(options.bundle, allow_unproved=options.allow_unproved)
    goal = check_target(bundle, goal)
    run = Run(options, goal, bundle)
    end = run.go()
    _print(run, end, options.json)
    if not run.threads_ended:
        # An inference that hangs in native code would abort the interpreter's orderly end.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.exit_code)
    return end.exit_code


def _arguments() -> ArgumentParser:
    parser = ArgumentParser("run", "Drive a robot to a goal. Ctrl-C stops it first and then ends.")
    parser.add_argument("--goal", required=True, help=f"one of {', '.join(GOALS)}")
    parser.add_argument("--target", help='what the goal is about, such as "red cup"')
    parser.add_argument("--robot", help='a robot by name (default: sim), also "sim?noise=8"')
    parser.add_argument(
        "--camera",
        action="append",
        type=_camera,
        metavar="[NAME=]URI",
        help="address of a camera, instead of a robot: file://PATH (a video or a folder), shm://NAME. "
        "Repeat it for several cameras, each with its name; the model sees with the only one, or with "
        f"{DEFAULT_CAMERA!r}",
    )
    parser.add_argument(
        "--motors", help="address of the motors, with --camera: null://, mavlink:///dev/ttyACM0?baud=115200"
    )
    parser.add_argument("--bundle", default="default", help="the model: a name or a folder (%(default)s)")
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
    parser.add_argument(
        "--threads", type=positive_int, default=1, help="threads of the inference engine (%(default)s)"
    )
    parser.add_argument(
        "--allow-unproved", action="store_true", help="accept a bundle that failed its export's gate"
    )
    parser.add_argument(
        "--log-level", choices=LEVELS, default="info", help="least level in the run's run.log (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    return parser


def _camera(text: str) -> tuple[str, str]:
    """Split [NAME=]URI into name and URI."""
    name, separator, uri = text.partition("=")
    if not separator or "/" in name:  # an URI may have a "=" of its own, behind its "://"
        return DEFAULT_CAMERA, text
    if not CAMERA_NAME.fullmatch(name):
        raise argparse.ArgumentTypeError(
            f"{name[:40]!r} is not a camera's name: a letter, then letters, digits and _, 32 at most"
        )
    return name, uri


def _check_hardware(options: argparse.Namespace) -> None:
    """Check that there is either a robot, or cameras and motors. Raises UsageError if not."""
    if options.camera is None and options.motors is None:
        find_robot(options.robot or "sim")
    elif options.camera is None or options.motors is None:
        raise UsageError("--camera and --motors go together", "to watch without moving: --motors null://")
    elif options.robot is not None or options.absent:
        raise UsageError("--robot and --absent don't go with --camera and --motors", "leave one of them out")
    else:
        names = [name for name, _ in options.camera]
        if doubled := {name for name in names if names.count(name) > 1}:
            raise UsageError(
                f"several cameras have the name {min(doubled)!r}",
                f"name each: --camera {DEFAULT_CAMERA}=URI --camera wrist=URI",
            )


class Run:
    """One run from its folder to its summary."""

    def __init__(self, options: argparse.Namespace, goal: Goal, bundle: Bundle) -> None:
        self.threads_ended = True
        self.summary: Summary | None = None
        self._options = options
        self._goal = goal
        self._bundle = bundle
        self._clock = MonotonicClock()
        boxes = BoxReader(bundle.manifest.family, bundle.manifest.image)
        self._tally = Tally(boxes, goal, goal_prompt(bundle.manifest, goal))
        self._live = LiveLine(goal, enabled=not options.json)
        self._room: RoomMap | None = None
        self._about = ""
        self._truth: dict[str, Any] = {}
        self.folder = RunFolder.create(options.runs_dir)
        self.log = RunLog(self.folder.log_file, options.log_level)

    def go(self) -> DriveEnd:
        """Drive, and write everything down however it ends. Raises only what is a bug."""
        interrupts = Interrupts()
        end = DriveEnd(Outcome.FAULT, "a bug", EdgeError.exit_code)
        with self.log, interrupts.caught():
            try:
                with contextlib.ExitStack() as stack:
                    end = self._drive(stack, interrupts)
            except (KeyboardInterrupt, EdgeError) as error:
                end = ending_of(error)
            except Exception as error:
                end = ending_of(error)
                log.exception("bug")
                raise
            finally:
                end = judged(end, self._goal, self._truth)
                self._write(end)
                self._live.clear()  # last, because a terminal that takes nothing would hold up the summary
        return end

    def _drive(self, stack: contextlib.ExitStack, interrupts: Interrupts) -> DriveEnd:
        """Start what is needed, and drive. The stack closes it in the reverse order."""
        options, pids = self._options, {"runtime": os.getpid()}
        manifest = self._bundle.manifest
        log.info("run starts", extra=fields(goal=self._goal.kind, target=self._goal.target))
        log.info("bundle", extra=fields(name=manifest.name, sha256=self._bundle.sha256))
        self.folder.write_pids(pids)
        self._live.write("starting the robot")
        robot = self._open_robot()
        stack.callback(robot.close)
        self.folder.write_pids(pids := {**pids, **robot.pids})
        self._room, self._about = robot.room, robot.about
        uris = dict(robot.camera_uris)
        addresses = {f"camera_{name}": uri for name, uri in uris.items()}
        log.info("robot", extra=fields(about=robot.about, motors=robot.motors_uri, **addresses))
        cameras = {name: self._open_camera(stack, name, uri) for name, uri in uris.items()}
        # The truth is read once the motor process has stopped the base and gone.
        stack.callback(lambda: self._truth.update(robot.finish()))
        motor = stack.enter_context(MotorProcess.start(robot.motors_uri, MotorLimits.of(robot.base)))
        self.folder.write_pids(pids := {**pids, "motor": motor.pid})
        log.info("processes", extra=fields(**pids))
        self._live.write(f"{robot.about}; loading {manifest.name}" if robot.about else "loading the model")
        # Imported here, because it needs the inference engine.
        from edge.policies.open import make_policy

        policy = make_policy(self._bundle, self._goal, robot.mount, robot.base, options.threads)
        self._bundle.release()
        worker = ThreadWorker(policy)
        stack.callback(lambda: self._note_end(worker.close()))
        camera_set = CameraSet(cameras, pacing_camera(policy, cameras), MAX_FRAME_AGE_S)
        parts = DriveParts(self._goal, policy, worker, camera_set, motor, robot, self._clock, interrupts)
        drive = Drive(parts, inline=[self._tally, DriveLog()], observers=[self._live])
        stack.callback(lambda: self._note_end(drive.observers_ended))
        return drive.run(options.max_seconds)

    def _open_robot(self) -> Robot:
        options = self._options
        if options.camera is not None:
            return PlainRobot(dict(options.camera), options.motors)
        open_robot, settings = find_robot(options.robot or "sim")
        return open_robot(RobotOptions(self._goal, self.folder.path, options.seed, options.absent, settings))

    def _open_camera(self, stack: contextlib.ExitStack, name: str, uri: str) -> Camera:
        camera = open_camera(uri, self._clock, name)
        stack.callback(camera.close)
        return camera

    def _note_end(self, ended: bool) -> None:
        self.threads_ended &= ended

    def _write(self, end: DriveEnd) -> None:
        manifest, tally = self._bundle.manifest, self._tally
        self.summary = Summary(
            end=end,
            goal=self._goal,
            moves=GOALS[self._goal.kind].moves,
            figures=tally.figures(),
            bundle=manifest.name,
            bundle_sha256=self._bundle.sha256,
            engine=manifest.target.engine,
            robot=self._about,
            truth=self._truth,
            folder=str(self.folder.path),
        )
        values = fields(outcome=end.outcome.value, reason=end.reason, exit_code=end.exit_code)
        log.info("run ended", extra=values)
        self.folder.write_summary(self.summary.to_json())
        if tally.answered:
            self.folder.strip_png(tally.answered)
        if tally.path:
            false = end.outcome is Outcome.FALSE_ARRIVAL
            how = end.reason.partition(" (")[0] if false else end.outcome.value  # limits don't fit
            title = f"{self._goal.kind} {self._goal.target}: {how}"
            self.folder.path_png(tally.path, self._room, title)


def _print(run: Run, end: DriveEnd, as_json: bool) -> None:
    if end.outcome is Outcome.FAULT:
        print(f"error: {end.reason}", file=sys.stderr)
        if end.hint:
            print(f"hint: {end.hint}", file=sys.stderr)
    if run.log.lost:
        print(f"note: run.log lacks {run.log.lost} lines: {run.log.trouble}", file=sys.stderr)
    assert run.summary is not None  # `go` wrote it
    if as_json:
        print(json.dumps(run.summary.to_json(), indent=2, ensure_ascii=False, allow_nan=False))
        return
    print("\n".join(run.summary.lines()))
    print(f"{run.folder.path}/ has {', '.join(run.folder.names())}")
