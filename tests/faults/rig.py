"""Whole runs to be broken: `vla-edge run` and all its processes, at the simulated robot or at a bare base.

The bare base is the real firmware at a pseudo-terminal with perfect wheels (`tests.sim.realtime.rover`); its
camera is shared memory that this process writes, 30 frames a second.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from sim.faults.feed import ImageFeed, Shot
from sim.faults.wire import Wire
from tests.sensor import sensed
from tests.sim.realtime.rover import Rover
from tests.sim.realtime.test_process import Running, moving
from tests.waiting import until

REPO = Path(__file__).parents[2]
SLACK_MS = 40  # for a machine that is busy with other work
RAMP_MS = 250  # from full speed to zero
FIRMWARE_MS = 300  # the base's own limit without setpoints
AGE_MS = 500  # from the newest frame to zero
MOUNT = "fov=55,height=0.35,pitch=0,forward=0.1"
BUSY = ("stale_frame", "stale_chunk", "motor_fault", "camera_slow", "machine_slow")
PERIOD_S = 1 / 30


class MissedBound(AssertionError):
    """A bound of time was missed, or a busy machine ended the run first: the test is tried again."""


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int
    summary: dict[str, Any]
    err: str

    @property
    def cause(self) -> str | None:
        return self.summary["cause"]

    @property
    def told(self) -> str:
        """What the person reads first."""
        line = self.err.partition("\n")[0].removeprefix("error: ").removeprefix("note: ")
        return line or f"{self.summary['outcome']}: {self.summary['reason']}"

    def check(self, cause: str | None, code: int, *said: str) -> None:
        """Check why it ended, by what it says too; a busy machine's reason is tried again."""
        if self.cause != cause and self.cause in BUSY:
            raise MissedBound(f"the machine was busy: {self.told}")
        assert (self.cause, self.code, self.summary["exit_code"]) == (cause, code, code), self.err
        assert "Traceback" not in self.err
        for words in said:
            assert words in self.err + self.summary["reason"], self.err

    def check_went_on(self) -> None:
        """Check that nothing stopped it before its time."""
        if self.cause in BUSY:
            raise MissedBound(f"the machine was busy: {self.told}")
        assert (self.summary["outcome"], self.code) == ("timeout", 3), self.err


@dataclass(frozen=True)
class Refusal:
    """What a run says that is refused before it has a folder; its base was never armed."""

    code: int
    err: str

    def check(self, code: int, *said: str) -> str:
        """Check the exit code and what is said; return the first line."""
        assert self.code == code, self.err
        for words in said:
            assert words in self.err, self.err
        return self.err.partition("\n")[0].removeprefix("error: ")


class Drive(Running):
    """A run under way, judged by what its base's firmware was told."""

    def __init__(self, child: "subprocess.Popen[str]", folder: Path, log: Path | None = None) -> None:
        try:
            super().__init__(child, folder / "runs")
        except AssertionError as error:
            raise MissedBound(f"it ended before it began: {error}") from error
        self._log = log or self.folder / "firmware.jsonl"
        self._broke = folder / "broke_ns"

    def setpoints(self, since_ns: int = 0) -> list[dict[str, Any]]:
        """The setpoints that the firmware applied from then on."""
        text = self._log.read_text() if self._log.exists() else ""
        lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [line for line in lines if line["stamp_ns"] >= since_ns]

    def until_it_turns(self) -> None:
        until(lambda: self.child.poll() is not None or self.turns, 60)
        if not self.turns:
            raise MissedBound(f"it never turned: {self.child.communicate()}")

    @property
    def turns(self) -> bool:
        return any(line["angular_z"] > 0.59 for line in self.setpoints())

    def broke_ns(self) -> int:
        """Wait until the policy has broken, and return when."""
        until(lambda: self.child.poll() is not None or (self._broke.exists() and self._broke.read_text()), 90)
        if not self._broke.exists():
            raise MissedBound(f"it ended before it broke: {self.child.communicate()}")
        return int(self._broke.read_text())

    def first_zero_ms(self, since_ns: int) -> float:
        """When the base was first told to stand after `since_ns`; it may move again."""
        until(lambda: any(not moving(line) for line in self.setpoints(since_ns)))
        stood = next(line for line in self.setpoints(since_ns) if not moving(line))
        return (stood["stamp_ns"] - since_ns) / 1e6

    def end(self, patience_s: float = 60.0) -> Ended:
        """Wait until it has ended by itself, and return how."""
        out, err = self.child.communicate(timeout=patience_s)
        return Ended(self.child.returncode, json.loads(out), err)

    def children(self, words: str) -> list[int]:
        """Return the ids of the runtime's living children whose command line has these words."""
        found = []
        for task in Path(f"/proc/{self.child.pid}/task").iterdir():
            for pid in (task / "children").read_text().split():
                with contextlib.suppress(OSError):
                    if words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "):
                        found.append(int(pid))
        return found


def sensor_feed(height: int = 48, width: int = 64) -> ImageFeed:
    """A camera of 30 frames a second, each another one."""

    def shots() -> Iterator[Shot]:
        for seq in count():
            time.sleep(PERIOD_S)
            yield sensed(seq, height, width), time.monotonic_ns()

    return ImageFeed(f"faults-{os.getpid()}-{secrets.token_hex(4)}", height, width, shots())


@dataclass
class AtRover:
    """A run at the bare base, and what can be done to it."""

    drive: Drive
    rover: Rover
    feed: ImageFeed
    wire: Wire | None


class Rig:
    """Starts runs, each in a folder of its own."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.bundle = bundle
        self._folder = folder
        self._runs = count()

    def new_folder(self) -> Path:
        folder = self._folder / f"try{next(self._runs)}"
        folder.mkdir()
        return folder

    @contextlib.contextmanager
    def sim(self, *arguments: str, mode: str = "", robot: str = "", **env: str) -> Iterator[Drive]:
        """Yield a run at the simulated robot."""
        folder = self.new_folder()
        robot = f"sim?width=96&height=72{robot}"
        with self._child(
            [*self._goal(folder), "--json", "--robot", robot, *arguments], folder, mode, env
        ) as child:
            yield Drive(child, folder)

    @contextlib.contextmanager
    def rover(
        self,
        *arguments: str,
        mode: str = "",
        camera: str = "shm://{}",
        wired: str = "",
        runs: Path | None = None,
        **env: str,
    ) -> Iterator[AtRover]:
        """Yield a run at the bare base, with a `wired` line ("pty" or "udp") between if that is named.

        Its folder is made in `runs` if that is given.
        """
        folder = self.new_folder()
        if runs is not None:
            (folder / "runs").symlink_to(runs)
        with contextlib.ExitStack() as stack:
            rover = stack.enter_context(Rover(folder))
            feed = stack.enter_context(sensor_feed())
            wire = stack.enter_context(Wire(rover.port, wired)) if wired else None
            uri = rover.uri if wire is None else wire.uri
            command = [*self._goal(folder), "--camera", camera.format(feed.name), "--motors", uri]
            command += ["--mount", MOUNT, "--json", *arguments]
            child = stack.enter_context(self._child(command, folder, mode, env))
            yield AtRover(Drive(child, folder, rover.log), rover, feed, wire)

    def refused(self, *arguments: str, prefix: Sequence[str] = (), **env: str) -> Refusal:
        """Run what must be refused before it drives, at the bare base unless `arguments` name a robot."""
        folder = self.new_folder()
        with Rover(folder) as rover, sensor_feed() as feed:
            at_rover = ["--camera", f"shm://{feed.name}", "--motors", rover.uri, "--mount", MOUNT]
            hardware = [] if "--robot" in arguments else at_rover
            done = subprocess.run(
                [*prefix, *self._command([*self._goal(folder), *hardware, *arguments])],
                cwd=REPO,
                env={**os.environ, **env},
                capture_output=True,
                text=True,
                timeout=90,
            )
            lines = rover.lines()
        assert done.stderr.startswith("error: ") and "\nhint: " in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
        assert not any(moving(line) or line["armed"] for line in lines)
        assert not (folder / "runs").exists() or not list((folder / "runs").iterdir())
        return Refusal(done.returncode, done.stderr)

    def _goal(self, folder: Path) -> list[str]:
        """Arguments that come first: those of a test may say otherwise."""
        goal = ["--goal", "find_object", "--target", "red cup", "--bundle", str(self.bundle)]
        return [*goal, "--runs-dir", str(folder / "runs")]

    @staticmethod
    def _command(arguments: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "tests.faults.broken.run", *arguments]

    @contextlib.contextmanager
    def _child(
        self, arguments: Sequence[str], folder: Path, mode: str, env: dict[str, str]
    ) -> "Iterator[subprocess.Popen[str]]":
        child = subprocess.Popen(
            self._command(arguments),
            cwd=REPO,
            env={**os.environ, "VLA_EDGE_TEST": mode, "VLA_EDGE_BROKE": str(folder / "broke_ns"), **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield child
        finally:
            child.send_signal(signal.SIGCONT)
            child.kill()
            child.communicate()
