"""`vla-edge run` with the mount of the simulated camera: `python -m benchmarks.ros2.drive ARGUMENTS`."""

import sys
from functools import partial

from edge import cli
from edge.commands import run
from edge.runtime.robot import PlainRobot
from sim.render import CameraSpec


def main() -> int:
    run.PlainRobot = partial(PlainRobot, mount=CameraSpec().mount)  # pyright: ignore[reportAttributeAccessIssue]
    return cli.main(["run", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
