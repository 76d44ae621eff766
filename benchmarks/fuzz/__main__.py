"""`python -m benchmarks.fuzz [TARGET…] --inputs N --seed S`."""

import json
from pathlib import Path

from benchmarks.fuzz.campaign import FuzzFigures, run_target
from benchmarks.fuzz.target import outcome
from benchmarks.fuzz.targets import TARGETS
from edge.commands.arguments import ArgumentParser
from edge.commands.output import run_program
from edge.errors import UsageError

KEEP = Path("runs/fuzz")


def main(argv: list[str]) -> int:
    """Run the command; returns 0 if no input was a flaw, else 1."""
    parser = ArgumentParser("benchmarks.fuzz", "Give hostile inputs to the readers of foreign data.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"all of: {', '.join(TARGETS)}")
    parser.add_argument("--inputs", type=int, default=1000, metavar="N", help="inputs a target")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="the same inputs for the same seed")
    parser.add_argument("--keep", type=Path, default=KEEP, metavar="DIR", help="folder for inputs that fail")
    parser.add_argument("--file", type=Path, help="try this kept input alone, in this process")
    parser.add_argument("--json", action="store_true", help="print one JSON object a target")
    options = parser.parse_args(argv)
    names = options.targets or list(TARGETS)
    if unknown := [name for name in names if name not in TARGETS]:
        raise UsageError(f"there is no target {unknown[0]!r}", f"one of {', '.join(TARGETS)}")
    if options.file is not None:
        return _one(names[0], options.file)
    failed = False
    for name in names:
        figures = run_target(name, options.inputs, options.seed, options.keep.absolute())
        failed |= bool(figures.kept)
        print(json.dumps(figures.row()) if options.json else _text(figures), flush=True)
    return int(failed)


def _one(name: str, file: Path) -> int:
    import os
    import tempfile

    data = file.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        print(outcome(TARGETS[name].open(Path(folder)), data))
    return 0


def _text(figures: FuzzFigures) -> str:
    row = figures.row()
    lines = [
        f"{row['target']}: {row['inputs']} inputs, {row['accepted']} accepted, "
        f"{figures.crashes.total()} exceptions that are not EdgeError, "
        f"{figures.motion} motions from garbage, "
        f"{row['inputs_per_s']} inputs/s"
    ]
    lines += [f"    {count:>9} {kind}" for kind, count in figures.kinds.most_common()]
    lines += [f"  ! {count:>9} {kind}" for kind, count in figures.crashes.most_common()]
    lines += [f"  ! kept {path}" for path in figures.kept[:10]]
    return "\n".join(lines)


if __name__ == "__main__":
    run_program(main)
