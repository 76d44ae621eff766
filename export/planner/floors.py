"""The floors of a model on a board: no program that does this work on this board can be faster.

A pass of a stage reads each of its weights once and does each of its operations once; it takes at least the
longer of both, and stages and passes follow one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge.errors import UsageError
from export.planner.boards import BITS, Board
from export.planner.layers import Net, Stage


@dataclass(frozen=True)
class StageFloor:
    """One stage with all of its passes."""

    name: str
    passes: int
    parameters: int  # that a pass reads
    bytes: float
    flops: float
    bandwidth_ms: float
    compute_ms: float
    floor_ms: float


@dataclass(frozen=True)
class Memory:
    """What a model takes of a board's memory, in bytes."""

    board_bytes: float
    reserved_bytes: float  # the system and the engines' libraries; measured on "this"
    weights_bytes: float
    cache_bytes: float
    run_bytes: float  # all three
    build_bytes: float  # while the largest engine is built: its source and two copies of what it becomes

    @property
    def fits(self) -> bool:
        return self.run_bytes <= self.board_bytes

    @property
    def builds(self) -> bool:
        return self.build_bytes <= self.board_bytes


@dataclass(frozen=True)
class Plan:
    """A model on a board in one precision."""

    model: str
    family: str
    board: Board
    precision: str
    parameters: int
    stages: tuple[StageFloor, ...]
    memory: Memory
    floor_ms: float


def plan(model: str, net: Net, board: Board, precision: str) -> Plan:
    """The floors of `net`; precision "auto" is what it was exported in, or else the quickest that fits, and
    of equals the most exact.

    Raises UsageError when the board lacks the precision.
    """
    exported = sorted({stage.precision for stage in net.stages if stage.precision is not None})
    if precision == "auto" and not exported:
        plans = [plan(model, net, board, each) for each in BITS if each in board.flops_s]
        return min(plans, key=lambda each: (not each.memory.fits, each.floor_ms))
    if precision != "auto":
        exported = [precision]
        net = replace(net, stages=tuple(replace(stage, precision=precision) for stage in net.stages))
    _check_precisions(board, exported)
    precision = "+".join(exported)
    stages = tuple(_floor(stage, board) for stage in net.stages)
    return Plan(
        model,
        net.family,
        board,
        precision,
        net.parameters,
        stages,
        _memory(net, board),
        sum(stage.floor_ms for stage in stages),
    )


def _check_precisions(board: Board, precisions: Sequence[str]) -> None:
    for precision in precisions:
        if precision not in board.flops_s:
            has = ", ".join(each for each in BITS if each in board.flops_s)
            lack = "was not measured in" if board.measured else "has no"
            raise UsageError(f"{board.title} {lack} {precision}", f"what {board.name} has: {has}")


def _native_bytes(precision: str | None) -> int:
    """Of a number that is no weight of a matrix: embeddings, keys and values."""
    return 4 if precision == "fp32" else 2


def _weight_bytes(stage: Stage) -> float:
    assert stage.precision is not None
    return stage.work.parameters * BITS[stage.precision] / 8


def _floor(stage: Stage, board: Board) -> StageFloor:
    assert stage.precision is not None
    work = stage.work
    streamed = _weight_bytes(stage) + work.cached * _native_bytes(stage.precision)
    bandwidth_ms = 1e3 * streamed / board.bandwidth_bytes_s * stage.passes
    compute_ms = 1e3 * work.flops / board.flops_s[stage.precision] * stage.passes
    return StageFloor(
        stage.name,
        stage.passes,
        work.parameters,
        streamed * stage.passes,
        work.flops * stage.passes,
        bandwidth_ms,
        compute_ms,
        max(bandwidth_ms, compute_ms),
    )


def _memory(net: Net, board: Board) -> Memory:
    native = max(_native_bytes(stage.precision) for stage in net.stages)
    weights = sum(_weight_bytes(stage) for stage in net.stages if not stage.shares) + net.tables * native
    # Its source in the widest numbers, what the builder makes of it, and that once more to be written.
    building = max(stage.work.parameters * native + 2 * _weight_bytes(stage) for stage in net.stages)
    return Memory(
        board_bytes=board.memory_bytes,
        reserved_bytes=board.reserved_bytes,
        weights_bytes=weights,
        cache_bytes=net.cache * native,
        run_bytes=board.reserved_bytes + weights + net.cache * native,
        build_bytes=board.reserved_bytes + building,
    )
