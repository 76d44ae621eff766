"""Policies that break some time after they began to drive, in a way that a mode names.

`VLA_EDGE_BREAK_S` says after how many seconds (1.5); the file `VLA_EDGE_BROKE` gets the CLOCK_MONOTONIC ns.
"""

import ctypes
import itertools
import math
import os
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edge.errors import EngineFault
from edge.interfaces import Inference, Policy
from edge.records import ActionChunk, Observation

MS = 1_000_000
LATE_S = 0.13
SLOW_S = 0.8
SLOW_WARM_UP_S = 3.0
ALWAYS = "engine"  # the mode that fails at every answer, also in a program that was started afresh
JUMPS_FROM_RAD_S = 0.56  # from a slower turn nothing within the limits is a jump


def after_ns(default_s: float = 1.5) -> int:
    """Return the time after which it breaks, ns."""
    return round(float(os.environ.get("VLA_EDGE_BREAK_S", default_s)) * 1e9)


def broke() -> bool:
    """Write down when it broke; True the first time."""
    file = Path(os.environ["VLA_EDGE_BROKE"])
    first = not file.exists()
    if first:
        file.write_text(str(time.monotonic_ns()))
    return first


class Breaking:
    """Takes the place of a policy's `infer` and `act`, and breaks as `mode` names."""

    def __init__(self, policy: Policy, mode: str, breaks: Mapping[str, Callable[[], object]]) -> None:
        self._infer, self._act = policy.infer, policy.act
        self._mode = mode
        self._breaks = breaks.get(mode)
        self._after_ns = after_ns()
        self._warm = False
        self._began_ns = 0  # the stamp of the first frame that it drives by
        self._last: ActionChunk | None = None
        self._jumps = False
        policy.infer, policy.act = self.infer, self.act

    def infer(self, observation: Observation) -> Inference:
        """Answer as the policy does, unless it is due to break."""
        if self._mode == "slow_warm_up" and not self._warm:
            time.sleep(SLOW_WARM_UP_S)
            broke()
        self._warm = True
        due = self._due(observation.frame.stamp_ns)
        if self._breaks is not None and due and (broke() or self._mode == ALWAYS):
            self._breaks()
        if self._mode == "late":
            time.sleep(LATE_S)
        if self._mode == "slow" and due:
            broke()
            time.sleep(SLOW_S)
        inference = self._infer(observation)
        if self._mode == "says" and due:
            broke()
            return replace(inference, text=os.environ["VLA_EDGE_SAYS"])
        return inference

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk | None:
        """Plan as the policy does, unless it is due to break."""
        self._began_ns = self._began_ns or observation.frame.stamp_ns
        chunk = self._act(observation, inference)
        if self._mode == "slow":  # driven by the model's answers alone
            return (
                None if inference is None or chunk is None else replace(chunk, t0_ns=inference.frame.stamp_ns)
            )
        if self._mode == "late":
            return None if inference is None or chunk is None else _falling(chunk, inference.frame.stamp_ns)
        due = self._mode in CHUNKS and self._due(observation.frame.stamp_ns)
        if self._mode == "jump" and due and not self._jumps:
            due = self._jumps = (
                self._last is not None and float(np.abs(self._last.values[:, 2]).min()) > JUMPS_FROM_RAD_S
            )
        if chunk is None or not due or self._last is None:
            self._last = chunk or self._last
            return chunk
        first = broke()
        return CHUNKS[self._mode](chunk, self._last, first)

    def _due(self, stamp_ns: int) -> bool:
        return bool(self._began_ns) and stamp_ns - self._began_ns > self._after_ns


def _falling(chunk: ActionChunk, stamp_ns: int) -> ActionChunk:
    """Return a chunk whose first row is quick; it has elapsed when the chunk comes."""
    values = np.zeros((5, 3), np.float32)
    values[:, 2] = (0.9, 0.3, 0.3, 0.3, 0.3)
    return replace(chunk, values=values, dt_s=0.1, t0_ns=stamp_ns, valid_until_ns=stamp_ns + 500 * MS)


def _hold_the_gil() -> None:
    ctypes.PyDLL(None).usleep(900_000)  # PyDLL keeps the lock of the interpreter while it waits


def _use_up_memory() -> None:
    held_kb = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = held_kb + (32 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    held = []
    while True:
        held.append(bytearray(16 << 20))


def _raise() -> None:
    raise FloatingPointError("the engine broke")


def _fail() -> None:
    raise EngineFault("ONNX Runtime failed: a shape that is not there")


INFERENCES: dict[str, Callable[[], object]] = {
    "hangs": lambda: time.sleep(3600),
    "raises": _raise,
    "fails": _fail,
    ALWAYS: _fail,
    "gil": _hold_the_gil,
    "memory": _use_up_memory,
}


def _rows(chunk: ActionChunk, share: float) -> ActionChunk:
    return replace(chunk, values=chunk.values * np.float32(share))


_TO_AND_FRO = itertools.cycle((0.4, -0.4))


def _aside(chunk: ActionChunk, last: ActionChunk) -> ActionChunk:
    """Return a chunk that jumps away from the turn of `last`, and from the one before itself."""
    row = (next(_TO_AND_FRO), 0.0, -math.copysign(0.95, last.values[0, 2]))
    return replace(chunk, values=np.tile(np.array(row, np.float32), (len(chunk.values), 1)))


# By the chunk that is right, the last one before it broke, and whether this is the first one after.
CHUNKS: dict[str, Callable[[ActionChunk, ActionChunk, bool], ActionChunk | None]] = {
    "nan": lambda chunk, last, first: _rows(chunk, np.nan),
    "quick": lambda chunk, last, first: _rows(chunk, 1.6),
    "jump": lambda chunk, last, first: _aside(chunk, last),
    "used_up": lambda chunk, last, first: (
        replace(chunk, valid_until_ns=chunk.t0_ns + 200 * MS) if first else None
    ),
    "silent": lambda chunk, last, first: None,
    "frozen": lambda chunk, last, first: last,
    "stale": lambda chunk, last, first: replace(last, decision=chunk.decision),
}


def break_parser(module: ModuleType, name: str) -> None:
    """Let the parser `name` of a module raise, some time after it is called first."""
    parse, began_ns = getattr(module, name), 0

    def broken(*arguments: Any, **more: Any) -> Any:
        nonlocal began_ns
        began_ns = began_ns or time.monotonic_ns()  # the first answer is read once it drives
        if time.monotonic_ns() - began_ns < after_ns():
            return parse(*arguments, **more)
        broke()
        raise RecursionError("maximum recursion depth exceeded")

    setattr(module, name, broken)
