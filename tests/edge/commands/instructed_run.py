"""`vla-edge run` by words, with a model that hangs: `python -m tests.edge.commands.instructed_run ARGUMENTS`.

The bundle and its engines are real. After HANGS_AFTER answers the model never answers again.
"""

import sys
import time

from edge import cli
from edge.interfaces import Inference
from edge.policies.open import InstructedPolicy
from edge.records import Observation

HANGS_AFTER = 2  # the first one is about the black images of the warm-up


def main() -> int:
    answer, answers = InstructedPolicy.infer, 0

    def infer(policy: InstructedPolicy, observation: Observation) -> Inference:
        nonlocal answers
        answers += 1
        if answers > HANGS_AFTER:
            time.sleep(3600)
        return answer(policy, observation)

    InstructedPolicy.infer = infer
    return cli.main(["run", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
