"""All that a person at the robot has at hand, as the motor process reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from edge.errors import EdgeError, UsageError
from edge.interfaces import Closing
from edge.motor.limits import MotorLimits
from edge.records import StopCause, Velocity

EXAMPLE = "such as gamepad:///dev/input/by-id/usb-Pad-event-joystick or gpio:///dev/gpiochip0?line=17"


@dataclass(frozen=True, slots=True)
class PanelStop:
    """Why the base must stop for good."""

    cause: StopCause
    reason: str  # for people


class StopInput(Protocol):
    """One thing that stops the base. Its descriptor is readable when something has come."""

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        ...

    def read(self) -> PanelStop | None:
        """Take in what has come; return why the base must stop. Never blocks, never raises."""
        ...

    def close(self) -> object: ...


@runtime_checkable
class HandDriven(Protocol):
    """An input with sticks."""

    def begin(self) -> None:
        """Note that the base was just armed: sticks that are off their centre must come back to it first."""
        ...

    def takeover(self, now_ns: int) -> Velocity | None:
        """Return how a person drives the base now; None if the policy may."""
        ...


class Panel(Closing):
    """The inputs together. One that is gone has stopped the base, and is read no more."""

    def __init__(self, inputs: Sequence[StopInput] = ()) -> None:
        self.inputs = list(inputs)
        self._all = tuple(inputs)

    def read(self) -> PanelStop | None:
        """Take in what has come; return why the base must stop."""
        first: PanelStop | None = None
        for each in tuple(self.inputs):
            stop = each.read()
            if stop is not None and stop.cause is StopCause.OPERATOR_LOST:
                self.inputs.remove(each)
            first = first or stop
        return first

    def begin(self) -> None:
        """Note that the base was just armed."""
        for each in self.inputs:
            if isinstance(each, HandDriven):
                each.begin()

    def takeover(self, now_ns: int) -> Velocity | None:
        """Return how a person drives the base now, by the first input that does; None: the policy may."""
        by_hand = (each.takeover(now_ns) for each in self.inputs if isinstance(each, HandDriven))
        return next((velocity for velocity in by_hand if velocity is not None), None)

    def close(self) -> None:
        """Close every input."""
        for each in self._all:
            each.close()


def open_panel(addresses: Sequence[str], limits: MotorLimits) -> Panel:
    """Open the inputs at these addresses; `limits` are those of full sticks.

    Raises UsageError for a malformed address, HardwareMissing if a device is not there or not permitted.
    """
    opened: list[StopInput] = []
    try:
        for address in addresses:
            opened.append(_opened(address, limits))
    except EdgeError:
        Panel(opened).close()
        raise
    return Panel(opened)


def _opened(address: str, limits: MotorLimits) -> StopInput:
    scheme = address.partition("://")[0]
    if scheme == "gamepad":
        from edge.motor.operator.gamepad import open_gamepad

        return open_gamepad(address, limits)
    if scheme == "gpio":
        from edge.motor.operator.stop_line import open_stop_line

        return open_stop_line(address)
    if scheme == "page":
        from edge.motor.operator.page import open_page

        return open_page(address, limits)
    raise UsageError(f"operator address {address[:200]!r}: it is neither gamepad:// nor gpio://", EXAMPLE)
