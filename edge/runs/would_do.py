"""What a policy would have done on recorded frames, in which nothing can move: in words, over time."""

import math
from dataclasses import dataclass, replace
from typing import Any

from edge.interfaces import Inference, PolicyStatus
from edge.records import ZERO, ActionChunk, DriveEnd, MotorStatus, Observation, Velocity
from edge.runs.thinned import Thinned

STRETCH_S = 0.5  # shorter motions are averaged
MAX_STRETCHES = 1000
STILL_M_S, STILL_RAD_S = 0.03, 0.05  # slower is standing
STRAIGHT_RAD_S = 0.1  # who turns more slowly while driving drives straight
FIRST_LINES, LAST_LINES = 9, 3  # for a terminal


@dataclass(frozen=True, slots=True)
class Stretch:
    """What the policy would have done on one picture, or for a stretch of time."""

    from_s: float  # since the drive's start
    to_s: float
    source: str  # the picture's file; empty for a stretch of time
    state: str  # the policy's, or its answer
    velocity: Velocity | None  # the mean; None for goals without motion

    @property
    def does(self) -> str:
        """The state and the motion in words."""
        motion = "" if self.velocity is None else motion_words(self.velocity)
        # A policy that predicts actions has no other state than that it drives.
        return ": ".join(filter(None, ("" if self.state == "drive" else self.state, motion)))

    def follows(self, before: "Stretch") -> bool:
        """Return True if this goes on with what the stretch before was."""
        same_motion = _directions(self.velocity or ZERO) == _directions(before.velocity or ZERO)
        return self.state == before.state and same_motion and not self.source

    def to_json(self) -> dict[str, Any]:
        """Return an item of summary.json's `would_do`."""
        velocity = self.velocity
        return {
            "from_s": round(self.from_s, 2),
            "to_s": round(self.to_s, 2),
            **({"source": self.source} if self.source else {}),
            "does": self.does,
            "linear_x_m_s": None if velocity is None else round(velocity.linear_x_m_s, 3),
            "linear_y_m_s": None if velocity is None else round(velocity.linear_y_m_s, 3),
            "angular_z_rad_s": None if velocity is None else round(velocity.angular_z_rad_s, 3),
        }


class WouldDo:
    """An observer that keeps what the policy does, as stretches. Bounded however long it lasts.

    With `by_picture` each answer is a stretch; otherwise whatever goes on in the same way is one.
    """

    def __init__(self, moves: bool, by_picture: bool) -> None:
        self._moves = moves
        self._by_picture = by_picture
        self._stretches: Thinned[Stretch] = Thinned(MAX_STRETCHES)
        self._newest: Stretch | None = None  # it may go on
        self._start_ns = 0
        self._observation: Observation | None = None
        self._policy = PolicyStatus("")
        self._chunk: ActionChunk | None = None
        self._velocities: list[Velocity] = []
        self._since_s = 0.0  # the start of the stretch of time

    @property
    def stretches(self) -> list[Stretch]:
        """The stretches so far, in order."""
        return [*self._stretches.all(), *([] if self._newest is None else [self._newest])]

    def on_start(self, stamp_ns: int) -> None:
        """Count seconds from here."""
        self._start_ns = stamp_ns

    def on_frame(self, observation: Observation, policy: PolicyStatus) -> None:
        """Add what was done at the frame before to the stretch of time."""
        if not self._by_picture:
            self._add_before()
            seconds = self._seconds(observation)
            if self._velocities and seconds - self._since_s >= STRETCH_S:
                self._end_stretch(seconds)
        self._observation, self._policy = observation, policy

    def on_inference(self, inference: Inference) -> None:
        """Begin the stretch of a picture."""
        if self._by_picture and self._observation is not None:
            seconds = self._seconds(self._observation)
            state = self._about(self._observation, inference)
            velocity = ZERO if self._moves else None
            self._add(Stretch(seconds, seconds, inference.frame.source, state, velocity))

    def on_chunk(self, chunk: ActionChunk) -> None:
        """Take in what is to be done from now on."""
        self._chunk = chunk
        if self._by_picture and self._newest is not None and self._moves:
            self._newest = replace(self._newest, velocity=_velocity_at(chunk, chunk.t0_ns))

    def on_status(self, status: MotorStatus) -> None:
        """Do nothing: a base that isn't there tells nothing."""

    def on_end(self, end: DriveEnd) -> None:
        """Add the rest."""
        if not self._by_picture:
            self._add_before()
        if self._velocities:
            self._end_stretch(end.seconds)

    def _seconds(self, observation: Observation) -> float:
        return max(0.0, (observation.frame.stamp_ns - self._start_ns) / 1e9)

    def _add_before(self) -> None:
        if self._observation is not None:
            self._velocities.append(_velocity_at(self._chunk, self._observation.frame.stamp_ns))

    def _end_stretch(self, end_s: float) -> None:
        state = self._policy.state if self._moves else _quoted(self._policy.answer)
        self._add(Stretch(self._since_s, end_s, "", state, _mean(self._velocities) if self._moves else None))
        self._velocities, self._since_s = [], end_s

    def _add(self, stretch: Stretch) -> None:
        before = self._newest
        if before is not None and stretch.follows(before):
            velocity = stretch.velocity
            if velocity is not None and before.velocity is not None:
                share = (stretch.to_s - stretch.from_s) / max(1e-9, stretch.to_s - before.from_s)
                velocity = _mean([before.velocity, velocity], [1 - share, share])
            stretch = replace(stretch, from_s=before.from_s, velocity=velocity)
        elif before is not None:
            self._stretches.add(before)
        self._newest = stretch

    def _about(self, observation: Observation, inference: Inference) -> str:
        """Return what the model's answer about a picture was, as far as people can read it."""
        goal, policy = observation.goal, self._policy
        if not self._moves:
            return _quoted(inference.words)
        if inference.chunk is not None:
            return policy.state
        if policy.detection is not None:
            return f"sees {goal.target} ({policy.detection.confidence:.2f}), {policy.state}"
        if goal.kind == "instruct":
            return _quoted(inference.words)
        return f"does not see {goal.target}, {policy.state}"


def motion_words(velocity: Velocity) -> str:
    """Return a velocity in words, such as "drive ahead at 0.30 m/s, turning left at 12°/s"."""
    way, turn = _directions(velocity)
    rate = f"{abs(math.degrees(velocity.angular_z_rad_s)):.0f}°/s"
    if way:
        speed_m_s = math.hypot(velocity.linear_x_m_s, velocity.linear_y_m_s)
        return f"drive {way} at {speed_m_s:.2f} m/s" + (f", turning {turn} at {rate}" if turn else "")
    return f"turn {turn} at {rate}" if turn else "stand"


def would_do_lines(stretches: list[Stretch]) -> list[str]:
    """Return the stretches as lines for people, the middle of a long list left out."""
    if not stretches:
        return []
    names = [each.source or f"{each.from_s:.1f} to {each.to_s:.1f} s" for each in stretches]
    width = max(map(len, names))
    lines = [f"  {name:<{width}}  {each.does}" for name, each in zip(names, stretches, strict=True)]
    left_out = len(lines) - FIRST_LINES - LAST_LINES
    if left_out > 1:
        lines[FIRST_LINES:-LAST_LINES] = [f"  ... {left_out} more, in summary.json"]
    spoken = all(each.velocity is None for each in stretches)
    return ["its answers:" if spoken else "nothing moved; it would have done this:", *lines]


def _directions(velocity: Velocity) -> tuple[str, str]:
    """Return the direction of the way and of the turn in words; empty without one."""
    x, y, turn = velocity.linear_x_m_s, velocity.linear_y_m_s, velocity.angular_z_rad_s
    way = ""
    if math.hypot(x, y) >= STILL_M_S:
        along, across = ("ahead" if x > 0 else "back"), ("left" if y > 0 else "right")
        way = along if abs(x) > 2 * abs(y) else across if abs(y) > 2 * abs(x) else f"{along} and {across}"
    turns = abs(turn) >= (STRAIGHT_RAD_S if way else STILL_RAD_S)
    return way, ("left" if turn > 0 else "right") if turns else ""


def _velocity_at(chunk: ActionChunk | None, stamp_ns: int) -> Velocity:
    """Return what a chunk plans for a moment; zero where it plans nothing."""
    if chunk is None or stamp_ns >= chunk.valid_until_ns:
        return ZERO
    row = int((stamp_ns - chunk.t0_ns) / 1e9 / chunk.dt_s)
    return Velocity(*chunk.values[row].tolist()) if 0 <= row < len(chunk.values) else ZERO


def _mean(velocities: list[Velocity], weights: list[float] | None = None) -> Velocity:
    weights = weights or [1 / len(velocities)] * len(velocities)
    pairs = list(zip(velocities, weights, strict=True))
    return Velocity(
        sum(each.linear_x_m_s * weight for each, weight in pairs),
        sum(each.linear_y_m_s * weight for each, weight in pairs),
        sum(each.angular_z_rad_s * weight for each, weight in pairs),
    )


def _quoted(answer: str) -> str:
    return f'"{answer}"' if answer else "no answer yet"
