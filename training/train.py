"""`vla-edge train`: train a policy from a YAML file.

vla-edge train training/configs/tiny.yaml --dry-run
torchrun --nproc-per-node 2 -m edge.cli train training/configs/tiny.yaml

What needs torch is imported once the arguments are read: --help answers without it.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands.arguments import ArgumentParser
from edge.commands.output import figure, print_json
from edge.errors import UsageError

if TYPE_CHECKING:
    from training.trainer import Trainer

_INTERRUPTED = 130  # 128 + SIGINT


def _print_dropped(dropped: dict[str, dict[str, int]]) -> None:
    """Print to stderr how many samples each source lost, before a run starts."""
    for name, lost in dropped.items():
        if lost["dropped"]:
            every = lost["samples"] + lost["dropped"]
            why = f"{lost['late_frames']} frames off their time, {lost['missing_frames']} missing"
            print(f"{name}: {lost['dropped']} of {every} samples dropped: {why}", file=sys.stderr)


def _table(found: dict[str, float]) -> str:
    lines: list[str] = []
    for name, value in found.items():
        if name.endswith("_bytes"):
            name, text = name.removesuffix("_bytes"), f"{value / 2**20:,.0f} MiB"
        else:
            text = f"{value:,}" if isinstance(value, int) else f"{value:,.3g}"
        lines.append(f"{name.replace('_', ' '):<28}{text:>14}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """`vla-edge train`. The first Ctrl-C returns 130, with a checkpoint."""
    parser = ArgumentParser("train", "Train a policy on demonstrations.")
    parser.add_argument("config", type=Path, help="YAML file, see training/configs")
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint in `out`")
    parser.add_argument("--dry-run", action="store_true", help="estimate memory and time; nothing is written")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    a = parser.parse_args(argv)
    if not a.config.is_file():  # before torch, which takes seconds
        raise UsageError(f"{a.config} is not a file", "see training/configs for examples")
    for package in ("torch", "accelerate", "transformers"):  # before the word that they are being loaded
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    if os.environ.get("RANK", "0") == "0":  # torchrun numbers its processes
        print("loading torch, the data and the backbone", file=sys.stderr, flush=True)
    from training.config import load_config
    from training.opening import count_dropped
    from training.processes import leave_together
    from training.running import BOARD, estimate, find_success, outcome, run
    from training.trainer import Trainer

    config = load_config(a.config)
    target = config.validation.success
    success = None if target is None else find_success(target)
    trainer = Trainer.open(config, resume=a.resume and not a.dry_run, writes=not a.dry_run)
    first = trainer.accelerator.is_main_process
    if first:
        _print_dropped(count_dropped(trainer.tasks))
    whole = True
    if a.dry_run:
        found = estimate(trainer)
    else:
        if first:
            _print_start(trainer)
        whole = run(trainer, success)
        found = outcome(trainer)
    if first:
        if a.json:
            print_json(found)
        else:
            print(_table(found) if a.dry_run else _result(found, BOARD))
        if not whole:
            print(f"to go on: vla-edge train {a.config} --resume", file=sys.stderr)
    leave_together(trainer.accelerator)
    return 0 if whole else _INTERRUPTED


def _print_start(trainer: "Trainer") -> None:
    """Print to stderr what is about to be trained, and where to look at it."""
    config = trainer.config
    samples = ", ".join(f"{task.train} samples of {name}" for name, task in trainer.tasks.items())
    learning = sum(p.numel() for p in trainer.policy.parameters() if p.requires_grad)
    print(
        f"training {learning / 1e6:.2f} M parameters on {samples}; a checkpoint every "
        f"{config.validation.every} steps in {config.out}",
        file=sys.stderr,
    )


def _result(found: dict[str, Any], board: str) -> str:
    """Say how a run ended: loss, checkpoints, the curve, and what to do next."""
    out = Path(found["out"])
    lines = [f"{out}: {found['steps']} steps, loss {figure(found['loss'], 4)}"]
    if found["best_step"] is not None:
        judged = f"{found['judged_by']} {figure(found['best_value'], 4)}"
        lines.append(f"best     {out / 'best'}, step {found['best_step']}: {judged}")
    elif found["best"] is not None:
        lines.append(f"best     {out / 'best'}, the last one: nothing was kept for validation")
    lines.append(f"curve    tensorboard --logdir {out / board}")
    if found["best"] is not None:
        lines.append(f"next     vla-edge export {out / 'best'} --out BUNDLE")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
