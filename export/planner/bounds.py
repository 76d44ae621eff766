"""Lower bounds of a model's time on a board: no program that does this work on this board can be faster.

A pass of a stage reads each of its weights once and does each of its operations once; it takes at least the
longer of both, and stages and passes follow one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge.errors import UsageError
from export.planner.boards import BITS, Board
from export.planner.layers import StageWork, Workload


@dataclass(frozen=True)
class StageBound:
    """The bound of one stage with all of its passes."""

    name: str
    passes: int
    parameters: int  # weights that a pass reads
    bytes: float
    flops: float
    bandwidth_ms: float
    compute_ms: float
    bound_ms: float


@dataclass(frozen=True)
class Memory:
    """The memory of a board that a model takes, in bytes."""

    board_bytes: float
    reserved_bytes: float  # memory of the system and of the engines' libraries; measured on "this"
    weights_bytes: float
    cache_bytes: float
    run_bytes: float  # the sum of reserved, weights and cache
    build_bytes: float  # memory while the largest engine is built: its source and two copies of the engine

    @property
    def fits(self) -> bool:
        """Whether the model runs on the board."""
        return self.run_bytes <= self.board_bytes

    @property
    def builds(self) -> bool:
        """Whether the largest engine can be built on the board."""
        return self.build_bytes <= self.board_bytes


@dataclass(frozen=True)
class Estimate:
    """A model on a board in one precision."""

    model: str
    family: str
    board: Board
    precision: str
    parameters: int  # each counted once
    floor_parameters: int  # parameters of a bundle's net for the floor
    stages: tuple[StageBound, ...]
    memory: Memory
    bound_ms: float


def estimate(model: str, workload: Workload, board: Board, precision: str) -> Estimate:
    """Estimate the bounds of `workload` on a board.

    Precision "auto" is the one that it was exported in, or else the quickest that fits, and of equals the
    most exact. Raises UsageError if the board lacks the precision.
    """
    exported = sorted({stage.precision for stage in workload.stages if stage.precision is not None})
    if precision == "auto" and not exported:
        estimates = [estimate(model, workload, board, each) for each in BITS if each in board.flops_s]
        return min(estimates, key=lambda each: (not each.memory.fits, each.bound_ms))
    if precision != "auto":
        exported = [precision]
        workload = replace(
            workload,
            stages=tuple(replace(stage, precision=precision, bytes=None) for stage in workload.stages),
        )
    _check_precisions(board, exported)
    precision = "+".join(exported)
    stages = tuple(_bound(stage, board) for stage in workload.stages)
    return Estimate(
        model,
        workload.family,
        board,
        precision,
        workload.parameters,
        workload.floor,
        stages,
        _memory(workload, board),
        sum(stage.bound_ms for stage in stages),
    )


def bandwidth_left(one: Estimate) -> dict[str, float] | None:
    """Return what a measured bandwidth leaves of a board's: GB/s, its share, and the bound with either.

    None without a measured one.
    """
    board = one.board
    if board.stated_bytes_s is None:
        return None
    faster = board.bandwidth_bytes_s / board.stated_bytes_s
    stated_ms = sum(max(stage.bandwidth_ms * faster, stage.compute_ms) for stage in one.stages)
    return {
        "measured_gb_s": board.bandwidth_bytes_s / 1e9,
        "stated_gb_s": board.stated_bytes_s / 1e9,
        "share": faster,
        "floor_ms": one.bound_ms,
        "stated_floor_ms": stated_ms,
    }


def _check_precisions(board: Board, precisions: Sequence[str]) -> None:
    for precision in precisions:
        if precision not in board.flops_s:
            has = ", ".join(each for each in BITS if each in board.flops_s)
            lack = "was not measured in" if board.measured else "has no"
            raise UsageError(f"{board.title} {lack} {precision}", f"what {board.name} has: {has}")


def _native_bytes(precision: str | None) -> int:
    """Bytes of a number that is not a matrix's weight: in embeddings, keys and values."""
    return 4 if precision == "fp32" else 2


def _weight_bytes(stage: StageWork) -> float:
    assert stage.precision is not None
    return stage.work.parameters * BITS[stage.precision] / 8 if stage.bytes is None else stage.bytes


def _bound(stage: StageWork, board: Board) -> StageBound:
    assert stage.precision is not None
    work = stage.work
    streamed = _weight_bytes(stage) + work.cached * _native_bytes(stage.precision)
    bandwidth_ms = 1e3 * streamed / board.bandwidth_bytes_s * stage.passes
    compute_ms = 1e3 * work.flops / board.flops_s[stage.precision] * stage.passes
    return StageBound(
        stage.name,
        stage.passes,
        work.parameters,
        streamed * stage.passes,
        work.flops * stage.passes,
        bandwidth_ms,
        compute_ms,
        max(bandwidth_ms, compute_ms),
    )


def _memory(workload: Workload, board: Board) -> Memory:
    native = max(_native_bytes(stage.precision) for stage in workload.stages)
    weights = (
        sum(_weight_bytes(stage) for stage in workload.stages if not stage.shares)
        + (workload.tables + workload.floor) * native
    )
    # The source in the widest numbers, the engine that is built, and the engine once more to be written.
    building = max(stage.work.parameters * native + 2 * _weight_bytes(stage) for stage in workload.stages)
    return Memory(
        board_bytes=board.memory_bytes,
        reserved_bytes=board.reserved_bytes,
        weights_bytes=weights,
        cache_bytes=workload.cache * native,
        run_bytes=board.reserved_bytes + weights + workload.cache * native,
        build_bytes=board.reserved_bytes + building,
    )
