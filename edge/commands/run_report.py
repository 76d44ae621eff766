"""What `vla-edge run` prints about the robot before a drive, and once it has ended."""

import contextlib
import json
import logging
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from edge.address import without_password
from edge.board.identity import BoardIdentity
from edge.records import DriveEnd, Outcome
from edge.runs.log import fields
from edge.runs.setup import Setup
from edge.runtime.robot import Robot

if TYPE_CHECKING:
    from edge.commands.run import Run

log = logging.getLogger(__name__)


def report_run(run: "Run", end: DriveEnd, as_json: bool) -> None:
    """Print what went wrong, what is worth a note, and the summary.

    Output that goes to a full disk is lost, with a note, and the drive's exit code stays what it is. Raises
    BrokenPipeError.
    """
    try:
        _print_run(run, end, as_json)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # What is still in the buffer must not fail once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        with contextlib.suppress(OSError):
            print(f"note: the summary can't be printed: {error.strerror}", file=sys.stderr, flush=True)


def dropped_notes(dropped: Mapping[str, int]) -> list[str]:
    """Return and log how many frames of each camera were left out."""
    notes = [
        f"camera {name!r}: {count} frames were left out, their stamps go backwards"
        for name, count in dropped.items()
    ]
    for note in notes:
        log.warning(note)
    return notes


def leave(code: int) -> None:
    """End at once: native code that hangs in a thread would abort the interpreter's orderly end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _print_run(run: "Run", end: DriveEnd, as_json: bool) -> None:
    assert run.summary is not None and run.folder is not None and run.log is not None  # `go` wrote them
    if end.outcome is Outcome.FAULT:
        print(f"error: {end.reason}", file=sys.stderr)
        if end.hint:
            print(f"hint: {end.hint}", file=sys.stderr)
    lost = f"run.log lacks {run.log.lost} lines: {run.log.trouble}" if run.log.lost else ""
    for note in (*run.notes, "; ".join(filter(None, (run.unwritten, lost)))):
        if note:
            print(f"note: {note}", file=sys.stderr)
    if as_json:
        print(json.dumps(run.summary.to_json(), indent=2, ensure_ascii=False, allow_nan=False))
        return
    print("\n".join(run.summary.lines()))
    if names := run.folder.names():
        print(f"{run.folder.path}/ has {', '.join(names)}")
    for file in run.recorded:
        print(f"recorded: {file}")


def announce(setup: Setup, to_people: bool) -> None:
    """Say and log what a run takes for true about the robot; to machines summary.json says it."""
    for line in setup.lines() if to_people else []:
        print(line, file=sys.stderr)
    facts = setup.to_json()
    for part in ("mount", "base"):
        source = facts[part].pop("from")
        log.info(part, extra=fields(**facts[part], source=source))
    for caution in setup.cautions:
        if to_people:
            print(f"note: {caution}", file=sys.stderr)
        log.warning("caution", extra=fields(says=caution))


def log_parts(robot: Robot, sees_with: str, board: BoardIdentity, pids: Mapping[str, int]) -> None:
    """Log what a run drives, by which cameras, on which machine, in which processes."""
    addresses = {f"camera_{name}": without_password(uri) for name, uri in robot.camera_uris.items()}
    log.info("robot", extra=fields(about=robot.about, motors=robot.motors_uri, **addresses))
    if others := [name for name in robot.camera_uris if name != sees_with]:
        log.info("cameras", extra=fields(model_sees_with=sees_with, others=", ".join(others)))
    log.info("machine", extra=fields(**board.to_json()))
    log.info("processes", extra=fields(**pids))
