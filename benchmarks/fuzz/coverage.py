"""Inputs that libFuzzer finds by the branches that they take: `python -m benchmarks.fuzz.coverage TARGET`.

It needs atheris (`pip install '.[fuzz]'`, x86-64 only). What follows the target goes to libFuzzer, such as
`-runs=1000000 -seed=1 -max_len=4100 CORPUS_DIR`. A flaw ends it, and libFuzzer writes its input to a file.
"""

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

import atheris

MODULES = ["edge", "calibration", "training.datasets", "training.config"]  # whose branches count
SEEDS = 300  # inputs that a corpus begins with


def main() -> None:
    """Run libFuzzer; it ends the process."""
    name, *flags = sys.argv[1:] or [""]
    with atheris.instrument_imports(include=MODULES):
        from benchmarks.fuzz.target import outcome
        from benchmarks.fuzz.targets import TARGETS
    if name not in TARGETS:
        sys.exit(f"error: give a target: {', '.join(TARGETS)}")
    flags = [flag if flag.startswith("-") else str(Path(flag).absolute()) for flag in flags]
    corpus = next((Path(flag) for flag in flags if not flag.startswith("-")), None)
    if corpus is not None:
        corpus.mkdir(parents=True, exist_ok=True)
        for index in range(SEEDS):
            data = TARGETS[name].make(Random(f"1/{name}/{index}"))
            (corpus / f"{index:04d}").write_bytes(data)
    crashes = f"-artifact_prefix={Path.cwd()}/"
    folder = tempfile.mkdtemp(prefix="vla-edge-fuzz-")
    os.chdir(folder)
    check = TARGETS[name].open(Path(folder))
    kinds: Counter[str] = Counter()

    def test_one_input(data: bytes) -> None:
        kinds[outcome(check, data)] += 1
        if kinds.total() % 100_000 == 0:
            print(f"{name}: {kinds.total()} inputs, {dict(kinds.most_common())}", file=sys.stderr, flush=True)

    atheris.Setup([name, crashes, *flags], test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
