"""Follow action chunks and decide alone when to stop. Pure: no clock, no input or output, deterministic.

- The age of the newest followed frame, counted from its capture, is the only sign of life. A chunk is
  followed up to `follow_age_s`; then the base brakes at maximum deceleration, stands by `zero_age_s`, and is
  latched. A chunk slower than full speed takes less time to brake and is followed longer by so much: the base
  stands by the same age, after a shorter way.
- A chunk that is `by_way` is bounded by its way instead: whatever it asks for, the base comes to a stand
  before it has gone farther since the frame than at full speed. So a slow chunk, and the move of a base that
  stood for the frame, are followed longer. Once its rows are over, the base holds.
- A chunk that is malformed, not finite, from the future or of low confidence makes the base brake to zero
  without latching.
- A chunk that is not newer than what came before is ignored; the age of the current one goes on counting.
- A chunk that jumps (a reversal in one frame) is set aside, and followed when the next chunk agrees with it.
- A base that can't go slower than some speed stands once it brakes below it, or a chunk asks it to stand. Its
  ages and its way are those of the speed that it really goes (`edge.motor.pulses`).
- A contact brakes at once. Then only chunks that lead `back` are followed, and of them only what leads
  straight back, slowly, for a small way. With that over the base holds, until a chunk about a later frame.
- A frame captured before arming is never followed: a reset is not a restart. A first command far from zero
  after arming is harmless: it is approached from zero under the acceleration and jerk limits.
"""

import math
from collections.abc import Iterable
from itertools import pairwise

from edge.clock import age_over
from edge.errors import UsageError
from edge.motor.chunk_rows import GuardCounts, LimitedChunk, Row, fastest, jumps, malformed
from edge.motor.limits import MotorLimits
from edge.motor.slew import capped, clipped, faster, slew
from edge.motor.way import DrivenWay, WayBack
from edge.records import BASE_ACTION, ActionChunk, ActionSpec, MotorState, StopCause, Velocity

FUTURE_TOLERANCE_NS = 20_000_000
ARMED = (MotorState.HOLDING, MotorState.FOLLOWING, MotorState.TOUCHED)
# After a stall, jerk and acceleration are integrated over at most this many periods.
MAX_STALL_PERIODS = 2


class Guard:
    """The state machine of the motor process. All times are CLOCK_MONOTONIC ns that the caller passes in.

    `spec` names the three axes of a base and bounds them together with `limits`. A setpoint holds for
    `period_ns`, in (0, 100 ms], so braking begins that much earlier. Raises UsageError if `spec` is not a
    base's, or the period is out of range.
    """

    def __init__(
        self, limits: MotorLimits, spec: ActionSpec = BASE_ACTION, period_ns: int = 20_000_000
    ) -> None:
        if spec.names != BASE_ACTION.names:
            raise UsageError(f"a base is driven by {BASE_ACTION.names}, not by {spec.names}")
        if not 0 < period_ns <= 100_000_000:
            raise UsageError(f"motor period {period_ns / 1e6} ms is not in (0, 100] ms")
        self.limits = limits
        self.state = MotorState.DISARMED
        self.reason = ""
        self.cause = StopCause.NONE
        self.frame_to_motor_ns = -1
        self.counts = GuardCounts()
        self.back = WayBack(limits, period_ns)
        self._spec = spec
        self._period_ns = period_ns
        self._follow_age_ns = round(limits.follow_age_s * 1e9)
        self._zero_age_ns = round(limits.zero_age_s * 1e9)
        self._longest_age_ns = round(limits.longest_age_s * 1e9)
        self._armed_ns = 0
        self._stepped_ns: int | None = None
        self._seen = (-1, -1)  # (t0_ns, decision) of the newest chunk in order
        self._frame_ns = 0  # t0_ns of the newest chunk that was followed
        self._brake_age_ns = self._follow_age_ns  # age of that frame from which on it is braked
        self._by_way = False  # how that chunk is bounded
        self._way = DrivenWay(limits, period_ns)
        self._followed: LimitedChunk | None = None
        self._set_aside: Row | None = None
        self._linear, self._linear_accel = 0j, 0j
        self._angular, self._angular_accel = 0j, 0j

    @property
    def decision(self) -> int:
        """Number of the decision that is followed; -1 if there is none."""
        return self._followed.chunk.decision if self._followed is not None else -1

    @property
    def moving(self) -> bool:
        """True if the last setpoint was not zero."""
        return self._linear != 0 or self._angular != 0

    @property
    def zero_ns(self) -> int | None:
        """Time at which a stop's braking reaches zero, for a `step` between ticks; None if nothing brakes."""
        if self._stepped_ns is None or not self.moving or self.state is not MotorState.RAMPING:
            return None
        braking_s = self.limits.braking_s(abs(self._linear), abs(self._angular))
        return self._stepped_ns + math.ceil(braking_s * 1e9) + 1000  # for roundings

    def arm(self, now_ns: int) -> bool:
        """Go from DISARMED or LATCHED to HOLDING. Does nothing and returns False while the base brakes."""
        if self.state in ARMED:
            return True
        if self.moving or self.state is MotorState.RAMPING:
            return False
        self.state, self.reason, self._armed_ns = MotorState.HOLDING, "", now_ns
        self.cause, self._seen = StopCause.NONE, (self._seen[0], -1)  # decisions may count anew
        self.back.forget()
        return True

    def stop(self, reason: str, cause: StopCause = StopCause.REQUESTED) -> None:
        """Brake to zero and latch. The first reason and cause stay until re-armed."""
        if self.state in (MotorState.RAMPING, MotorState.LATCHED):
            return
        self._drop_chunk()
        self.state, self.reason, self.cause = MotorState.RAMPING, reason, cause
        if not self.moving:
            self.state = MotorState.LATCHED

    def hold(self, reason: str) -> None:
        """Brake to zero without latching, until the next valid chunk, if one is followed now."""
        if self.state in (MotorState.FOLLOWING, MotorState.TOUCHED):
            self._hold(reason)

    def touch(self, reason: str) -> None:
        """Note that an armed base touches something: brake to zero, then follow only a way back."""
        if self.state in ARMED:
            self._drop_chunk()
            self.state, self.reason = MotorState.TOUCHED, reason
            self.back.begin()

    def follow(self, chunk: ActionChunk, now_ns: int) -> bool:
        """Take a chunk to follow. Returns False if it is refused; `reason` and `counts` tell why."""
        touched = self.state is MotorState.TOUCHED
        if self.state not in ARMED or chunk.back is not touched or (touched and not self.back.begun):
            return False
        if (chunk.t0_ns, chunk.decision) <= self._seen or chunk.decision < self._seen[1]:
            self.counts.repeated += 1
            return False
        if fault := malformed(chunk, self._spec.dims):
            self.counts.malformed += 1
            return self._hold(fault)
        if (lead_ns := chunk.t0_ns - now_ns) > FUTURE_TOLERANCE_NS:
            self.counts.future += 1
            return self._hold(f"frame is {lead_ns / 1e6:.0f} ms in the future")
        self._seen = (chunk.t0_ns, chunk.decision)
        if not chunk.confidence >= self.limits.min_confidence:  # so that NaN is refused too
            self.counts.unsure += 1
            return self._hold(f"confidence {chunk.confidence:.2f} (limit {self.limits.min_confidence:.2f})")
        return self._follow_valid(chunk, now_ns)

    def step(self, now_ns: int) -> Velocity:
        """Compute the setpoint for this tick. Brakes and latches by age; never NaN, never beyond a limit."""
        if self._stepped_ns is None:
            self._stepped_ns = now_ns
        elapsed_ns = max(0, now_ns - self._stepped_ns)
        self._stepped_ns = max(self._stepped_ns, now_ns)
        self._way.add(self._stepped_ns, abs(self._linear), abs(self._angular), elapsed_ns)
        self.back.note(self._linear, self._angular, elapsed_ns / 1e9)
        target = self._target(now_ns)
        if target is None:
            self._brake(elapsed_ns / 1e9)
        elif elapsed_ns > 0:
            self._approach(target, min(elapsed_ns, MAX_STALL_PERIODS * self._period_ns) / 1e9)
        if self.moving:
            self._cap_by_way() if self._by_way else self._cap_by_age(now_ns)
            if self.state is MotorState.TOUCHED and self.back.begun:  # a jerk limit may lead past zero
                linear, turn = self.back.allowed(self._linear, self._angular.real) or (0j, 0.0)
                self._linear, self._angular = linear, complex(turn)
            self._keep_to_arcs()
        if self.state is MotorState.RAMPING and not self.moving:
            self.state = MotorState.LATCHED
            self._drop_chunk()
        if self.state is MotorState.TOUCHED and not self.moving and self.back.stand():
            self._drop_chunk()
            self.state, self.reason, self._armed_ns = MotorState.HOLDING, "", now_ns
        # Adding zero turns -0.0 into 0.0.
        return Velocity(self._linear.real + 0.0, self._linear.imag + 0.0, self._angular.real + 0.0)

    def _hold(self, reason: str) -> bool:
        """Brake to zero without latching: the next valid chunk moves the base again."""
        self._drop_chunk()
        self.reason = reason
        if self.state is not MotorState.TOUCHED:
            self.state = MotorState.HOLDING
        return False

    def _drop_chunk(self) -> None:
        self._followed = self._set_aside = None

    def _follow_valid(self, chunk: ActionChunk, now_ns: int) -> bool:
        if chunk.t0_ns < self._armed_ns:
            self.counts.early += 1
            return False
        limit_ns = self._longest_age_ns if chunk.by_way else self._follow_age_ns
        if (age_ns := now_ns - chunk.t0_ns) > limit_ns:
            self.counts.old += 1
            if self._followed is None:
                self.reason = self._age_text(age_ns, limit_ns)
            return False
        limited = LimitedChunk.from_chunk(chunk, self._spec, self.limits)
        if any(jumps(before, after, self.limits) for before, after in pairwise(limited.rows)):
            self.counts.jumps += 1
            return self._hold("chunk jumps between its rows")
        left = limited.rows[limited.index(now_ns) :]
        if not self._agrees(left[0] if left else limited.rows[-1], now_ns):
            self.counts.jumps += 1
            self.reason = "chunk jumps away from the one before; waiting for the next to agree"
            return False
        self._followed, self._set_aside = limited, None
        self._frame_ns, self._by_way = chunk.t0_ns, chunk.by_way
        self._brake_age_ns = limit_ns if chunk.by_way else self._age_to_brake_ns(left)
        self.frame_to_motor_ns = -1
        if not chunk.back:
            self.state = MotorState.FOLLOWING
        self.counts.accepted += 1
        self.counts.clamped += limited.clamped
        self.reason = "limited to what the base may drive" if limited.clamped else ""
        return True

    def _agrees(self, row: Row, now_ns: int) -> bool:
        """Return True if `row` continues the current chunk, or the outlier that was set aside before it."""
        current = self._followed.row(now_ns) if self._followed is not None else None
        if current is None or not jumps(current, row, self.limits):
            return True
        if self._set_aside is not None and not jumps(self._set_aside, row, self.limits):
            return True
        self._set_aside = row
        return False

    def _age_to_brake_ns(self, rows: Iterable[Row]) -> int:
        """Compute the age from which on these rows are braked, from the highest speed of base and rows."""
        linear, angular = fastest([(self._linear, self._angular.real), *rows])
        return round(self.limits.brake_age_s(linear, angular) * 1e9)

    def _age_text(self, age_ns: int, limit_ns: int) -> str:
        return f"newest frame is {age_over(age_ns, limit_ns)}"

    def _target(self, now_ns: int) -> Row | None:
        """Return the row to follow now, or None to brake. Latching by age begins here."""
        if self.state not in (MotorState.FOLLOWING, MotorState.TOUCHED) or self._followed is None:
            return None
        age_ns = now_ns - self._followed.chunk.t0_ns
        if age_ns > self._brake_age_ns:
            self.state, self.cause = MotorState.RAMPING, StopCause.STALE_CHUNK
            self.reason = self._age_text(age_ns, self._brake_age_ns)
            if self._set_aside is not None:
                self.cause = StopCause.JUMPING_CHUNK
                self.reason += ", and the chunk after it jumped away from it"
            return None
        row = self._followed.row(now_ns)
        if row is None:
            self.reason = "chunk is used up"
            if self._by_way and not self.moving:
                self._hold(self.reason)
            return None
        if self.frame_to_motor_ns < 0:
            self.frame_to_motor_ns = max(0, age_ns)
        return self.back.allowed(*row) if self.state is MotorState.TOUCHED else row

    def _approach(self, target: Row, dt_s: float) -> None:
        limits = self.limits
        self._linear, self._linear_accel = slew(
            self._linear, self._linear_accel, target[0], limits.linear_accel_m_s2, limits.linear_decel_m_s2,
            limits.linear_jerk_m_s3, dt_s,
        )  # fmt: skip
        self._angular, self._angular_accel = slew(
            self._angular, self._angular_accel, complex(target[1]), limits.angular_accel_rad_s2,
            limits.angular_decel_rad_s2, limits.angular_jerk_rad_s3, dt_s,
        )  # fmt: skip
        self._linear = clipped(self._linear, limits.linear_m_s)
        self._angular = clipped(self._angular, limits.angular_rad_s)
        if target[0] == 0:
            self._linear = faster(self._linear, limits.lowest_m_s)
        if target[1] == 0:
            self._angular = faster(self._angular, limits.lowest_rad_s)

    def _brake(self, dt_s: float) -> None:
        """Slow down straight toward zero at maximum deceleration, without a jerk limit."""
        limits = self.limits
        linear = clipped(self._linear, max(0.0, abs(self._linear) - limits.linear_decel_m_s2 * dt_s))
        angular = clipped(self._angular, max(0.0, abs(self._angular) - limits.angular_decel_rad_s2 * dt_s))
        self._linear = faster(linear, limits.lowest_m_s)
        self._angular = faster(angular, limits.lowest_rad_s)
        self._linear_accel = self._angular_accel = 0j

    def _cap_by_age(self, now_ns: int) -> None:
        """Limit the speed to what can be braked by `zero_age_s`, less the period that a setpoint holds."""
        left_s = max(0.0, (self._zero_age_ns - (now_ns + self._period_ns - self._frame_ns)) / 1e9)
        limits = self.limits
        self._linear = capped(self._linear, limits.linear_decel_m_s2 * left_s, limits.lowest_m_s)
        self._angular = capped(self._angular, limits.angular_decel_rad_s2 * left_s, limits.lowest_rad_s)

    def _cap_by_way(self) -> None:
        """Limit the speed to what ends within the way of the frame."""
        linear_m_s, angular_rad_s = self._way.highest(self._frame_ns)
        self._linear = capped(self._linear, linear_m_s, self.limits.lowest_m_s)
        self._angular = capped(self._angular, angular_rad_s, self.limits.lowest_rad_s)

    def _keep_to_arcs(self) -> None:
        """Limit the turn to what the wheels can follow: the speed may lag behind its row's."""
        x, y, turn = self.limits.allowed(self._linear.real, self._linear.imag, self._angular.real)
        self._linear, self._angular = complex(x, y), complex(turn)
