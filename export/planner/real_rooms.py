"""How to come to a bundle for real rooms, with the bounds of this machine."""

import functools

from export.planner.boards import Board, find_board
from export.planner.bounds import Estimate, estimate
from export.planner.known import KNOWN

# Checkpoints of the hub that have seen real rooms and say where things are: the planner's name and the hub's.
CHECKPOINTS = {
    "paligemma-3b": "google/paligemma-3b-mix-224",
    "qwen2.5-vl-3b": "Qwen/Qwen2.5-VL-3B-Instruct",
    "kosmos-2": "microsoft/kosmos-2-patch14-224",
}
# On a Jetson: an export of a model so large knows neither fp8 nor nvfp4, and fp16 is twice as much to build.
_BOARD_PRECISION = "int8"


@functools.cache
def advice() -> str:
    """Return the command that makes such a bundle, and the bound of each model on this machine."""
    largest = max(KNOWN[name].build(KNOWN[name].request).parameters for name in CHECKPOINTS)
    return advice_for(find_board("this", largest * 4))  # measured once: each measurement takes a second


def advice_for(board: Board) -> str:
    """Return the command that makes such a bundle for a board, and the bound of each model there."""
    precision = "auto" if board.measured else _BOARD_PRECISION
    models: list[str] = []
    for name, checkpoint in CHECKPOINTS.items():
        known = KNOWN[name]
        one = estimate(name, known.build(known.request), board, precision)
        models.append(f"{checkpoint} ({_says(one)})")
    options = "" if board.measured else f" --precision {_BOARD_PRECISION} --engine tensorrt --calibration DIR"
    then = "" if board.measured else ", on a computer with torch; then `vla-edge build real` here"
    return (
        f"a bundle for real rooms is made by `vla-edge export --model ORG/NAME{options} --out real`{then}, "
        f"and driven by `--bundle real` (docs/first-drive.md): {'; '.join(models)}; "
        "`vla-edge plan --model paligemma-3b --board this` tells more"
    )


def _says(one: Estimate) -> str:
    if not one.memory.fits:
        fits = "does not fit"
    elif one.board.measured or one.memory.builds:
        fits = "fits"
    else:
        fits = "builds only with swap and then fits"
    seconds = (
        f"at least {one.bound_ms / 1e3:.1f} s" if one.bound_ms >= 1000 else f"at least {one.bound_ms:.0f} ms"
    )
    return f"{one.precision} {fits} this machine, {seconds} an answer"
