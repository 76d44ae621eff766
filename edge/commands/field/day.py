"""Drives the trials of a sheet through `vla-edge run`, and writes down each result before the next one."""

import ctypes
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from edge.child import child_environment
from edge.commands.field.questions import EndOfDay, Questions, TrialVerdict
from edge.commands.run_arguments import run_arguments
from edge.errors import BundleRefused, EdgeError, HardwareMissing, UsageError
from edge.field.judging import INTERRUPTED, drove
from edge.field.order import PlannedTrial, command_of
from edge.field.results import ResultsFile, TrialResult, check_same_bundle, result_of
from edge.field.sheet import TrialSheet
from edge.files import write_whole

OURS = (
    "--goal",
    "--target",
    "--bundle",
    "--seed",
    "--robot",
    "--runs-dir",
    "--max-seconds",
    "--absent",
    "--json",
)
PR_SET_PDEATHSIG = 1
STDERR = 2
_ERRORS = {error.exit_code: error for error in (UsageError, HardwareMissing, BundleRefused)}


class FieldDay:
    """The trials of a sheet, in a folder that outlives the process."""

    def __init__(self, sheet: TrialSheet, folder: Path, results: ResultsFile, questions: Questions) -> None:
        """Check all trials before the first one drives. Raises UsageError."""
        self._sheet = sheet
        self._folder = folder
        self._results = results
        self._questions = questions
        if ours := next((each for each in sheet.options if each.partition("=")[0] in OURS), None):
            raise UsageError(f"options: the sheet itself says what {ours} says", "leave it out of `options`")
        run_arguments().parse_args(["--goal", sheet.goal, "--bundle", sheet.bundles[0], *sheet.options])

    def drive(self, planned: Sequence[PlannedTrial]) -> bool:
        """Drive what has no result yet, in order; returns False if the operator ended the day before its end.

        Raises the error of a run that did not get to drive, or was cut off by hand.
        """
        for number, trial in enumerate(planned, start=1):
            what = (
                f"trial {number} of {len(planned)}: {trial.bundle}, {trial.setting.name}"
                f"{f', {trial.target}' if trial.target else ''}, scene {trial.scene}"
            )
            try:
                while trial.key not in self._results.counting:
                    self._add(self._one(trial, what), what)
            except EndOfDay:
                return False
        return True

    def _one(self, trial: PlannedTrial, what: str) -> TrialResult:
        command = command_of(self._sheet, trial)
        folder = self._folder / "runs" / f"{len(self._results.results) + 1:04d}"
        run = _unjudged(folder, command)
        if run is None:
            if self._sheet.robot_in(trial.setting).partition("?")[0] == "sim":
                print(what, file=sys.stderr, flush=True)
            else:
                self._questions.set_scene(trial, what)
            run = _drive(folder, command)
        summary = _summary(run)
        if not drove(summary):
            raise _not_a_trial(summary, what)
        verdict: TrialVerdict = self._questions.judge(what, summary)
        return result_of(trial, summary, str(run), command, **asdict(verdict))

    def _add(self, result: TrialResult, what: str) -> None:
        check_same_bundle(self._results, result)
        write_whole(
            Path(result.run) / "trial.json", json.dumps(asdict(result), indent=2, ensure_ascii=False) + "\n"
        )
        self._results.add(result)
        how = "void" if result.void else "success" if result.success else "no success"
        print(f"{what}: {how} ({result.outcome}: {result.reason})", file=sys.stderr, flush=True)


def _unjudged(folder: Path, command: Sequence[str]) -> Path | None:
    """Return the run in a trial's folder that ended whole and was not judged, as the day was cut short then.

    What else is in the folder is a run that was cut short itself, which is driven again, or another trial's.
    """
    try:
        if json.loads((folder / "command.json").read_text()) == list(command):
            runs = [path.parent for path in sorted(folder.glob("*/summary.json"))]
            return next((run for run in runs if drove(_summary(run))), None)
    except (OSError, ValueError):
        pass
    return None


def _drive(folder: Path, command: Sequence[str]) -> Path:
    """Drive one run to its end and return its folder. Raises EndOfDay after Ctrl-C, EdgeError without one."""
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.glob("*/summary.json"))  # runs that were cut short; they are kept
    write_whole(folder / "command.json", json.dumps(list(command), ensure_ascii=False) + "\n")
    words = [sys.executable, "-m", "edge.cli", "run", *command, "--runs-dir", str(folder)]
    # Its words belong to people, since our standard output belongs to the figures.
    child = subprocess.Popen(words, stdout=STDERR, env=child_environment(), preexec_fn=_end_with_parent)
    code = _wait(child)
    run = next((path.parent for path in folder.glob("*/summary.json") if path not in before), None)
    if run is None:
        if code == INTERRUPTED:
            raise EndOfDay
        error = _ERRORS.get(code, EdgeError)
        hint = "mend what it names; the same command goes on with this trial"
        raise error(f"the run ended with exit code {code} before it drove", hint)
    return run


def _wait(child: subprocess.Popen[bytes]) -> int:
    """Wait for a run, and hand on what ends this process: the run stops the robot first, then both end."""

    def hand_on(number: int, _frame: FrameType | None) -> None:  # a second Ctrl-C does the run no harm
        child.send_signal(number)

    before = {each: signal.signal(each, hand_on) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        return child.wait()
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _end_with_parent() -> None:
    """Let a run stop its robot and end when this process is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _summary(run: Path) -> dict[str, Any]:
    return json.loads((run / "summary.json").read_text())


def _not_a_trial(summary: dict[str, Any], what: str) -> Exception:
    """Return why a run was not a trial of its bundle."""
    code = summary["exit_code"]
    if code == INTERRUPTED:
        return EndOfDay()
    error = _ERRORS.get(code, EdgeError)
    hint = f"{summary.get('hint') or 'mend that'}; the same command goes on with this trial"
    return error(f"{what}: {summary['reason']}", hint)
