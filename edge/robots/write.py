"""Write what was measured into a robot file, and leave all else of it as its owner wrote it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import UsageError
from edge.files import write_whole
from edge.perception.apparent_size import ApparentSize
from edge.perception.lens import Lens
from edge.robots.robot_file import parse_robot_file, read_robot_file
from edge.robots.sections import NEVER
from edge.robots.template import quoted
from edge.robots.yaml_tree import Place, read_tree

_KEY = "stop_time_s"
_LENS_DIGITS = 7


def write_stop_time(path: Path, stop_time_s: float) -> None:
    """Write a measured stop time, seconds, rounded up to a hundredth; infinity is `never`.

    Raises UsageError as `write_values` does.
    """
    value = NEVER if math.isinf(stop_time_s) else f"{math.ceil(stop_time_s * 100 - 1e-6) / 100:g}"
    write_values(path, {(_KEY,): value})


def write_lens(path: Path, camera: str, lens: Lens) -> None:
    """Write a measured lens, and its field of view into the camera's mount, if that is stated.

    Raises UsageError as `write_values` does.
    """
    values: dict[Place, str] = {("lenses", camera): lens_text(lens)}
    cameras = read_robot_file(path).sections.cameras or {}
    if camera in cameras and cameras[camera].mount is not None:
        place = ("cameras", camera, "mount", "vertical_fov_deg")
        values[place] = f"{math.degrees(lens.vertical_fov_rad):.2f}"
    write_values(path, values)


def write_delay(path: Path, camera: str, delay_s: float) -> None:
    """Write a camera's measured delay, seconds. Raises UsageError as `write_values` does."""
    write_values(path, {("camera_delays_s", camera): f"{max(0.0, delay_s):.4f}"})


def write_size(path: Path, target: str, size: ApparentSize) -> None:
    """Write how large a target looks. Raises UsageError as `write_values` does."""
    value = (
        f"{{side: {size.side}, fills_at_m: {size.fills_at_m:.5g}, spread: {size.spread:.3g}, "
        f"nearest_m: {size.nearest_m:.3g}, farthest_m: {size.farthest_m:.3g}, bundle: {quoted(size.bundle)}}}"
    )
    write_values(path, {("sizes", target): value})


def lens_text(lens: Lens) -> str:
    """Return a lens as one line of YAML."""

    def row(*numbers: float) -> str:
        digits = (np.format_float_positional(n, _LENS_DIGITS, fractional=False, trim="-") for n in numbers)
        return f"[{', '.join(digits)}]"

    return (
        f"{{model: {lens.model}, size_px: {row(*lens.size_px)}, focal_px: {row(*lens.focal_px)}, "
        f"centre_px: {row(*lens.centre_px)}, distortion: {row(*lens.distortion)}, "
        f"error_px: {lens.error_px:.3f}}}"
    )


def write_values(path: Path, values: Mapping[Place, str]) -> None:
    """Write values, as YAML, to their places: a top key, a name in a section, or what is there already.

    Raises UsageError if the file can't be read or written, or is laid out so that no line can be added.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read()
        write_whole(path.resolve(), with_values(text, values, path))
    except OSError as error:
        lines = ", ".join(f"`{'.'.join(map(str, place))}: {value}`" for place, value in values.items())
        raise UsageError(f"can't write {path}: {error.strerror}", f"write it yourself: {lines}") from error


def with_stop_time(text: str, value: str, path: Path) -> str:
    """Return the text of a robot file with another stop time. Raises UsageError if no line can be added."""
    return with_values(text, {(_KEY,): value}, path)


def with_values(text: str, values: Mapping[Place, str], path: Path) -> str:
    """Return the text of a robot file with other values. Raises UsageError if one can't be added."""
    parse_robot_file(text, path)
    wanted, changed = read_tree(text, str(path)).values, text
    for place, value in values.items():
        _put(wanted, place, read_tree(f"it: {value}", "a value").values["it"])
        changed = _with_value(changed, place, value, path)
    try:
        parse_robot_file(changed, path)
        written = read_tree(changed, str(path)).values
    except UsageError:
        written = None
    if written != wanted:
        last = list(values)[-1]
        key = ".".join(map(str, last))
        raise UsageError(
            f"{path}: {key} can't be added to a file that is laid out so",
            f"write one key a line, and add `{key}: {values[last]}`",
        )
    return changed


def _put(tree: dict[str, Any], place: Place, value: object) -> None:
    for key in place[:-1]:
        if not isinstance(tree.get(str(key)), dict):
            tree[str(key)] = {}
        tree = tree[str(key)]
    tree[str(place[-1])] = value


def _with_value(text: str, place: Place, value: str, path: Path) -> str:
    """Return the text with a value in the place of what is there, or added to its section or at the end."""
    marks = read_tree(text, str(path)).marks
    end = "\r\n" if "\r\n" in text else "\n"
    if place in marks:
        start, stop = marks[place]
        blank = "" if start < stop else " "
        return f"{text[:start]}{blank}{value}{text[stop:]}"
    entry = f"{_key(place[-1])}: {value}"
    if len(place) == 1 or place[:1] not in marks:
        gap = "" if text.endswith("\n") else end
        lines = [entry] if len(place) == 1 else [f"{place[0]}:", f"  {entry}"]
        return f"{text}{gap}{end.join(lines)}{end}"
    start, stop = marks[place[:1]]
    if start == stop:  # a section without anything in it
        return f"{text[:start]}{end}  {entry}{text[stop:]}"
    if text[start] == "{":
        return f"{text[: start + 1]}{entry}, {text[start + 1 :]}"
    indent = start - (text.rfind("\n", 0, start) + 1)
    return f"{text[:start]}{entry}{end}{' ' * indent}{text[start:]}"


def _key(name: str | int) -> str:
    word = str(name)
    return word if word.isascii() and word.isidentifier() else quoted(word)
