"""Numbers and JSON in a model's text: bounded, ASCII, finite, and never guessed."""

import json
import re
from typing import Any, NoReturn

MAX_TEXT_BYTES = 4096
MAX_JSON_DEPTH = 8
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,5})(?:\.[0-9]{1,18})?")
_FENCE = re.compile(r"\s*```(?:json)?\s*(.*?)\s*```\s*", re.DOTALL)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


class Rejected(ValueError):
    """The text is not in the format that it seems to be in. Never leaves this package."""


def too_long(text: str) -> str:
    """Return why the text is too long to read; empty if it is not."""
    if len(text) > MAX_TEXT_BYTES:  # before it is encoded: a text of any size costs nothing
        return f"text is {len(text)} characters long (limit {MAX_TEXT_BYTES} bytes)"
    size = len(text.encode("utf-8", "surrogatepass"))
    return f"text is {size} bytes long (limit {MAX_TEXT_BYTES})" if size > MAX_TEXT_BYTES else ""


def number(text: str) -> float:
    """Read a plain decimal: no exponent, no sign but minus, at most six digits before the point."""
    if not _NUMBER.fullmatch(text):
        raise Rejected(f"'{text[:20]}' is not a plain number")
    return float(text)


def _constant(text: str) -> NoReturn:
    raise Rejected(f"{text} is not a number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Rejected("a key is given twice")
    return found


def _depth(text: str) -> int:
    depth = deepest = 0
    for char in _QUOTED.sub("", text):
        if char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest


def looks_like_json(text: str) -> bool:
    """Return whether the text starts like a JSON object or array, in a fence or not."""
    return unfenced(text).lstrip()[:1] in ("{", "[")


def unfenced(text: str) -> str:
    """Return the inside of a ```json fence, or the text itself."""
    fence = _FENCE.fullmatch(text)
    return fence[1] if fence else text


def read_json(text: str) -> Any:
    """Return the JSON value of the text. Raises Rejected if it is anything else."""
    inner = unfenced(text)
    check_depth(inner)
    try:
        value, end = _DECODER.raw_decode(inner.strip())
    except json.JSONDecodeError as error:
        raise Rejected(f"not JSON: {error.msg} at character {error.pos}") from error
    if end < len(inner.strip()):
        raise Rejected(f"not JSON: more text at character {end}")
    return value


def json_at(text: str, start: int) -> tuple[Any, int] | None:
    """Return the JSON value that begins there and its end; None if none does.

    Raises Rejected at a number or an object that is not allowed. Call `check_depth` before.
    """
    try:
        return _DECODER.raw_decode(text, start)
    except json.JSONDecodeError:
        return None


def check_depth(text: str) -> None:
    """Raise Rejected if brackets are nested too deep to be read."""
    if _depth(text) > MAX_JSON_DEPTH:
        raise Rejected(f"JSON is nested deeper than {MAX_JSON_DEPTH}")


_DECODER = json.JSONDecoder(
    parse_float=number, parse_int=number, parse_constant=_constant, object_pairs_hook=_object
)
