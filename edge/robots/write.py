"""Write one value into a robot file, and leave all else of it as its owner wrote it."""

import math
from pathlib import Path

from edge.errors import UsageError
from edge.files import write_whole
from edge.robots.robot_file import parse_robot_file
from edge.robots.sections import NEVER
from edge.robots.yaml_tree import read_tree

_KEY = "stop_time_s"


def write_stop_time(path: Path, stop_time_s: float) -> None:
    """Write a measured stop time, seconds, rounded up to a hundredth; infinity is `never`.

    Raises UsageError if the file can't be read or written, or is laid out so that no line can be added.
    """
    value = NEVER if math.isinf(stop_time_s) else f"{math.ceil(stop_time_s * 100 - 1e-6) / 100:g}"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read()
        changed = with_stop_time(text, value, path)
        write_whole(path.resolve(), changed)
    except OSError as error:
        raise UsageError(
            f"can't write {path}: {error.strerror}", f"write it yourself: `{_KEY}: {value}`"
        ) from error


def with_stop_time(text: str, value: str, path: Path) -> str:
    """Return the text of a robot file with another stop time. Raises UsageError if no line can be added."""
    before = parse_robot_file(text, path)
    marks = read_tree(text, str(path)).marks.get((_KEY,))
    if marks is None:
        end = "\r\n" if "\r\n" in text else "\n"
        gap = "" if text.endswith("\n") else end
        changed = f"{text}{gap}{_KEY}: {value}{end}"
    else:
        start, stop = marks
        blank = "" if start < stop else " "
        changed = f"{text[:start]}{blank}{value}{text[stop:]}"
    wanted = before.sections.model_copy(update={_KEY: value if value == NEVER else float(value)})
    try:
        written = parse_robot_file(changed, path).sections
    except UsageError:
        written = None
    if written != wanted:
        raise UsageError(
            f"{path}: {_KEY} can't be added to a file that is laid out so",
            f"write one key a line, and add `{_KEY}: {value}`",
        )
    return changed
