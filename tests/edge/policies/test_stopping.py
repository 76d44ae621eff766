"""Where the seeker comes to rest: driven in a closed loop, by boxes of a thing that stands on the floor."""

import math

import numpy as np
import pytest

from edge.base_spec import DEFAULT_BASE
from edge.interfaces import Inference
from edge.model.boxes import BoxReader
from edge.perception.floor_scan import COLUMNS, Scan
from edge.perception.geometry import Pose, View
from edge.policies.seeker import Seeker
from edge.records import ActionChunk, CameraMount, Frame, Goal, Image, Observation, Odometry, Velocity

MOUNT = CameraMount(math.radians(55), 0.35, math.radians(30), 0.12)
VIEW = View(MOUNT, 320 / 240)
IMAGE = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
PERIOD_S = 0.033
THING = (1.4, 0.1)  # its foot, metres in the odometry frame


def seen(pose: Pose, confidence: float, frame: Frame) -> Inference:
    """The true box of the thing's foot, as a model says it, or that it is out of view."""
    x, y = pose.to_base(*THING)
    c, s = math.cos(MOUNT.pitch_rad), math.sin(MOUNT.pitch_rad)
    slope = (x - MOUNT.forward_m) / MOUNT.height_m
    up = (slope * s - c) / (s + slope * c)
    left = y / (x - MOUNT.forward_m) * (c + up * s)
    u, v = 0.5 - left / (2 * VIEW.tan_u), 0.5 - up / (2 * VIEW.tan_v)
    if slope <= 0 or not 0.05 < u < 0.95:
        return Inference(frame, "none", confidence, {})
    assert VIEW.floor_point(u, v) == pytest.approx((x, y))
    box = np.clip([v - 0.3, u - 0.05, v, u + 0.05], 0, 1)
    text = "".join(f"<loc{min(1023, round(1024 * part)):04d}>" for part in box)
    return Inference(frame, f"{text} red cup", confidence, {})


class Base:
    """Drives as the seeker says, at once; an answer is about the frame before."""

    def __init__(self, kind: str = "find_object", wall_x_m: float | None = None) -> None:
        """With `wall_x_m`, the floor ends there, straight across, and is seen to."""
        self.goal = Goal(kind, "red cup")
        self.wall_x_m = wall_x_m
        see_floor = None if wall_x_m is None else self.see_floor
        self.seeker = Seeker(self.ask, BoxReader("paligemma"), MOUNT, DEFAULT_BASE, see_floor)
        self.seeker.reset(self.goal)
        self.pose, self.velocity, self.seq, self.way_m = Pose(), Velocity(), 0, 0.0
        self.heard: Inference | None = None

    def ask(self, observation: Observation) -> Inference:
        raise AssertionError("the answers are handed in")

    def see_floor(self, image: Image, view: View) -> Scan:
        assert self.wall_x_m is not None
        bearings = np.radians(np.linspace(35, -35, COLUMNS))
        ranges = (self.wall_x_m - self.pose.x_m) / np.cos(bearings + self.pose.yaw_rad)
        points = np.stack([ranges * np.cos(bearings), ranges * np.sin(bearings)], 1)
        return Scan(points, np.full(COLUMNS, True), bearings, ranges, np.full(COLUMNS, 0.1))

    def drive(self, frames: int, confidence: float | None = 0.97) -> ActionChunk:
        """So many frames, or fewer to an arrival; the last chunk. Without confidence the model is silent."""
        for _ in range(frames):
            frame = Frame(IMAGE, round(self.seq * PERIOD_S * 1e9), self.seq)
            pose = self.pose
            odometry = Odometry(frame.stamp_ns, pose.x_m, pose.y_m, pose.yaw_rad, self.velocity)
            chunk = self.seeker.act(Observation({"front": frame}, self.goal, odometry), self.heard)
            assert chunk is not None
            self.heard = None if confidence is None else seen(pose, confidence, frame)
            x, y, turn = (float(value) for value in chunk.values[0])
            self.velocity = Velocity(x, y, turn)
            self.pose = Pose(*pose.to_world(x * PERIOD_S, y * PERIOD_S), pose.yaw_rad + turn * PERIOD_S)
            self.way_m += math.hypot(x, y) * PERIOD_S
            self.seq += 1
            if self.seeker.status.reached:
                break
        return chunk

    @property
    def to_thing(self) -> tuple[float, float]:
        """From the base's centre, in metres, and its bearing."""
        x, y = self.pose.to_base(*THING)
        return math.hypot(x, y), math.atan2(y, x)


def test_it_arrives_at_0_56_to_0_61_m_from_the_target_and_faces_it() -> None:
    base = Base()
    base.drive(300)
    distance_m, bearing_rad = base.to_thing
    assert base.seeker.status.reached
    assert 0.56 <= distance_m <= 0.615
    assert abs(bearing_rad) < math.radians(9)
    assert base.way_m > 0.7, "farther than on one answer"


def test_what_is_followed_is_kept_at_a_metre() -> None:
    base = Base("follow_object")
    base.drive(200)
    assert not base.seeker.status.reached
    assert 0.97 <= base.to_thing[0] <= 1.0


@pytest.mark.parametrize(("confidence", "arrives"), [(0.72, False), (0.78, True)])
def test_only_answers_that_are_sure_count_for_an_arrival(confidence: float, arrives: bool) -> None:
    base = Base()
    base.drive(260, confidence)
    assert base.seeker.status.reached is arrives


@pytest.mark.parametrize(("confidence", "looks"), [(0.34, False), (0.36, True)])
def test_an_answer_is_worth_a_look_from_0_35_on(confidence: float, looks: bool) -> None:
    base = Base()
    base.drive(3, confidence)
    assert (base.seeker.status.state == "confirm") is looks


def test_a_chunk_moves_for_0_3_s_and_then_stands() -> None:
    base = Base()
    chunk = base.drive(40)
    assert base.seeker.status.state == "approach" and chunk.dt_s == 0.1
    assert (chunk.values[:, 0] > 0.1).tolist() == [True] * 3 + [False] * 2 and not chunk.values[3:].any()
    assert chunk.valid_until_ns - chunk.t0_ns == 500_000_000


def test_when_the_model_falls_silent_it_goes_no_farther_than_on_one_answer() -> None:
    base = Base()
    base.drive(40)
    before_m = base.way_m
    base.drive(200, None)
    assert base.way_m - before_m < 0.62 and not base.seeker.status.reached


@pytest.mark.parametrize(("wall_x_m", "arrives"), [(0.8, False), (3.0, True)])
def test_a_wall_that_is_seen_in_between_is_not_driven_into(wall_x_m: float, arrives: bool) -> None:
    base = Base(wall_x_m=wall_x_m)
    base.drive(150)
    assert base.seeker.status.reached is arrives
    assert base.pose.x_m <= wall_x_m - DEFAULT_BASE.radius_m


@pytest.mark.parametrize(("confidence", "circles"), [(0.87, True), (0.97, False)])
def test_what_is_not_quite_like_it_is_looked_at_from_another_side_before_it_is_believed(
    confidence: float, circles: bool
) -> None:
    base = Base(wall_x_m=3.0)
    base.drive(115, confidence)
    assert base.seeker.status.state == ("circle" if circles else "arrived")


def test_a_chunk_is_as_sure_as_the_answers_and_standing_is_always_sure() -> None:
    base = Base()
    chunk = base.drive(40, 0.6)
    assert base.seeker.status.state == "approach" and chunk.confidence == pytest.approx(0.6, abs=0.01)
    assert Base().drive(1, 0.6).confidence == 1.0
