"""Estimates as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from export.planner.boards import BITS
from export.planner.bounds import Estimate, Memory, bandwidth_left
from export.planner.layers import Request

MIN_COLUMNS = 80


def print_stages(one: Estimate, request: Request) -> None:
    """Print one model on one board, stage by stage."""
    console, board, memory = _console(), one.board, one.memory
    console.print(f"{_request_line(one, request)}\n{one.precision} on {board.title}")
    table = Table(caption="memory, compute, bound: ms of all passes", pad_edge=False)  # within 80 columns
    for name in ("stage", "passes", "weights", "bytes", "FLOPs", "memory", "compute", "bound"):
        table.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
    for stage in one.stages:
        table.add_row(
            stage.name,
            str(stage.passes),
            _short(stage.parameters),
            _short(stage.bytes),
            _short(stage.flops),
            _ms(stage.bandwidth_ms),
            _ms(stage.compute_ms),
            _ms(stage.bound_ms),
        )
    table.add_section()
    table.add_row("all", *[""] * 6, _ms(one.bound_ms))
    console.print(table)
    rates = ", ".join(f"{each} {board.flops_s[each] / 1e12:.3g}" for each in BITS if each in board.flops_s)
    console.print(f"board     {board.bandwidth_bytes_s / 1e9:.4g} GB/s; dense T/s: {rates}", soft_wrap=True)
    console.print(f"          {board.source}", soft_wrap=True)
    _warn(console, one)
    console.print(f"memory    {'fits' if memory.fits else 'does not fit'}: {_parts(memory)}")
    console.print(
        f"to build  {'fits' if memory.builds else 'does not fit'}: {_of(memory.build_bytes, memory)} GB"
    )
    if (left := bandwidth_left(one)) is not None:
        measured = f"{left['measured_gb_s']:.4g} of {left['stated_gb_s']:.4g} GB/s ({left['share']:.0%})"
        console.print(
            f"measured  {measured}: {_ms(left['floor_ms'])} ms and not {_ms(left['stated_floor_ms'])}"
        )
    least = "too high if this machine was busy" if board.was_busy else "nothing is faster"
    console.print(f"bound     {_ms(one.bound_ms)} ms, {_rate(one)} Hz: {least}; real engines take a multiple")


def print_boards(estimates: Sequence[Estimate], refused: Sequence[dict[str, str]], request: Request) -> None:
    """Print one model on several boards."""
    console = _console()
    console.print(_request_line(estimates[0], request))
    table = Table(pad_edge=False)  # within 80 columns
    for name in ("board", "precision", "bound ms", "Hz", "run GB", "build GB", "of GB", "fits"):
        justify = "left" if name in ("board", "precision", "fits") else "right"
        table.add_column(name, justify=justify, no_wrap=True)
    for one in estimates:
        memory = one.memory
        table.add_row(
            one.board.name,
            one.precision,
            _ms(one.bound_ms),
            _rate(one),
            f"{memory.run_bytes / 1e9:.1f}",
            f"{memory.build_bytes / 1e9:.1f}",
            f"{memory.board_bytes / 1e9:.0f}",
            "no" if not memory.fits else "yes" if memory.builds else "runs",
        )
    console.print(table)
    console.print("bound: the least that the board can take; real engines take a multiple")
    if any(one.memory.fits and not one.memory.builds for one in estimates):
        console.print("runs: it fits to run; to build its plans takes more memory than there is")
    for one in estimates:
        _warn(console, one)
    for each in refused:
        console.print(each["refused"])


def _console() -> Console:
    """Return a console that is wide enough: a narrower table would cut its words."""
    return Console(highlight=False, width=max(MIN_COLUMNS, Console().width))


def _warn(console: Console, one: Estimate) -> None:
    """Warn if a measured board can't be trusted."""
    if one.board.was_busy:
        console.print(
            f"warning: runs of the measurement differ by {one.board.spread:.1f} times; this machine is busy, "
            "and its bounds may be too high: estimate again when it is idle",
            style="yellow",
            soft_wrap=True,
        )


def _request_line(one: Estimate, request: Request) -> str:
    count = f"{_count(one.parameters)} parameters"
    if one.floor_parameters:
        count += f", and {_count(one.floor_parameters)} of the net for the floor"
    parts = [f"{request.views} view{'s' * (request.views > 1)}", f"{request.prompt} prompt tokens"]
    if request.tokens:
        parts.append(f"{request.tokens} answer tokens")
    if request.steps > 1:
        parts.append(f"{request.steps} steps")
    return f"{one.model} ({count}): {', '.join(parts)}"


def _parts(memory: Memory) -> str:
    parts = {"weights": memory.weights_bytes, "cache": memory.cache_bytes, "system": memory.reserved_bytes}
    named = ", ".join(f"{name} {_short(size)}B" for name, size in parts.items())
    return f"{_of(memory.run_bytes, memory)} GB: {named}"


def _of(size_bytes: float, memory: Memory) -> str:
    return f"{size_bytes / 1e9:.1f} of {memory.board_bytes / 1e9:.0f}"


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.2f} B" if parameters >= 1e9 else f"{parameters / 1e6:.1f} M"


def _rate(one: Estimate) -> str:
    """Return how often a second the bound allows, in plain digits."""
    rate_hz = 1e3 / one.bound_ms
    return f"{rate_hz:,.0f}" if rate_hz >= 100 else f"{rate_hz:.3g}"


def _ms(time_ms: float) -> str:
    if time_ms >= 1000:
        return f"{time_ms:.0f}"
    return f"{time_ms:.1f}" if time_ms >= 1 else f"{time_ms:.3f}"


def _short(number: float) -> str:
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f} "
