"""What came of each trial: one line of JSON each, on the disk before the next trial begins."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edge.errors import UsageError, reason_of, write_hint
from edge.field.order import Key, PlannedTrial, command_of, planned_trials
from edge.field.sheet import TrialSheet

BY_TRUTH, BY_OPERATOR = "truth", "operator"
SAFETY_STOP = 4  # exit code
JUDGED = "trial.json"  # what came of a run, in its folder


@dataclass(frozen=True)
class TrialResult:
    """One trial that is over."""

    bundle: str
    setting: str
    seen: bool
    target: str
    scene: int
    room: int
    reached: bool  # the goal, as whoever judged says
    judged_by: str  # BY_TRUTH or BY_OPERATOR
    interventions: int  # times that a person stepped in
    note: str
    void: bool  # it does not count, and is driven again
    outcome: str  # as the summary.json of its run says
    cause: str | None
    reason: str
    exit_code: int
    seconds: float  # that the run drove
    bundle_sha256: str
    run: str  # its folder
    command: tuple[str, ...] = ()  # the words behind `vla-edge run`; none for a run that was recorded before

    @property
    def key(self) -> Key:
        """What tells its trial from the others of the sheet."""
        return self.bundle, self.setting, self.target, self.scene

    @property
    def safety_stop(self) -> bool:
        """True if a safety rule ended the run: somebody has to come before the robot drives again."""
        return self.exit_code == SAFETY_STOP and self.cause != "operator"

    @property
    def success(self) -> bool:
        """True if the goal was reached and nobody stepped in."""
        return self.reached and not self.interventions and not self.safety_stop


_RESULT = TypeAdapter(TrialResult)


def result_of(
    trial: PlannedTrial, summary: Mapping[str, Any], run: str, command: Iterable[str], **judged: Any
) -> TrialResult:
    """Return the result of a trial; `judged` has reached, judged_by, interventions, note and void."""
    return TrialResult(
        bundle=trial.bundle,
        setting=trial.setting.name,
        seen=trial.setting.seen,
        target=trial.target,
        scene=trial.scene,
        room=trial.room,
        outcome=summary["outcome"],
        cause=summary["cause"],
        reason=summary["reason"],
        exit_code=summary["exit_code"],
        seconds=summary["seconds"],
        bundle_sha256=summary["bundle"]["sha256"],
        run=run,
        command=tuple(command),
        **judged,
    )


class ResultsFile:
    """The results of a sheet, appended to one by one. A line that a killed process left torn is dropped."""

    def __init__(self, path: Path) -> None:
        """Read what is there. Raises UsageError for a file that is not one of results."""
        self.path = path
        self.torn = False  # the last line was
        try:
            content = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise UsageError(f"can't read {path}: {error.strerror}", "name another folder: --out") from error
        whole, _, rest = content.rpartition(b"\n")
        lines = whole.split(b"\n") if whole else []
        self.torn = bool(rest)
        self._whole_bytes = len(content) - len(rest)
        self.results = [read_result(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)]

    @property
    def counting(self) -> dict[Key, TrialResult]:
        """The results that count, by trial."""
        return {result.key: result for result in self.results if not result.void}

    def add(self, result: TrialResult) -> None:
        """Append a result, and wait until it is on the disk. Raises UsageError if it can't be written."""
        line = json.dumps(asdict(result), ensure_ascii=False, allow_nan=False) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.truncate(self._whole_bytes)
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UsageError(f"can't write {self.path}: {error.strerror}", write_hint(error)) from error
        self._whole_bytes += len(line.encode())
        self.results.append(result)


def read_result(content: bytes, where: str) -> TrialResult:
    """Return the result in this JSON; `where` begins the message. Raises UsageError if it is not one."""
    try:
        return _RESULT.validate_json(content, strict=True)
    except ValidationError as error:
        hint = "name another folder: --out FOLDER"
        raise UsageError(f"{where}: it is not a trial's result: {reason_of(error)}", hint) from error


def check_results(results: ResultsFile, sheet: TrialSheet) -> None:
    """Check that the results are of a sheet's trials. Raises UsageError if it has become another one."""
    planned = {trial.key: trial for trial in planned_trials(sheet)}
    for result in results.results:
        trial = planned.get(result.key)
        what = f"bundle {result.bundle!r} in {result.setting!r} to {result.target!r}, scene {result.scene}"
        if trial is None:
            why = f"a trial that the sheet does not have (any more): {what}"
        elif trial.setting.seen != result.seen:
            why = f"{result.setting!r} as {'seen' if result.seen else 'unseen'}, the sheet has it otherwise"
        elif tuple(command_of(sheet, trial)) != result.command:
            why = f"{what}, driven otherwise: {' '.join(result.command)}"
        else:
            continue
        raise UsageError(
            f"{results.path} has {why}",
            "a sheet may get more trials, and nothing else; another one needs another folder: --out FOLDER",
        )


def check_same_bundle(results: ResultsFile, new: TrialResult) -> None:
    """Check that a bundle is what it was in the trials before. Raises UsageError if it has been changed."""
    for result in results.results:
        if result.bundle == new.bundle and result.bundle_sha256 != new.bundle_sha256:
            raise UsageError(
                f"bundle {new.bundle!r} is not what it was: {new.bundle_sha256[:12]} in {new.run}, "
                f"{result.bundle_sha256[:12]} in {result.run}",
                "trials of two models don't add up: give the new one a name and a sheet of its own",
            )
