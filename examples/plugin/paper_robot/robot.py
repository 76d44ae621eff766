"""The robot: `--robot paper` has one camera, a base in the run's folder, and states its mount and base."""

import math
from typing import Any

from edge.base_spec import BaseSpec
from edge.errors import HardwareMissing, UsageError
from edge.records import CameraMount
from edge.runtime.robot import RobotOptions


class PaperRobot:
    """What `edge.runtime.robot.Robot` lists."""

    about = "a robot on paper"
    recorded = False  # its frames come live
    base = BaseSpec(linear_m_s=0.3)
    room = None  # nobody knows its true map

    def __init__(self, options: RobotOptions) -> None:
        self._base_file = options.folder / "base.txt"
        self._base_file.touch()
        self.camera_uris = {"front": "paper://320x240"}
        self.mounts = {"front": CameraMount(math.radians(55), height_m=0.35, pitch_rad=0.0, forward_m=0.1)}
        self.motors_uri = f"paper://{self._base_file.resolve()}"
        self.pids: dict[str, int] = {}  # it has no processes of its own

    def check(self) -> None:
        """Raise HardwareMissing if the robot is gone."""
        if not self._base_file.exists():
            raise HardwareMissing("the robot on paper has lost its file", "start the run again")

    def finish(self) -> dict[str, Any]:
        """Return what only the robot knows about the run; it goes into summary.json."""
        return {"setpoints": len(self._base_file.read_text().splitlines())}

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""


def open_robot(options: RobotOptions) -> PaperRobot:
    """Open it. Raises UsageError for settings: it has none."""
    if options.settings:
        raise UsageError(f"the robot on paper has no setting {min(options.settings)!r}", "--robot paper")
    return PaperRobot(options)
