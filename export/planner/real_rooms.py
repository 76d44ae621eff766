"""How to come to a bundle for real rooms, with the bounds of this machine."""

import functools

from export.planner.boards import find_board
from export.planner.bounds import estimate
from export.planner.known import KNOWN

# Checkpoints of the hub that have seen real rooms and say where things are: the planner's name and the hub's.
CHECKPOINTS = {
    "paligemma-3b": "google/paligemma-3b-mix-224",
    "qwen2.5-vl-3b": "Qwen/Qwen2.5-VL-3B-Instruct",
    "kosmos-2": "microsoft/kosmos-2-patch14-224",
}


@functools.cache
def advice() -> str:
    """Return the command that makes such a bundle, and the bound of each model on this machine."""
    models: list[str] = []
    board = None
    for name, checkpoint in CHECKPOINTS.items():
        known = KNOWN[name]
        workload = known.build(known.request)
        # Measured once where the board is not known: each measurement takes a second.
        board = board or find_board("this", workload.parameters * 4)
        one = estimate(name, workload, board, "auto")
        fits = "fits" if one.memory.fits else "does not fit"
        seconds = (
            f"at least {one.bound_ms / 1e3:.1f} s"
            if one.bound_ms >= 1000
            else f"at least {one.bound_ms:.0f} ms"
        )
        models.append(f"{checkpoint} ({one.precision} {fits} this machine, {seconds} an answer)")
    return (
        "a bundle for real rooms is made by `vla-edge export --model ORG/NAME --out real`, then `--bundle "
        f"real`: {'; '.join(models)}; `vla-edge plan --model paligemma-3b` tells more"
    )
