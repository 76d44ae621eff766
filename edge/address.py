"""Addresses of cameras and motors: `SCHEME://PLACE?key=value&...`, taken apart the same way everywhere.

What opens an address takes each option that it knows, then calls `finish`, which refuses what is left.
"""

import math
import re
from collections.abc import Collection
from urllib.parse import parse_qsl

from edge.errors import UsageError

MAX_SHOWN_CHARS = 200
MAX_CHARS = 4096
# A password may hold an @ and, though it should not, a slash.
_USERS = re.compile(r"(?<=://)[^\s/]*@|(?<=rtsp://)\S*@|(?<=rtsps://)\S*@")
_PASSWORDS = re.compile(r"(?<=\buser-pw=)\S+|(?<=\bproxy-pw=)\S+")
# Options stand at the end, so a path may hold a question mark of its own.
_OPTIONS = re.compile(r"\?(\w+=[^?]*)\Z")


def without_password(text: str) -> str:
    """Return an address, or a text that has some in it, fit to be shown: users and passwords are "…"."""
    return _PASSWORDS.sub("…", _USERS.sub("…@", text))


def split_options(text: str, names: Collection[str]) -> tuple[str, str]:
    """Take the options of these names out of an address whose place has a query of its own.

    Return the rest as it was written, and the options as "name=value&name=value".
    """
    found = re.compile(rf"[?&]({'|'.join(map(re.escape, names))})=([^?&]*)")
    options = "&".join(f"{name}={value}" for name, value in found.findall(text))
    rest = found.sub("", text)
    if "?" in text and "?" not in rest:
        rest = rest.replace("&", "?", 1)  # what is left begins a query again
    return rest, options


class Address:
    """An address in parts. Every method raises UsageError with the whole address, the value and its range."""

    def __init__(self, text: str, noun: str, example: str) -> None:
        """Take `text` apart. `noun` is "camera" or "motors"; `example` is a hint such as "such as csi://0".

        Raises UsageError if it is too long, has a NUL or an option twice, or its options are malformed.
        """
        self.text = text
        self._what = f"{noun} address {text[:MAX_SHOWN_CHARS]!r}"
        self._example = example
        self.scheme, _, rest = text.partition("://")
        if len(text) > MAX_CHARS or "\0" in text:
            raise self.error("it is too long, or has a NUL")
        found = _OPTIONS.search(rest)
        self.place = rest if found is None else rest[: found.start()]
        try:
            pairs = parse_qsl(found[1], keep_blank_values=True, strict_parsing=True) if found else []
        except ValueError:
            raise self.error("its options are not key=value&key=value") from None
        self._options = dict(pairs)
        self._known: list[str] = []
        if len(self._options) < len(pairs):
            raise self.error("it has an option twice")

    def has(self, name: str) -> bool:
        """Return True if the option stands in the address and was not taken yet."""
        return name in self._options

    def take(self, name: str, default: str = "") -> str:
        """Return the option as text."""
        self._known.append(name)
        return self._options.pop(name, default)

    def choice(self, name: str, default: str, choices: Collection[str]) -> str:
        """Return the option, which is one of `choices`."""
        value = self.take(name, default)
        if value not in choices:
            raise self.error(f"{name} {value[:40]!r} is none of {', '.join(choices)}")
        return value

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """Return the option as a number in [low, high]; `default` without it."""
        given, text = self.has(name), self.take(name)
        if not given:
            return default
        try:
            value = float(text) if text.isascii() and "_" not in text else math.nan
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise self.error(f"{name} {text[:40]!r} is not a number from {low:g} to {high:g}")
        return value

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """Return the option as a whole number in [low, high]; `default` without it."""
        given, text = self.has(name), self.take(name)
        if not given:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 19 and low <= int(text) <= high):
            raise self.error(f"{name} {text[:40]!r} is not a whole number from {low} to {high}")
        return int(text)

    def finish(self) -> None:
        """Refuse every option that nobody took."""
        if self._options:
            name = min(self._options)
            known = ", ".join(sorted(self._known)) or "none"
            raise self.error(f"there is no option {name[:40]!r}; it takes {known}")

    def error(self, why: str) -> UsageError:
        """Return a UsageError about this address."""
        return UsageError(f"{self._what}: {why}", self._example)
