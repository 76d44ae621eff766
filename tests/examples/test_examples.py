"""The examples run, and the camera and the driver in them keep the contracts of those that are built in."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from edge.clock import VirtualClock
from edge.errors import UsageError
from edge.motor.client import MotorProcess
from edge.plugins import CAMERAS, MOTORS, PluginGroup
from edge.records import MotorState, StopCause
from examples.own_driver import ToyBase
from tests.edge.cameras.camera_contract import CameraCase, CameraContract
from tests.edge.motor.drivers.driver_contract import DriverCase, DriverContract
from tests.waiting import until

EXAMPLES = Path(__file__).parents[2] / "examples"
PRINTED = {
    "ask_bundle.py": ["default: 'detect ", "Box("],
    "own_camera.py": ["front 0: (240, 320, 3), first pixel [0, 0, 0]"],
    "own_driver.py": [
        "moving: Velocity(linear_x_m_s=0.2",
        "armed=True",
        "stopped: Velocity(linear_x_m_s=0.0",
    ],
    "parse_text.py": [
        "'turn left slowly': turn, +0.00 m/s +0.25",
        "'앞으로 천천히 가': move",
        "red cup': unknown, +0.00 m/s +0.00",
        "red cup': navigate, +0.20 m/s",
        "red cup: Box(",
    ],
}


def test_no_example_is_left_out():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(PRINTED)


@pytest.mark.parametrize("name", PRINTED)
def test_an_example_runs_and_prints_what_it_is_for(name: str):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [words for words in PRINTED[name] if words not in done.stdout] == []


def test_a_bundle_is_asked_in_the_words_of_its_user_and_mistakes_get_a_hint(tmp_path: Path):
    picture, note = tmp_path / "room.png", tmp_path / "note.txt"
    cv2.imwrite(str(picture), np.full((240, 320, 3), 128, np.uint8))
    note.write_text("no picture")

    def asked(*argv: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(EXAMPLES / "ask_bundle.py"), *argv]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = asked(str(picture), "빨간컵")
    assert (done.returncode, done.stderr) == (0, "") and "'detect 빨간 컵'" in done.stdout
    for argv, told in (
        ((str(picture), "elephant"), "error: the model does not know 'elephant'\nhint: "),
        ((str(tmp_path / "none.png"), "cup"), "none.png can't be read: No such file"),
        ((str(note), "cup"), "note.txt is not a picture\nhint: "),
        ((str(picture),), "error: give a PICTURE and a TARGET, or neither\nhint: "),
    ):
        done = asked(*argv)
        assert done.returncode == UsageError.exit_code and told in done.stderr
        assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "table"),
    [("pattern = own_camera:open_address", CAMERAS), ("lines = own_driver:open_address", MOTORS)],
)
def test_the_entry_point_that_an_example_names_is_its_own(name: str, table: PluginGroup):
    scheme, _, value = name.partition(" = ")
    module, _, function = value.partition(":")
    text = (EXAMPLES / f"{module}.py").read_text()
    assert f'[project.entry-points."{table.entry_points}"]\n    {scheme} = "{value}"' in text
    assert f"def {function}(" in text


def offer(monkeypatch: pytest.MonkeyPatch, group: PluginGroup, name: str, value: str) -> None:
    entry = EntryPoint(name, value, group.entry_points)
    monkeypatch.setattr(
        "importlib.metadata.entry_points", lambda group: [entry] if group == entry.group else []
    )


@contextmanager
def pattern(folder: Path, clock: VirtualClock) -> Iterator[SimpleNamespace]:
    yield SimpleNamespace(address="pattern://64x48", expose=lambda: None)


PATTERN = CameraCase("pattern", pattern, ("pattern://", "pattern://0x4", "pattern://64x48x3"), (), 34)


@pytest.mark.parametrize("case", [PATTERN], ids=lambda case: case.scheme)
class TestOwnCamera(CameraContract):
    """The camera of the example."""

    @pytest.fixture(autouse=True)
    def installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        offer(monkeypatch, CAMERAS, "pattern", "examples.own_camera:open_address")


@contextmanager
def toy(folder: Path) -> Iterator[SimpleNamespace]:
    base = ToyBase()
    yield SimpleNamespace(address=base.address, velocity=lambda: base.velocity, unplug=base.unplug)
    base.unplug()


LINES = DriverCase(
    "lines",
    toy,
    ("lines://", "lines://host", "lines://host:0", "lines://host:70000", "lines://a/b:80"),
    ("lines://127.0.0.1:1",),
    exclusive=False,
)


@pytest.mark.parametrize("case", [LINES], ids=lambda case: case.scheme)
class TestOwnDriver(DriverContract):
    """The driver of the example."""

    @pytest.fixture(autouse=True)
    def installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        offer(monkeypatch, MOTORS, "lines", "examples.own_driver:open_address")


def test_an_installed_driver_is_found_by_the_motor_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    info = tmp_path / "own_driver-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-driver\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vla_edge.motors]\nlines = own_driver:open_address\n")
    paths = [str(tmp_path), str(EXAMPLES), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    base = ToyBase()
    with MotorProcess.start(base.address) as motor:
        motor.arm()
        until(lambda: motor.status().state is MotorState.HOLDING)
        assert motor.status().cause is StopCause.NONE
    base.unplug()
