"""Lines of a run.log as values."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_BYTES = 16 << 20
_FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')
_OWN = ("time", "stamp_ns", "level", "logger", "event")


@dataclass(frozen=True)
class LogLine:
    """One event of a run.log."""

    stamp_ns: int  # CLOCK_MONOTONIC
    level: str
    logger: str
    event: str
    values: dict[str, str]


def read_log(path: Path) -> list[LogLine]:
    """Return the lines of a log in their order; none if there is no such file. What is torn is left out."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES).decode(errors="replace")
    except OSError:
        return []
    return list(_lines(text))


def _lines(text: str) -> Iterator[LogLine]:
    for line in text.split("\n"):
        values = {key: _plain(value) for key, value in _FIELD.findall(line)}
        if values.get("stamp_ns", "").isdigit() and "event" in values:
            own = [values.pop(key, "") for key in _OWN]
            yield LogLine(int(own[1]), own[2], own[3], own[4], values)


def _plain(value: str) -> str:
    try:
        return str(json.loads(value)) if value.startswith('"') else value
    except ValueError:
        return value
