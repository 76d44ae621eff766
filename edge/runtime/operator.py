"""The operator of a drive: what stops it for good at a person's word, from threads of its own."""

from collections.abc import Callable

from edge.records import StopCause
from edge.runtime.ending import DriveStop


class Operator:
    """Stops the base at once, and the drive for good: a new run is what starts the base again.

    `stop` goes to the motor process directly, whatever the loop and the model are doing.
    """

    def __init__(self, stop_motor: Callable[[str, StopCause], None]) -> None:
        self.reason = ""  # how the drive was stopped; empty if it was not
        self._stop_motor = stop_motor

    def stop(self, how: str) -> None:
        """Stop, for any thread and any number of times. Raises what `MotorProcess.stop` raises."""
        self.reason = self.reason or f"stopped by the operator ({how})"
        self._stop_motor(self.reason, StopCause.OPERATOR)

    def check(self) -> None:
        """Raise DriveStop once the operator has stopped the drive."""
        if self.reason:
            raise DriveStop(StopCause.OPERATOR, self.reason)
