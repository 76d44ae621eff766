"""The policy that seeks: a model that answers "where is it?" and a servo rule make a robot that goes there.

    search ──seen──► confirm ──seen again──► approach ──near──► check ──seen, standing──► arrived
      ▲                 │ not seen              │ ▲                │ ▲  │ doubtful
      └─────────────────┴────── lost ◄─ not seen┴─┼────────────────┘ └── circle

`infer` asks the model about one frame. `act` runs at every frame: it tracks the newest box, keeps the
target's place in the odometry frame, and steers. The scene never gives orders: only the goal's target enters
the prompt, and of the answer only a box is used.
"""

import math
from collections.abc import Callable

import numpy as np

from edge.interfaces import Inference, PolicyStatus
from edge.model.boxes import BoxReader
from edge.navigation.pilot import Pilot
from edge.navigation.servo import DEADBAND, standing, turn_rate
from edge.perception.floor_scan import Scan
from edge.perception.geometry import Pose, PoseHistory, View
from edge.perception.tracking import BoxTracker
from edge.policies.answer_age import BlindWay
from edge.policies.search import TURN_RAD_S, Places, Search
from edge.policies.target import Target
from edge.records import (
    ZERO,
    ActionChunk,
    CameraMount,
    Detection,
    Goal,
    Image,
    Observation,
    Odometry,
    Velocity,
)

MIN_CONFIDENCE = 0.35  # of a detection that is worth a look
SURE = 0.75  # of answers that count for arrival: near by, a true one has 0.86 or more three times in four
STOP_AT_M = 0.56  # from the base's centre to the target's foot
ARRIVED_BEARING_RAD = math.radians(9)
BELIEVED, DOUBTED, LOST = (
    0.45,
    0.15,
    0.08,
)  # see edge.policies.target: to drive at it, to look on, to give it up
FORGET_NS = 12_000_000_000  # a turn and a bit
SAME_M, SAME_SHARE = 0.4, 0.25  # so near to it, plus a share of the distance, it is the same thing
LOOK_NS = 500_000_000  # a look takes at least this long
CHECK_HITS = 3
ALIKE = 0.92  # likeness above which one look is enough: of true ones, 9 in 10 have more, of false ones none
SIDE_M = 0.95  # from the target, where it is looked at from another side
CIRCLE_NS = 6_000_000_000  # to get there
CHECK_NS = 2_500_000_000  # after so long without sure answers it is something else
CHECK_ANSWERS = 6  # that a check waits for at least: one is under way as it begins, and the base still rolls
LOST_HOLD_NS = 500_000_000
FOLLOW_AT_M = 1.0
ROW_S, ROWS, MOVING_ROWS = 0.1, 5, 3  # a chunk: 0.3 s of motion, then zero
VALID_NS = 500_000_000

Ask = Callable[[Observation], Inference]


class Seeker:
    """Drives to what a grounding model finds, or follows it. See the module's text for its states."""

    def __init__(
        self, ask: Ask, boxes: BoxReader, mount: CameraMount, see_floor: Callable[[Image, View], Scan] | None
    ) -> None:
        """`ask` is the model's answer about a frame, and runs in the worker; `boxes` reads it. `see_floor`
        tells where the floor is free; without it the robot sees no obstacles, drives slowly, and only looks
        around from where it stands."""
        self._ask = ask
        self._boxes = boxes
        self._mount = mount
        self._see_floor = see_floor
        self._decision = 0
        self._view: View | None = None
        self.reset(Goal("find_object"))

    def reset(self, goal: Goal) -> None:
        """Forget everything but the decision counter; start searching for the goal's target."""
        self._goal = goal
        self._state = "search"
        self._target = Target()
        self._tracker = BoxTracker()
        self._poses = PoseHistory()
        self._pilot = Pilot(self._mount.radius_m, blind=self._see_floor is None)
        self._blind = BlindWay()
        self._search = Search()
        self._since_ns = 0
        self._answer = ""
        self._blocked = 0
        self._side: tuple[float, float] | None = None  # where it goes to see a doubtful target from
        self._chased = False  # it went after the lost target since it was seen last
        self._rejected = Places(FORGET_NS)  # looked at in vain: the search would turn back there for ever
        self._doubted = Places(FORGET_NS)  # lost once

    @property
    def status(self) -> PolicyStatus:
        return PolicyStatus(self._state, self._state == "arrived", self._answer, self._tracker.detection)

    def infer(self, observation: Observation) -> Inference:
        return self._ask(observation)

    def act(self, observation: Observation, inference: Inference | None) -> ActionChunk | None:
        frame = observation.frame
        height, width = frame.image.shape[:2]
        if self._view is None:
            self._view = View(self._mount, width / height)
        if observation.odometry is not None:
            self._poses.add(observation.odometry)
        pose = self._poses.at(frame.stamp_ns)
        scan = self._see_floor(frame.image, self._view) if self._see_floor is not None else None
        self._tracker.advance(frame)
        if inference is not None:
            self._hear(inference, self._view)
        if self._tracker.detection is not None:
            self._target.track(self._tracker.detection, self._view, pose)
        if scan is not None:
            self._pilot.see(scan, pose, frame.stamp_ns)
        velocity = self._drive(pose, frame.stamp_ns, observation.odometry, inference)
        return self._chunk(self._blind.limit(velocity, frame.stamp_ns), frame.stamp_ns)

    def _hear(self, inference: Inference, view: View) -> None:
        """Take the model's answer about a frame that is past by now."""
        target, frame = self._target, inference.frame
        found = self._boxes.read(inference.text, inference.confidence, self._goal.target, frame.image)
        pose = self._poses.at(frame.stamp_ns)
        self._answer = inference.words
        self._blind.hear(frame.stamp_ns)
        if found and inference.confidence >= MIN_CONFIDENCE:
            box = max(found.detections, key=lambda d: d.box.area).box
            detection = Detection(box, self._goal.target, inference.confidence)
            place = view.place(box)
            near_m = SAME_M + SAME_SHARE * math.hypot(*place)
            there = pose.to_world(*place)
            if self._state == "search" and self._rejected.hold(*there, near_m, frame.stamp_ns):
                return
            self._tracker.start(detection, frame)
            target.saw(detection, view, pose, frame.stamp_ns)
            return
        target.missed(view, pose, frame.stamp_ns)
        if target.belief < BELIEVED:
            self._tracker.stop()

    def _drive(
        self, pose: Pose, now_ns: int, odometry: Odometry | None, inference: Inference | None
    ) -> Velocity:
        if self._state == "search":
            return self._drive_search(pose, now_ns)
        if self._state == "confirm":
            return self._drive_confirm(pose, now_ns)
        if self._state == "approach":
            return self._drive_approach(pose, now_ns)
        if self._state == "check":
            return self._drive_check(pose, now_ns, odometry, inference)
        if self._state == "circle":
            return self._drive_circle(pose, now_ns)
        if self._state == "lost" and now_ns - self._since_ns > LOST_HOLD_NS:
            self._begin_search(pose)
        elif self._state == "lost" and self._target.hits:
            self._enter("confirm", now_ns)
        return ZERO

    def _enter(self, state: str, now_ns: int) -> None:
        self._state, self._since_ns = state, now_ns

    def _lose(self, now_ns: int) -> Velocity:
        """It is no longer seen. At the second time it isn't looked for there again for a while."""
        target = self._target
        seen_twice = self._doubted.hold(target.x_m, target.y_m, SAME_M, now_ns)
        (self._rejected if seen_twice else self._doubted).add(target.x_m, target.y_m, now_ns)
        self._enter("lost", now_ns)
        return ZERO

    def _begin_search(self, pose: Pose) -> None:
        """Search from where it was seen last."""
        target = self._target
        self._resume_search()
        may_chase = self._see_floor is not None and not self._chased
        self._chased |= self._search.look_for(pose, target.x_m, target.y_m, target.bearing_rad, may_chase)

    def _drive_search(self, pose: Pose, now_ns: int) -> Velocity:
        search = self._search
        if self._target.hits and self._target.known:
            self._enter("confirm", now_ns)
            return ZERO
        if search.waypoint is not None:
            return self._drive_leg(pose, now_ns)
        search.look(pose)
        if search.all_round:
            search.next_leg(pose, self._pilot.vantage)
        assert self._view is not None
        turn = min(TURN_RAD_S, self._blind.turn_rad_s(2 * self._view.half_fov_rad))
        return Velocity(0.0, 0.0, search.direction * turn)

    def _drive_leg(self, pose: Pose, now_ns: int) -> Velocity:
        assert self._search.waypoint is not None
        steering = self._pilot.drive(pose, *self._search.waypoint, 0.15, 0.35, now_ns)
        self._blocked = self._blocked + 1 if steering.blocked else 0
        if math.hypot(*pose.to_base(*self._search.waypoint)) < 0.2 or self._blocked > 15:
            self._blocked = 0
            self._search.look_around(pose, self._search.direction)
        return steering.velocity

    def _drive_confirm(self, pose: Pose, now_ns: int) -> Velocity:
        """Stand, face it, and ask again: one answer is not enough to drive."""
        target = self._target
        if target.belief < DOUBTED and now_ns - self._since_ns > LOOK_NS:
            return self._reject(now_ns)
        if target.belief > BELIEVED:
            self._side = None
            target.look_anew()
            self._enter("approach", now_ns)
        x, y = pose.to_base(target.x_m, target.y_m)
        return Velocity(0.0, 0.0, 0.7 * turn_rate(math.atan2(y, x), 0.03))

    def _reject(self, now_ns: int) -> Velocity:
        """It is something else, or can't be got at: leave it alone for a while."""
        self._rejected.add(self._target.x_m, self._target.y_m, now_ns)
        self._resume_search()
        return ZERO

    def _resume_search(self) -> None:
        """Go on with the turn that was under way."""
        self._state = "search"
        self._target.forget()
        self._tracker.stop()

    def _drive_approach(self, pose: Pose, now_ns: int) -> Velocity:
        assert self._view is not None
        target = self._target
        if target.belief < LOST:
            return self._lose(now_ns)
        x, y = pose.to_base(target.x_m, target.y_m)
        stop_m = FOLLOW_AT_M if self._goal.kind == "follow_object" else STOP_AT_M
        near = math.hypot(x, y) <= stop_m + 0.05
        bearing = math.atan2(y, x)
        if near and abs(bearing) < ARRIVED_BEARING_RAD and self._goal.kind == "find_object":
            target.hits = 0
            self._enter("check", now_ns)
            return ZERO
        self._chased &= target.belief < BELIEVED
        # The spec's 5 % of the image's width, as an angle.
        deadband = math.atan(2 * DEADBAND * self._view.tan_u) / 2
        speed = 0.45 if target.belief > BELIEVED and self._see_floor is not None else 0.2
        own_m = target.radius_m + 0.08 + 0.05 * math.hypot(x, y)  # far things are placed less well
        steering = self._pilot.drive(pose, target.x_m, target.y_m, stop_m, speed, now_ns, own_m, deadband)
        self._blocked = self._blocked + 1 if steering.blocked else 0
        if self._blocked > 60:
            self._blocked = 0
            self._search.next_leg(pose, self._pilot.vantage)
            self._reject(now_ns)
        return steering.velocity

    def _drive_check(
        self, pose: Pose, now_ns: int, odometry: Odometry | None, inference: Inference | None
    ) -> Velocity:
        """Near it: stand, and believe it only when answers about frames taken standing still see it, near."""
        target = self._target
        if now_ns - self._since_ns > max(CHECK_NS, CHECK_ANSWERS * self._blind.period_s * 1e9):
            return self._reject(now_ns)
        if target.belief < DOUBTED:
            return self._lose(now_ns)
        if inference is not None and (not standing(odometry) or inference.frame.stamp_ns < self._since_ns):
            target.hits = 0
        x, y = pose.to_base(target.x_m, target.y_m)
        distance, bearing = math.hypot(x, y), math.atan2(y, x)
        if distance > STOP_AT_M + 0.12 or abs(bearing) > 1.5 * ARRIVED_BEARING_RAD:
            self._enter("approach", now_ns)
        elif target.hits >= CHECK_HITS and target.confidence >= SURE:
            self._judge(pose, now_ns)
        return ZERO

    def _judge(self, pose: Pose, now_ns: int) -> None:
        """What looks a little like it is looked at from another side, once, before it is believed."""
        target = self._target
        side = None
        if target.likeness < ALIKE and self._side is None:
            side = self._side = self._pilot.other_side(pose, target.x_m, target.y_m, SIDE_M)
        if side is not None:
            self._enter("circle", now_ns)
        elif target.likeness >= SURE:
            self._enter("arrived", now_ns)
        else:
            self._reject(now_ns)

    def _drive_circle(self, pose: Pose, now_ns: int) -> Velocity:
        assert self._side is not None
        steering = self._pilot.drive(pose, *self._side, 0.1, 0.35, now_ns)
        there = math.dist(self._side, (pose.x_m, pose.y_m)) < 0.15
        if there or steering.blocked or now_ns - self._since_ns > CIRCLE_NS:
            self._target.look_anew()
            self._enter("approach", now_ns)
        return steering.velocity

    def _chunk(self, velocity: Velocity, t0_ns: int) -> ActionChunk:
        values = np.zeros((ROWS, 3), np.float32)
        values[:MOVING_ROWS] = (velocity.linear_x_m_s, velocity.linear_y_m_s, velocity.angular_z_rad_s)
        self._decision += 1
        confidence = 1.0 if velocity == ZERO or self._state == "search" else self._target.confidence
        return ActionChunk(values, ROW_S, t0_ns, t0_ns + VALID_NS, confidence, self._decision)
