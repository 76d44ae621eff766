"""A package that fails when it is opened, in the middle of a drive, at the end: its error, never a bug."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from calibration.activations import from_robot
from edge.bundle.bundle import find_bundle
from edge.errors import PluginError
from export.gate.drive import find_episodes

ROOT = Path(__file__).parents[2]
STANDS = "0.000 0.000 0.000"
BREAKING = """
import time
from paper_robot.camera import PaperCamera
from paper_robot.motors import PaperMotors
from paper_robot.robot import PaperRobot

class Broken(Exception): ...

def fail():
    raise Broken("the vendor's library gave up")

def camera(address, clock, name):
    return BreakingCamera(address.partition("://")[2], clock, name)

class BreakingCamera(PaperCamera):
    def __init__(self, stage, clock, name):
        super().__init__(320, 240, clock, name)
        self.stage, self.end_s = stage, 0.0
        stage == "open" and fail()
    def latest(self, max_age_s):
        self.end_s = self.end_s or time.monotonic() + 1.5
        late = time.monotonic() > self.end_s
        late and self.stage == "middle" and fail()
        frame = super().latest(max_age_s)
        return frame.image if late and self.stage == "frame" else frame
    def close(self):
        self.stage == "close" and fail()

def motors(address):
    path, _, stage = address.removeprefix("breaks://").partition("?")
    stage == "open" and fail()
    return None if stage == "nothing" else BreakingMotors(path, stage)

class BreakingMotors(PaperMotors):
    def __init__(self, path, stage):
        super().__init__(path, True)
        self.stage, self.moved = stage, 0
    def arm(self):
        self.stage == "arm" and fail()
        super().arm()
    def write(self, command):
        self.moved += command.angular_z_rad_s != 0
        self.moved > 20 and self.stage == "middle" and command.angular_z_rad_s != 0 and fail()
        return super().write(command)
    def read(self):
        self.moved > 20 and self.stage == "read" and fail()
        return 0 if self.moved > 20 and self.stage == "feedback" else super().read()
    def stop(self):
        super().stop()
        self.stage == "stop" and fail()
    def close(self):
        super().close()
        self.stage == "close" and fail()

class BreakingRobot(PaperRobot):
    def __init__(self, options):
        super().__init__(options)
        self.stage, self.end_s = options.settings["at"], 0.0
        self.camera_uris = {"front": "breaks://never"}
        self.motors_uri = "breaks" + self.motors_uri.removeprefix("paper") + "?never"
        self.stage == "open" and fail()
        self.mount = None if self.stage == "fact" else self.mount
    def check(self):
        self.end_s = self.end_s or time.monotonic() + 1.5
        self.stage == "middle" and time.monotonic() > self.end_s and fail()
    def finish(self):
        self.stage == "finish" and fail()
        return {"truth": {1}} if self.stage == "truth" else super().finish()
    def close(self):
        self.stage == "close" and fail()

def bundle(): fail()

def pictures(seed):
    yield from ()
    fail()

def reached(folders, episodes, seed, on_episode): return [[True]]
"""
ENTRIES = """
[vla_edge.cameras]
breaks = breaking:camera
[vla_edge.motors]
breaks = breaking:motors
[vla_edge.robots]
breaks = breaking:BreakingRobot
[vla_edge.bundles]
breaks = breaking:bundle
[vla_edge.pictures]
breaks = breaking:pictures
[vla_edge.episodes]
breaks = breaking:reached
"""
AT_THE_END = (
    "stop",
    "close",
    "finish",
    "truth",
)  # told in a run that moves nothing, so no load ends it early
# A drive must keep up with real time until its middle.
ALONE = pytest.mark.realtime
SLOW = pytest.mark.slow, pytest.mark.realtime
GAVE_UP = "Broken: the vendor's library gave up"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    info = folder / "breaking_robot-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "breaking.py").write_text(BREAKING)
    (folder / "paper_robot").symlink_to(ROOT / "examples" / "plugin" / "paper_robot")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: breaking-robot\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    return folder


@pytest.fixture
def drive(site: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`vla-edge run` on this camera and these motors, or on this robot: 2.5 s of a search, or a look."""

    def run(
        camera: str = "", motors: str = "", robot: str = "", moves: bool = True
    ) -> subprocess.CompletedProcess[str]:
        on = ("--robot", robot) if robot else ("--camera", camera or "breaks://never", "--motors", motors)
        mount = () if robot else ("--mount", "fov=55,height=0.35,pitch=0,forward=0.1")
        goal = ("find_object", "--target", "cup") if moves else ("identify_main_object",)
        options = ("--goal", *goal, "--max-seconds", "2.5", "--allow-domain")
        (tmp_path / "base.txt").touch()
        return subprocess.run(
            [sys.executable, "-m", "edge.cli", "run", *options, *on, *mount],
            env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def check(done: subprocess.CompletedProcess[str], says: str, folder: Path, *, ran: bool) -> None:
    """The error names class and message; the run's folder, if there was a drive, has the same."""
    assert done.returncode == 5, done.stderr
    assert says in done.stderr and "uninstall" in done.stderr
    assert "bug" not in done.stderr.replace("--debug", "") and "Traceback" not in done.stderr, done.stderr
    if ran:
        (run,) = (folder / "runs").iterdir()
        summary = json.loads((run / "summary.json").read_text())
        assert (summary["outcome"], summary["exit_code"]) == ("fault", 5) and says in summary["reason"]


@pytest.mark.parametrize(
    ("stage", "says", "ran"),
    [
        pytest.param("middle", f"(breaking.BreakingMotors) fails: {GAVE_UP}", True, marks=ALONE),
        pytest.param("open", f"the package 'breaking-robot' fails (entry point breaks = breaking:motors of "
                     f"vla_edge.motors): {GAVE_UP}", False, marks=pytest.mark.slow),
        ("nothing", "it returned NoneType, which lacks max_rate_hz", False),
        pytest.param("arm", f"(breaking.BreakingMotors) fails: {GAVE_UP}", True, marks=pytest.mark.slow),
        pytest.param("read", f"(breaking.BreakingMotors) fails: {GAVE_UP}", True, marks=SLOW),
        pytest.param("feedback", "its read returned 0, not an edge.interfaces.Feedback", True,
                     marks=SLOW),
        pytest.param("stop", f"(breaking.BreakingMotors) fails: {GAVE_UP}", True, marks=pytest.mark.slow),
        pytest.param("close", f"(breaking.BreakingMotors) fails: {GAVE_UP}", True, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_driver_that_fails_ends_the_drive_by_its_own_error_and_is_told_to_stop(
    drive, tmp_path: Path, stage: str, says: str, ran: bool
):
    moves = stage not in AT_THE_END
    done = drive(motors=f"breaks://{tmp_path}/base.txt?{stage}", moves=moves)
    check(done, says, tmp_path, ran=ran)
    lines = (tmp_path / "base.txt").read_text().splitlines()
    if not moves or stage in ("open", "nothing", "arm"):
        assert set(lines) <= {STANDS}
    else:
        assert len(set(lines)) > 2 and lines[-1] == STANDS, "it moved, and the last word was zero"


@pytest.mark.parametrize(
    ("stage", "says"),
    [
        pytest.param("middle", f"camera 'front' (breaking.BreakingCamera) fails: {GAVE_UP}", marks=ALONE),
        pytest.param("open", f"camera 'breaks': the package 'breaking-robot' fails (entry point breaks = "
                     f"breaking:camera of vla_edge.cameras): {GAVE_UP}", marks=pytest.mark.slow),
        pytest.param("frame", "camera 'front' (BreakingCamera): it delivered ndarray, not an edge.records",
                     marks=SLOW),
        pytest.param("close", f"camera 'front' (breaking.BreakingCamera) fails: {GAVE_UP}",
                     marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_camera_that_fails_ends_the_drive_by_its_own_error_and_the_base_stands(
    drive, tmp_path: Path, stage: str, says: str
):
    moves = stage not in AT_THE_END
    done = drive(camera=f"breaks://{stage}", motors=f"breaks://{tmp_path}/base.txt?never", moves=moves)
    if stage == "frame":
        assert done.returncode == 5 and says in done.stderr and "Traceback" not in done.stderr
    else:
        check(done, says, tmp_path, ran=stage != "open")
    lines = (tmp_path / "base.txt").read_text().splitlines()
    if not moves or stage == "open":
        assert set(lines) <= {STANDS}
    else:
        assert len(set(lines)) > 2 and lines[-1] == STANDS, "it moved, and stands"


@pytest.mark.parametrize(
    ("stage", "says"),
    [
        pytest.param("open", GAVE_UP),
        pytest.param("middle", GAVE_UP, marks=SLOW),
        pytest.param("fact", "its mount is None", marks=pytest.mark.slow),
        pytest.param("finish", GAVE_UP, marks=pytest.mark.slow),
        pytest.param("truth", "TypeError: Object of type set", marks=pytest.mark.slow),
        pytest.param("close", GAVE_UP, marks=pytest.mark.slow),
    ],
)
def test_a_robot_that_fails_ends_the_drive_by_its_own_error(drive, stage: str, says: str):
    done = drive(robot=f"breaks?at={stage}", moves=stage not in AT_THE_END)
    assert "robot 'breaks'" in done.stderr and "breaking" in done.stderr
    assert done.returncode == 5 and says in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_a_bundle_pictures_and_rooms_that_fail_are_errors_of_their_package(site, monkeypatch):
    monkeypatch.syspath_prepend(site)
    with pytest.raises(PluginError, match=f"bundle 'breaks': the package 'breaking-robot' fails .*{GAVE_UP}"):
        find_bundle("breaks")
    with pytest.raises(PluginError, match=f"source of pictures 'breaks': .*{GAVE_UP}"):
        next(from_robot("breaks", 1))
    name, reached = find_episodes()
    with pytest.raises(PluginError, match="it judged 1 rooms by bundle, 2 times 3 are wanted") as caught:
        reached([site, site], 3, 9000, lambda done: None)
    assert name == "breaks" and caught.value.exit_code == 5
