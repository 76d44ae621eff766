"""Which outcome, cause and exit code each error gives a drive."""

from edge.errors import EdgeError, EngineFault, HardwareMissing, MotorFault, SafetyStop, StaleFrame
from edge.records import DriveEnd, Outcome, StopCause
from edge.runtime.signals import INTERRUPTED

_CAUSES: dict[type[EdgeError], StopCause] = {
    StaleFrame: StopCause.STALE_FRAME,
    MotorFault: StopCause.MOTOR_FAULT,
    EngineFault: StopCause.ENGINE_FAULT,
    HardwareMissing: StopCause.HARDWARE_MISSING,
}


class DriveStop(SafetyStop):
    """A safety rule ended the drive; `cause` names the rule."""

    def __init__(self, cause: StopCause, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.cause = cause


def ending_of(error: BaseException) -> DriveEnd:
    """Return how `error` ends a drive: STOPPED after a signal, FAULT after anything else."""
    if isinstance(error, KeyboardInterrupt):
        return DriveEnd(Outcome.STOPPED, str(error) or "SIGINT", INTERRUPTED, StopCause.INTERRUPTED)
    if isinstance(error, EdgeError):
        cause = error.cause if isinstance(error, DriveStop) else _cause(error)
        return DriveEnd(Outcome.FAULT, error.message, error.exit_code, cause, error.hint)
    return DriveEnd(Outcome.FAULT, f"unexpected {type(error).__name__}: {error}", EdgeError.exit_code)


def _cause(error: EdgeError) -> StopCause:
    known = (cause for kind, cause in _CAUSES.items() if isinstance(error, kind))
    return next(known, StopCause.NONE)
