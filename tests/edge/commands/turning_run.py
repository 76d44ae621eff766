"""`vla-edge run` with a policy that only turns: `python -m tests.edge.commands.turning_run ARGUMENTS`.

The model runs for real, and its answers are ignored. `VLA_EDGE_TEST` breaks it: `hang` and `raise` in the
inference, `reach` claims arrival after 2 s, `wrist` too, and sees with the camera of that name.
"""

import os
import sys
import time
from types import ModuleType

import numpy as np

from edge import cli
from edge.base_spec import BaseSpec
from edge.bundle.bundle import Bundle
from edge.interfaces import Inference, PolicyStatus
from edge.model.grounding import GroundingModel
from edge.records import ActionChunk, CameraMount, Goal, Observation

BREAK_AFTER = 20  # inferences


class TurningPolicy:
    """Turns on the spot at 0.6 rad/s."""

    def __init__(
        self,
        bundle: Bundle,
        goal: Goal,
        mount: CameraMount,
        base: BaseSpec,
        threads: int,
        size: object = None,
    ) -> None:
        self._model = GroundingModel(bundle, threads)
        self._mode = os.environ.get("VLA_EDGE_TEST", "")
        self._inferences = self._decision = 0
        if self._mode == "wrist":
            self.camera = "wrist"
        self._seen = "a room"
        self._began_ns = 0
        self._now_ns = 0
        self.reset(goal)

    @property
    def status(self) -> PolicyStatus:
        reached = self._mode in ("reach", "wrist") and self._now_ns - self._began_ns > 2_000_000_000
        return PolicyStatus("arrived" if reached else "search", reached, answer=self._seen)

    def reset(self, goal: Goal) -> None:
        self._goal = goal

    def infer(self, observation: Observation) -> Inference:
        self._inferences += 1
        if self._inferences > BREAK_AFTER:
            if self._mode == "hang":
                time.sleep(3600)
            if self._mode == "raise":
                raise FloatingPointError("the engine broke")
        said = self._model.ground(observation.frame.image, "detect red cup", "red cup")
        return Inference(observation.frame, said.text, said.confidence, said.stages_ms)

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk:
        self._now_ns = observation.frame.stamp_ns
        if self._mode == "wrist":
            self._seen = f"{', '.join(observation.frames)} with {observation.frame.camera}"
        self._began_ns = self._began_ns or self._now_ns
        self._decision += 1
        values = np.tile(np.array((0.0, 0.0, 0.6), np.float32), (5, 1))
        return ActionChunk(values, 0.1, self._now_ns, self._now_ns + 500_000_000, 0.9, self._decision)


def main() -> int:
    module = ModuleType("edge.policies.open")
    module.make_policy = TurningPolicy
    sys.modules["edge.policies.open"] = module
    return cli.main(["run", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
