"""`vla-edge run` with a policy that turns, and breaks: `python -m tests.faults.broken.run ARGUMENTS`.

`VLA_EDGE_TEST` says how it breaks (`sim.faults.breaking`), 1.5 s after it began to drive; the file
`VLA_EDGE_BROKE` gets the time. The model runs for real, and its answers are ignored. With `orin` it sees the
double of a GPU. With `talks` the bundle's own policy drives; with `parser_raises` it does until its parser
breaks.
"""

import os
import sys
from types import ModuleType
from typing import Any

import pytest

from edge import cli
from edge.engines.cuda import Cuda
from edge.plugins import CAMERAS
from sim.faults.breaking import INFERENCES, Breaking, break_parser
from tests.edge.commands.turning_run import TurningPolicy
from tests.edge.engines.fake_gpu import FakeGpu, Status


def _fail_on_the_gpu() -> None:
    """Let the adapter of CUDA meet an error that a double of its library reports."""
    gpu = FakeGpu()
    gpu.install(pytest.MonkeyPatch())
    cuda = Cuda()
    gpu.next_status = Status.cudaErrorIllegalAddress
    cuda.call("StreamSynchronize", cuda.stream)


def main() -> int:
    mode = os.environ.get("VLA_EDGE_TEST", "")
    if mode == "orin":
        FakeGpu().install(pytest.MonkeyPatch())

    def make_breaking(*arguments: Any, **named: Any) -> TurningPolicy:
        policy = TurningPolicy(*arguments, **named)
        Breaking(policy, mode, {**INFERENCES, "gpu": _fail_on_the_gpu})
        return policy

    if mode == "parser_raises":
        from edge.policies import instructed

        break_parser(instructed, "parse_action")
    elif mode != "talks":
        module = ModuleType("edge.policies.open")
        module.make_policy = make_breaking
        sys.modules["edge.policies.open"] = module
    CAMERAS.built_in["broken"] = "sim.faults.camera:open_address"
    return cli.main(["run", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
