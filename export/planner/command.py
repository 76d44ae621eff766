"""`vla-edge plan`: if a model fits a board, and how fast it could be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from edge.commands.arguments import ArgumentParser, non_negative_int, positive_float, positive_int
from edge.commands.output import plain_digits, print_json
from edge.errors import UsageError
from export.planner.boards import BITS, BOARDS, Board, find_board, with_bandwidth
from export.planner.bounds import Estimate, StageBound, bandwidth_left, estimate
from export.planner.known import KNOWN
from export.planner.layers import Workload
from export.planner.sources import find_model


def main(argv: list[str]) -> int:
    """Run the command, and return its exit code."""
    p = ArgumentParser("plan", "Say if a model fits a board, and how fast it could be. Downloads nothing.")
    p.add_argument(
        "--model",
        required=True,
        help=f"{', '.join(KNOWN)}; a folder with a config.json of Hugging Face; or a bundle",
    )
    p.add_argument(
        "--board",
        action="append",
        choices=[*BOARDS, "this", "all"],
        help="board to estimate for, also several times; this: this machine; default: all",
    )
    p.add_argument(
        "--precision",
        default="auto",
        choices=["auto", *BITS],
        help="precision of the weights; auto: as it was exported, else the quickest that fits (%(default)s)",
    )
    p.add_argument(
        "--views", type=positive_int, help="images of one inference; default: the model's usual number"
    )
    p.add_argument(
        "--prompt-tokens",
        type=non_negative_int,
        help="tokens of words and of the state; default: the model's usual number",
    )
    p.add_argument(
        "--tokens",
        type=non_negative_int,
        help="tokens of an answer; 0 if a head reads the state; default: the model's usual number",
    )
    p.add_argument("--steps", type=positive_int, help="steps of denoising; default: the model's usual number")
    p.add_argument(
        "--bandwidth-gb-s",
        type=positive_float,
        help="the board's measured bandwidth (`vla-edge bench bandwidth`), instead of its data sheet's",
    )
    p.add_argument("--json", action="store_true", help="print figures as JSON")
    a = p.parse_args(argv)
    source = find_model(a.model)
    given = {"views": a.views, "prompt": a.prompt_tokens, "tokens": a.tokens, "steps": a.steps}
    given = {key: value for key, value in given.items() if value is not None}
    if source.is_fixed and given.keys() - {"tokens"}:
        raise UsageError(f"{source.name} is a bundle: its shapes are fixed", "only --tokens can be chosen")
    request = replace(source.request, **given)
    names = list(BOARDS) if a.board is None or "all" in a.board else list(dict.fromkeys(a.board))
    workload = source.build(request)
    boards = [find_board(name, workload.parameters * 4) for name in names]
    if a.bandwidth_gb_s is not None:
        if len(boards) > 1:
            raise UsageError("a bandwidth is measured on one board", "name it: --board orin-nx-16, or this")
        boards = [with_bandwidth(boards[0], a.bandwidth_gb_s * 1e9)]
    estimates, refused = _estimate_all(source.name, workload, boards, a.precision)
    if a.json:
        documents = [*map(_document, estimates), *refused]
        print_json(plain_digits(documents[0] if len(names) == 1 else {"plans": documents}))
    else:
        from export.planner.tables import print_boards, print_stages  # rich: not for --json and --help

        print_stages(estimates[0], request) if len(names) == 1 else print_boards(estimates, refused, request)
    return 0


def _estimate_all(
    model: str, workload: Workload, boards: Sequence[Board], precision: str
) -> tuple[list[Estimate], list[dict[str, str]]]:
    """Estimate for the boards that have the precision, and list the others with their refusals.

    Raises UsageError if none has it.
    """
    estimates: list[Estimate] = []
    refused: list[dict[str, str]] = []
    for board in boards:
        try:
            estimates.append(estimate(model, workload, board, precision))
        except UsageError as error:
            if board is boards[-1] and not estimates:
                raise
            refused.append({"model": model, "board": board.name, "refused": error.message})
    return estimates, refused


def _document(one: Estimate) -> dict[str, object]:
    """List the figures of an estimate as --json prints them."""
    board = one.board
    return {
        "model": one.model,
        "family": one.family,
        "board": board.name,
        "board_title": board.title,
        "board_figures": board.source,
        "measured": board.measured,
        "measured_spread": board.spread if board.measured else None,
        "precision": one.precision,
        "precisions": [each for each in BITS if each in board.flops_s],
        "parameters": one.parameters,
        "floor_ms": one.bound_ms,
        "bandwidth": bandwidth_left(one),
        "fits": one.memory.fits,
        "stages": [_stage_document(stage) for stage in one.stages],
        "memory": {**asdict(one.memory), "fits": one.memory.fits, "builds": one.memory.builds},
    }


def _stage_document(stage: StageBound) -> dict[str, object]:
    figures = asdict(stage)
    bound_ms = figures.pop("bound_ms")
    return {**figures, "floor_ms": bound_ms}
