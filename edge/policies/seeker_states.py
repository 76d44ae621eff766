"""The states of the seeker, what its steps decide by, and the thresholds between them."""

import math
from dataclasses import dataclass
from enum import Enum

from edge.base_spec import BaseSpec
from edge.interfaces import Inference, PolicyEnding
from edge.perception.apparent_size import ApparentSize
from edge.perception.geometry import Pose
from edge.records import Frame, Odometry, Outcome


class SeekerState(Enum):
    """What the seeker is doing. Its diagram is in `edge.policies.seeker`."""

    SEARCH = "search"
    CONFIRM = "confirm"
    APPROACH = "approach"
    CHECK = "check"
    CIRCLE = "circle"
    ARRIVED = "arrived"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Moment:
    """What a step decides by."""

    frame: Frame
    seen_from: Pose  # at the frame's exposure
    pose: Pose  # as the camera gave the frame: later by its delay
    odometry: Odometry | None
    inference: Inference | None  # an answer that has just come
    delay_s: float = 0.0  # until the base begins to follow what is decided now

    @property
    def soon(self) -> Pose:
        """Where the base is by then, if it goes on as it does: what is steered from."""
        return self.pose if self.odometry is None else self.pose.after(self.odometry.velocity, self.delay_s)

    @property
    def now_ns(self) -> int:
        """The time at which the camera gave the frame."""
        return self.frame.given_ns


@dataclass(frozen=True, slots=True)
class SeekerParams:
    """Thresholds, times and speeds of the seeker, tuned with the default bundle."""

    size: ApparentSize | None = None  # how large the target looks, where that was measured

    # Answers of the model.
    min_confidence: float = 0.35  # lowest confidence of a detection that is worth a look
    sure: float = 0.75  # lowest one for arrival; up close, 75 % of true detections score 0.86 or more
    alike: float = 0.92  # likeness that makes one look enough: 9 of 10 true ones have more, no false one has

    # Belief in the target, see edge.policies.target.
    believed: float = 0.45  # above: drive at it
    doubted: float = 0.15  # below: look no longer
    lost: float = 0.08  # below: give it up

    # Distances and angles.
    stop_at_m: float = 0.56  # from the base's centre to the target's foot
    near_m: float = 0.05  # so near to stop_at_m counts as there
    left_m: float = 0.12  # farther than that beyond stop_at_m it must drive again
    arrived_bearing_rad: float = math.radians(9)
    follow_at_m: float = 1.0
    kept_m: float = 0.25  # so far from follow_at_m, and so far aside, it still counts as followed
    kept_bearing_rad: float = math.radians(15)
    side_m: float = 0.95  # distance to the target when it is looked at from another side
    same_m: float = 0.4  # so near to it, plus a share of the distance, it is the same thing
    same_share: float = 0.25
    own_m: float = 0.08  # around a target's own radius, what is seen belongs to it
    own_share: float = 0.05  # more of that by distance: far things are located less well

    # Times.
    look_ns: int = 500_000_000  # a look takes at least this long
    check_ns: int = 2_500_000_000  # after so long without sure answers it is something else
    check_answers: int = 6  # a check waits for at least so many: one is under way as it begins
    check_hits: int = 3  # answers in a row that a check wants
    lost_hold_ns: int = 500_000_000
    blocked_leg_frames: int = 15  # a leg of the search that is blocked for longer is over
    blocked_approach_frames: int = 60  # a target that can't be got at for longer is left alone

    # Ways and turns, which take a slower base longer.
    leg_m_s: float = 0.35  # speed to a spot to look from, or to the target's other side
    circle_m: float = 2.1  # way to the other side, at most
    out_of_view_m: float = 2.7  # way driven at full speed while the target is believed in unseen
    forget_rad: float = 10.8  # turn, a full one and a bit, during which what was rejected stays so

    def circle_ns(self, base: BaseSpec) -> int:
        """Return the time that a base may take to the target's other side."""
        way_s = self.circle_m / min(self.leg_m_s, base.cruise_m_s)
        turns_s = 0.0 if base.sideways else math.pi / base.cruise_rad_s
        return round((way_s + turns_s) * 1e9)

    def forget_ns(self, base: BaseSpec) -> int:
        """Return the time during which a base leaves what was rejected alone."""
        return round(self.forget_rad / base.cruise_rad_s * 1e9)


class KeptDistance:
    """How well a target is followed: the share of the time in which the base kept its distance from it."""

    def __init__(self, params: SeekerParams) -> None:
        self._params = params
        self._time_ns = self._kept_ns = 0
        self._before_ns: int | None = None
        self._follows = False  # at the newest frame
        self._kept = False
        self._ever = False

    def update(self, stamp_ns: int, target: tuple[float, float] | None) -> None:
        """Take in a frame: the target's distance, metres, and bearing, radians; None while it is not seen."""
        elapsed_ns = 0 if self._before_ns is None else max(0, stamp_ns - self._before_ns)
        self._before_ns = stamp_ns
        self._time_ns += elapsed_ns
        self._kept_ns += elapsed_ns if self._kept else 0
        params, self._follows = self._params, target is not None
        self._ever |= self._follows
        self._kept = target is not None and (
            abs(target[0] - params.follow_at_m) <= params.kept_m and abs(target[1]) <= params.kept_bearing_rad
        )

    @property
    def fraction(self) -> float:
        """The share of the time since the first frame, [0, 1]."""
        return round(self._kept_ns / self._time_ns, 3) if self._time_ns else 0.0

    def ending(self, target: str) -> PolicyEnding:
        """Return how a drive would end at the newest frame: only who follows to its end has followed."""
        params, percent = self._params, 100 * self.fraction
        kept = f"{params.follow_at_m:g} m (give or take {params.kept_m:g}) for {percent:.0f} % of the time"
        if self._follows and self._kept_ns:
            return PolicyEnding(Outcome.FOLLOWED, f"{target}, at {kept}")
        if self._ever:
            state = "is still on the way to it" if self._follows else "has lost it"
            return PolicyEnding(Outcome.TIMEOUT, f"{target} was seen, and the robot {state}; at {kept}")
        return PolicyEnding(Outcome.TIMEOUT, f"{target} was not found")
