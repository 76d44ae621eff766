"""Logs a drive: its start, what the motor process does and refuses, its end."""

import logging
from dataclasses import asdict

from edge.interfaces import Inference, PolicyStatus
from edge.records import (
    ActionChunk,
    DriveEnd,
    MotorState,
    MotorStatus,
    Observation,
    Outcome,
    Refusals,
    StopCause,
)
from edge.runs.log import fields

REFUSALS_PERIOD_NS = 1_000_000_000  # at most one line about refused chunks in this time

log = logging.getLogger(__name__)


class DriveLog:
    """An observer that logs. It only queues lines, so it may be called by the loop itself."""

    def __init__(self) -> None:
        self._state: MotorState | None = None
        self._policy_state = ""
        self._tempo = "full speed"
        self._refused = Refusals()
        self._refused_due_ns = 0
        self._about = self._warning = ""
        self._by_hand = False

    def on_start(self, stamp_ns: int) -> None:
        """Log the start."""
        log.info("drive started")

    def on_frame(self, observation: Observation, policy: PolicyStatus) -> None:
        """Log a change of the policy's state."""
        if policy.state != self._policy_state:
            self._policy_state = policy.state
            log.info("policy", extra=fields(state=policy.state))
        slow = policy.slowed_to_m_s
        tempo = "full speed" if slow is None else "slowed" if slow else "stop-look-move"
        if tempo != self._tempo:
            self._tempo = tempo
            log.info("tempo", extra=fields(tempo=tempo, slowed_to_m_s=slow))

    def on_inference(self, inference: Inference) -> None:
        """Log the answer, for those who debug."""
        if log.isEnabledFor(logging.DEBUG):
            values = fields(
                text=inference.text,
                confidence=inference.confidence,
                ms=sum(inference.stages_ms.values()),
                frame=inference.frame.seq,
            )
            log.debug("inference", extra=values)

    def on_chunk(self, chunk: ActionChunk) -> None:
        """Log the chunk, for those who debug."""
        if log.isEnabledFor(logging.DEBUG):
            log.debug("chunk", extra=fields(decision=chunk.decision, rows=len(chunk.values)))

    def on_status(self, status: MotorStatus) -> None:
        """Log a change of the base, of its warnings and of the motor process's state.

        New refusals are logged by reason, once a second at most.
        """
        if status.about != self._about:
            self._about = status.about
            log.info("base", extra=fields(about=status.about))
        if status.warning != self._warning:
            self._warning = status.warning
            if status.warning:
                log.warning("base warns", extra=fields(warning=status.warning))
        if status.state is not self._state:
            self._log_state(status)
        if status.by_hand != self._by_hand:
            self._by_hand = status.by_hand
            log.info("a person drives" if status.by_hand else "no person drives any more")
        if status.refused != self._refused and status.stamp_ns >= self._refused_due_ns:
            self._log_refusals(status.refused)
            self._refused_due_ns = status.stamp_ns + REFUSALS_PERIOD_NS

    def on_end(self, end: DriveEnd) -> None:
        """Log how the drive ended."""
        level = logging.WARNING if end.outcome is Outcome.FAULT else logging.INFO
        values = fields(
            outcome=end.outcome.value,
            cause=end.cause.value,
            reason=end.reason,
            exit_code=end.exit_code,
            seconds=end.seconds,
        )
        log.log(level, "drive ended", extra=values)

    def _log_state(self, status: MotorStatus) -> None:
        before, self._state = self._state, status.state
        if before in (None, MotorState.DISARMED) and status.state is MotorState.HOLDING:
            log.info("armed")
        elif status.state in (MotorState.RAMPING, MotorState.LATCHED):
            unasked = status.cause not in (StopCause.REQUESTED, StopCause.NONE)
            level = logging.WARNING if unasked else logging.INFO
            values = fields(state=status.state.value, cause=status.cause.value, reason=status.reason)
            log.log(level, "base stopped", extra=values)
        else:
            log.debug("motor process", extra=fields(state=status.state.value))

    def _log_refusals(self, refused: Refusals) -> None:
        before, self._refused = asdict(self._refused), refused
        new = {reason: count - before[reason] for reason, count in asdict(refused).items()}
        new = {reason: count for reason, count in new.items() if count}
        # Every drive begins with chunks of frames from before arming.
        level = logging.INFO if set(new) == {"early"} else logging.WARNING
        log.log(level, "chunks refused", extra=fields(**new))
