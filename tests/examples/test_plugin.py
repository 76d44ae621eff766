"""The package of examples/plugin, installed outside of the repository: each group by the command line."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge.clock import VirtualClock
from edge.plugins import BUNDLES, CAMERAS, EPISODES, MOTORS, PICTURES, ROBOTS
from edge.records import Velocity
from sim.bundles import default, default_int8
from tests.edge.cameras.camera_contract import CameraCase, CameraContract
from tests.edge.motor.drivers.driver_contract import DriverCase, DriverContract

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "examples" / "plugin"
MOUNT = "fov=55,height=0.35,pitch=0,forward=0.1"

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the package, with a bundle of its own."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PACKAGE, folder / "source")
    shutil.copytree(default_int8(), folder / "source" / "paper_robot" / "bundle")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    alone = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder / "site")]
    subprocess.run([*pip, *alone, str(folder / "source")], check=True, capture_output=True)
    return folder / "site"


@pytest.fixture
def command(site: Path, tmp_path: Path) -> Command:
    """`vla-edge` in a folder outside of the repository, beside which the package is installed."""

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
        return subprocess.run(
            [sys.executable, "-m", "edge.cli", *argv],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def setpoints(file: Path) -> list[str]:
    return file.read_text().splitlines()


def test_the_page_shows_the_package_as_it_is():
    page = (ROOT / "docs" / "plug-ins.md").read_text()
    files = [path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".toml")]
    assert len(files) == 6
    assert [path.name for path in files if path.read_text().strip() not in page] == []


def test_it_brings_a_name_in_each_group(site: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(site)
    groups = (ROBOTS, BUNDLES, CAMERAS, MOTORS, PICTURES, EPISODES)
    assert [group.noun for group in groups if "paper" not in group.names_of_packages()] == []


def test_its_robot_drives_by_its_bundle_its_camera_and_its_motors(command: Command, tmp_path: Path):
    options = ("--goal", "find_object", "--target", "cup", "--max-seconds", "1.5", "--allow-domain")
    done = command("run", *options, "--robot", "paper", "--bundle", "paper")
    (folder,) = (tmp_path / "runs").iterdir()
    assert "bug" not in done.stderr and "no odometry" not in done.stderr
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["robot"] == "a robot on paper" and done.returncode == summary["exit_code"], done.stderr
    lines = setpoints(folder / "base.txt")
    assert lines[0] == lines[-1] == "0.000 0.000 0.000" and len(set(lines)) > 2, "it turned, and stands"
    assert summary["truth"]["setpoints"] == len(lines)


def test_a_base_without_odometry_is_not_moved_by_a_policy_that_needs_it(command: Command, tmp_path: Path):
    (tmp_path / "base.txt").touch()
    options = ("--goal", "find_object", "--target", "cup", "--mount", MOUNT, "--allow-domain")
    motors = f"paper://{tmp_path}/base.txt?odometry=none"
    done = command("run", *options, "--camera", "paper://320x240", "--motors", motors)
    assert done.returncode == 2 and "error: no odometry: the base has reported none within 2 s" in done.stderr
    assert "it counts its turns by it" in done.stderr and "--bundle head" in done.stderr
    assert set(setpoints(tmp_path / "base.txt")) == {"0.000 0.000 0.000"}


def test_a_base_without_odometry_is_driven_by_what_needs_none_and_the_start_lines_say_so(
    command: Command, tmp_path: Path
):
    (tmp_path / "base.txt").touch()
    options = ("--goal", "find_object", "--target", "cup", "--mount", MOUNT, "--allow-domain")
    motors = f"paper://{tmp_path}/base.txt?odometry=none"
    more = ("--bundle", "head", "--max-seconds", "2")
    done = command("run", *options, *more, "--camera", "paper://320x240", "--motors", motors)
    assert (
        done.returncode != 2
        and "note: no odometry: nothing checks that the base moves as told" in done.stderr
    )
    assert "obstacles count only while they are in sight" in done.stderr
    lines = setpoints(tmp_path / "base.txt")
    assert len(set(lines)) > 2 and lines[-1] == "0.000 0.000 0.000"


@pytest.mark.slow
def test_its_pictures_make_a_calibration_set_and_its_rooms_judge_an_export(command: Command, tmp_path: Path):
    made = command(
        "calibrate", "activations", "--robot", "paper", "--frames", "3", "--held-out", "3", "--out", "set"
    )
    assert made.returncode == 0, made.stderr
    assert json.loads((tmp_path / "set" / "set.json").read_text())["source"] == "paper"
    # By force: on paper there is nothing to detect, so the gate has nothing else to judge by.
    rooms = ("--episodes", "2", "--force", "--out", "out")
    done = command("export", str(default()), "--precision", "fp16", "--calibration", "set", *rooms)
    assert done.returncode == 0, done.stderr
    success = json.loads((tmp_path / "out" / "parity.json").read_text())["success"]
    assert success["simulation"] == "paper" and success["episodes"] == 2, "before the simulation that ships"


@contextmanager
def showing(folder: Path, clock: VirtualClock) -> Iterator[SimpleNamespace]:
    yield SimpleNamespace(address="paper://64x48", expose=lambda: None)


PAPER_CAMERA = CameraCase("paper", showing, ("paper://", "paper://0x4", "paper://64x48x3"), (), 34)


@pytest.mark.parametrize("case", [PAPER_CAMERA], ids=lambda case: case.scheme)
class TestPaperCamera(CameraContract):
    """The camera of the package."""

    @pytest.fixture(autouse=True)
    def installed(self, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(site)


@contextmanager
def taking(folder: Path) -> Iterator[SimpleNamespace]:
    file = folder / "base.txt"
    file.touch()

    def velocity() -> Velocity:
        lines = setpoints(file)
        return Velocity(*map(float, lines[-1].split())) if lines else Velocity()

    yield SimpleNamespace(
        address=f"paper://{file}", velocity=velocity, unplug=lambda: file.unlink(missing_ok=True)
    )


PAPER_MOTORS = DriverCase(
    "paper",
    taking,
    ("paper://", "paper://base.txt", "paper:///base.txt?odometry=some", "paper:///base.txt?baud=9600"),
    ("paper:///nowhere/base.txt",),
    exclusive=False,
)


@pytest.mark.parametrize("case", [PAPER_MOTORS], ids=lambda case: case.scheme)
class TestPaperMotors(DriverContract):
    """The driver of the package."""

    @pytest.fixture(autouse=True)
    def installed(self, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(site)
