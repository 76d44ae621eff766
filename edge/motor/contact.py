"""Contacts of a base: what tells of one in its feedback, and whether it got free. Pure, like the guard.

A bumper tells of a contact; so do wheels that followed their setpoint and now stand, held. Wheels that slip
tell nothing: the picture does (`edge.perception.plausibility`).
"""

import math

from edge.interfaces import Feedback
from edge.motor.guard import ARMED, Guard
from edge.motor.watch import Objection
from edge.motor.way import BACK_M, BACK_RAD
from edge.records import ZERO, MotorState, Odometry, StopCause, Velocity

APART_NS = 300_000_000  # a bumper that was free for less is still pressed by the same contact
TOLD_M_S, TOLD_RAD_S = 0.1, 0.25  # slower setpoints tell nothing of a base that stands
FOLLOWS_SHARE, HELD_SHARE = 0.5, 0.2  # shares of a setpoint: the base moves as told; it is held
HELD_NS = 300_000_000  # more than a base needs to follow a setpoint that changes
PRESSED_NS = 1_000_000_000  # so long after the way back the bumper may still be pressed
UNANSWERED_NS = 3_000_000_000  # from a contact to the end of the way back
FREED_SHARE = 0.3  # what the odometry must show, as a share of the way back


class ContactSense:
    """Finds contacts in what a base reports. Times are CLOCK_MONOTONIC ns that the caller passes in."""

    def __init__(self) -> None:
        self._pressed_ns: int | None = None  # when the bumper was pressed last
        self._followed = False  # the base has moved as told since it was told to move
        self._held_ns: int | None = None  # since when it does not any more

    def take(self, feedback: Feedback, sent: Velocity, now_ns: int) -> str:
        """Return what tells of a new contact; empty if nothing does. Call once a tick, while armed."""
        held = self._held(feedback.odometry, sent, now_ns)
        if not feedback.bumper:
            return held
        before_ns, self._pressed_ns = self._pressed_ns, now_ns
        same = before_ns is not None and now_ns - before_ns < APART_NS
        return "" if same else "its bumper is pressed"

    def _held(self, odometry: Odometry | None, sent: Velocity, now_ns: int) -> str:
        share = None if odometry is None else followed_share(odometry.velocity, sent)
        if share is None or not (self._followed or share >= FOLLOWS_SHARE):
            self._followed, self._held_ns = False, None
            return ""
        self._followed = True
        if share >= HELD_SHARE:
            self._held_ns = None
            return ""
        self._held_ns = now_ns if self._held_ns is None else self._held_ns
        if now_ns - self._held_ns < HELD_NS:
            return ""
        self._followed, self._held_ns = False, None
        return f"it is held: its wheels go at {share:.0%} of what they are told (limit {HELD_SHARE:.0%})"


class WayBackWatch:
    """Watches that a base gets free after a contact. Times are CLOCK_MONOTONIC ns."""

    def __init__(self) -> None:
        self._touched_ns: int | None = None  # when the contact began whose way back is not over
        self._over_ns: int | None = None  # when the last way back was over
        self._stood = self._backs = False  # since the contact it has stood; has been told to go back
        self._from: Odometry | None = None  # where it stood then

    def begin(self, now_ns: int) -> None:
        """Note a contact."""
        self._touched_ns, self._over_ns = now_ns, None
        self._stood = self._backs = False

    def judge(self, feedback: Feedback, sent: Velocity, state: MotorState, now_ns: int) -> Objection | None:
        """Return why the armed base must stop for good; None if it need not. Call once a tick."""
        if state is MotorState.TOUCHED:
            return self._on_the_way(feedback, sent, now_ns)
        if self._touched_ns is not None:
            self._touched_ns, self._over_ns = None, now_ns
            return self._freed(feedback.odometry)
        if self._over_ns is None or not feedback.bumper or now_ns - self._over_ns <= PRESSED_NS:
            if not feedback.bumper:
                self._over_ns = None
            return None
        pressed_s, limit_s = (now_ns - self._over_ns) / 1e9, PRESSED_NS / 1e9
        reason = f"its bumper is still pressed {pressed_s:.1f} s after the way back (limit {limit_s:.1f} s)"
        return Objection(StopCause.CONTACT, reason)

    def _on_the_way(self, feedback: Feedback, sent: Velocity, now_ns: int) -> Objection | None:
        self._backs |= self._stood and sent != ZERO
        self._stood |= sent == ZERO
        if not self._backs:
            self._from = feedback.odometry
        if self._touched_ns is None or now_ns - self._touched_ns <= UNANSWERED_NS:
            return None
        limit_s = UNANSWERED_NS / 1e9
        return Objection(StopCause.CONTACT, f"it touched something, and was not back within {limit_s:g} s")

    def _freed(self, odometry: Odometry | None) -> Objection | None:
        if odometry is None or self._from is None or not self._backs:
            return None
        went_m = math.hypot(odometry.x_m - self._from.x_m, odometry.y_m - self._from.y_m)
        turned_rad = abs(math.remainder(odometry.yaw_rad - self._from.yaw_rad, 2 * math.pi))
        if went_m >= FREED_SHARE * BACK_M or turned_rad >= FREED_SHARE * BACK_RAD:
            return None
        return Objection(
            StopCause.BASE_DISAGREES,
            "the base does not follow its setpoints, neither on nor back: from where it was held it went "
            f"{went_m:.2f} of {BACK_M:.2f} m and turned {turned_rad:.2f} of {BACK_RAD:.2f} rad",
        )


class ContactWatch:
    """Makes a guard brake at every contact, and stop where the base does not get free of one."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self.reset()

    def reset(self) -> None:
        """Forget the past: the base was just armed."""
        self._sense, self._way_back = ContactSense(), WayBackWatch()

    def touch(self, reason: str, now_ns: int) -> None:
        """Brake, since an armed base touches something."""
        if self._guard.state in ARMED:
            self._guard.touch(reason)
            self._way_back.begin(now_ns)

    def judge(self, feedback: Feedback, sent: Velocity, now_ns: int) -> Objection | None:
        """Look for a new contact. Returns why the armed base must stop for good; None if it need not."""
        if reason := self._sense.take(feedback, sent, now_ns):
            self.touch(reason, now_ns)
        return self._way_back.judge(feedback, sent, self._guard.state, now_ns)


def followed_share(measured: Velocity, sent: Velocity) -> float | None:
    """Return the share of a setpoint that a base moves at; None for one too slow to tell.

    That of its way, or if it hardly drives, of its turn; negative if it moves the other way.
    """
    speed_m_s = math.hypot(sent.linear_x_m_s, sent.linear_y_m_s)
    if speed_m_s >= TOLD_M_S:
        along = measured.linear_x_m_s * sent.linear_x_m_s + measured.linear_y_m_s * sent.linear_y_m_s
        return along / speed_m_s**2
    if abs(sent.angular_z_rad_s) >= TOLD_RAD_S:
        return measured.angular_z_rad_s / sent.angular_z_rad_s
    return None
