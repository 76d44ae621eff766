"""`vla-edge run`: check everything, start everything, drive, and leave a folder that shows what happened."""

import argparse
import atexit
import contextlib
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge.board.identity import this_board
from edge.board.memory import check_memory
from edge.board.tree import Tree
from edge.bundle.bundle import Bundle, load_bundle
from edge.cameras.open import open_camera
from edge.clock import MonotonicClock
from edge.commands.run_arguments import choose_hardware, operator_addresses, run_arguments
from edge.commands.run_report import announce, dropped_notes, leave, log_parts, report_run
from edge.errors import EdgeError
from edge.goals.goals import GOALS, parse_goal
from edge.goals.prompts import goal_prompt
from edge.goals.vocabulary import check_target
from edge.interfaces import Camera, Policy
from edge.model.boxes import BoxReader
from edge.motor.client import MotorProcess
from edge.motor.limits import MotorLimits
from edge.perception.apparent_size import ApparentSize
from edge.perception.lens import behind
from edge.plugins import ended
from edge.records import DriveEnd, Goal, Outcome
from edge.robots.choose import RobotChoice
from edge.robots.domain import check_domain, floor_cautions
from edge.runs.drive_log import DriveLog
from edge.runs.folder import RunFolder
from edge.runs.live.run_page import RunPage
from edge.runs.log import RunLog, fields
from edge.runs.recording.run_tap import RunTap, check_kept, finished
from edge.runs.room import RoomMap
from edge.runs.setup import Setup
from edge.runs.summary import Summary
from edge.runs.tally import Tally
from edge.runs.terminal import LiveLine
from edge.runs.would_do import WouldDo
from edge.runtime.cameras import CameraSet, chosen_camera, pacing_camera
from edge.runtime.causes.halts import HaltWatch
from edge.runtime.causes.witness import Witness
from edge.runtime.drive import MAX_FRAME_AGE_S, Drive, DriveParts
from edge.runtime.ending import ending_of, judged
from edge.runtime.heat import HeatWatch, RestingWorker
from edge.runtime.keyboard import heed_keyboard
from edge.runtime.loop import ThreadWorker
from edge.runtime.operator import Operator
from edge.runtime.robot import Robot, RobotOptions
from edge.runtime.service import ServiceNotifier
from edge.runtime.signals import Interrupts
from edge.runtime.start.loading import Loading
from edge.runtime.stop_server import StopServer
from edge.supervision.kept import kept_run
from edge.supervision.restarts import EngineRestarts, KeptParts

log = logging.getLogger(__name__)


def main(argv: list[str]) -> int:
    """Run one goal; returns the exit code: 0 done, 3 not reached, 4 to 6 faults, 130 after Ctrl-C."""
    options = run_arguments().parse_args(argv)
    goal = parse_goal(options.goal, options.target)
    choice = choose_hardware(options)
    operator_addresses(options)
    bundle = load_bundle(options.bundle, allow_unproved=options.allow_unproved, engine=options.engine)
    goal = check_target(bundle, goal)
    check_memory(Tree(options.root), sum(map(len, bundle.contents.values())))
    allowed = bundle.manifest.restarts if options.restarts is None else options.restarts
    run = Run(options, goal, bundle, choice, EngineRestarts(allowed, kept_run(), options.max_seconds, argv))
    try:
        end = run.go()
    except EdgeError as error:
        if not run.threads_ended:
            atexit.register(leave, error.exit_code)
        raise
    report_run(run, end, options.json)
    if not run.threads_ended:
        leave(end.exit_code)
    return end.exit_code  # a folder that could not be written changes nothing of the drive


class Run:
    """One run from its folder to its summary."""

    def __init__(
        self,
        options: argparse.Namespace,
        goal: Goal,
        bundle: Bundle,
        choice: RobotChoice,
        restarts: EngineRestarts | None = None,
    ) -> None:
        self.threads_ended = True
        self.summary: Summary | None = None
        self.notes: list[str] = []  # for people, beside the summary
        self.unwritten = ""  # why files of the run are missing
        self.recorded: list[str] = []  # the recordings
        self._options, self._goal, self._bundle, self._choice = options, goal, bundle, choice
        self._restarts = restarts or EngineRestarts(0, None, options.max_seconds, [])
        self._setup: Setup | None = None  # once the robot is open
        self._clock, self._tree = MonotonicClock(), Tree(options.root)
        self._heat: HeatWatch | None = None
        boxes = BoxReader(bundle.manifest.family, bundle.manifest.image)
        self._tally = Tally(boxes, goal, goal_prompt(bundle.manifest, goal))
        self._live = LiveLine(goal, enabled=not options.json)
        self._would_do: WouldDo | None = None  # for robots that are a recording
        self._room: RoomMap | None = None
        self._about = ""
        self._truth: dict[str, Any] = {}
        self._dropped: dict[str, int] = {}  # frames with odd stamps, by camera
        self._pids, self._logging = {"runtime": os.getpid()}, contextlib.ExitStack()
        self.log: RunLog | None = None
        self.folder: RunFolder | None = None  # made once something has been opened
        self._taps: list[RunTap] = []  # one, made with it
        self._page = RunPage(options, goal, self._restarts.kept_page)
        check_kept(options, goes_on=self._restarts.kept is not None)

    def go(self) -> DriveEnd:
        """Drive, and write everything down however it ends.

        Raises only what is a bug, and what went wrong before the run had a folder: nothing is left then.
        """
        interrupts = Interrupts()
        end = DriveEnd(Outcome.FAULT, "a bug", EdgeError.exit_code)
        with self._logging, interrupts.caught():
            try:
                with contextlib.ExitStack() as stack:
                    end = self._drive(stack, interrupts)
            except (KeyboardInterrupt, EdgeError) as error:
                if self.folder is None:
                    raise
                end = ending_of(error)
            except Exception as error:
                end = ending_of(error)
                if self.log is not None:
                    log.exception("bug")
                raise
            finally:
                end = self._restarts.told(judged(end, self._goal, self._truth))
                if self.folder is not None:
                    self._write(end, self.folder)
                self._page.close()
                self._live.clear()  # last, because a terminal that takes nothing would hold up the summary
        return end

    def _drive(self, stack: contextlib.ExitStack, interrupts: Interrupts) -> DriveEnd:
        """Open what is needed, and drive. The stack closes it in the reverse order."""
        options, manifest, restarts = self._options, self._bundle.manifest, self._restarts
        self._page.open()  # before the folder, with which the tap begins to feed it
        if restarts.kept is not None:
            self._make_folder()
            interrupts.let_in()
        self._live.write("starting the robot")
        robot = self._open_robot()
        stack.enter_context(ended(robot.close, "closing the robot"))
        self._note_pids(robot.pids)
        self._room, self._about = robot.room, robot.about
        check_domain(manifest, robot.camera_uris, options.allow_domain)
        # Known before the model is loaded, which may take a minute.
        setup = self._setup = self._setup_of(robot, chosen_camera(robot.camera_uris, manifest.camera))
        seeing = stack.enter_context(contextlib.ExitStack())
        cameras = {name: self._open_camera(seeing, name, uri) for name, uri in robot.camera_uris.items()}
        # The truth is read once the motor process has stopped the base and gone.
        stack.enter_context(ended(lambda: self._truth.update(robot.finish()), "the robot's account"))
        motor = stack.enter_context(restarts.motor(lambda: self._start_motor(robot, setup)))
        self._note_pids({"motor": motor.pid})
        operator = Operator(motor.stop)
        stack.enter_context(heed_keyboard(operator.stop))
        stops = stack.enter_context(self._listen(operator)) if restarts.kept else None
        self._live.write(f"{robot.about}; loading {manifest.name}" if robot.about else "loading the model")
        size_bytes = sum(map(len, self._bundle.contents.values()))
        loading = Loading(manifest.name, size_bytes, self._live.waiting)
        stack.callback(lambda: self._note_end(loading.ended))
        size, notes = self._choice.size_for(self._goal.target, manifest.name)
        setup = self._setup = replace(setup, cautions=setup.cautions + notes)
        heeded = interrupts.check, operator.check, motor.status
        policy = loading.load(lambda: self._make_policy(setup, size), heeded)
        self._bundle.release()
        if not robot.recorded:
            from edge.policies.odometry import odometry_cautions

            cautions = odometry_cautions(policy, self._goal, motor, interrupts.check)
            setup = self._setup = replace(setup, cautions=setup.cautions + cautions)
        thread = ThreadWorker(policy)
        stack.callback(lambda: self._note_end(thread.close()))
        pacing = pacing_camera(policy, cameras, manifest.camera)
        judged = None if robot.recorded else setup.mount, self._choice.delays_s
        camera_set = CameraSet(cameras, pacing, MAX_FRAME_AGE_S, self._clock, *judged)
        stack.callback(lambda: self._dropped.update(camera_set.dropped))
        stops = stops or stack.enter_context(self._listen(operator))
        self._live.clear()
        announce(setup, to_people=not options.json)
        log_parts(robot, pacing, this_board(self._tree.root), self._pids)
        self._heat = heat = seeing.enter_context(HeatWatch(self._tree, self._clock))
        worker = RestingWorker(thread, lambda: heat.level, self._clock)
        halts = stack.enter_context(HaltWatch(self._clock))
        watches = (heat, None if robot.recorded else Witness(self._clock, halts), loading)
        parts = DriveParts(
            self._goal, policy, worker, camera_set, motor, robot, self._clock, interrupts, operator, *watches
        )
        for tap in self._taps:
            tap.tell(setup, size, pacing, robot.camera_uris, len(restarts.done))
            tap.await_process(heeded)
        kept = robot, cameras, motor, stops, operator, interrupts, self._page.page
        restarts.parts = KeptParts(self._make_folder(), *kept, taps=self._taps)
        drive = self._make_drive(parts)
        stack.callback(lambda: self._note_end(drive.observers_ended))
        return restarts.drive(drive, self._clock, [seeing, self._logging])

    def _listen(self, operator: Operator) -> StopServer:
        return StopServer(self._make_folder(), operator.stop, self._restarts.kept_stop)

    def _start_motor(self, robot: Robot, setup: Setup) -> MotorProcess:
        with self._page.line() as (page, fds):
            operator = [*operator_addresses(self._options), *page]
            limits = MotorLimits.of(setup.base)
            return MotorProcess.start(robot.motors_uri, limits, operator=operator, fds=fds)

    def _make_policy(self, setup: Setup, size: ApparentSize | None) -> Policy:
        # Imported here, because it needs the inference engine.
        from edge.policies.open import make_policy

        threads = self._options.threads
        return make_policy(self._bundle, self._goal, setup.mount, setup.base, threads, size=size)

    def _make_drive(self, parts: DriveParts) -> Drive:
        if parts.robot.recorded:
            self._would_do = WouldDo(GOALS[self._goal.kind].moves, parts.cameras.await_answers)
        restarts, watched = self._restarts, [self._would_do] if self._would_do else []
        inline = [self._tally, DriveLog(), ServiceNotifier(restarts.may), restarts, *watched, *self._taps]
        return Drive(parts, inline, observers=[self._live] if self._live.shown else [])

    def _make_folder(self) -> Path:
        """Make the run's folder and begin its log, once; return its path."""
        if self.folder is None:
            kept = self._restarts.kept
            self.folder = RunFolder(kept.folder) if kept else RunFolder.create(self._options.runs_dir)
            self.log = self._logging.enter_context(RunLog(self.folder.log_file, self._options.log_level))
            run, feed_fd = self.folder.path, self._page.feed_fd
            self._taps = [RunTap(self._options, run, self._bundle, self._goal, feed_fd)]
            self._page.announce(run)
            self._note_pids({"recorder": self._logging.enter_context(self._taps[0]).pid, **self._page.pids})
            log.info("run starts", extra=fields(goal=self._goal.kind, target=self._goal.target))
            log.info("bundle", extra=fields(**self._bundle.origin()))
        return self.folder.path

    def _note_pids(self, pids: Mapping[str, int]) -> None:
        self._pids |= pids
        if self.folder is not None:
            self.folder.write_pids(self._pids)

    def _open_robot(self) -> Robot:
        options, choice = self._options, self._choice
        given = options.seed, options.absent, choice.settings, self._restarts.kept_robot
        return choice.open(RobotOptions(self._goal, self._make_folder, *given))

    def _setup_of(self, robot: Robot, sees_with: str) -> Setup:
        setup = self._choice.setup(robot, sees_with)
        cautions = floor_cautions(self._bundle.manifest, self._goal, robot.recorded)
        return replace(setup, cautions=setup.cautions + cautions)

    def _open_camera(self, stack: contextlib.ExitStack, name: str, uri: str) -> Camera:
        camera = behind(self._choice.lenses.get(name), open_camera(uri, self._clock, name))
        stack.enter_context(ended(camera.close, f"closing camera {name!r}"))
        return camera

    def _note_end(self, ended: bool) -> None:
        self.threads_ended &= ended

    def _write(self, end: DriveEnd, folder: RunFolder) -> None:
        self.summary = Summary(
            end=end,
            goal=self._goal,
            moves=GOALS[self._goal.kind].moves,
            figures=self._tally.figures(),
            bundle=self._bundle.origin(),
            engine=self._bundle.manifest.target.engine,
            robot=self._about,
            setup=self._setup,
            truth=self._truth,
            would_do=None if self._would_do is None else self._would_do.stretches,
            folder=str(folder.path),
            restarts=self._restarts.to_json(),
            machine={**this_board(self._tree.root).to_json(), **(self._heat.to_json() if self._heat else {})},
        )
        values = fields(outcome=end.outcome.value, reason=end.reason, exit_code=end.exit_code)
        log.info("run ended", extra=values)
        self.notes = dropped_notes(self._dropped)
        unwritten = folder.write_all(self.summary, self._tally.answered, self._tally.path, self._room)
        self.recorded, lost = finished(self._taps, end, self._restarts.kept_taps)
        self.summary = replace(self.summary, recordings=self.recorded)
        unwritten = (folder.write_again(self.summary) if self.recorded else "") or unwritten
        self.unwritten = "; ".join(filter(None, (unwritten, *lost)))
