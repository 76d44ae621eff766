"""The folder of a run: runs/<time>/ with summary.json, pids.json, run.log and pictures."""

import json
import logging
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2

from edge.errors import UsageError, write_hint
from edge.files import write_whole
from edge.records import Image, Odometry
from edge.runs.drawing import AnsweredFrame, draw_path, draw_strip, spread
from edge.runs.log import fields
from edge.runs.room import RoomMap
from edge.runs.summary import Summary

MIN_FREE_BYTES = 16 * 2**20
FRAMES_PER_STRIP = 8
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)(?:-\d+|~(\d+))?\Z")
HINT = "name another folder: `vla-edge run --runs-dir DIR`"

log = logging.getLogger(__name__)


class RunFolder:
    """One run's folder. Files appear whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, runs_dir: Path) -> "RunFolder":
        """Make runs_dir/<local time>, with -2, -3 ... behind it if the name is taken.

        Names sort as the runs came: if the clock is behind the newest run's, as on a board without a battery
        for its clock, the name is the newest run's time with ~0001, ~0002 ... behind it. Raises UsageError if
        the folder can't be written or has less than 16 MiB left.
        """
        check_runs_dir(runs_dir)
        # The only wall time of a run: it names the folder and is never computed with.
        stamp = datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S")
        try:
            runs_dir.mkdir(parents=True, exist_ok=True)
            there = (_STAMP.match(path.name) for path in runs_dir.iterdir())
            newest = max(filter(None, there), key=_sorted_by, default=None)
            behind = newest is not None and (stamp < newest[1] or (stamp == newest[1] and newest[2]))
            if newest is None or not behind:
                return cls(_make_unique(runs_dir / stamp))
            return cls(_make_counted(runs_dir / newest[1], int(newest[2] or 0) + 1))
        except OSError as error:
            raise _not_writable(runs_dir, error.strerror) from error

    @property
    def log_file(self) -> Path:
        """The file of the run's log."""
        return self.path / "run.log"

    def write_pids(self, pids: Mapping[str, int]) -> None:
        """Replace pids.json: process ids by role, so that a person or a test finds the processes."""
        self._write("pids.json", _json(dict(pids)))

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Replace summary.json."""
        self._write("summary.json", _json(dict(summary)))

    def write_all(
        self,
        summary: Summary,
        answered: Sequence[AnsweredFrame],
        path: Sequence[Odometry],
        room: RoomMap | None,
    ) -> str:
        """Write the summary and the pictures of a run; return why that failed, empty if it did not."""
        try:
            self.write_summary(summary.to_json())
            if answered:
                self.strip_png(answered)
            if path:
                self.path_png(path, room, summary.title)
        except UsageError as error:  # the disk is full, or the folder has gone: what is known is printed
            log.error("folder not written", extra=fields(why=error.message))
            return error.message
        return ""

    def write_again(self, summary: Summary) -> str:
        """Replace summary.json; return why that failed, empty if it did not."""
        try:
            self.write_summary(summary.to_json())
        except UsageError as error:
            return error.message
        return ""

    def path_png(self, path: Sequence[Odometry], room: RoomMap | None, title: str) -> Path:
        """Draw the path of the robot from above into path.png."""
        return self._write("path.png", _png(draw_path(path, room, title)))

    def strip_png(self, frames: Sequence[AnsweredFrame]) -> Path:
        """Draw up to 8 of the frames, evenly spread, with the model's answers into frames.png."""
        return self._write("frames.png", _png(draw_strip(spread(frames, FRAMES_PER_STRIP))))

    def names(self) -> list[str]:
        """Return the names of its files, for people; none if the folder has gone."""
        try:
            return sorted(path.name for path in self.path.iterdir() if not path.name.startswith("."))
        except OSError:
            return []

    def _write(self, name: str, content: bytes) -> Path:
        target = self.path / name
        try:
            write_whole(target, content)
        except OSError as error:
            raise UsageError(f"can't write {target}: {error.strerror}", write_hint(error)) from error
        return target


def check_runs_dir(runs_dir: Path, what: str = "runs folder", hint: str = HINT) -> None:
    """Check that something can be made in a folder that may not be there yet, and make nothing.

    Raises UsageError if it can't be written or has less than 16 MiB left.
    """
    absolute = runs_dir.absolute()
    try:
        there = next(folder for folder in (absolute, *absolute.parents) if folder.exists())
        disk = shutil.disk_usage(there)
    except OSError as error:
        raise _not_writable(runs_dir, error.strerror, what, hint) from error
    if not there.is_dir():
        raise _not_writable(runs_dir, f"{there} is a file", what, hint)
    if not os.access(there, os.W_OK | os.X_OK):
        raise _not_writable(runs_dir, f"no permission to write into {there}", what, hint)
    if disk.total == 0:
        raise _not_writable(runs_dir, f"{there} is not on a disk", what, hint)
    if disk.free < MIN_FREE_BYTES:
        space = f"{disk.free / 2**20:.0f} MiB free, a run needs {MIN_FREE_BYTES / 2**20:.0f}"
        raise UsageError(f"{what} {runs_dir}: {space}", hint)


def _not_writable(runs_dir: Path, why: str | None, what: str = "runs folder", hint: str = HINT) -> UsageError:
    return UsageError(f"{what} {runs_dir} is not writable: {why}", hint)


def _make_unique(wanted: Path) -> Path:
    number = 1
    while True:
        path = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            path.mkdir()  # fails if it exists: two runs never share a folder
            return path
        except FileExistsError:
            number += 1


def _make_counted(after: Path, number: int) -> Path:
    while True:
        path = after.with_name(f"{after.name}~{number:04d}")
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1


def _sorted_by(name: re.Match[str]) -> tuple[str, str]:
    return name[1], name[2] or ""


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _png(image: Image) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
