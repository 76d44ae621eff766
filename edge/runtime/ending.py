"""Which outcome, cause and exit code a drive has: by an error, by its policy, by its time, by the truth."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from edge.errors import EdgeError, EngineFault, HardwareMissing, MotorFault, SafetyStop, StaleFrame
from edge.goals.words import COLOURS, KINDS
from edge.interfaces import Inference, PolicyStatus
from edge.records import DriveEnd, Goal, MotorState, MotorStatus, Outcome, Refusals, StopCause
from edge.runs.summary import REFUSED_WHY
from edge.runtime.signals import INTERRUPTED

_NOT_REACHED = 3
_DONE = (Outcome.REACHED, Outcome.FOLLOWED)

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


CONTACT_HINT = (
    "look what it touched: clear the floor, or put the camera where it sees it. Only a bundle with a floor "
    "graph keeps off obstacles: `vla-edge bundle show NAME` tells"
)


def stop_hint(cause: StopCause, recorded: bool) -> str:
    """Return what a person can do about a stop by the motor process."""
    if cause is StopCause.JUMPING_CHUNK:
        return "run it again; if that repeats, take another bundle: its answers contradict each other"
    if cause is StopCause.CONTACT:
        return CONTACT_HINT
    if cause is not StopCause.STALE_CHUNK:
        return "mend that, then run it again"
    if recorded:
        return (
            "the model answers too late: close what else uses this machine, or take a faster bundle; a "
            "recording can be shown one image in 10, each until it is answered: `file://PATH?every=10`"
        )
    return (
        "answers come too late: close what else uses this machine, give the model `--threads 2`, or "
        "take a faster bundle; `vla-edge bench latency BUNDLE` measures it"
    )


_REFUSED_HINTS = {
    "malformed": "no base can follow what this bundle plans: export it again",
    "future": "the camera's stamps are ahead of CLOCK_MONOTONIC: mend its clock or its driver",
    "repeated": "the camera's stamps go backwards: mend its clock or its driver",
    "old": stop_hint(StopCause.STALE_CHUNK, recorded=False),
    "unsure": "the model is never sure: is the target one that the bundle knows? take another bundle",
    "jumps": stop_hint(StopCause.JUMPING_CHUNK, recorded=False),
    "messages": "runtime and motor process are of two versions: install vla-edge again",
}


class ChunkCount:
    """Counts a drive's chunks, and notes whether the motor process followed any."""

    def __init__(self) -> None:
        self.sent = 0  # to the motor process
        self._followed = False
        self._refused = Refusals()

    def update(self, status: MotorStatus) -> None:
        """Take in a report of the motor process."""
        self._followed |= status.state is MotorState.FOLLOWING
        self._refused = status.refused

    def check(self) -> None:
        """Raise DriveStop if chunks were refused and none was followed: the base never had a plan."""
        counts = asdict(self._refused)
        del counts["early"]  # every drive begins with frames from before arming
        reason = max(counts, key=counts.__getitem__)
        if self.sent and not self._followed and counts[reason]:
            raise DriveStop(
                StopCause.NO_CHUNK_FOLLOWED,
                f"none of {self.sent} chunks was followed: {counts[reason]} {REFUSED_WHY[reason]}",
                _REFUSED_HINTS[reason],
            )


def model_silent(silent_ns: int, limit_ns: int) -> DriveStop:
    """Return the stop for a model that has not answered for so long."""
    return DriveStop(
        StopCause.MODEL_SILENT,
        f"the model has not answered for {silent_ns / 1e9:.1f} s (limit {limit_ns / 1e9:.0f} s)",
        "is the machine overloaded? `--threads` gives the model more cores",
    )


class Played:
    """Keeps what a policy makes of recorded frames. They can't show an arrival, so they end by themselves."""

    def __init__(self, goal: Goal) -> None:
        self._seeks = goal.kind in ("find_object", "follow_object")
        self._answered = False
        self._predicts_actions = False  # such a policy never says what it sees
        self._seen = False
        self._arrived = False
        self._nothing = False  # it had nothing to say, or to do
        self._answer = ""

    def update(self, policy: PolicyStatus, inference: Inference | None) -> None:
        """Take in the policy's state at a frame set, and the answer that came with it."""
        self._seen |= policy.detection is not None
        self._arrived |= policy.reached
        self._nothing |= policy.ending is not None and policy.ending.outcome is Outcome.NOTHING
        self._answer = policy.answer
        if inference is not None:
            self._answered = True
            self._predicts_actions |= inference.chunk is not None

    def end(self, outcome: Outcome, reason: str, cause: StopCause = StopCause.NONE) -> DriveEnd:
        """Return how the drive ends: the goal is missed if its target was not seen, or nothing said."""
        missed = False
        if not self._answered:
            reason, missed = f"{reason}; the model had not answered yet", True
        elif self._seeks and self._arrived:
            reason = f"{reason}; the policy claimed to have arrived"
        elif self._seeks and not self._predicts_actions:
            reason, missed = f"{reason}; the target was {'' if self._seen else 'not '}seen", not self._seen
        elif self._nothing and not self._arrived:
            reason, missed = f"{reason}; the model had nothing to say", True
        return DriveEnd(outcome, reason, 3 if missed else 0, cause, answer=self._answer)


def ending_of(error: BaseException) -> DriveEnd:
    """Return how `error` ends a drive: STOPPED after a signal or by the operator, otherwise FAULT."""
    if isinstance(error, KeyboardInterrupt):
        return DriveEnd(Outcome.STOPPED, str(error) or "SIGINT", INTERRUPTED, StopCause.INTERRUPTED)
    if isinstance(error, EdgeError):
        cause = error.cause if isinstance(error, DriveStop) else _cause(error)
        outcome = Outcome.STOPPED if cause is StopCause.OPERATOR else Outcome.FAULT
        return DriveEnd(outcome, error.message, error.exit_code, cause, error.hint)
    return DriveEnd(Outcome.FAULT, f"unexpected {type(error).__name__}: {error}", EdgeError.exit_code)


def _cause(error: EdgeError) -> StopCause:
    known = (cause for kind, cause in _CAUSES.items() if isinstance(error, kind))
    return next(known, StopCause.NONE)


def ending_by_policy(goal: Goal, policy: PolicyStatus) -> DriveEnd | None:
    """Return how the policy ends the drive at this moment; None if it goes on."""
    if policy.reached:
        reason = f"{policy.state}: {goal.target}" if goal.target else policy.state
        return DriveEnd(Outcome.REACHED, reason, 0, answer=policy.answer)
    if policy.ending is None:
        return None
    return _ended(policy.ending.outcome, policy.ending.reason, policy)


def ending_at_limit(policy: PolicyStatus, max_seconds: float) -> DriveEnd:
    """Return how the drive ends when its time is over."""
    if policy.at_limit is not None:
        return _ended(policy.at_limit.outcome, policy.at_limit.reason, policy)
    return _ended(Outcome.TIMEOUT, f"not reached within {max_seconds:g} s", policy)


def _ended(outcome: Outcome, reason: str, policy: PolicyStatus) -> DriveEnd:
    code = 0 if outcome in _DONE else _NOT_REACHED
    return DriveEnd(outcome, reason, code, answer=policy.answer, kept_fraction=policy.kept_fraction)


def judged(end: DriveEnd, goal: Goal, truth: Mapping[str, Any]) -> DriveEnd:
    """Return the end of a drive as the robot's truth about it allows: a claim that it denies is none.

    `truth` is what `Robot.finish` returned; one that does not speak of arrival changes nothing.
    """
    if end.outcome is Outcome.REACHED and goal.kind == "find_object" and truth.get("arrived") is False:
        return replace(
            end,
            outcome=Outcome.FALSE_ARRIVAL,
            reason=f"false arrival, {_from_target(goal, truth)}",
            exit_code=_NOT_REACHED,
        )
    if end.outcome is Outcome.REACHED and (invented := _invented(end.answer, truth)):
        reason = f"false answer, there is no {' and no '.join(invented)} in the room: {end.answer}"
        return replace(end, outcome=Outcome.FALSE_ANSWER, reason=reason, exit_code=_NOT_REACHED)
    if end.outcome is Outcome.FOLLOWED and goal.kind == "follow_object" and truth.get("kept") is False:
        reason = f"it followed something else, {_from_target(goal, truth)}"
        return replace(end, outcome=Outcome.TIMEOUT, reason=reason, exit_code=_NOT_REACHED)
    return end


def _from_target(goal: Goal, truth: Mapping[str, Any]) -> str:
    """Return for people how far from its target the base came to stand, and what it faces there."""
    before = f", in front of {truth['faces']}" if truth.get("faces") else ""
    distance_m, off_deg = truth.get("distance_m"), truth.get("heading_error_deg")
    if distance_m is None or off_deg is None:
        return f"there is no {goal.target} in the room{before}"
    most_m, most_deg = truth.get("arrived_m", 0.0), truth.get("arrived_deg", 0.0)
    far = f" (limit {most_m:.2f} m)" if distance_m > most_m else ""
    aside = f" and turned {off_deg:.0f} degrees aside (limit {most_deg:.0f})" if off_deg > most_deg else ""
    return f"{distance_m:.2f} m away{far}{aside} from the {truth.get('nearest', goal.target)}{before}"


def _invented(answer: str, truth: Mapping[str, Any]) -> list[str]:
    """Return the names in an answer such as "red cup; ball" that nothing in the room has.

    Only names of kinds that rooms are made of count: what else a model says is not judged.
    """
    in_room = [name.split() for name in truth.get("in_room", ())]
    named = [part.split() for part in answer.split("; ")] if in_room else []
    names = [words for words in named if words and words[-1] in KINDS and set(words[:-1]) <= set(COLOURS)]
    return [" ".join(words) for words in names if not any(set(words) <= set(there) for there in in_room)]
