"""`python -m benchmarks.soak --minutes 30 --seed 1 --state DIR`: random faults into real runs, for hours."""

import shutil
import signal
import time
from pathlib import Path

from benchmarks.soak.faults.fault import Fault
from benchmarks.soak.faults.refusals import REFUSALS, Refusal
from benchmarks.soak.faults.table import FAULTS
from benchmarks.soak.long import long_run
from benchmarks.soak.processes import adopt_orphans, relatives
from benchmarks.soak.report import report
from benchmarks.soak.short import failed_run, refused_run, short_run
from benchmarks.soak.stalls import StallWitness
from benchmarks.soak.state import LONG, RunRecord, State, bag
from edge.commands.arguments import (
    ArgumentParser,
    non_negative_float,
    non_negative_int,
    positive_float,
)
from edge.commands.output import run_program
from edge.errors import UsageError

LEAST_LONG_S = 90.0  # a shorter run tells nothing about growth
BY_NUMBER: dict[int, Fault | Refusal] = {each.number: each for each in (*FAULTS, *REFUSALS)}


def arguments() -> ArgumentParser:
    """Return the parser of the command line."""
    p = ArgumentParser("", "Inject random faults into real runs, and judge each. Ctrl-C ends it well.")
    p.prog = "python -m benchmarks.soak"
    p.add_argument("--state", type=Path, required=True, metavar="DIR", help="goes on from what is in it")
    p.add_argument("--minutes", type=positive_float, default=30.0, help="how long (%(default)g)")
    p.add_argument(
        "--long-minutes", type=non_negative_float, help="the part of it that is one long run (a third)"
    )
    p.add_argument("--seed", type=non_negative_int, default=1, help="of the first run (%(default)s)")
    p.add_argument("--only", metavar="N,N", help="numbers of faults, instead of all")
    p.add_argument("--report", action="store_true", help="only say what became of the runs so far")
    return p


def _numbers(only: str | None) -> list[int]:
    """Return the faults to draw from. Raises UsageError for one that can't be injected."""
    if only is None:
        return sorted(BY_NUMBER)
    words = only.split(",")
    if unknown := [word for word in words if not (word.isdigit() and int(word) in BY_NUMBER)]:
        raise UsageError(f"--only {unknown[0]!r} can't be injected", f"known: {sorted(BY_NUMBER)}")
    return [int(word) for word in words]


def one_run(number: int, seed: int, seconds: float, state: State, witness: StallWitness) -> None:
    """Inject one fault into a run, or let a long one last, and write down what became of it."""
    folder = state.folder / "runs" / f"{seed}-{'long' if number == LONG else number}"
    shutil.rmtree(folder, ignore_errors=True)  # that of a run which was cut off
    folder.mkdir(parents=True)
    own = {each.pid for each in relatives()}
    try:
        record = _judged(number, seed, seconds, folder, witness, own)
    except Exception as error:  # noqa: BLE001 - it is written down, and must not end hours of other runs
        record = failed_run(seed, number, error)
    state.add(record)
    print(_line(record), flush=True)


def _judged(
    number: int, seed: int, seconds: float, folder: Path, witness: StallWitness, own: set[int]
) -> RunRecord:
    if number == LONG:
        print(f"{seed} a long run of {seconds:.0f} s", flush=True)
        return long_run(seed, seconds, folder, witness, own)
    fault = BY_NUMBER[number]
    if isinstance(fault, Refusal):
        return refused_run(fault, seed, folder, own)
    return short_run(fault, seed, folder, witness, own)


def soak(state: State, minutes: float, long_minutes: float, first_seed: int, numbers: list[int]) -> None:
    """Run for so many minutes. Raises KeyboardInterrupt."""
    until_s = time.monotonic() + 60 * minutes
    long_until_s = time.monotonic() + 60 * long_minutes
    with StallWitness() as witness:
        while (left_s := until_s - time.monotonic()) > 0:
            long_s = min(long_until_s - time.monotonic(), left_s)
            lasts = long_s > LEAST_LONG_S
            number = LONG if lasts else bag(numbers, first_seed, state.turns())
            one_run(number, state.next_seed(first_seed), long_s, state, witness)


def _line(record: RunRecord) -> str:
    zero = "" if record.zero_ms is None else f", zero after {record.zero_ms:.0f} ms of {record.bound_ms:.0f}"
    machine = " (the machine was too slow)" if record.by_machine else ""
    said = f"{record.seed} fault {record.number} {record.title}: {record.end}{machine}{zero}"
    return "\n".join([said, *(f"  VIOLATION: {each}" for each in record.violations)])


def main(argv: list[str]) -> int:
    """Run it; return 0 if no run broke a rule, 4 otherwise."""
    options = arguments().parse_args(argv)
    state = State(options.state)
    if not options.report:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        adopt_orphans()
        try:
            lasting = options.minutes / 3 if options.long_minutes is None else options.long_minutes
            soak(state, options.minutes, lasting, options.seed, _numbers(options.only))
        except KeyboardInterrupt:
            print("ended; the run under way does not count", flush=True)
    return report(state)


if __name__ == "__main__":
    run_program(main)
