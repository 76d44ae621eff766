"""Who drives the base, the policy or a person; and whether a person has stopped it for good."""

from dataclasses import astuple

import numpy as np

from edge.motor.guard import Guard
from edge.motor.operator.panel import Panel
from edge.records import ActionChunk, MotorState, StopCause

BY_OPERATOR = (StopCause.OPERATOR, StopCause.OPERATOR_LOST)
HAND_DT_S = 0.1


class Takeover:
    """Stands between the guard and all that drives or stops it."""

    def __init__(self, guard: Guard, panel: Panel) -> None:
        self.panel = panel
        self.by_hand = False
        self.stopped = ""  # how a person stopped the base for good; empty if nobody did
        self.cause = StopCause.NONE  # why that person, or the line, did
        self._guard = guard
        self._decision = 0  # the newest of the policy

    def begin(self) -> None:
        """Note that the base was just armed; from then on decisions may count anew."""
        self._decision = 0
        self.panel.begin()

    def heed_stop(self) -> bool:
        """Stop for good if the panel says so. Returns True if it does."""
        stop = self.panel.read()
        if stop is not None:
            self.stop(stop.reason, stop.cause)
        return stop is not None

    def stop(self, reason: str, cause: StopCause) -> None:
        """Brake to zero and latch; for good if a person is the cause."""
        if cause in BY_OPERATOR:
            self.cause = self.cause if self.stopped else cause
            self.stopped = self.stopped or reason
        self._guard.stop(reason, cause)

    def follow(self, chunk: ActionChunk, now_ns: int) -> None:
        """Follow the policy's chunk, unless a person drives."""
        self._decision = max(self._decision, chunk.decision)
        if not self.by_hand:
            self._guard.follow(chunk, now_ns)

    def drive(self, now_ns: int) -> None:
        """Follow the stick in the place of the policy, as a chunk of this moment.

        The guard ramps it as it does every chunk. The policy goes on with frames captured afterwards.
        """
        velocity = self.panel.takeover(now_ns)
        self.by_hand = velocity is not None
        if velocity is not None:
            row = np.array([astuple(velocity)], np.float32)
            until_ns = now_ns + round(HAND_DT_S * 1e9)
            # After a contact a person, too, first goes back.
            back = self._guard.state is MotorState.TOUCHED
            chunk = ActionChunk(row, HAND_DT_S, now_ns, until_ns, 1.0, self._decision, back=back)
            self._guard.follow(chunk, now_ns)
