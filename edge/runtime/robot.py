"""A robot as a run sees it: cameras, motors, and where its camera sits.

`vla-edge run --robot "NAME?key=value&..."` finds a robot by the entry points `vla_edge.robots` =
"module:function", called with RobotOptions. `--camera URI --motors URI` makes a PlainRobot of addresses.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable
from urllib.parse import parse_qsl

from edge.base_spec import DEFAULT_BASE, BaseSpec
from edge.errors import PluginError, UsageError
from edge.plugins import ROBOTS, Blaming, ended, is_ours, plugin_error
from edge.records import CameraMount, Goal
from edge.runs.room import RoomMap

# A guess, for motors that move nothing.
PLAIN_MOUNT = CameraMount(vertical_fov_rad=math.radians(55), height_m=0.35, pitch_rad=0.0, forward_m=0.1)


class Robot(Protocol):
    """An opened robot. `close` gives everything back."""

    @property
    def about(self) -> str:
        """A description for people; may be empty."""
        ...

    @property
    def camera_uris(self) -> Mapping[str, str]:
        """The addresses of its cameras by name; a robot with one camera calls it "front"."""
        ...

    @property
    def motors_uri(self) -> str:
        """The address of its motors."""
        ...

    @property
    def recorded(self) -> bool:
        """True if its frames were taken before: they can't show an arrival, so they are played to the end."""
        ...

    @property
    def mounts(self) -> Mapping[str, CameraMount]:
        """Where each camera sits that a policy may see with, by name; one that is missing is not known."""
        ...

    @property
    def base(self) -> BaseSpec:
        """What it drives on: its size, its limits, its kind of drive."""
        ...

    @property
    def room(self) -> RoomMap | None:
        """The true map of its room, for pictures; never for the policy."""
        ...

    @property
    def pids(self) -> Mapping[str, int]:
        """The ids of its own processes by role."""
        ...

    def check(self) -> None:
        """Raise HardwareMissing if the robot is gone. Cheap: called every 2 ms."""
        ...

    def finish(self) -> dict[str, Any]:
        """Return the truth about the run, once the base stands; empty if the robot does not know it."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


@runtime_checkable
class KeepsRunning(Protocol):
    """A robot whose processes can go on while the program of their parent is replaced."""

    def hand_over(self) -> dict[str, Any]:
        """Leave what it holds open across an exec; return what `RobotOptions.kept` then needs, as JSON."""
        ...


@dataclass(frozen=True, slots=True)
class RobotOptions:
    """What a robot may use to open itself."""

    goal: Goal
    make_folder: Callable[[], Path]
    seed: int = 1  # seed of a simulated room
    absent: bool = False  # simulate a room without the target
    settings: Mapping[str, str] = field(default_factory=dict[str, str])  # the key=value pairs behind its name
    kept: Mapping[str, Any] = field(default_factory=dict[str, Any])  # from `hand_over`; empty: open a new one

    @property
    def folder(self) -> Path:
        """The run's folder, for the robot's logs. Made when it is first used: check the settings before."""
        return self.make_folder()


@dataclass(frozen=True)
class PlainRobot:
    """Cameras and motors by their addresses, such as file://clip.mp4 and null://.

    Where a camera sits is not known unless it is said, and the base is the default one.
    """

    camera_uris: Mapping[str, str]
    motors_uri: str
    mounts: Mapping[str, CameraMount] = field(default_factory=dict[str, CameraMount])
    base: BaseSpec = DEFAULT_BASE
    room: RoomMap | None = None
    pids: Mapping[str, int] = field(default_factory=dict[str, int])
    about: str = ""

    @property
    def recorded(self) -> bool:
        """True for motors that move nothing."""
        return self.motors_uri.partition("://")[0] == "null"

    def check(self) -> None:
        """Do nothing: cameras and motors raise errors of their own."""

    def finish(self) -> dict[str, Any]:
        """Return nothing: the truth is not known."""
        return {}

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""


# What a package's robot must hold, by name and type.
_FACTS: Mapping[str, type | tuple[type, ...]] = {
    "about": str,
    "camera_uris": Mapping,
    "motors_uri": str,
    "recorded": bool,
    "mounts": Mapping,
    "base": BaseSpec,
    "room": (RoomMap, type(None)),
    "pids": Mapping,
}


class PackagedRobot:
    """The robot of an installed package. What its code raises, or holds wrongly, is a PluginError.

    Its facts are read once, when it is opened.
    """

    def __init__(self, robot: Robot, name: str) -> None:
        """Take an opened robot. Raises PluginError if it lacks a fact, or one is of another type."""
        self._robot = robot
        self._what = f"robot {name!r}"
        facts: dict[str, Any] = {}
        with Blaming(robot, self._what):
            for fact, kind in _FACTS.items():
                facts[fact] = getattr(robot, fact)
                if not isinstance(facts[fact], kind):
                    raise plugin_error(robot, self._what, f"its {fact} is {facts[fact]!r:.80}")
        uris: list[object] = [*facts["camera_uris"], *facts["camera_uris"].values()]
        if not uris or not all(isinstance(each, str) for each in uris):
            raise plugin_error(robot, self._what, "its camera_uris don't map names to addresses")
        if not all(isinstance(each, CameraMount) for each in facts["mounts"].values()):
            raise plugin_error(robot, self._what, "its mounts don't map names of cameras to CameraMounts")
        self.about: str = facts["about"]
        self.camera_uris: Mapping[str, str] = facts["camera_uris"]
        self.motors_uri: str = facts["motors_uri"]
        self.recorded: bool = facts["recorded"]
        self.mounts: Mapping[str, CameraMount] = facts["mounts"]
        self.base: BaseSpec = facts["base"]
        self.room: RoomMap | None = facts["room"]
        self.pids: Mapping[str, int] = facts["pids"]

    def check(self) -> None:
        """Raise HardwareMissing if the robot is gone."""
        with Blaming(self._robot, self._what):
            self._robot.check()

    def finish(self) -> dict[str, Any]:
        """Return the truth about the run; empty if the robot does not know it."""
        with Blaming(self._robot, self._what):
            truth = cast("object", self._robot.finish())
            json.dumps(truth, allow_nan=False)  # it goes into summary.json
        if not isinstance(truth, dict):
            raise plugin_error(self._robot, self._what, f"its finish returned {truth!r:.80}, not a dict")
        return cast("dict[str, Any]", truth)

    def close(self) -> None:
        """Give everything back."""
        with Blaming(self._robot, self._what):
            self._robot.close()


def _open_packaged(name: str, options: RobotOptions) -> Robot:
    robot = ROBOTS.open(name, options)
    if is_ours(type(robot).__module__):
        return robot
    try:
        return PackagedRobot(robot, name)
    except PluginError:
        with ended(robot.close, f"closing the robot {name!r}"):
            raise


def find_robot(name: str) -> tuple[Callable[[RobotOptions], Robot], dict[str, str]]:
    """Return what opens the robot of that name, and the settings behind it.

    Raises UsageError for an unknown robot and for settings that are not key=value&key=value.
    """
    name, _, query = name.partition("?")
    ROBOTS.load(name)
    try:
        settings = dict(parse_qsl(query, strict_parsing=True)) if query else {}
    except ValueError as error:
        raise UsageError(
            f"robot {name}: {query[:80]!r} is not key=value&key=value",
            f'such as --robot "{name}?noise=8&rate_hz=30"',
        ) from error
    return partial(_open_packaged, name), settings
