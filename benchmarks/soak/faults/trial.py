"""A run of `vla-edge` to be broken, with all that stands around it: robot, camera, line, gamepad, machine."""

import contextlib
import itertools
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.soak.faults.fault import Fault
from benchmarks.soak.faults.stream import Stream
from benchmarks.soak.processes import relatives
from benchmarks.soak.setpoints import Setpoint, read_setpoints
from edge.cameras.shm import FrameRing
from edge.child import child_environment
from edge.errors import HardwareMissing
from edge.goals.words import COLOURS, KINDS
from edge.records import Goal
from edge.runtime.robot import RobotOptions
from sim.faults.feed import ImageFeed, Shot
from sim.faults.gamepad import PRETENDED, Pad
from sim.faults.machine import orin
from sim.faults.wire import Wire
from sim.realtime.robot import SimRobot, open_robot

START_LIMIT_S = 60.0  # from the command to an armed base, on a busy machine
GOING_S = 3.0  # from the first thing that is gone to the end of a run
MOTION_LIMIT_S = 6.0  # an injection waits for motion, so long at most
POLL_S = 0.01
SETTLED_S = 3.0  # before the earliest injection by a policy or a camera of its own
MARK = "VLA_EDGE_SOAK"

SIZE = {"width": "160", "height": "120"}  # what a busy machine can still render

_trials = itertools.count()


class TooSoon(Exception):
    """The run ended before its fault could be injected."""


@dataclass
class BrokenRun:
    """A run under way."""

    child: "subprocess.Popen[str]"
    folder: Path
    chance: random.Random
    pids: dict[str, int] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)  # ids of all its processes so far
    robot: SimRobot | None = None
    feed: ImageFeed | None = None
    wire: Wire | None = None
    stream: Stream | None = None
    pad: Pad | None = None
    machine: Path | None = None  # a folder tree of /proc and /sys
    clock: Path | None = None  # the file with the seconds by which wall clocks are off

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def run_folder(self) -> Path | None:
        """The run's own folder, once there is one."""
        folders = sorted(p for p in self.runs.iterdir() if p.is_dir()) if self.runs.is_dir() else []
        return folders[0] if folders else None

    @property
    def log(self) -> Path:
        """The log of the base's firmware."""
        if self.robot is not None:
            return self.folder / "firmware.jsonl"
        return (self.run_folder or self.folder) / "firmware.jsonl"

    def setpoints(self) -> list[Setpoint]:
        """Return what reached the actuator so far."""
        return read_setpoints(self.log)

    def broke_ns(self) -> int | None:
        """Return when a policy broke by itself; None if it has not."""
        file = self.folder / "broke_ns"
        text = file.read_text() if file.exists() else ""
        return int(text) if text else None

    def until(self, condition: Callable[[], object], patience_s: float) -> bool:
        """Wait for a condition; False if it did not come true. Raises TooSoon if the run ends before."""
        deadline_s = time.monotonic() + patience_s
        while not condition():
            if self.child.poll() is not None:
                raise TooSoon
            if time.monotonic() > deadline_s:
                return False
            time.sleep(POLL_S)
        return True

    def await_armed(self) -> None:
        """Wait until the base is armed and note the processes. Raises TooSoon."""
        if not self.until(lambda: any(line.armed for line in self.setpoints()[-3:]), START_LIMIT_S):
            raise TooSoon
        self.note_processes()

    def await_motion(self) -> None:
        """Wait a little for the base to move. Raises TooSoon."""
        self.until(lambda: any(line.moving for line in self.setpoints()[-1:]), MOTION_LIMIT_S)

    def note_processes(self) -> None:
        """Read the ids of the run's processes."""
        self.seen |= {each.pid for each in relatives()}
        if self.run_folder is not None and (file := self.run_folder / "pids.json").exists():
            with contextlib.suppress(json.JSONDecodeError):
                self.pids |= json.loads(file.read_text())
        if self.robot is not None:
            self.pids |= self.robot.pids

    def send(self, number: signal.Signals, *roles: str) -> None:
        """Send a signal to processes of the run."""
        for role in roles:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pids[role], number)

    def undergo(self, inject: "Callable[[BrokenRun], int | None]") -> int | None:
        """Inject a fault; return what `inject` does. Raises TooSoon if the run ended before it could."""
        try:
            return inject(self)
        except OSError:  # its files, its port or its processes are gone
            self.until(lambda: False, GOING_S)
            raise

    def camera_processes(self) -> list[int]:
        """Return the ids of the processes that serve cameras of GStreamer."""
        return [each.pid for each in relatives() if "edge.cameras.gstreamer.child" in each.command]

    def befall(self, what: str) -> None:
        """Let a mishap happen to the base."""
        assert self.robot is not None
        self.robot.befall(what)


@contextlib.contextmanager
def trial(fault: Fault, seed: int, folder: Path, seconds: float, level: str = "info") -> Iterator[BrokenRun]:
    """Start a run that `fault` can break, drawn by `seed`; all of it is gone afterwards."""
    chance = random.Random(seed)
    environment = {**child_environment(), MARK: str(seed), "VLA_EDGE_BROKE": str(folder / "broke_ns")}
    environment |= _broken_by_itself(fault, chance)
    goal = _goal(fault, chance)
    with contextlib.ExitStack() as stack:
        made = BrokenRun(_NOT_STARTED, folder, chance)
        arguments = [*_words(goal), "--runs-dir", str(made.runs), "--json", "--log-level", level]
        arguments += ["--max-seconds", f"{seconds:g}", *fault.arguments]
        if fault.rig == "sim":
            arguments += ["--robot", f"sim?{urlencode(SIZE)}", "--seed", str(chance.randrange(10_000))]
            arguments += [] if goal.kind == "follow_object" else ["--absent"]
        else:
            arguments += _around(stack, made, fault, goal)
        arguments += _pretended(stack, made, fault, environment)
        module = "sim.faults.run" if fault.breaks or fault.camera else "edge.cli run"
        made.child = subprocess.Popen(
            [sys.executable, "-m", *module.split(), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=(folder / "out").open("w"),
            stderr=(folder / "err").open("w"),
            text=True,
            start_new_session=True,
        )
        stack.callback(_end, made)
        yield made


_NOT_STARTED: Any = None


def _end(made: BrokenRun) -> None:
    """Let whatever was stopped go on, and end the runtime, if it has not ended."""
    made.send(signal.SIGCONT, *made.pids)
    if made.child.poll() is None:
        made.child.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            made.child.wait(10)
    made.child.kill()
    made.child.wait()


def _goal(fault: Fault, chance: random.Random) -> Goal:
    """Draw what is looked for: mostly what is not there, since that keeps the base moving."""
    target = f"{chance.choice(list(COLOURS))} {chance.choice(list(KINDS))}"
    follows = fault.follows or (fault.rig == "sim" and chance.random() < 0.3)
    return Goal("follow_object" if follows else "find_object", target)


def _words(goal: Goal) -> list[str]:
    return ["--goal", goal.kind, "--target", goal.target]


def _broken_by_itself(fault: Fault, chance: random.Random) -> Mapping[str, str]:
    """Return the environment of a run whose policy, parser or camera breaks by itself."""
    after_s = SETTLED_S * chance.random() + 0.5
    said = {"VLA_EDGE_SAYS": chance.choice(fault.says)} if fault.says else {}
    return {"VLA_EDGE_BREAKS": fault.breaks, "VLA_EDGE_BREAK_S": f"{after_s:.3f}", **said}


def _around(stack: contextlib.ExitStack, made: BrokenRun, fault: Fault, goal: Goal) -> list[str]:
    """Set a simulated robot up whose camera and line lead through this process; return the arguments."""
    seed = made.chance.randrange(10_000)
    robot = made.robot = open_robot(RobotOptions(goal, lambda: made.folder, seed, True, SIZE))
    stack.callback(robot.close)
    ring = FrameRing.attach(robot.camera_uris["front"].removeprefix("shm://").partition("?")[0])
    stack.callback(ring.close)
    name = f"soak-{os.getpid()}-{next(_trials)}"
    if fault.rig == "stream":
        made.stream = stack.enter_context(Stream(made.folder, ring.height, ring.width, shots_of(ring)))
        camera = made.stream.uri
    else:
        made.feed = stack.enter_context(ImageFeed(name, ring.height, ring.width, shots_of(ring)))
        camera = f"{fault.camera or 'shm://'}{name}"
    motors = robot.motors_uri
    if fault.wired:
        port = motors.removeprefix("mavlink://").partition("?")[0]
        made.wire = stack.enter_context(Wire(port, fault.wired))
        motors = made.wire.uri
    mount = robot.mounts["front"]
    angles = f"fov={math.degrees(mount.vertical_fov_rad):.3f},pitch={math.degrees(mount.pitch_rad):.3f}"
    lengths = f"height={mount.height_m:.3f},forward={mount.forward_m:.3f}"
    return ["--camera", camera, "--motors", motors, "--mount", f"{angles},{lengths}", "--allow-domain"]


def shots_of(ring: FrameRing) -> Iterator[Shot | None]:
    """Yield each new frame of a ring; None while there is none."""
    handed_on = 0
    while True:
        if ring.written == handed_on:
            time.sleep(0.002)
            yield None
            continue
        newest = ring.newest()
        if newest is not None:
            image, stamp_ns, seq = newest
            handed_on = seq + 1
            yield image, stamp_ns


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount a disk of 20 MiB, which only root can. Raises HardwareMissing if that fails."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        raise HardwareMissing(f"nothing can be mounted: {mounted.stderr.strip()}", "leave that fault out")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True)


def _pretended(
    stack: contextlib.ExitStack, made: BrokenRun, fault: Fault, environment: dict[str, str]
) -> list[str]:
    """Set gamepad, machine and wall clock up that `fault` needs; return the arguments."""
    arguments: list[str] = []
    if {"pad", "clock"} & set(fault.needs):
        environment |= PRETENDED
    if "disk" in fault.needs:
        stack.enter_context(small_disk(made.runs))
    if "pad" in fault.needs:
        made.pad = stack.enter_context(Pad(made.folder))
        arguments += ["--gamepad", str(made.pad.path)]
        environment["VLA_EDGE_STICK"] = "1" if fault.off_centre else "0"
    if "machine" in fault.needs:
        made.machine = orin(made.folder / "machine")
        arguments += ["--root", str(made.machine)]
    if "clock" in fault.needs:
        made.clock = made.folder / "clock"
        made.clock.write_text("0")
        environment["VLA_EDGE_CLOCK"] = str(made.clock)
    return arguments
