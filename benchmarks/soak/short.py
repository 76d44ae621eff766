"""One run with one fault, from its command to its line in the state."""

import contextlib
import json
import os
import random
import shutil
import time
import traceback
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.soak.faults.fault import REFUSED, Fault, end_of
from benchmarks.soak.faults.refusals import Refusal, try_refusal
from benchmarks.soak.faults.trial import BrokenRun, TooSoon, trial
from benchmarks.soak.judge import Left, judge
from benchmarks.soak.processes import await_none, holdings, relatives, segments_of, unreaped
from benchmarks.soak.stalls import StallWitness
from benchmarks.soak.state import Counts, RunRecord

DRIVE_S = (9.0, 14.0)  # time limit of a drive
INJECT_S = 4.0  # after arming, at most
END_LIMIT_S = 90.0  # from the injection to the end of the run
GONE_S = 6.0  # after the end, for all other processes


def counts() -> Counts:
    """Return what this process holds now."""
    own, family = holdings(os.getpid()), relatives()
    assert own is not None
    zombies = sum(each.state == "Z" for each in family)
    return Counts(own.descriptors, own.threads, own.rss_kib, len(family), zombies)


def short_run(fault: Fault, seed: int, folder: Path, witness: StallWitness, own: set[int]) -> RunRecord:
    """Start a run, inject the fault at a time that the seed draws, and judge what became of it."""
    chance = random.Random(f"when {seed}")
    witness.forget()
    before, load, began, began_ns = counts(), os.getloadavg()[0], now(), time.monotonic_ns()
    with trial(fault, seed, folder, chance.uniform(*DRIVE_S)) as made:
        injected_ns, hung = _drive(made, fault, chance)
        zombies = unreaped()
        left = what_is_left(made, fault, injected_ns, witness)
    verdict = judge(fault, left)
    violations = [*verdict.violations, *leftovers(made.seen, own)]
    violations += [f"did not end within {END_LIMIT_S:.0f} s"] if hung else []
    violations += [f"{len(zombies)} zombies while it ran"] if zombies else []
    if not violations:
        shutil.rmtree(folder, ignore_errors=True)
    return RunRecord(
        seed=seed, number=fault.number, title=fault.title, began=began,
        seconds=round((time.monotonic_ns() - began_ns) / 1e9, 1), end=left.end, code=left.code,
        injected_s=None if injected_ns is None else round((injected_ns - began_ns) / 1e9, 3),
        zero_ms=verdict.zero_ms, bound_ms=verdict.bound_ms, stalled_ms=round(left.stalled_ms, 1),
        by_machine=verdict.by_machine, violations=violations, folder=str(folder) if violations else "",
        reason=left.said.strip()[:300], load=(load, os.getloadavg()[0]), before=before, after=counts(),
    )  # fmt: skip


def _drive(made: BrokenRun, fault: Fault, chance: random.Random) -> tuple[int | None, bool]:
    """Let it drive and break; return when that was (None: it ended before) and whether it hung."""
    injected_ns: int | None = None
    try:
        made.await_armed()
        if fault.inject is not None:
            made.until(lambda: False, chance.uniform(0.2, INJECT_S))
            if chance.random() < 0.8:
                made.await_motion()
            began_ns = time.monotonic_ns()
            injected_ns = made.undergo(fault.inject) or began_ns
        made.until(lambda: False, END_LIMIT_S)
    except TooSoon:
        pass
    made.note_processes()
    hung = made.child.poll() is None
    by_itself = fault.breaks or fault.camera or fault.inject is None
    return (_by_itself(made, fault) if by_itself else injected_ns), hung


def what_is_left(made: BrokenRun, fault: Fault, injected_ns: int | None, witness: StallWitness) -> Left:
    """Return what a run left, once its base's board has written it all down."""
    ended_ns = time.monotonic_ns()
    _settle(made)
    summary, wrong = _summary(made), made.folder / "wrong"
    code, told = made.child.poll() or 0, summary or {}
    return Left(
        end=end_of(code, summary),
        code=code,
        said=f"{(made.folder / 'err').read_text()} {told.get('reason', '')} {told.get('hint', '')}",
        lines=made.setpoints(),
        injected_ns=injected_ns,
        ended_ns=ended_ns,
        stalled_ms=0.0 if injected_ns is None else witness.late_ms(injected_ns, ended_ns),
        warm_ns=made.broke_ns() if fault.breaks == "slow_warm_up" else None,
        wrong=wrong.read_text() if wrong.exists() else "",
    )


def _by_itself(made: BrokenRun, fault: Fault) -> int | None:
    """Return when a run broke without anybody's doing; its end, if that is not noted down."""
    if fault.breaks in ("", "late") or fault.camera:
        return time.monotonic_ns() if any(line.armed for line in made.setpoints()) else None
    return made.broke_ns()


def _settle(made: BrokenRun) -> None:
    """Wait until the base's board has logged the end: the motor process may brake a little longer."""
    deadline_s = time.monotonic() + 1.5
    while time.monotonic() < deadline_s:
        lines = made.setpoints()
        if not lines or not (lines[-1].armed or lines[-1].moving):
            return
        time.sleep(0.02)


def _summary(made: BrokenRun) -> dict[str, Any] | None:
    """Return what the run printed, or wrote into its folder where an error is printed instead."""
    texts = [(made.folder / "out").read_text()]
    if made.run_folder is not None and (file := made.run_folder / "summary.json").exists():
        texts.append(file.read_text())
    for text in texts:
        with contextlib.suppress(json.JSONDecodeError):
            document = json.loads(text)
            if "outcome" in document:
                return document
    return None


def leftovers(seen: set[int], own: set[int]) -> list[str]:
    """Return what a run left behind: processes, after a while, and names in shared memory."""
    left = await_none(GONE_S, own)
    names = segments_of(seen)
    found = [f"left a process: {each.state} {each.command[:120]}" for each in left]
    return found + [f"left shared memory: {name}" for name in names]


def failed_run(seed: int, number: int, error: Exception) -> RunRecord:
    """Write down that the soak itself failed: that must not end hours of it, nor be forgotten."""
    trace = "".join(traceback.format_exception(error))[-1500:]
    return RunRecord(
        seed=seed, number=number, title="the soak itself", began=now(), seconds=0.0, end="failed", code=0,
        injected_s=None, violations=[f"the soak itself failed: {trace}"], before=counts(), after=counts(),
    )  # fmt: skip


def refused_run(refusal: Refusal, seed: int, folder: Path, own: set[int]) -> RunRecord:
    """Try what must be refused before anything moves."""
    before, load, began, began_s = counts(), os.getloadavg()[0], now(), time.monotonic()
    code, said, violations = try_refusal(refusal, folder)
    violations += [f"left a process: {each.command[:120]}" for each in await_none(GONE_S, own)]
    if not violations:
        shutil.rmtree(folder, ignore_errors=True)
    return RunRecord(
        seed=seed, number=refusal.number, title=refusal.title, began=began,
        seconds=round(time.monotonic() - began_s, 1), end=REFUSED, code=code, injected_s=0.0,
        violations=violations, folder=str(folder) if violations else "", reason=said[:300],
        load=(load, os.getloadavg()[0]), before=before, after=counts(),
    )  # fmt: skip


def now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
