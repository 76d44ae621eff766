"""`vla-edge run`: check everything, start everything, drive, and leave a folder that tells what happened."""

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from edge.bundle.bundle import Bundle, load_bundle
from edge.cameras.open import open_camera
from edge.clock import MonotonicClock
from edge.commands.arguments import ArgumentParser, non_negative_int, positive_float, positive_int
from edge.errors import EdgeError, UsageError
from edge.goals.goals import GOALS, parse_goal
from edge.goals.vocabulary import asked, check_target
from edge.model.boxes import BoxReader
from edge.motor.client import MotorProcess
from edge.records import Goal
from edge.runs.folder import RunFolder
from edge.runs.room import RoomMap
from edge.runs.tally import Tally
from edge.runtime.drive import Drive, Interrupts, LiveLine, Outcome, Parts
from edge.runtime.loop import ThreadWorker
from edge.runtime.robot import PlainRobot, Robot, RobotOptions, find_robot

INTERRUPTED = 130


def main(argv: list[str]) -> int:
    """Run one goal; returns the exit code: 0 done, 3 not reached, 4 to 6 faults, 130 after Ctrl-C."""
    options = _arguments().parse_args(argv)
    goal = parse_goal(options.goal, options.target)
    _check_places(options)
    bundle = load_bundle(options.bundle, allow_unproved=options.allow_unproved)
    goal = check_target(bundle, goal)
    run = Run(options, goal, bundle)
    outcome = run.go()
    _print(run, outcome, options.json)
    if not run.worker_ended:
        # An inference that hangs in native code would abort the interpreter's orderly end.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(outcome.exit_code)
    return outcome.exit_code


def _arguments() -> ArgumentParser:
    parser = ArgumentParser("run", "Drive a robot to a goal. Ctrl-C stops it first and then ends.")
    parser.add_argument("--goal", required=True, help=", ".join(GOALS))
    parser.add_argument("--target", help='what the goal is about, such as "red cup"')
    parser.add_argument("--robot", help='a robot by name (default: sim), also "sim?noise=8"')
    parser.add_argument("--camera", help="instead of a robot: file://PATH (a video or a folder), shm://NAME")
    parser.add_argument("--motors", help="with --camera: null://, mavlink:///dev/ttyACM0?baud=115200")
    parser.add_argument("--bundle", default="default", help="the model: a name or a folder (%(default)s)")
    parser.add_argument("--max-seconds", type=positive_float, default=120.0, help="(%(default)g)")
    parser.add_argument(
        "--seed", type=non_negative_int, default=1, help="of the simulated room (%(default)s)"
    )
    parser.add_argument("--absent", action="store_true", help="a simulated room without the target")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="(%(default)s/)")
    parser.add_argument("--threads", type=positive_int, default=1, help="of the model's engine (%(default)s)")
    parser.add_argument(
        "--allow-unproved", action="store_true", help="also with a bundle that failed its export's gate"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    return parser


def _check_places(options: argparse.Namespace) -> None:
    """Either a robot, or a camera and motors."""
    if options.camera is None and options.motors is None:
        find_robot(options.robot or "sim")
    elif options.camera is None or options.motors is None:
        raise UsageError("--camera and --motors go together", "to watch without moving: --motors null://")
    elif options.robot is not None or options.absent:
        raise UsageError("--robot and --absent don't go with --camera and --motors", "leave one of them out")


class Run:
    """One run from its folder to its summary."""

    def __init__(self, options: argparse.Namespace, goal: Goal, bundle: Bundle) -> None:
        self.worker_ended = True
        self.summary: dict[str, Any] = {}
        self._options = options
        self._goal = goal
        self._bundle = bundle
        self._clock = MonotonicClock()
        boxes = BoxReader(bundle.manifest.family, bundle.manifest.image)
        self._tally = Tally(boxes, goal, asked(bundle, goal), self._clock.now_ns())
        self._room: RoomMap | None = None
        self._about = ""
        self._truth: dict[str, Any] = {}
        self.folder = RunFolder.create(options.runs_dir)

    def go(self) -> Outcome:
        """Drive, and write everything down however it ends. Raises only what is a bug."""
        interrupts = Interrupts()
        outcome = Outcome("fault", "a bug", 1)
        with interrupts.caught():
            try:
                with contextlib.ExitStack() as stack:
                    outcome = self._drive(stack, interrupts)
            except KeyboardInterrupt:
                outcome = Outcome("stopped", interrupts.name, INTERRUPTED)
            except EdgeError as error:
                outcome = Outcome("fault", error.message, error.exit_code, error.hint)
            except Exception as error:
                outcome = Outcome("fault", f"unexpected {type(error).__name__}: {error}", 1)
                raise
            finally:
                self._write(outcome)
        return outcome

    def _drive(self, stack: contextlib.ExitStack, interrupts: Interrupts) -> Outcome:
        """Start what is needed, and drive. The stack closes it in the reverse order."""
        options, pids = self._options, {"runtime": os.getpid()}
        self.folder.write_pids(pids)
        live = LiveLine(enabled=not options.json)
        live.say("starting the robot")
        robot = self._open_robot()
        stack.callback(robot.close)
        self.folder.write_pids(pids := {**pids, **robot.pids})
        self._room, self._about = robot.room, robot.about
        camera = open_camera(robot.camera_uri, self._clock)
        stack.callback(camera.close)
        # Asked once the motor process has stopped the base and gone.
        stack.callback(lambda: self._truth.update(robot.finish()))
        motor = stack.enter_context(MotorProcess.start(robot.motors_uri))
        self.folder.write_pids({**pids, "motor": motor.pid})
        live.say(
            f"{robot.about}; loading {self._bundle.manifest.name}" if robot.about else "loading the model"
        )
        # Here, because it needs the inference engine.
        from edge.policies.open import make_policy

        policy = make_policy(self._bundle, self._goal, robot.mount, options.threads)
        self._bundle.release()
        worker = ThreadWorker(policy)
        stack.callback(lambda: setattr(self, "worker_ended", worker.close()))
        parts = Parts(self._goal, policy, worker, camera, motor, robot, self._clock)
        drive = Drive(parts, self._tally, interrupts, live, GOALS[self._goal.kind].moves)
        drive.warm_up()
        return drive.run(options.max_seconds)

    def _open_robot(self) -> Robot:
        options = self._options
        if options.camera is not None:
            return PlainRobot(options.camera, options.motors)
        open_robot, settings = find_robot(options.robot or "sim")
        return open_robot(RobotOptions(self._goal, self.folder.path, options.seed, options.absent, settings))

    def _write(self, outcome: Outcome) -> None:
        manifest, tally = self._bundle.manifest, self._tally
        self.summary = {
            "outcome": outcome.outcome,
            "reason": outcome.reason,
            **({"hint": outcome.hint} if outcome.hint else {}),
            **({"answer": outcome.answer} if not GOALS[self._goal.kind].moves else {}),
            "exit_code": outcome.exit_code,
            "goal": self._goal.kind,
            "target": self._goal.target,
            **tally.figures(),
            "bundle": {"name": manifest.name, "sha256": self._bundle.sha256},
            "engine": manifest.target.engine,
            "robot": self._about,
            "truth": self._truth or None,
            "folder": str(self.folder.path),
        }
        self.folder.write_summary(self.summary)
        if tally.shots:
            self.folder.strip_png(tally.shots)
        if tally.path:
            title = f"{self._goal.kind} {self._goal.target}: {outcome.outcome}"
            self.folder.path_png(tally.path, self._room, title)


def _print(run: Run, outcome: Outcome, as_json: bool) -> None:
    if outcome.outcome == "fault":
        print(f"error: {outcome.reason}", file=sys.stderr)
        if outcome.hint:
            print(f"hint: {outcome.hint}", file=sys.stderr)
    if as_json:
        print(json.dumps(run.summary, indent=2, ensure_ascii=False, allow_nan=False))
        return
    summary = run.summary
    if outcome.outcome != "fault":
        print(f"{outcome.outcome}: {summary.get('answer') or outcome.reason}")
    if summary["robot"]:
        print(summary["robot"])
    print(
        f"{summary['seconds']:.1f} s, {summary['distance_m']:.2f} m, {summary['decisions']} decisions"
        + (f", {summary['detections']} of them saw the target" if summary["detections"] else "")
        + (f", {summary['cut_answers']} answers cut off" if summary["cut_answers"] else "")
    )
    if (p99_ms := summary["frame_to_motor_ms"]["p99"]) is not None:
        missed = f"{summary['missed_ticks']} of {summary['ticks']} motor ticks missed"
        print(f"frame to motor {p99_ms:.0f} ms (99 %), {missed}")
    counts = {**summary["refused_chunks"], "early": 0}  # every run begins with frames from before arming
    if refused := [f"{count} {reason}" for reason, count in counts.items() if count]:
        print(f"chunks that the motor process refused: {', '.join(refused)}")
    print(f"{run.folder.path}/ has {', '.join(run.folder.names())}")
