"""A motor process that can fall silent: `python -m edge.robots.silent_process`, started by the stop test.

It is `edge.motor.process` with its guard and limits. From SIGUSR1 on no setpoint reaches the base, as if this
computer hung, while its feedback is still read. Its end, however it comes, stops the base for real.
"""

import signal
import sys
from types import FrameType

from edge.interfaces import Closing, Feedback, Motors
from edge.motor.drivers.open import open_motors
from edge.motor.process import main
from edge.records import ZERO, Velocity


class SilencedMotors(Closing):
    """A driver whose setpoints stay here once `silent` is set."""

    def __init__(self, motors: Motors) -> None:
        self.max_rate_hz = motors.max_rate_hz
        self.silent = False
        self._motors = motors
        self._sent = ZERO

    def arm(self) -> None:
        """Ask the actuator to arm, unless silent."""
        if not self.silent:
            self._motors.arm()

    def write(self, command: Velocity) -> Velocity:
        """Send one setpoint and return it; silent, return the last one that was sent."""
        if not self.silent:
            self._sent = self._motors.write(command)
        return self._sent

    def stop(self) -> None:
        """Send zero and disarm, also when silent."""
        self._motors.stop()

    def read(self) -> Feedback:
        """Return the newest feedback."""
        return self._motors.read()

    def close(self) -> None:
        """Close the driver."""
        self._motors.close()


def open_silenced(address: str) -> SilencedMotors:
    """Open a driver that SIGUSR1 silences. Raises what the driver raises."""
    motors = SilencedMotors(open_motors(address))

    def on_signal(_signal: int, _frame: FrameType | None) -> None:
        motors.silent = True

    signal.signal(signal.SIGUSR1, on_signal)
    return motors


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], open_silenced))
