"""When a person drove instead of the policy, by the reports of the motor process."""

from dataclasses import dataclass

from edge.records import MotorStatus

MOST_STRETCHES = 1000  # kept of a run, however long it is


@dataclass(frozen=True, slots=True)
class HandStretch:
    """A time for which a person drove."""

    at_s: float  # since the drive's start
    seconds: float


@dataclass(frozen=True, slots=True)
class Interventions:
    """How often and for how long a person drove in one run."""

    number: int = 0
    seconds: float = 0.0
    stretches: tuple[HandStretch, ...] = ()  # the first MOST_STRETCHES


NO_INTERVENTIONS = Interventions()


class InterventionCount:
    """Counts takeovers as their reports come. Bounded however long the run lasts."""

    def __init__(self) -> None:
        self._number = 0
        self._done_ns = 0
        self._stretches: list[tuple[int, int]] = []  # from, until
        self._since_ns: int | None = None
        self._newest_ns = 0

    def add(self, status: MotorStatus) -> None:
        """Take the next report."""
        self._newest_ns = status.stamp_ns
        if status.by_hand and self._since_ns is None:
            self._since_ns = status.stamp_ns
            self._number += 1
        elif not status.by_hand and self._since_ns is not None:
            self._done_ns += status.stamp_ns - self._since_ns
            if len(self._stretches) < MOST_STRETCHES:
                self._stretches.append((self._since_ns, status.stamp_ns))
            self._since_ns = None

    def result(self, start_ns: int) -> Interventions:
        """Return what was counted so far; one that goes on ends with the newest report."""
        stretches, total_ns = list(self._stretches), self._done_ns
        if self._since_ns is not None:
            total_ns += self._newest_ns - self._since_ns
            stretches.append((self._since_ns, self._newest_ns))
        told = (
            HandStretch(round((since - start_ns) / 1e9, 2), round((until - since) / 1e9, 2))
            for since, until in stretches[:MOST_STRETCHES]
        )
        return Interventions(self._number, round(total_ns / 1e9, 2), tuple(told))
