"""`vla-edge run` with a policy that turns, and breaks: `python -m tests.faults.broken.run ARGUMENTS`.

`VLA_EDGE_TEST` says how it breaks, 1.5 s after it began to drive; the file `VLA_EDGE_BROKE` gets the time.
The model runs for real, and its answers are ignored. With `orin` it sees the double of a GPU. With `talks`
the bundle's own policy drives; with `parser_raises` it does until its parser breaks.
"""

import ctypes
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edge import cli
from edge.engines.cuda import Cuda
from edge.errors import EngineFault
from edge.interfaces import Inference
from edge.plugins import CAMERAS
from edge.records import ActionChunk, Observation
from tests.edge.commands.turning_run import TurningPolicy
from tests.edge.engines.fake_gpu import FakeGpu, Status

AFTER_NS = 1_500_000_000
MS = 1_000_000
LATE_S = 0.13


class BreakingPolicy(TurningPolicy):
    """Turns until it breaks."""

    def infer(self, observation: Observation) -> Inference:
        if self._mode == "slow_warm_up" and not self._inferences:
            time.sleep(3.0)
            broke()
        breaks = INFERENCES.get(self._mode)
        if (
            breaks is not None
            and self._due(observation.frame.stamp_ns)
            and (broke() or self._mode == "engine")
        ):
            breaks()
        if self._mode == "late":
            time.sleep(LATE_S)
        return super().infer(observation)

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk | None:
        chunk = super().act(observation, inference)
        if self._mode == "late":
            return None if inference is None else _falling(replace(chunk, t0_ns=inference.frame.stamp_ns))
        if self._mode not in CHUNKS or not self._due(observation.frame.stamp_ns):
            self._last = chunk
            return chunk
        first = broke()
        return CHUNKS[self._mode](chunk, self._last, first)

    def _due(self, stamp_ns: int) -> bool:
        return bool(self._began_ns) and stamp_ns - self._began_ns > AFTER_NS


def broke() -> bool:
    """Write down when it broke; True the first time."""
    file = Path(os.environ["VLA_EDGE_BROKE"])
    first = not file.exists()
    if first:
        file.write_text(str(time.monotonic_ns()))
    return first


def _falling(chunk: ActionChunk) -> ActionChunk:
    """Return a chunk whose first row is quick; it has elapsed when the chunk comes."""
    values = np.zeros_like(chunk.values)
    values[:, 2] = (0.9, 0.3, 0.3, 0.3, 0.3)
    return replace(chunk, values=values, valid_until_ns=chunk.t0_ns + 500 * MS)


def _hold_the_gil() -> None:
    ctypes.PyDLL(None).usleep(900_000)  # PyDLL keeps the lock of the interpreter while it waits


def _fail_on_the_gpu() -> None:
    """Let the adapter of CUDA meet an error that a double of its library reports."""
    gpu = FakeGpu()
    gpu.install(pytest.MonkeyPatch())
    cuda = Cuda()
    gpu.next_status = Status.cudaErrorIllegalAddress
    cuda.call("StreamSynchronize", cuda.stream)


def _fail_always() -> None:
    raise EngineFault("ONNX Runtime failed: a shape that is not there")


def _use_up_memory() -> None:
    held_kb = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held_kb + (32 << 20),) * 2)
    held = []
    while True:
        held.append(bytearray(16 << 20))


def _raise() -> None:
    raise FloatingPointError("the engine broke")


INFERENCES: dict[str, Callable[[], object]] = {
    "hangs": lambda: time.sleep(3600),
    "raises": _raise,
    "engine": _fail_always,
    "gpu": _fail_on_the_gpu,
    "gil": _hold_the_gil,
    "memory": _use_up_memory,
}


def _rows(chunk: ActionChunk, share: float) -> ActionChunk:
    return replace(chunk, values=chunk.values * np.float32(share))


def _aside(chunk: ActionChunk) -> ActionChunk:
    """Return a chunk that jumps away from the turn to the left, and from the one before itself."""
    row = (0.4 if chunk.decision % 2 else -0.4, 0.0, -0.95)
    return replace(chunk, values=np.tile(np.array(row, np.float32), (len(chunk.values), 1)))


# By the chunk that is right, the last one before it broke, and whether this is the first one after.
CHUNKS: dict[str, Callable[[ActionChunk, ActionChunk, bool], ActionChunk | None]] = {
    "nan": lambda chunk, last, first: _rows(chunk, np.nan),
    "jump": lambda chunk, last, first: _aside(chunk),
    "used_up": lambda chunk, last, first: (
        replace(chunk, valid_until_ns=chunk.t0_ns + 200 * MS) if first else None
    ),
    "silent": lambda chunk, last, first: None,
    "frozen": lambda chunk, last, first: last,
    "stale": lambda chunk, last, first: replace(last, decision=chunk.decision),
}


def _break_the_parser() -> None:
    from edge.policies import instructed

    parse, began_ns = instructed.parse_action, 0

    def broken(*arguments: Any, **more: Any) -> Any:
        nonlocal began_ns
        began_ns = began_ns or time.monotonic_ns()  # the first answer is read once it drives
        if time.monotonic_ns() - began_ns < AFTER_NS:
            return parse(*arguments, **more)
        broke()
        raise RecursionError("maximum recursion depth exceeded")

    instructed.parse_action = broken


def main() -> int:
    mode = os.environ.get("VLA_EDGE_TEST", "")
    if mode == "orin":
        FakeGpu().install(pytest.MonkeyPatch())
    if mode == "parser_raises":
        _break_the_parser()
    elif mode != "talks":
        module = ModuleType("edge.policies.open")
        module.make_policy = BreakingPolicy
        sys.modules["edge.policies.open"] = module
    CAMERAS.built_in["broken"] = "tests.faults.broken.camera:open_address"
    return cli.main(["run", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
