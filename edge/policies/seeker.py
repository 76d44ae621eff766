"""The policy that seeks: a model that answers "where is it?" and a servo rule make a robot that goes there.

    search ──seen──► confirm ──seen again──► approach ──near──► check ──seen, standing──► arrived
      ▲                 │ not seen              │ ▲                │ ▲  │ doubtful
      └─────────────────┴────── lost ◄─ not seen┴─┼────────────────┘ └── circle

`infer` asks the model about one frame. `act` runs at every frame: it tracks the newest box, keeps the
target's position in the odometry frame, and steers by the step of its state. The scene never gives orders:
only the goal's target enters the prompt, and only a box is used of an answer.
"""

import math
from collections.abc import Callable

from edge.base_spec import BaseSpec
from edge.errors import UsageError
from edge.interfaces import Inference, PolicyStatus
from edge.model.boxes import BoxReader
from edge.navigation.pilot import Destination, Pilot
from edge.navigation.servo import CAREFUL_M_S, DEADBAND, standing, turn_rate
from edge.perception.floor_scan import Scan
from edge.perception.geometry import Pose, View
from edge.policies.answer_age import AnswerAge
from edge.policies.chunks import velocity_chunk
from edge.policies.search import RecentPositions, Search
from edge.policies.seeker_states import KeptDistance, Moment, SeekerParams, SeekerState
from edge.policies.sight import Sight
from edge.records import ZERO, ActionChunk, CameraMount, Goal, Image, Observation, Velocity

Ask = Callable[[Observation], Inference]
SeeFloor = Callable[[Image, View], Scan]


def check_base(base: BaseSpec) -> None:
    """Raise UsageError for a base that can't turn in place, which is how the seeker looks around."""
    if not base.turns_in_place:
        radius = f"{base.turn_radius_m:.2f} m"
        raise UsageError(
            f"to seek, a base must turn in place; this one ({base.drive.value}) needs a radius of {radius}",
            "take a bundle of kind head or token that was trained on such a base",
        )


class Seeker:
    """Drives to what a grounding model finds, or follows it. See the module's text for its states."""

    needs_odometry = True
    without_odometry = "it counts its turns by it, and remembers by it where its target and obstacles are"

    def __init__(
        self,
        ask: Ask,
        boxes: BoxReader,
        mount: CameraMount,
        base: BaseSpec,
        see_floor: SeeFloor | None,
        params: SeekerParams | None = None,
    ) -> None:
        """Begin a search; `ask` is the model's answer about a frame, in the worker, and `boxes` reads it.

        `see_floor` shows where the floor is free; without it the robot sees no obstacles, drives slowly, and
        only looks around from where it stands. Raises UsageError for a base that can't turn in place.
        """
        check_base(base)
        self._ask = ask
        self._boxes = boxes
        self._mount = mount
        self._base = base
        self._see_floor = see_floor
        self._params = params or SeekerParams()
        self._circle_ns = self._params.circle_ns(base)
        self._decision = 0
        self._steps: dict[SeekerState, Callable[[Moment], Velocity]] = {
            SeekerState.SEARCH: self._search_step,
            SeekerState.CONFIRM: self._confirm_step,
            SeekerState.APPROACH: self._approach_step,
            SeekerState.CHECK: self._check_step,
            SeekerState.CIRCLE: self._circle_step,
            SeekerState.ARRIVED: self._arrived_step,
            SeekerState.LOST: self._lost_step,
        }
        self.reset(Goal("find_object"))

    def reset(self, goal: Goal) -> None:
        """Forget everything but the decision counter; start searching for the goal's target."""
        self._goal = goal
        self._state = SeekerState.SEARCH
        self._since_ns = 0  # when the state was entered
        self._sight = Sight(self._boxes, self._mount, self._base, self._params, goal.target)
        self._pilot = Pilot(self._base, sees_floor=self._see_floor is not None)
        self._age = AnswerAge()
        self._search = Search()
        self._blocked_frames = 0
        self._side: tuple[float, float] | None = None  # where it goes to see a doubtful target from
        self._kept = KeptDistance(self._params)
        self._chased = False  # it went after the lost target since it was seen last
        forget_ns = self._params.forget_ns(self._base)
        self._rejected = RecentPositions(forget_ns)  # looked at in vain: the search would turn back there
        self._doubted = RecentPositions(forget_ns)  # lost once

    @property
    def status(self) -> PolicyStatus:
        arrived, follows = self._state is SeekerState.ARRIVED, self._goal.kind == "follow_object"
        return PolicyStatus(
            self._state.value,
            arrived,
            self._sight.answer,
            self._sight.detection,
            at_limit=self._kept.ending(self._goal.target) if follows else None,
            kept_fraction=self._kept.fraction if follows else None,
        )

    def infer(self, observation: Observation) -> Inference:
        return self._ask(observation)

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk | None:
        frame = observation.frame
        seen_from, pose = self._sight.update(observation, inference, self._ignored)
        if inference is not None:
            self._age.on_answer(inference.frame.stamp_ns)
        if self._see_floor is not None:
            view = self._sight.view(frame.image)
            self._pilot.see(self._see_floor(frame.image, view), seen_from, frame.stamp_ns)
        moment = Moment(frame, seen_from, pose, observation.odometry, inference, self._base.delay_s)
        believed = self._state is SeekerState.APPROACH and self._sight.target.belief > self._params.believed
        self._kept.update(moment.now_ns, self._to_target(pose) if believed else None)
        velocity = self._age.limit(self._steps[self._state](moment), moment.now_ns)
        self._decision += 1
        certain = velocity == ZERO or self._state is SeekerState.SEARCH
        confidence = 1.0 if certain else self._sight.target.confidence
        return velocity_chunk(velocity, frame.stamp_ns, self._decision, confidence)

    def touched(self, motion: Velocity) -> None:
        """Remember where the base ran into something."""
        self._pilot.touched(motion)

    def _ignored(self, x_m: float, y_m: float, within_m: float, stamp_ns: int) -> bool:
        """Return True if a search has looked there in vain."""
        searching = self._state is SeekerState.SEARCH
        return searching and self._rejected.near(x_m, y_m, within_m, stamp_ns)

    def _enter(self, state: SeekerState, now_ns: int) -> None:
        self._state, self._since_ns = state, now_ns

    def _search_step(self, moment: Moment) -> Velocity:
        """Turn in place until all was seen, then drive to another spot."""
        search = self._search
        if self._sight.target.hits and self._sight.target.known:
            self._enter(SeekerState.CONFIRM, moment.now_ns)
            return ZERO
        if search.waypoint is not None:
            return self._drive_leg(moment, search.waypoint)
        search.look(moment.seen_from)
        if search.all_round:
            search.next_leg(moment.pose, self._pilot.vantage)
        turn_rad_s = min(
            self._base.cruise_rad_s,
            self._age.highest_turn_rad_s(2 * self._sight.view(moment.frame.image).half_fov_rad),
        )
        return Velocity(0.0, 0.0, search.direction * turn_rad_s)

    def _drive_leg(self, moment: Moment, waypoint: tuple[float, float]) -> Velocity:
        to = Destination(*waypoint, 0.15, self._params.leg_m_s)
        steering = self._pilot.drive(moment.soon, to, moment.now_ns)
        self._blocked_frames = self._blocked_frames + 1 if steering.blocked else 0
        there = math.hypot(*moment.pose.to_base(*waypoint)) < 0.2
        if there or self._blocked_frames > self._params.blocked_leg_frames:
            self._blocked_frames = 0
            self._search.look_around(moment.pose, self._search.direction)
        return steering.velocity

    def _confirm_step(self, moment: Moment) -> Velocity:
        """Stand, face it, and ask again: one answer is not enough to drive."""
        params, target = self._params, self._sight.target
        if target.belief < params.doubted and moment.now_ns - self._since_ns > params.look_ns:
            return self._reject(moment.now_ns)
        if target.belief > params.believed:
            self._side = None
            target.start_look()
            self._enter(SeekerState.APPROACH, moment.now_ns)
        _, bearing_rad = self._to_target(moment.soon)
        turn_rad_s = turn_rate(bearing_rad, self._base, deadband_rad=0.03)
        return Velocity(0.0, 0.0, 0.7 * turn_rad_s)

    def _approach_step(self, moment: Moment) -> Velocity:
        """Drive at it, as long as it is believed to be there."""
        params, target = self._params, self._sight.target
        if target.belief < params.lost:
            return self._lose(moment.now_ns)
        distance_m, bearing_rad = self._to_target(moment.pose)
        finds = self._goal.kind == "find_object"
        stop_m = params.follow_at_m if self._goal.kind == "follow_object" else params.stop_at_m
        near = distance_m <= stop_m + params.near_m
        if near and abs(bearing_rad) < params.arrived_bearing_rad and finds:
            target.hits = 0
            self._enter(SeekerState.CHECK, moment.now_ns)
            return ZERO
        self._chased &= target.belief < params.believed
        # DEADBAND is a share of the image's width, this is the same as an angle.
        deadband_rad = math.atan(2 * DEADBAND * self._sight.view(moment.frame.image).tan_u) / 2
        sure = target.belief > params.believed and self._see_floor is not None
        highest_m_s = self._base.cruise_m_s if sure else CAREFUL_M_S
        own_m = target.radius_m + params.own_m + params.own_share * distance_m
        to = Destination(target.x_m, target.y_m, stop_m, highest_m_s, own_m, deadband_rad)
        steering = self._pilot.drive(moment.soon, to, moment.now_ns)
        self._blocked_frames = self._blocked_frames + 1 if steering.blocked else 0
        if self._blocked_frames > params.blocked_approach_frames:
            self._blocked_frames = 0
            self._search.next_leg(moment.pose, self._pilot.vantage)
            self._reject(moment.now_ns)
        return steering.velocity

    def _check_step(self, moment: Moment) -> Velocity:
        """Stand, and believe it only when answers about frames taken standing still see it, near."""
        params, target, inference = self._params, self._sight.target, moment.inference
        check_ns = max(params.check_ns, params.check_answers * self._age.period_s * 1e9)
        if moment.now_ns - self._since_ns > check_ns:
            return self._reject(moment.now_ns)
        if target.belief < params.doubted:
            return self._lose(moment.now_ns)
        if inference is not None and (
            not standing(moment.odometry) or inference.frame.stamp_ns < self._since_ns
        ):
            target.hits = 0
        distance_m, bearing_rad = self._to_target(moment.pose)
        if (
            distance_m > params.stop_at_m + params.left_m
            or abs(bearing_rad) > 1.5 * params.arrived_bearing_rad
        ):
            self._enter(SeekerState.APPROACH, moment.now_ns)
        elif target.hits >= params.check_hits and target.confidence >= params.sure:
            self._judge(moment)
        return ZERO

    def _judge(self, moment: Moment) -> None:
        """Believe it, or look at what is only a little like it from another side, once."""
        params, target = self._params, self._sight.target
        side = None
        if target.likeness < params.alike and self._side is None:
            side = self._pilot.other_side(moment.pose, target.x_m, target.y_m, params.side_m)
            self._side = side
        if side is not None:
            self._enter(SeekerState.CIRCLE, moment.now_ns)
        elif target.likeness >= params.sure:
            self._enter(SeekerState.ARRIVED, moment.now_ns)
        else:
            self._reject(moment.now_ns)

    def _circle_step(self, moment: Moment) -> Velocity:
        """Drive to the target's other side, and approach it from there."""
        assert self._side is not None
        params = self._params
        steering = self._pilot.drive(
            moment.soon, Destination(*self._side, 0.1, params.leg_m_s), moment.now_ns
        )
        there = math.dist(self._side, (moment.pose.x_m, moment.pose.y_m)) < 0.15
        if there or steering.blocked or moment.now_ns - self._since_ns > self._circle_ns:
            self._sight.target.start_look()
            self._enter(SeekerState.APPROACH, moment.now_ns)
        return steering.velocity

    def _to_target(self, pose: Pose) -> tuple[float, float]:
        """Return the distance of the target, metres, and its bearing, radians."""
        x, y = pose.to_base(self._sight.target.x_m, self._sight.target.y_m)
        return math.hypot(x, y), math.atan2(y, x)

    def _arrived_step(self, moment: Moment) -> Velocity:
        return ZERO

    def _lost_step(self, moment: Moment) -> Velocity:
        """Stand for a moment; then search from where it was seen last."""
        target = self._sight.target
        if moment.now_ns - self._since_ns > self._params.lost_hold_ns:
            self._resume_search(moment.now_ns)
            may_chase = self._see_floor is not None and not self._chased
            self._chased |= self._search.look_for(
                moment.pose, target.x_m, target.y_m, target.bearing_rad, may_chase
            )
        elif target.hits:
            self._enter(SeekerState.CONFIRM, moment.now_ns)
        return ZERO

    def _lose(self, now_ns: int) -> Velocity:
        """Hold: it is no longer seen. Lost twice, it isn't looked for there again for a while."""
        target = self._sight.target
        seen_twice = self._doubted.near(target.x_m, target.y_m, self._params.same_m, now_ns)
        (self._rejected if seen_twice else self._doubted).add(target.x_m, target.y_m, now_ns)
        self._enter(SeekerState.LOST, now_ns)
        return ZERO

    def _reject(self, now_ns: int) -> Velocity:
        """Leave it alone for a while: it is something else, or can't be got at."""
        self._rejected.add(self._sight.target.x_m, self._sight.target.y_m, now_ns)
        self._resume_search(now_ns)
        return ZERO

    def _resume_search(self, now_ns: int) -> None:
        """Go on with the turn that was under way."""
        self._enter(SeekerState.SEARCH, now_ns)
        self._sight.forget()
