"""`vla-edge train`: train a policy from a YAML file.

vla-edge train training/configs/tiny.yaml --dry-run
torchrun --nproc-per-node 2 -m edge.cli train training/configs/tiny.yaml

What needs torch is imported once the arguments are read: --help answers without it.
"""

import json
import sys
from pathlib import Path

from edge.commands.arguments import ArgumentParser

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
    parser = ArgumentParser("train", "train a policy on demonstrations")
    parser.add_argument("config", type=Path, help="YAML file, see training/configs")
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint in `out`")
    parser.add_argument("--dry-run", action="store_true", help="estimate memory and time; nothing is written")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    a = parser.parse_args(argv)
    from training.config import load_config
    from training.opening import count_dropped
    from training.processes import leave_together
    from training.running import estimate, find_success, run
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
        whole = run(trainer, success)
        found = {"out": str(config.out), "steps": trainer.step}
        found |= {n: str(trainer.folder.checkpoint(n)) for n in ("last", "best")}
    if first:
        print(
            json.dumps(found)
            if a.json
            else _table(found)
            if a.dry_run
            else f"{config.out}: {trainer.step} steps"
        )
        if not whole:
            print(f"to go on: vla-edge train {a.config} --resume", file=sys.stderr)
    leave_together(trainer.accelerator)
    return 0 if whole else _INTERRUPTED


if __name__ == "__main__":
    raise SystemExit(main())
