"""The decision layer once more: what the policy was given goes into a fresh one, bit by bit."""

from dataclasses import dataclass
from typing import Any

from edge.interfaces import HeedsContacts, PicksFrames, Policy
from edge.records import MotorStatus
from edge.replay.recording import RecordedRun, Tick
from edge.runs.tap.plain import to_line


@dataclass(frozen=True, slots=True)
class TickDifference:
    """A frame at which the fresh policy decided otherwise."""

    tick: int
    at_s: float  # since the drive's start
    recorded: Any  # chunk and status, as plain JSON
    replayed: Any


@dataclass(frozen=True, slots=True)
class DecisionReplay:
    """What came of it."""

    ticks: int
    different: int
    first: TickDifference | None


def replay_decisions(policy: Policy, recording: RecordedRun) -> DecisionReplay:
    """Let a fresh policy act on what the recorded one was given, and compare all that it decides.

    Time is that of the frames, and answers come when they came. Raises UsageError if something is missing.
    """
    ticks = different = 0
    first: TickDifference | None = None
    contacts = ReplayedContacts(policy)
    for event in recording.events():
        if isinstance(event, MotorStatus):
            contacts.take(event)
            continue
        ticks += 1
        replayed = _act(policy, event, recording)
        recorded = {"chunk": event.decided, "status": event.status}
        if to_line(replayed) != to_line(recorded):
            different += 1
            at_s = (event.observation.frame.stamp_ns - recording.facts.start_ns) / 1e9
            first = first or TickDifference(event.number, round(at_s, 3), recorded, replayed)
    return DecisionReplay(ticks, different, first)


def _act(policy: Policy, tick: Tick, recording: RecordedRun) -> dict[str, Any]:
    inference = None if tick.answer is None else recording.inference(tick.answer)
    if isinstance(policy, PicksFrames):
        policy.wants(tick.observation, inference)  # as the loop asks, before it acts
    chunk = policy.act(tick.observation, inference)
    return {"chunk": chunk, "status": policy.status}


class ReplayedContacts:
    """Tells a policy of contacts, as the drive did by the reports of its motor process."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy if isinstance(policy, HeedsContacts) else None
        self._count = 0

    def take(self, status: MotorStatus) -> None:
        """Take in a report."""
        if status.contacts != self._count:
            self._count = status.contacts
            if self._policy is not None:
                self._policy.touched(status.touched)
