"""The robot of a package: its facts, its errors, and that it is closed where it is refused."""

from types import SimpleNamespace
from typing import Any

import pytest

from edge.base_spec import DEFAULT_BASE
from edge.errors import HardwareMissing, PluginError
from edge.plugins import ROBOTS
from edge.records import Goal
from edge.runtime.robot import PLAIN_MOUNT, PackagedRobot, PlainRobot, RobotOptions, find_robot

FACTS = {
    "about": "a vendor's robot",
    "camera_uris": {"front": "shm://x"},
    "motors_uri": "null://",
    "recorded": False,
    "mounts": {"front": PLAIN_MOUNT},
    "base": DEFAULT_BASE,
    "room": None,
    "pids": {},
}


class VendorRobot:
    def __init__(self, **facts: Any) -> None:
        self.closed = 0
        self.truth: Any = {"arrived": True}
        self.error: BaseException | None = None
        for fact, value in {**FACTS, **facts}.items():
            setattr(self, fact, value)

    def check(self) -> None:
        if self.error is not None:
            raise self.error

    def finish(self) -> Any:
        self.check()
        return self.truth

    def close(self) -> None:
        self.closed += 1
        self.check()


def test_what_it_holds_comes_through():
    vendor = VendorRobot()
    robot = PackagedRobot(vendor, "vendor")
    assert {fact: getattr(robot, fact) for fact in FACTS} == FACTS
    robot.check()
    assert robot.finish() == {"arrived": True}
    robot.close()
    assert vendor.closed == 1


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("about", None),
        ("camera_uris", {}),
        ("camera_uris", ["shm://x"]),
        ("camera_uris", {"front": None}),
        ("motors_uri", None),
        ("recorded", "no"),
        ("mounts", {"front": None}),
        ("base", {"radius_m": 0.2}),
        ("room", "kitchen"),
        ("pids", None),
    ],
)
def test_a_fact_of_another_type_is_refused_and_the_robot_closed(fact: str, value: Any, monkeypatch):
    vendor = VendorRobot(**{fact: value})
    entry = SimpleNamespace(
        name="vendor", value="vendor:open", module="vendor", group=ROBOTS.entry_points, dist=None
    )
    entry.load = lambda: lambda options: vendor
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [entry])
    open_robot, _ = find_robot("vendor")
    with pytest.raises(PluginError, match=f"robot 'vendor' .*VendorRobot.* fails: its {fact}"):
        open_robot(RobotOptions(Goal("find_object"), lambda: None))  # type: ignore[arg-type, return-value]
    assert vendor.closed == 1


def test_a_robot_of_ours_that_a_package_returns_is_taken_as_it_is(monkeypatch):
    plain = PlainRobot({"front": "shm://x"}, "null://")
    entry = SimpleNamespace(
        name="vendor", value="vendor:open", module="vendor", group=ROBOTS.entry_points, dist=None
    )
    entry.load = lambda: lambda options: plain
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [entry])
    open_robot, _ = find_robot("vendor")
    assert open_robot(RobotOptions(Goal("find_object"), lambda: None)) is plain  # type: ignore[arg-type, return-value]


def test_what_it_raises_is_its_own_error_and_ours_stay_what_they_are():
    vendor = VendorRobot()
    robot = PackagedRobot(vendor, "vendor")
    vendor.error = KeyError("pose")
    for call in (robot.check, robot.finish, robot.close):
        with pytest.raises(PluginError, match=r"robot 'vendor' \(.*VendorRobot\) fails: KeyError: 'pose'"):
            call()
    vendor.error = HardwareMissing("it fell over")
    with pytest.raises(HardwareMissing, match="fell over"):
        robot.check()


@pytest.mark.parametrize("truth", [None, ["arrived"], {"at": {1}}, {"distance_m": float("nan")}])
def test_a_truth_that_no_summary_can_hold_is_its_own_error(truth: Any):
    vendor = VendorRobot()
    vendor.truth = truth
    with pytest.raises(PluginError, match="robot 'vendor'"):
        PackagedRobot(vendor, "vendor").finish()
