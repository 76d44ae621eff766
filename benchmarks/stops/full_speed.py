"""`vla-edge run` at full speed: `python -m benchmarks.stops.full_speed ARGUMENTS` of `vla-edge run`.

Instead of a model's policy one that drives a circle of 0.5 m, at the highest speed and turn rate at once.
"""

import sys

from benchmarks.drives.no_model import AtOneVelocity
from edge.bundle.bundle import load_bundle
from edge.commands.run import Run
from edge.commands.run_arguments import choose_hardware, run_arguments
from edge.goals.goals import parse_goal
from edge.interfaces import Policy
from edge.motor.limits import MotorLimits
from edge.perception.apparent_size import ApparentSize
from edge.records import Velocity
from edge.runs.setup import Setup

LIMITS = MotorLimits()


class CirclingRun(Run):
    """A run without a model."""

    def _make_policy(self, setup: Setup, size: ApparentSize | None) -> Policy:
        return AtOneVelocity(Velocity(LIMITS.linear_m_s, 0.0, LIMITS.angular_rad_s))


def main(argv: list[str]) -> int:
    """Drive until a signal comes or the time is over, and return the exit code."""
    options = run_arguments().parse_args(argv)
    goal = parse_goal(options.goal, options.target)
    bundle = load_bundle(options.bundle, allow_unproved=options.allow_unproved)
    return CirclingRun(options, goal, bundle, choose_hardware(options)).go().exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
