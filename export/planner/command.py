"""`vla-edge plan`: does a model fit a board, and how fast could it be?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace

from edge.commands.arguments import ArgumentParser, non_negative_int, positive_int
from edge.errors import UsageError
from export.planner.boards import BITS, BOARDS, Board, find_board
from export.planner.floors import Plan, plan
from export.planner.known import KNOWN
from export.planner.layers import Net
from export.planner.sources import find_model


def main(argv: list[str]) -> int:
    """Run it; returns the exit code."""
    p = ArgumentParser("plan", "does a model fit a board, and how fast could it be; nothing is downloaded")
    p.add_argument(
        "--model",
        required=True,
        help=f"{', '.join(KNOWN)}; a folder with Hugging Face's config.json; or a bundle",
    )
    p.add_argument(
        "--board",
        action="append",
        choices=[*BOARDS, "this", "all"],
        help="repeat it to compare; this: the machine you are on; default: all",
    )
    p.add_argument("--precision", default="auto", choices=["auto", *BITS], help="of the weights")
    p.add_argument("--views", type=positive_int, help="images; default: as the model is usually asked")
    p.add_argument("--prompt-tokens", type=non_negative_int)
    p.add_argument("--tokens", type=non_negative_int, help="of the answer; 0 where a head reads the state")
    p.add_argument("--steps", type=positive_int, help="of denoising")
    p.add_argument("--json", action="store_true")
    a = p.parse_args(argv)
    source = find_model(a.model)
    given = {"views": a.views, "prompt": a.prompt_tokens, "tokens": a.tokens, "steps": a.steps}
    given = {key: value for key, value in given.items() if value is not None}
    if source.is_fixed and given.keys() - {"tokens"}:
        raise UsageError(f"{source.name} is a bundle: its shapes are fixed", "only --tokens can be chosen")
    ask = replace(source.ask, **given)
    names = list(BOARDS) if a.board is None or "all" in a.board else list(dict.fromkeys(a.board))
    net = source.build(ask)
    boards = [find_board(name, net.parameters * 4) for name in names]
    plans, refused = _plan_all(source.name, net, boards, a.precision)
    if a.json:
        documents = [*map(_document, plans), *refused]
        print(json.dumps(documents[0] if len(names) == 1 else {"plans": documents}, ensure_ascii=False))
    else:
        from export.planner.tables import print_boards, print_stages  # rich: not for --json and --help

        print_stages(plans[0], ask) if len(names) == 1 else print_boards(plans, refused, ask)
    return 0


def _plan_all(
    model: str, net: Net, boards: Sequence[Board], precision: str
) -> tuple[list[Plan], list[dict[str, str]]]:
    """Plans of the boards that have the precision, and what is said of the others. Raises UsageError when
    none has it."""
    plans: list[Plan] = []
    refused: list[dict[str, str]] = []
    for board in boards:
        try:
            plans.append(plan(model, net, board, precision))
        except UsageError as error:
            if board is boards[-1] and not plans:
                raise
            refused.append({"model": model, "board": board.name, "refused": error.message})
    return plans, refused


def _document(one: Plan) -> dict[str, object]:
    """What --json says of a plan."""
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
        "floor_ms": one.floor_ms,
        "fits": one.memory.fits,
        "stages": [asdict(stage) for stage in one.stages],
        "memory": {**asdict(one.memory), "fits": one.memory.fits, "builds": one.memory.builds},
    }
