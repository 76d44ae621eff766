"""`vla-edge field SHEET.yaml`: drive the trials of a sheet, or read recorded ones; compare the bundles."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.commands.arguments import ArgumentParser
from edge.commands.field.day import FieldDay
from edge.commands.field.questions import NoQuestions, Questions
from edge.commands.field.recorded import read_recorded
from edge.commands.output import print_json
from edge.field.figures import figures
from edge.field.order import planned_trials
from edge.field.results import ResultsFile, TrialResult, check_results
from edge.field.sheet import TrialSheet, read_sheet
from edge.field.text import text_of
from edge.files import write_whole


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(
        "field",
        "Drive the trials of a sheet one after the other and compare its bundles. A day that was cut short "
        "goes on where it was: give the same command again.",
    )
    parser.add_argument("sheet", type=Path, metavar="SHEET.yaml", help="the trials (docs/field.md)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="folder of the results and runs (field/<name of the sheet>)",
    )
    parser.add_argument(
        "--runs",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="drive nothing: read the runs in these folders, each a run's or one that holds some",
    )
    parser.add_argument("--figures", action="store_true", help="drive nothing: the figures so far")
    parser.add_argument(
        "--yes", action="store_true", help="ask nothing: judge by the truth that a simulated robot knows"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def main(argv: list[str]) -> int:
    """Run `vla-edge field`; returns the exit code: 0 when every trial is over, 3 when some are not."""
    options = _parser().parse_args(argv)
    sheet = read_sheet(options.sheet)
    folder: Path = options.out or Path("field") / options.sheet.stem
    questions = NoQuestions() if options.yes else Questions()
    if options.runs or sheet.recorded:
        results = read_recorded(sheet, options.sheet.parent, options.runs or [], questions)
        return _tell(sheet, results, len(results), options.json)
    planned = planned_trials(sheet)
    file = ResultsFile(folder / "results.jsonl")
    check_results(file, sheet)
    if file.torn:
        print(f"note: the last line of {file.path} was torn; its trial has no result", file=sys.stderr)
    ended = True
    if not options.figures:
        day = FieldDay(sheet, folder, file, questions)
        ended = day.drive(planned)
    code = _tell(sheet, file.results, len(planned), options.json, folder)
    return code if ended else max(code, 3)


def _tell(
    sheet: TrialSheet,
    results: Sequence[TrialResult],
    planned: int,
    as_json: bool,
    folder: Path | None = None,
) -> int:
    """Print the figures, and keep them beside the results."""
    counting = [each for each in results if not each.void]
    document: dict[str, Any] = {
        "sheet": sheet.name,
        "trials": {"planned": planned, "driven": len(counting), "void": len(results) - len(counting)},
        **figures(counting, sheet.bundles),
        "folder": None if folder is None else str(folder),
    }
    text = text_of(document)
    if folder is not None and counting:
        write_whole(folder / "figures.txt", text + "\n")
    print_json(document) if as_json else print(text)
    return 0 if len(counting) >= planned else 3
