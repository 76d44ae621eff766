"""How every calibration ends: a picture, a verdict, and a result that is saved only if it is good.

A calibration measures, draws a picture, and makes a Verdict of it. `conclude` shows it and saves the result
if every criterion is met. What is not good is saved only where the person has said so.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from edge.commands.arguments import ArgumentParser
from edge.commands.output import plain_digits, print_json
from edge.errors import UsageError, write_hint
from edge.files import write_whole
from edge.records import Image
from edge.robots.robot_file import RobotFile, find_robot_file, read_robot_file

_NOT_SAVED = "; to save it all the same: --save-anyway"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing that a result must meet."""

    what: str  # such as "reprojection error"
    found: str  # what was measured, with its unit
    limit: str  # such as "at most 0.5 px"
    met: bool
    hint: str = ""  # what to do if it is not met


@dataclass(frozen=True)
class Verdict:
    """What a calibration found, and whether that is good enough to drive by."""

    subject: str  # such as "camera front"
    criteria: Sequence[Criterion]
    figures: Mapping[str, Any] = field(default_factory=dict[str, Any])  # for machines
    notes: Sequence[str] = ()  # for people, such as what was left out

    @property
    def good(self) -> bool:
        """True if every criterion is met."""
        return all(each.met for each in self.criteria)

    def lines(self) -> list[str]:
        """Return it for people, a line a criterion."""
        rows = [
            f"{'ok ' if each.met else 'BAD'} {each.what:<22} {each.found:<28} {each.limit}"
            for each in self.criteria
        ]
        return [*rows, *(f"    {note}" for note in self.notes)]

    def to_json(self) -> dict[str, Any]:
        """Return it for machines."""
        keys = ("what", "found", "limit", "met", "hint")
        criteria = [{key: getattr(each, key) for key in keys} for each in self.criteria]
        about = {"subject": self.subject, "good": self.good, "criteria": criteria}
        return about | {"figures": plain_digits(dict(self.figures)), "notes": list(self.notes)}

    def refusal(self) -> UsageError:
        """Return the error that says what is not met. Only for a verdict that is not good."""
        bad = [each for each in self.criteria if not each.met]
        found = "; ".join(f"{each.what} {each.found} ({each.limit})" for each in bad)
        hints = "; ".join(dict.fromkeys(each.hint for each in bad if each.hint))
        return UsageError(f"{self.subject}: not saved: {found}", f"{hints or 'measure again'}{_NOT_SAVED}")


def add_options(parser: ArgumentParser) -> None:
    """Add the options that every calibration of a robot file has."""
    parser.add_argument(
        "file", nargs="?", help="a robot file, or its name in robots/; the result is written into it"
    )
    add_result_options(parser, "folder of picture and report (FILE-calibration/, beside the robot file)")


def add_result_options(parser: ArgumentParser, out_help: str) -> None:
    """Add the options that `conclude` reads."""
    parser.add_argument("--out", type=Path, help=out_help)
    parser.add_argument("--save-anyway", action="store_true", help="save a result that is not good enough")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")


def robot_file_of(options: argparse.Namespace) -> RobotFile:
    """Return the robot file that the options name. Raises UsageError as `read_robot_file` does."""
    if options.file is None:
        raise UsageError("the robot file is missing", "`vla-edge robot new my-robot.yaml` writes one")
    return read_robot_file(find_robot_file(options.file) or Path(options.file))


def folder_of(options: argparse.Namespace, file: RobotFile) -> Path:
    """Return the folder for pictures and reports: --out, or one beside the robot file."""
    return options.out or file.path.with_name(f"{file.path.stem}-calibration")


def conclude(
    verdict: Verdict, picture: Image, report: Path, save: Callable[[], str], options: argparse.Namespace
) -> int:
    """Write picture and report, show the verdict, and save the result if it is good; returns 0.

    `report` is the path of both without a suffix; `save` saves the result and returns where. Raises
    UsageError if the verdict is not good and --save-anyway was not given, or a file can't be written.
    """
    drawn = report.with_suffix(".png")
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        write_whole(drawn, cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes())
        write_whole(report.with_suffix(".json"), json.dumps(verdict.to_json(), indent=1, allow_nan=False))
    except OSError as error:
        raise UsageError(f"can't write {drawn}: {error.strerror}", write_hint(error)) from error
    saved = verdict.good or options.save_anyway
    if options.json:
        print_json(verdict.to_json() | {"picture": str(drawn), "saved": saved})
    else:
        print("\n".join([*verdict.lines(), f"picture: {drawn}"]), flush=True)
    if not saved:
        raise verdict.refusal()
    where = save()
    if not options.json:
        how = "good" if verdict.good else "NOT good, and saved all the same"
        print(f"{verdict.subject}: {how}; {where}")
    return 0
