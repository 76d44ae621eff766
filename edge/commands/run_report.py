"""What `vla-edge run` prints once a drive has ended."""

import json
import sys
from typing import TYPE_CHECKING

from edge.records import DriveEnd, Outcome

if TYPE_CHECKING:
    from edge.commands.run import Run


def print_run(run: "Run", end: DriveEnd, as_json: bool) -> None:
    """Print what went wrong, what is worth a note, and the summary."""
    assert run.summary is not None and run.folder is not None and run.log is not None  # `go` wrote them
    if end.outcome is Outcome.FAULT:
        _print_error(end.reason, end.hint)
    if run.unwritten is not None:
        _print_error(run.unwritten.message, run.unwritten.hint)
    for note in run.notes:
        print(f"note: {note}", file=sys.stderr)
    if run.log.lost:
        print(f"note: run.log lacks {run.log.lost} lines: {run.log.trouble}", file=sys.stderr)
    if as_json:
        print(json.dumps(run.summary.to_json(), indent=2, ensure_ascii=False, allow_nan=False))
        return
    print("\n".join(run.summary.lines()))
    print(f"{run.folder.path}/ has {', '.join(run.folder.names())}")


def _print_error(message: str, hint: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
