"""Looking round: a thing is said once, if it was found often enough, at one position, by one name."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.base_spec import DEFAULT_BASE, BaseSpec, DriveKind
from edge.bundle.bundle import load_bundle
from edge.interfaces import Inference
from edge.perception.geometry import Pose, View
from edge.policies.describer import HITS, SURE, SURE_AT_ONCE, Surveyor, names_in
from edge.policies.open import make_policy
from edge.records import Box, CameraMount, Detection, Frame, Goal, Observation, Odometry, Outcome, Velocity

MOUNT = CameraMount(math.radians(55), 0.35, math.radians(12), 0.12)
VIEW = View(MOUNT, 320 / 240)
IMAGE = np.zeros((240, 320, 3), np.uint8)
PERIOD_S = 0.1
GOAL = Goal("describe_scene")
Seen = tuple[str, float, float, float]  # name, x and y in the odometry frame, confidence
CUP: Seen = ("red cup", 2.0, 0.5, 0.99)
BOX: Seen = ("blue box", -1.0, 1.0, 0.95)


def found(seen: Seen, pose: Pose) -> Detection | None:
    """Return a thing as the camera sees it, standing on the floor; None if it is out of view."""
    name, x_m, y_m, confidence = seen
    x, y = pose.to_base(x_m, y_m)
    c, s = math.cos(MOUNT.pitch_rad), math.sin(MOUNT.pitch_rad)
    slope = (x - MOUNT.forward_m) / MOUNT.height_m
    if slope <= 0.5:
        return None
    up = (slope * s - c) / (s + slope * c)
    left = y / (x - MOUNT.forward_m) * (c + up * s)
    u, v = 0.5 - left / (2 * VIEW.tan_u), 0.5 - up / (2 * VIEW.tan_v)
    if not 0.1 < u < 0.9 or v > 1:
        return None
    return Detection(Box(max(0.0, v - 0.2), u - 0.05, v, u + 0.05), name, confidence)


@dataclass
class Room:
    """A base that turns as it is told, and a model that finds `things`; answers are a frame late."""

    things: Callable[[int], list[Seen]]  # what is found in the answer of that number
    base: BaseSpec = DEFAULT_BASE
    turns: bool = True
    odometry: bool = True
    answers_every: int = 1  # frames

    def look_round(self, seconds: float) -> tuple[Surveyor, float]:
        """Return the surveyor and by how much it turned, radians."""
        surveyor = Surveyor(self.look, MOUNT, self.base)
        yaw_rad, rate, pending = 0.0, 0.0, None
        self.answers = 0
        for seq in range(round(seconds / PERIOD_S)):
            frame = Frame(IMAGE, 1 + round(seq * PERIOD_S * 1e9), seq)
            facing = math.remainder(yaw_rad, 2 * math.pi)
            odometry = Odometry(frame.stamp_ns, 0.0, 0.0, facing, Velocity(angular_z_rad_s=rate))
            seen = Observation({"front": frame}, GOAL, odometry if self.odometry else None)
            chunk = surveyor.act(seen, pending)
            pending = surveyor.infer(seen) if seq % self.answers_every == 0 else None
            rate = 0.0 if chunk is None or not self.turns else float(chunk.values[0, 2])
            yaw_rad += rate * PERIOD_S
        return surveyor, yaw_rad

    def look(self, observation: Observation) -> Inference:
        odometry = observation.odometry
        pose = Pose(yaw_rad=odometry.yaw_rad) if odometry else Pose()
        boxes = tuple(box for each in self.things(self.answers) if (box := found(each, pose)) is not None)
        self.answers += 1
        return Inference(observation.frame, "words", 1.0, {}, detections=boxes)


def says(surveyor: Surveyor) -> str:
    assert surveyor.status.reached and surveyor.status.state == "said"
    return surveyor.status.answer


def test_it_turns_round_once_and_says_each_thing_once_the_nearest_first():
    surveyor, turned_rad = Room(lambda _: [CUP, BOX]).look_round(20.0)
    assert says(surveyor) == "blue box; red cup"
    assert turned_rad == pytest.approx(2 * math.pi, abs=0.2), "then it stands"


def test_nothing_is_said_before_it_has_looked_round():
    surveyor, _ = Room(lambda _: [CUP, BOX]).look_round(5.0)
    assert (surveyor.status.reached, surveyor.status.answer) == (False, "")


def test_with_nothing_to_say_the_goal_is_not_reached():
    surveyor, _ = Room(lambda _: []).look_round(20.0)
    assert not surveyor.status.reached and surveyor.status.ending is not None
    assert surveyor.status.ending.outcome is Outcome.NOTHING


@pytest.mark.parametrize(("hits", "said"), [(HITS - 1, ""), (HITS, "red cup; ")])
def test_what_only_few_answers_found_is_not_said(hits: int, said: str):
    surveyor, _ = Room(lambda answer: [BOX, CUP] if answer < hits else [BOX]).look_round(20.0)
    assert says(surveyor) in (f"{said}blue box", f"blue box{said and '; red cup'}")


@pytest.mark.parametrize(("confidence", "said"), [(SURE - 0.01, False), (SURE, True)])
def test_what_the_model_is_not_sure_of_does_not_count(confidence: float, said: bool):
    surveyor, _ = Room(lambda _: [BOX, (*CUP[:3], confidence)]).look_round(20.0)
    assert ("red cup" in says(surveyor)) == said


@pytest.mark.parametrize(("other", "said"), [(2, "blue box"), (4, "blue box; red cup")])
def test_a_thing_that_got_two_names_is_said_only_if_one_of_them_is_common(other: int, said: str):
    wrong: Seen = ("orange cup", 2.02, 0.5, 0.99)
    surveyor, _ = Room(lambda answer: [BOX, CUP if answer % other else wrong]).look_round(20.0)
    assert says(surveyor) == said


def test_two_things_of_one_name_are_said_once_and_neighbours_each():
    twin: Seen = ("red cup", -2.0, -2.0, 0.99)
    neighbour: Seen = ("green plant", 2.0, -1.0, 0.99)
    surveyor, _ = Room(lambda _: [CUP, twin, neighbour]).look_round(20.0)
    assert sorted(says(surveyor).split("; ")) == ["green plant", "red cup"]


def test_slow_answers_slow_the_turn_so_that_nothing_is_missed():
    room = Room(lambda _: [CUP, BOX], answers_every=4)
    assert room.look_round(11.0)[0].status.state == "look"
    assert "blue box" in says(room.look_round(30.0)[0])


def test_a_base_that_does_not_turn_is_not_waited_for():
    surveyor, turned_rad = Room(lambda _: [CUP, BOX], turns=False).look_round(25.0)
    assert turned_rad == 0.0 and says(surveyor) == "red cup"


@pytest.mark.parametrize(
    "room",
    [
        Room(lambda _: [CUP, BOX], odometry=False),
        Room(lambda _: [CUP, BOX], BaseSpec(drive=DriveKind.ACKERMANN, wheel_base_m=0.3)),
    ],
)
def test_where_nothing_turns_one_image_has_to_do(room: Room):
    surveyor, turned_rad = room.look_round(0.3)
    assert turned_rad == 0.0 and says(surveyor) == "red cup"


@pytest.mark.parametrize(("confidence", "reached"), [(SURE_AT_ONCE, True), (SURE_AT_ONCE - 0.01, False)])
def test_one_image_has_to_be_surer(confidence: float, reached: bool):
    surveyor, _ = Room(lambda _: [(*CUP[:3], confidence)], odometry=False).look_round(0.3)
    assert surveyor.status.reached == reached


def test_the_default_bundle_looks_round_and_is_sure_of_nothing_in_an_empty_image():
    with make_policy(load_bundle("default"), GOAL, MOUNT, DEFAULT_BASE) as policy:
        frame = Frame(np.full((240, 320, 3), 128, np.uint8), 1, 0)
        seen = Observation({"front": frame}, GOAL, Odometry(1, 0.0, 0.0, 0.0, Velocity()))
        inference = policy.infer(seen)
        chunk = policy.act(seen, inference)
    assert (inference.text, inference.detections) == ("none", ())
    assert inference.stages_ms["vision"] > 0
    assert isinstance(policy, Surveyor) and chunk is not None and chunk.values[0, 2] > 0


KINDS, COLOURS = ("cup", "box"), ("red", "blue")


def test_a_caption_names_things_once_in_words_that_the_model_can_be_asked_for():
    assert names_in("red cup ; blue box ; red cup", KINDS, COLOURS) == ["red cup", "blue box"]
    assert names_in("red ; cup red ; none ; red blue cup ; cup", KINDS, COLOURS) == ["cup"]


@given(st.lists(st.sampled_from(["red", "cup", "box", ";", "none", ""])).map(" ".join))
def test_any_caption_gives_names_that_differ_and_can_be_asked_for(caption: str):
    names = names_in(caption, KINDS, COLOURS)
    assert len(set(names)) == len(names)
    assert all(name in {*KINDS, *(f"{c} {k}" for c in COLOURS for k in KINDS)} for name in names)
