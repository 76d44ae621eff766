"""What is known of the target while the camera turns away from it."""

import math

import numpy as np
import pytest

from edge.base_spec import DEFAULT_BASE, BaseSpec, DriveKind
from edge.interfaces import Inference
from edge.model.boxes import BoxReader
from edge.policies.seeker_states import SeekerParams
from edge.policies.sight import Sight
from edge.records import CameraMount, Frame, Goal, Observation, Odometry, Velocity

MOUNT = CameraMount(math.radians(55), 0.35, math.radians(12), 0.12)
TRACKS = BaseSpec(drive=DriveKind.DIFFERENTIAL)
IMAGE = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
AT_THE_EDGE = "<loc0400><loc0960><loc0560><loc1023> red cup"
INSIDE = "<loc0400><loc0860><loc0560><loc0920> red cup"


def turned(base: BaseSpec, answer: str) -> tuple[float, bool]:
    """How far a target's position moves, and whether its box is tracked, while the base turns by 1 rad.

    The image stays as it is: so does a box that optical flow has nothing to follow with.
    """
    sight, goal = Sight(BoxReader("paligemma"), MOUNT, base, SeekerParams(), "red cup"), Goal("find_object")
    seen = (0.0, 0.0)
    for seq in range(31):
        frame = Frame(IMAGE, seq * 33_000_000, seq)
        odometry = Odometry(frame.stamp_ns, 0.0, 0.0, seq / 30, Velocity(angular_z_rad_s=1.0))
        inference = Inference(frame, answer, 0.95, {}) if seq == 0 else None
        sight.update(Observation({"front": frame}, goal, odometry), inference, lambda *_: False)
        seen = (sight.target.x_m, sight.target.y_m) if seq == 0 else seen
    return math.dist(seen, (sight.target.x_m, sight.target.y_m)), sight.detection is not None


@pytest.mark.parametrize(
    ("base", "answer", "stays"),
    [(TRACKS, AT_THE_EDGE, True), (TRACKS, INSIDE, False), (DEFAULT_BASE, AT_THE_EDGE, False)],
)
def test_what_is_left_of_a_box_at_the_edge_does_not_draw_the_target_along(
    base: BaseSpec, answer: str, stays: bool
) -> None:
    moved_m, tracked = turned(base, answer)
    assert (moved_m < 0.1) is stays and tracked is not stays


def test_a_slower_base_believes_for_longer_in_what_it_turned_away_from() -> None:
    slow = BaseSpec(linear_m_s=0.25)
    for base, believed_s in ((DEFAULT_BASE, 6.0), (slow, 12.0)):
        sight = Sight(BoxReader("paligemma"), MOUNT, base, SeekerParams(), "red cup")
        assert sight.target._out_of_view_ns == pytest.approx(believed_s * 1e9)
