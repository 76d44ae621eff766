"""What a target of fuzzing is, and what its inputs may come to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeAlias

from edge.errors import EdgeError

ACCEPTED = "accepted"

# Takes one input and returns what became of it: ACCEPTED, or the kind of its refusal. It may raise EdgeError
# instead of the latter; anything else that it raises is a flaw.
Check: TypeAlias = Callable[[bytes], str]


class Flaw(AssertionError):
    """The code did with an input what it must never do."""


class MotionFromGarbage(Flaw):
    """An input that asks for nothing moves the robot, or moves it by more than it may."""


@dataclass(frozen=True)
class FuzzTarget:
    """One reader of foreign data."""

    about: str
    make: Callable[[Random], bytes]  # makes one input
    open: Callable[[Path], Check]  # sets the reader up in an empty folder
    limit_s: float = 2.0  # processor time for one input


def outcome(check: Check, data: bytes) -> str:
    """Return what became of an input, by the names that are counted. Raises what a flaw raises."""
    try:
        return check(data)
    except EdgeError as error:
        return f"{type(error).__name__} (exit {error.exit_code})"
