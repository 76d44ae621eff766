"""Names and schemes: built in, from packages, unknown, malformed, doubled and broken."""

import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from edge.cli import COMMANDS, main
from edge.errors import HardwareMissing, PluginError, UsageError
from edge.motor.client import MotorProcess
from edge.plugins import BUNDLES, CAMERAS, EPISODES, MOTORS, PICTURES, ROBOTS, PluginGroup, load_function

WHEELS = """
import sys
from edge.errors import HardwareMissing

class Opened(tuple):
    max_rate_hz = arm = write = stop = read = close = None

def open_address(address):
    return Opened(("opened", address))

def open_nothing(address):
    return None

def open_broken(address):
    raise ValueError("no such register")

def open_absent(address):
    raise HardwareMissing("wheels: nothing on the bus", "plug it in")

NUMBER = 3
"""


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install packages: each gives a group, a name and a "module:function"."""
    (tmp_path / "wheels.py").write_text(WHEELS)
    (tmp_path / "torn.py").write_text("import a_package_that_nobody_has\n")
    (tmp_path / "leaving.py").write_text("raise SystemExit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    entries: list[EntryPoint] = []
    monkeypatch.setattr(
        "importlib.metadata.entry_points", lambda group: [each for each in entries if each.group == group]
    )

    def install(group: PluginGroup, name: str, value: str) -> None:
        entries.append(EntryPoint(name, value, group.entry_points))

    yield install
    for name in ("wheels", "torn", "leaving"):
        sys.modules.pop(name, None)


def test_every_built_in_name_is_there():
    for group in (CAMERAS, MOTORS):
        assert all(callable(group.load(name)) for name in group.built_in)


def test_what_ships_is_found():
    assert ROBOTS.names() == PICTURES.names() == EPISODES.names() == ["sim"]
    assert {"default", "head", "token"} <= set(BUNDLES.names())
    for group in (ROBOTS, PICTURES, EPISODES, BUNDLES):
        assert all(callable(group.load(name)) for name in group.names())


def test_packages_add_schemes(offer: Callable[..., None]):
    offer(MOTORS, "wheels", "wheels:open_address")
    assert MOTORS.open_address("wheels://2") == ("opened", "wheels://2")
    with pytest.raises(UsageError) as caught:
        MOTORS.open_address("wheel://2")
    known = ", ".join(f"{name}://" for name in sorted([*MOTORS.built_in, "wheels"]))
    assert caught.value.hint == f"did you mean wheels://? known: {known}"


def test_a_package_never_takes_the_place_of_what_is_built_in(offer: Callable[..., None]):
    offer(MOTORS, "null", "wheels:open_address")
    assert type(MOTORS.open_address("null://")).__name__ == "NullMotors"
    assert MOTORS.names() == sorted(MOTORS.built_in)


def test_a_name_that_two_packages_offer_opens_neither(offer: Callable[..., None]):
    offer(ROBOTS, "rover", "wheels:open_address")
    offer(ROBOTS, "rover", "wheels:open_absent")
    with pytest.raises(UsageError, match="'rover' is offered by"):
        ROBOTS.load("rover")


@pytest.mark.parametrize("group", [CAMERAS, MOTORS], ids=lambda group: group.noun)
@pytest.mark.parametrize("address", ["", "nothing", "://x", "wheels://x", "x" * 10_000, "WHEELS://x"])
def test_malformed_addresses_and_unknown_schemes_are_bad_usage(group: PluginGroup, address: str):
    with pytest.raises(UsageError, match=f"{group.noun} address") as caught:
        group.open_address(address)
    assert caught.value.exit_code == 2
    assert all(f"{name}://" in caught.value.hint for name in group.built_in)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("group", [CAMERAS, MOTORS], ids=lambda group: group.noun)
def test_a_scheme_alone_is_not_an_address(group: PluginGroup):
    for name in ("", *group.built_in):
        with pytest.raises(UsageError, match="is not of the form SCHEME://PLACE"):
            group.open_address(name)


def test_unknown_names_are_bad_usage_with_what_is_known():
    with pytest.raises(UsageError, match="unknown robot 'simm'") as caught:
        ROBOTS.load("simm")
    assert caught.value.hint == "did you mean sim? known: sim; or give --camera and --motors"


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("torn:open_address", "ModuleNotFoundError: No module named 'a_package_that_nobody_has'"),
        ("leaving:open_address", "SystemExit: 0"),
        ("wheels:missing", "AttributeError"),
        ("wheels:NUMBER", "is not a function"),
    ],
)
def test_a_package_that_does_not_load_is_bad_usage_and_named_with_its_entry_point(
    offer: Callable[..., None], value: str, fault: str
):
    offer(MOTORS, "wheels", value)
    with pytest.raises(UsageError, match=fault) as caught:
        MOTORS.open_address("wheels://2")
    assert f"entry point wheels = {value} of vla_edge.motors" in caught.value.message
    assert "uninstall" in caught.value.hint


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("wheels:open_broken", "ValueError: no such register"),
        (
            "wheels:open_nothing",
            "it returned NoneType, which lacks max_rate_hz, arm, write, stop, read, close",
        ),
    ],
)
def test_a_package_that_fails_when_it_is_opened_is_an_error_of_its_own(
    offer: Callable[..., None], value: str, fault: str
):
    offer(MOTORS, "wheels", value)
    with pytest.raises(PluginError, match=fault) as caught:
        MOTORS.open_address("wheels://2")
    assert f"entry point wheels = {value} of vla_edge.motors" in caught.value.message
    assert caught.value.exit_code == 5 and "uninstall" in caught.value.hint


def test_a_package_says_itself_that_its_hardware_is_missing(offer: Callable[..., None]):
    offer(MOTORS, "wheels", "wheels:open_absent")
    with pytest.raises(HardwareMissing, match="nothing on the bus"):
        MOTORS.open_address("wheels://2")


def test_the_command_line_blames_the_package_and_not_itself(
    offer: Callable[..., None], capsys: pytest.CaptureFixture[str]
):
    offer(ROBOTS, "torn", "torn:open_robot")
    assert main(["run", "--goal", "find_object", "--target", "cup", "--robot", "torn"]) == 2
    err = capsys.readouterr().err
    assert "entry point torn = torn:open_robot" in err and "bug" not in err and "Traceback" not in err


def test_a_built_in_driver_says_which_package_it_lacks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "serial", None)
    for module in ("mavlink.driver", "mavlink.address", "serial_port"):
        monkeypatch.delitem(sys.modules, f"edge.motor.drivers.{module}", raising=False)
    with pytest.raises(UsageError, match="motors mavlink:// needs the Python package 'serial'") as caught:
        MOTORS.open_address("mavlink:///dev/ttyACM0")
    assert caught.value.hint == "in the folder of vla-edge's source: pip install '.'"


@pytest.mark.parametrize("target", ["", "os", "os:", "os:nothing", "nowhere:x", ":x", "os:sep"])
def test_a_target_that_is_not_a_function_is_bad_usage(target: str):
    with pytest.raises(UsageError, match=r"validation\.success"):
        load_function(target, "validation.success")


def test_schemes_and_commands_have_targets_of_one_shape():
    targets = [command.target for command in COMMANDS.values()]
    targets += [target for group in (CAMERAS, MOTORS) for target in group.built_in.values()]
    assert all(target.count(":") == 1 for target in targets)


def test_the_bare_path_of_a_file_is_taken_for_what_it_was_meant_to_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").touch()
    for address in ("clip.mp4", "file:clip.mp4"):
        with pytest.raises(UsageError, match="not of the form") as caught:
            CAMERAS.open_address(address, None, "front")
        assert caught.value.hint == "did you mean file://clip.mp4?"
    with pytest.raises(UsageError, match="not of the form") as caught:
        CAMERAS.open_address("other.mp4", None, "front")
    assert caught.value.hint == "known: " + ", ".join(f"{name}://" for name in CAMERAS.names())
    with pytest.raises(UsageError, match="not of the form") as caught:
        MOTORS.open_address("clip.mp4")
    assert f"known: {min(MOTORS.built_in)}://" in caught.value.hint


BROKEN_PACKAGE = '''
import time
from edge.interfaces import Closing, Feedback

class Breaks(Closing):
    """A driver that works for a second."""
    max_rate_hz = 100.0
    def __init__(self):
        self.end_s = time.monotonic() + 1.0
    def check(self):
        if time.monotonic() > self.end_s:
            raise ValueError("the vendor's library gave up")
    def arm(self): ...
    def write(self, command):
        self.check()
        return command
    def read(self):
        return Feedback(armed=True)
    def stop(self): ...
    def close(self): ...

def motors(address): return Breaks()
'''


@pytest.mark.realtime
def test_an_installed_driver_that_raises_on_the_way_is_named_and_not_vla_edge(tmp_path: Path, monkeypatch):
    """A real package beside vla-edge, in the motor process: an error of its own, not a bug."""
    (tmp_path / "broken_base.py").write_text(BROKEN_PACKAGE)
    info = tmp_path / "broken_base-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-base\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vla_edge.motors]\nbroken = broken_base:motors\n")
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{root}")
    with MotorProcess.start("broken://x") as motor, pytest.raises(PluginError) as caught:
        deadline_s = time.monotonic() + 20
        while time.monotonic() < deadline_s:
            motor.status()
            time.sleep(0.01)
    assert "motors 'broken://x' (broken_base.Breaks) fails: ValueError" in caught.value.message
    assert "the vendor's library gave up" in caught.value.message and "'broken_base'" in caught.value.hint
    assert caught.value.exit_code == 5
