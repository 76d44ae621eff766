"""A driver without an actuator: `null://`."""

import math

from edge.errors import UsageError
from edge.interfaces import Closing, Feedback
from edge.records import Velocity


class NullMotors(Closing):
    """Accepts every setpoint and moves nothing, for a camera without a base."""

    max_rate_hz = math.inf

    def __init__(self) -> None:
        self._armed = False

    def arm(self) -> None:
        self._armed = True

    def write(self, command: Velocity) -> Velocity:
        return command

    def stop(self) -> None:
        self._armed = False

    def read(self) -> Feedback:
        return Feedback(self._armed)

    def close(self) -> None:
        self._armed = False


def open_address(address: str) -> NullMotors:
    """Open `null://`. Raises UsageError if something follows it."""
    if address != "null://":
        raise UsageError(f"motors address {address!r}: null:// takes nothing after it", "--motors null://")
    return NullMotors()
