"""Which outcome, cause and exit code each error gives a drive."""

from edge.errors import EdgeError, EngineFault, HardwareMissing, MotorFault, SafetyStop, StaleFrame
from edge.interfaces import Inference, PolicyStatus
from edge.records import DriveEnd, Goal, Outcome, StopCause
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


class Played:
    """Keeps what a policy makes of recorded frames. They can't show an arrival, so they end by themselves."""

    def __init__(self, goal: Goal) -> None:
        self._seeks = goal.kind in ("find_object", "follow_object")
        self._answered = False
        self._predicts_actions = False  # such a policy never says what it sees
        self._seen = False
        self._arrived = False
        self._answer = ""

    def update(self, policy: PolicyStatus, inference: Inference | None) -> None:
        """Take in the policy's state at a frame set, and the answer that came with it."""
        self._seen |= policy.detection is not None
        self._arrived |= policy.reached
        self._answer = policy.answer
        if inference is not None:
            self._answered = True
            self._predicts_actions |= inference.chunk is not None

    def end(self, outcome: Outcome, reason: str, cause: StopCause = StopCause.NONE) -> DriveEnd:
        """Return how the drive ends: the goal is missed if its target was not seen, or without an answer."""
        missed = False
        if not self._answered:
            reason, missed = f"{reason}; the model had not answered yet", True
        elif self._seeks and self._arrived:
            reason = f"{reason}; the policy claimed to have arrived"
        elif self._seeks and not self._predicts_actions:
            reason, missed = f"{reason}; the target was {'' if self._seen else 'not '}seen", not self._seen
        return DriveEnd(outcome, reason, 3 if missed else 0, cause, answer=self._answer)


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
