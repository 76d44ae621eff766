"""A measured drive without a model: `python -m benchmarks.drives.no_model`."""

import sys

from benchmarks.drives.drive import MeasuredRun, main
from edge.interfaces import Inference, Policy, PolicyStatus
from edge.perception.apparent_size import ApparentSize
from edge.policies.chunks import velocity_chunk
from edge.records import ActionChunk, Goal, Observation, Velocity
from edge.runs.setup import Setup


class AtOneVelocity:
    """A policy without a model."""

    def __init__(self, velocity: Velocity) -> None:
        self._velocity, self._decision = velocity, 0

    @property
    def status(self) -> PolicyStatus:
        return PolicyStatus("drive")

    def reset(self, goal: Goal) -> None:
        """Do nothing: it remembers nothing."""

    def infer(self, observation: Observation) -> Inference:
        return Inference(observation.frame, "without a model", 1.0, {})

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk | None:
        self._decision += 1
        return velocity_chunk(self._velocity, observation.frame.stamp_ns, self._decision)


class LoopRun(MeasuredRun):
    """A measured run without a model."""

    def _make_policy(self, setup: Setup, size: ApparentSize | None) -> Policy:
        return AtOneVelocity(Velocity(0.1))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], LoopRun))
