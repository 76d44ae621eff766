"""Which part of its run a recording is: another one begins when an engine is started again."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

from edge.errors import UsageError
from edge.runs.recording.torn import McapReader
from edge.runs.tap.messages import OWN

RING = "last30s"  # a run's last seconds, which lie in its own folder


@dataclass(frozen=True, slots=True)
class RunPart:
    """One recording among those of its run that lie beside it."""

    place: int  # counts from 1
    files: tuple[Path, ...]  # all of them, in the order in which they were begun
    before: bool  # something of the run was recorded in a file that does not lie there
    after: bool

    @property
    def words(self) -> str:
        """Which part it is, for people; empty if it is all that was recorded."""
        if len(self.files) > 1:
            last = self.place == len(self.files)
            other = self.files[self.place - 2 if last else self.place].name
            which = f"the one before is {other}" if last else f"the next is {other}"
            return f"part {self.place} of {len(self.files)} of its run; {which}"
        if not self.before and not self.after:
            return ""
        where = " and ".join(filter(None, ("before" * self.before, "after" * self.after)))
        return f"a part of its run: the engine was started again, and what was {where} it is in another file"


def recordings_in(folder: Path) -> list[Path]:
    """Return the recordings that a folder means: those that a run's summary names, or all in it.

    The summary says where they were recorded; it does not find one that was moved since.
    """
    named = [each for each in named_recordings(folder) if each.is_file()]
    return named or sorted(folder.glob("*.mcap"))


def named_recordings(folder: Path) -> list[Path]:
    """Return what the summary of a run's folder names, whether it is there or not; nothing without one."""
    try:
        told = json.loads((folder / "summary.json").read_bytes())["recordings"]
        return [Path(each) for each in told if each.endswith(".mcap")]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []


def part_of(path: Path, header: Mapping[str, Any], went_on: bool) -> RunPart:
    """Return which part of its run a recording is; `went_on`: its engine was started again after it."""
    files = recordings_beside(path, header)
    place = files.index(path) + 1
    alone = len(files) == 1
    return RunPart(place, files, alone and int(header.get("restarts", 0)) > 0, alone and went_on)


def recordings_beside(path: Path, header: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the recordings of one run in a folder, in the order in which they were begun."""
    run = header.get("run", "")
    for name in filter(None, (Path(run).name, RING)):
        if _number(path, name):
            beside = sorted(path.parent.glob(f"{escape(name)}*.mcap"), key=lambda each: _number(each, name))
            return tuple(
                each
                for each in beside
                if each == path or (_number(each, name) and header_of(each).get("run") == run)
            )
    return (path,)


def _number(path: Path, name: str) -> int:
    """Return the number behind a recording's name, 1 without one; 0 if it has another name."""
    found = re.fullmatch(rf"{re.escape(name)}(?:-(\d+))?", path.stem)
    return int(found[1] or 1) if found else 0


def header_of(path: Path) -> Mapping[str, Any]:
    """Return the header of a recording; an empty one for a file that has none."""
    try:
        for message in McapReader(path).messages():
            if message.topic == f"{OWN}header":
                return dict(json.loads(message.body))
    except (UsageError, ValueError, TypeError):
        pass
    return {}
