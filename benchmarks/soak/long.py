"""A run that lasts, disturbed by what it must survive, while what its processes hold is sampled."""

import json
import os
import random
import shutil
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from benchmarks.soak.faults.disturbances import DISTURBANCES
from benchmarks.soak.faults.fault import WENT_ON, Fault
from benchmarks.soak.faults.trial import BrokenRun, TooSoon, trial
from benchmarks.soak.growth import HeldSample, Sampler, grown, growth
from benchmarks.soak.judge import judge
from benchmarks.soak.short import counts, leftovers, now, what_is_left
from benchmarks.soak.stalls import StallWitness
from benchmarks.soak.state import LONG, RunRecord

PAUSE_S = (10.0, 25.0)  # between two disturbances
QUIET_S = 45.0  # at the end, without any
END_S = 30.0  # after the drive's own time limit
# Frames get their stamps behind GStreamer, so on a busy machine those of a quick turn are not exact.
LASTING = Fault(
    LONG, "long run", (WENT_ON,), rig="stream", wired="pty", needs=("pad", "machine", "clock"), follows=True,
    arguments=("--max-speed", "0.2"),
)  # fmt: skip


def long_run(seed: int, seconds: float, folder: Path, witness: StallWitness, own: set[int]) -> RunRecord:
    """Drive for so many seconds, and disturb the drive; judge its end, its setpoints and its growth."""
    witness.forget()
    before, load, began, began_s = counts(), os.getloadavg()[0], now(), time.monotonic()
    with trial(LASTING, seed, folder, seconds) as made, Sampler(lambda: _roles(made)) as sampler:
        done = _disturb(made, seconds, random.Random(f"long {seed}"))
        left = what_is_left(made, LASTING, time.monotonic_ns(), witness)
        samples = sampler.samples
    verdict, figures = judge(LASTING, left), growth(samples)
    violations = [*verdict.violations, *grown(figures), *leftovers(made.seen, own)]
    _keep(samples, folder.parent / f"samples-{seed}.jsonl")
    if not violations:
        shutil.rmtree(folder, ignore_errors=True)
    return RunRecord(
        seed=seed, number=LONG, title=LASTING.title, began=began,
        seconds=round(time.monotonic() - began_s, 1), end=left.end, code=left.code, injected_s=0.0,
        by_machine=verdict.by_machine, violations=violations, folder=str(folder) if violations else "",
        reason=left.said.strip()[:300], load=(load, os.getloadavg()[0]), before=before, after=counts(),
        figures={"disturbed": dict(done), **figures},
    )  # fmt: skip


def _roles(made: BrokenRun) -> dict[str, int]:
    cameras = made.camera_processes()
    return {**made.pids, **({"camera": cameras[0]} if cameras else {})}


def _disturb(made: BrokenRun, seconds: float, chance: random.Random) -> Counter[str]:
    """Disturb a drive until it has ended; return what was done how often."""
    done: Counter[str] = Counter()
    waiting: list[str] = []
    try:
        made.await_armed()
        until_s = time.monotonic() + seconds - QUIET_S
        while time.monotonic() < until_s:
            made.until(lambda: False, chance.uniform(*PAUSE_S))
            made.note_processes()
            waiting = waiting or chance.sample(list(DISTURBANCES), len(DISTURBANCES))
            name = waiting.pop()
            print(f"  {time.monotonic() - until_s + seconds - QUIET_S:.0f} s: {name}", flush=True)
            made.undergo(DISTURBANCES[name])
            done[name] += 1
        made.until(lambda: False, QUIET_S + END_S)
    except TooSoon:
        pass
    return done


def _keep(samples: list[HeldSample], file: Path) -> None:
    with file.open("w") as opened:
        opened.writelines(json.dumps(asdict(each)) + "\n" for each in samples)
