"""The error tree. Each error says what went wrong, what was measured, the limit, and the next command.

Exit codes: 0 done, 1 unexpected bug, 2 bad usage or config, 3 goal not reached,
4 stopped by safety, 5 hardware not there, 6 bundle refused.
"""


class EdgeError(Exception):
    """Base of every error a user can cause or meet. `exit_code` is what the command line returns."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(EdgeError):
    """Bad arguments or configuration: nothing was started."""

    exit_code = 2


class SafetyStop(EdgeError):
    """The robot was stopped by a safety rule."""

    exit_code = 4


class StaleFrame(SafetyStop):
    """The newest camera frame is older than allowed."""


class MotorFault(SafetyStop):
    """The motor process or the actuator behind it failed or disagreed."""


class EngineFault(SafetyStop):
    """An engine failed, or computed something that is not a number."""


class HardwareMissing(EdgeError):
    """A camera, port, robot or renderer is not there or may not be opened."""

    exit_code = 5


class BundleRefused(EdgeError):
    """A bundle is missing, cut short, altered, or not made for this machine or goal."""

    exit_code = 6
