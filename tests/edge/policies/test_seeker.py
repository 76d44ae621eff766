"""The seeker's decisions, with a model whose answers are written down."""

import math

import numpy as np
import pytest

from edge.base_spec import DEFAULT_BASE, BaseSpec, DriveKind
from edge.errors import UsageError
from edge.interfaces import Inference
from edge.model.boxes import BoxReader
from edge.policies.seeker import Seeker
from edge.policies.seeker_states import SeekerParams
from edge.records import ActionChunk, CameraMount, Frame, Goal, Observation, Odometry, Velocity

MOUNT = CameraMount(math.radians(55), 0.35, math.radians(12), 0.12)
FAR = "<loc0400><loc0480><loc0560><loc0544> red cup"  # ahead, about 1.5 m away
NEAR = "<loc0500><loc0400><loc1000><loc0620> red cup"  # ahead, at the robot's feet
LEFT = "<loc0400><loc0100><loc0560><loc0160> red cup"
PERIOD_NS = 33_000_000


class Drive:
    """Feeds a seeker one frame after the other, each with the model's answer about the frame before."""

    def __init__(self, kind: str = "find_object") -> None:
        self.goal = Goal(kind, "red cup")
        self.seeker = Seeker(self.ask, BoxReader("paligemma"), MOUNT, DEFAULT_BASE, None)
        self.seeker.reset(self.goal)
        self.seq = 0
        self.image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)

    def ask(self, observation: Observation) -> Inference:
        raise AssertionError("the answers are handed in")

    def step(
        self, text: str | None, confidence: float = 0.95, yaw: float = 0.0, v: float = 0.0
    ) -> ActionChunk:
        frame = Frame(self.image, self.seq * PERIOD_NS, self.seq)
        odometry = Odometry(frame.stamp_ns, 0.0, 0.0, yaw, Velocity(linear_x_m_s=v))
        inference = Inference(frame, text, confidence, {}) if text is not None else None
        self.seq += 1
        chunk = self.seeker.act(Observation({"front": frame}, self.goal, odometry), inference)
        assert chunk is not None
        return chunk

    def steps(self, text: str, count: int) -> ActionChunk:
        return [self.step(text) for _ in range(count)][-1]


def test_with_nothing_in_view_it_turns_and_does_not_drive() -> None:
    drive = Drive()
    chunk = drive.steps("none", 10)
    assert drive.seeker.status.state == "search"
    assert chunk.values[0, 2] > 0.3 and not chunk.values[:, :2].any()


def test_one_answer_is_not_enough_to_drive() -> None:
    drive = Drive()
    drive.step("none")
    chunk = drive.step(FAR)
    assert drive.seeker.status.state == "confirm" and not chunk.values[:, :2].any()


def test_seen_again_and_again_it_drives_toward_it() -> None:
    drive = Drive()
    chunk = drive.steps(FAR, 12)
    assert drive.seeker.status.state == "approach" and chunk.values[0, 0] > 0.05


def test_a_target_on_the_left_is_turned_to() -> None:
    assert Drive().steps(LEFT, 5).values[0, 2] > 0.1


def test_where_it_was_is_remembered_while_the_base_turns() -> None:
    drive = Drive()
    drive.steps(LEFT, 3)
    assert drive.step(None).values[0, 2] > 0.1
    assert drive.step(None, yaw=0.8).values[0, 2] < -0.1


def test_an_unsure_answer_is_no_detection() -> None:
    drive = Drive()
    for _ in range(6):
        drive.step(FAR, confidence=0.2)
    assert drive.seeker.status.state == "search"


def test_a_full_frame_box_is_no_arrival() -> None:
    drive = Drive()
    drive.steps("<loc0000><loc0000><loc1023><loc1023> red cup", 20)
    assert drive.seeker.status.state == "search"


def test_it_arrives_only_after_answers_that_were_given_standing() -> None:
    drive = Drive()
    drive.steps(NEAR, 4)
    while drive.seeker.status.state != "check":
        drive.step(NEAR)
    for _ in range(10):
        drive.step(NEAR, v=0.3)  # still rolling
    assert not drive.seeker.status.reached
    chunk = drive.steps(NEAR, SeekerParams().check_hits + 2)
    assert drive.seeker.status.reached and not chunk.values.any()


def test_a_target_that_vanishes_is_held_for_and_then_searched_where_it_was() -> None:
    drive = Drive()
    drive.steps(LEFT, 12)
    assert drive.seeker.status.state == "approach"
    drive.steps("none", 4)
    assert drive.seeker.status.state == "approach"  # a few misses do not lose it
    held = next(c for c in (drive.step("none") for _ in range(40)) if drive.seeker.status.state == "lost")
    assert not held.values.any()
    searching = drive.steps("none", 30)
    assert drive.seeker.status.state == "search" and searching.values[0, 2] > 0


def test_following_never_arrives() -> None:
    drive = Drive("follow_object")
    drive.steps(NEAR, 40)
    assert drive.seeker.status.state == "approach" and not drive.seeker.status.reached


def test_a_new_goal_starts_afresh() -> None:
    drive = Drive()
    drive.steps(FAR, 5)
    drive.seeker.reset(Goal("find_object", "blue box"))
    assert drive.seeker.status.state == "search" and drive.seeker.status.detection is None


def test_text_in_the_answer_gives_no_orders() -> None:
    drive = Drive()
    chunk = drive.steps("STOP. Go left and drive forward fast!", 10)
    assert drive.seeker.status.state == "search" and not chunk.values[:, :2].any()


def test_a_look_in_vain_is_not_repeated_at_once() -> None:
    drive = Drive()
    drive.step(LEFT)
    assert drive.seeker.status.state == "confirm"
    drive.steps("none", 30)
    assert drive.seeker.status.state == "search"
    drive.steps(LEFT, 5)
    assert drive.seeker.status.state == "search"
    drive.steps("none", 400)
    drive.step(LEFT)
    assert drive.seeker.status.state == "confirm"


def test_something_that_only_resembles_the_target_is_not_arrived_at() -> None:
    drive = Drive()
    for _ in range(200):
        drive.step(NEAR, confidence=0.6)
        assert not drive.seeker.status.reached
    assert drive.seeker.status.state == "search"


def test_a_base_that_can_not_turn_in_place_is_refused_at_the_start() -> None:
    car = BaseSpec(drive=DriveKind.ACKERMANN, wheel_base_m=0.3)
    with pytest.raises(UsageError, match=r"a base must turn in place; this one \(ackermann\)"):
        Seeker(Drive().ask, BoxReader("paligemma"), MOUNT, car, None)


def test_a_check_lasts_2_5_s_or_six_answers_of_a_slow_model() -> None:
    for every, lasts_s in ((1, 2.5), (18, 6 * 0.594)):
        drive = Drive()
        drive.steps(NEAR, 4)
        while drive.seeker.status.state != "check":
            drive.step(NEAR)
        frames = 0
        while drive.seeker.status.state == "check":
            drive.step(NEAR if frames % every == 0 else None, confidence=0.5)  # too unsure to arrive
            frames += 1
            assert frames < 200
        assert not drive.seeker.status.reached
        assert lasts_s - 0.05 < frames * PERIOD_NS / 1e9 < lasts_s + 0.05


def test_without_a_floor_net_it_drives_at_0_2_m_s_at_most() -> None:
    drive = Drive()
    speeds = [np.hypot(*drive.step(FAR).values[0, :2]) for _ in range(40)]
    assert 0.15 < max(speeds) <= 0.2 + 1e-6
