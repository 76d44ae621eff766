"""The rows of an action chunk, limited and found by time, and counts of chunks. Pure, like the guard."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from edge.motor.limits import MotorLimits
from edge.motor.slew import clipped
from edge.records import ActionChunk, ActionSpec, Refusals

Row = tuple[complex, float]  # (linear x + y * 1j in m/s, angular in rad/s)


def malformed(chunk: ActionChunk, dims: int) -> str:
    """Return what is wrong with the shape, the row time or a value of a chunk; empty if nothing is."""
    values = chunk.values
    if values.ndim != 2 or values.shape[1] != dims or values.shape[0] == 0:
        return f"chunk has shape {values.shape}, not (rows, {dims})"
    if not (math.isfinite(chunk.dt_s) and chunk.dt_s > 0):
        return f"chunk has a row time of {chunk.dt_s} s"
    if not all(map(math.isfinite, values.ravel().tolist())):
        return "chunk has a value that is not finite"
    return ""


def jumps(before: Row, after: Row, limits: MotorLimits) -> bool:
    """Return True if the change from one row to the next is an outlier."""
    return (
        abs(after[0] - before[0]) > limits.linear_jump_m_s
        or abs(after[1] - before[1]) > limits.angular_jump_rad_s
    )


def fastest(rows: Iterable[Row]) -> tuple[float, float]:
    """Return the highest speed, m/s, and turn rate, rad/s, of rows; at least one."""
    speeds, turns = zip(*((abs(linear), abs(angular)) for linear, angular in rows), strict=True)
    return max(speeds), max(turns)


@dataclass(frozen=True, slots=True)
class LimitedChunk:
    """A well-formed chunk, with its rows cut to what the base may be driven at."""

    chunk: ActionChunk
    rows: tuple[Row, ...]
    clamped: bool  # True if a value was beyond the limits

    @classmethod
    def from_chunk(cls, chunk: ActionChunk, spec: ActionSpec, limits: MotorLimits) -> "LimitedChunk":
        """Cut each value to `spec`, each vector to the length in `limits`, then what the wheels can't do."""
        rows: list[Row] = []
        clamped = False
        # A chunk has few rows: numpy would take longer.
        for wanted in chunk.values.tolist():
            x, y, angular = map(_within, wanted, spec.low, spec.high)
            linear = clipped(complex(x, y), limits.linear_m_s)
            turn = clipped(complex(angular), limits.angular_rad_s).real
            driven = limits.allowed(linear.real, linear.imag, turn)
            clamped |= any(abs(one - other) > 1e-6 for one, other in zip(driven, wanted, strict=True))
            rows.append((complex(driven[0], driven[1]), driven[2]))
        return cls(chunk, tuple(rows), clamped)

    def index(self, now_ns: int) -> int:
        """Return the number of the row that holds at this time; `len(rows)` if all have elapsed."""
        # The limit is applied to a float: a tiny dt_s must not make a huge integer.
        rows_passed = max(0.0, (now_ns - self.chunk.t0_ns) / 1e9 / self.chunk.dt_s)
        return math.floor(min(rows_passed + 1e-9, float(len(self.rows))))

    def row(self, now_ns: int) -> Row | None:
        """Return the row that holds at this time; None if all have elapsed or the chunk is not valid now."""
        index = self.index(now_ns)
        if index >= len(self.rows) or now_ns >= self.chunk.valid_until_ns:
            return None
        return self.rows[index]


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


@dataclass(slots=True)
class GuardCounts:
    """Counts of the chunks so far, by what became of them."""

    accepted: int = 0
    clamped: int = 0  # accepted, with values cut to the limits
    malformed: int = 0  # wrong width, horizon or row time; NaN or Inf
    future: int = 0  # their frame is yet to be captured
    repeated: int = 0  # duplicated, replayed or out of order
    early: int = 0  # their frame was captured before arming
    old: int = 0  # too old when it arrived
    unsure: int = 0  # confidence below the limit
    jumps: int = 0  # between two rows, or away from the chunk before

    def refusals(self, messages: int = 0) -> Refusals:
        """Return the counts of chunks that were not followed, and `messages` that could not be read."""
        return Refusals(
            self.malformed,
            self.future,
            self.repeated,
            self.early,
            self.old,
            self.unsure,
            self.jumps,
            messages,
        )

    @property
    def refused(self) -> int:
        """Number of chunks that were not followed."""
        return self.refusals().total
