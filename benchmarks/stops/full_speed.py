"""`vla-edge run` at full speed: `python -m benchmarks.stops.full_speed ARGUMENTS` of `vla-edge run`.

Instead of a model's policy one that drives a circle of 0.5 m, at the highest speed and turn rate at once.
"""

import sys

from edge.bundle.bundle import load_bundle
from edge.commands.run import Run
from edge.commands.run_arguments import choose_hardware, run_arguments
from edge.goals.goals import parse_goal
from edge.interfaces import Inference, Policy, PolicyStatus
from edge.motor.limits import MotorLimits
from edge.perception.apparent_size import ApparentSize
from edge.policies.chunks import velocity_chunk
from edge.records import ActionChunk, Goal, Observation, Velocity
from edge.runs.setup import Setup

LIMITS = MotorLimits()


class Circling:
    """A policy without a model."""

    def __init__(self) -> None:
        self._decision = 0

    @property
    def status(self) -> PolicyStatus:
        return PolicyStatus("drive")

    def reset(self, goal: Goal) -> None:
        """Do nothing: it remembers nothing."""

    def infer(self, observation: Observation) -> Inference:
        return Inference(observation.frame, "around", 1.0, {})

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk | None:
        self._decision += 1
        around = Velocity(LIMITS.linear_m_s, 0.0, LIMITS.angular_rad_s)
        return velocity_chunk(around, observation.frame.stamp_ns, self._decision)


class CirclingRun(Run):
    """A run without a model."""

    def _make_policy(self, setup: Setup, size: ApparentSize | None) -> Policy:
        return Circling()


def main(argv: list[str]) -> int:
    """Drive until a signal comes or the time is over, and return the exit code."""
    options = run_arguments().parse_args(argv)
    goal = parse_goal(options.goal, options.target)
    bundle = load_bundle(options.bundle, allow_unproved=options.allow_unproved)
    return CirclingRun(options, goal, bundle, choose_hardware(options)).go().exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
