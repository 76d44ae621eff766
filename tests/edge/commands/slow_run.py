"""`vla-edge run` with a model that answers late: `python -m tests.edge.commands.slow_run MS ARGUMENTS`.

Bundle and engines are real. Each answer takes MS milliseconds, and its own time where that is longer.
"""

import sys
import time

from edge import cli
from edge.interfaces import Inference
from edge.policies.open import DrivingPolicy
from edge.records import Observation


def main() -> int:
    answer, latency_s = DrivingPolicy.infer, float(sys.argv[1]) / 1e3

    def infer(policy: DrivingPolicy, observation: Observation) -> Inference:
        until_s = time.monotonic() + latency_s
        inference = answer(policy, observation)
        time.sleep(max(0.0, until_s - time.monotonic()))
        return inference

    DrivingPolicy.infer = infer
    return cli.main(["run", *sys.argv[2:]])


if __name__ == "__main__":
    sys.exit(main())
