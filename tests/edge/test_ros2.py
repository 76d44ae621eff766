"""What is said where ROS 2 can't be imported, and addresses of topics."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from edge.address import Address
from edge.cameras.open import open_camera
from edge.clock import MonotonicClock
from edge.errors import EdgeError, UsageError
from edge.motor.drivers.open import open_motors
from edge.ros2 import missing_ros, shared_memory_note, take_domain, topic_name

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
NO_RCLPY = ModuleNotFoundError("No module named 'rclpy'", name="rclpy")


def installed(folder: Path, **pythons: str) -> Path:
    for name, python in pythons.items():
        (folder / name / f"lib/python{python}/site-packages/rclpy").mkdir(parents=True)
    return folder


def test_without_ros_the_error_tells_how_to_source_it_and_which_python_it_needs_31(tmp_path: Path):
    error = missing_ros(NO_RCLPY, tmp_path, {})
    assert error.exit_code == 2 and "No module named 'rclpy'" in error.message
    assert "source /opt/ros/humble/setup.bash" in error.hint and "Humble needs Python 3.10" in error.hint


def test_a_ros_that_was_not_sourced_is_named(tmp_path: Path):
    error = missing_ros(NO_RCLPY, installed(tmp_path, here=HERE, old="3.1"), {})
    assert "not in this terminal" in error.message and "source /opt/ros/here/setup.bash" in error.hint


def test_a_ros_of_another_python_is_named_with_both_31(tmp_path: Path):
    error = missing_ros(NO_RCLPY, installed(tmp_path, humble="3.8"), {"ROS_DISTRO": "humble"})
    assert error.message == f"ROS 2 humble is made for Python 3.8, and this is Python {HERE}"
    assert "PYTHON=python3.8" in error.hint


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ImportError("numpy.core.multiarray failed to import"), "numpy<2"),
        (AttributeError("_ARRAY_API not found"), "numpy<2"),
        (ModuleNotFoundError("No module named 'yaml'", name="yaml"), "pip install pyyaml"),
    ],
)
def test_what_is_missing_around_ros_is_named_31(error: Exception, said: str, tmp_path: Path):
    found = missing_ros(error, installed(tmp_path, here=HERE), {"ROS_DISTRO": "here"})
    assert said in found.hint


def test_little_shared_memory_is_told_31(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def usage(free_mb: int, total_mb: int):
        return lambda _: type("Usage", (), {"free": free_mb * 2**20, "total": total_mb * 2**20})

    for free_mb, total_mb, warned in ((60, 64, True), (5, 8000, True), (4000, 8000, False)):
        monkeypatch.setattr("shutil.disk_usage", usage(free_mb, total_mb))
        note = shared_memory_note(tmp_path)
        assert ("--shm-size=512m" in note) is warned and (f"{total_mb} MB" in note) is warned


@pytest.mark.parametrize("name", ["/cmd_vel", "/a/b_2/c", "/_x"])
def test_topics_have_full_names(name: str):
    address = Address(f"ros2://{name}", "motors", "")
    assert topic_name(address, name) == name


@pytest.mark.parametrize("name", ["", "/", "cmd_vel", "/cmd vel", "/1a", "/a//b", "/a/", "/ä", "~/x", "/{a}"])
def test_other_names_are_refused(name: str):
    with pytest.raises(UsageError, match="full name"):
        topic_name(Address("ros2:///x", "motors", ""), name)


@pytest.mark.parametrize("text", ["233", "-1", "x", "1.5"])
def test_a_domain_is_from_0_to_232_wherever_it_stands(text: str, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UsageError, match=r"0 to 232"):
        take_domain(Address(f"ros2:///x?domain={text}", "motors", ""))
    monkeypatch.setenv("ROS_DOMAIN_ID", text)
    with pytest.raises(UsageError, match=r"ROS_DOMAIN_ID .* 0 to 232"):
        take_domain(Address("ros2:///x", "motors", ""))
    assert take_domain(Address("ros2:///x?domain=7", "motors", "")) == 7
    monkeypatch.setenv("ROS_DOMAIN_ID", "42")
    assert take_domain(Address("ros2:///x", "motors", "")) == 42


@pytest.mark.skipif(find_spec("rclpy") is not None, reason="ROS 2 is here")
def test_camera_and_motors_say_so_where_there_is_no_ros():
    with pytest.raises(EdgeError, match="ROS 2 is not here") as motors:
        open_motors("ros2:///cmd_vel")
    with pytest.raises(EdgeError, match="ROS 2 is not here") as camera:
        open_camera("ros2:///camera/image_raw", MonotonicClock())
    assert motors.value.exit_code == camera.value.exit_code == 2
    assert motors.value.hint == camera.value.hint and "setup.bash" in motors.value.hint
