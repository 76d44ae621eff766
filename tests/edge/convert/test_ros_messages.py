"""Bags and their messages, read by `rosbags`, which knows nothing of this project."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from edge.convert import ros_messages as ros
from edge.convert.rosbag2 import convert
from edge.errors import UsageError
from edge.records import Odometry, Velocity
from tests.edge.convert.made_up import BY_PERSON, START_NS, picture, record, tear

HUMBLE = get_typestore(Stores.ROS2_HUMBLE)
number = st.floats(allow_nan=False)
velocity = st.builds(Velocity, number, number, number)


@given(st.integers(0, 2**31 * 10**9 - 1), st.text(st.characters(codec="utf-8", exclude_characters="\0")),
       st.integers(1, 9), st.integers(1, 9))  # fmt: skip
def test_images_are_read_as_they_were_written(stamp_ns: int, frame_id: str, height: int, width: int):
    pixels = bytes(range(height * width * 3))
    found = HUMBLE.deserialize_cdr(ros.image(stamp_ns, frame_id, (height, width), pixels), ros.IMAGE)
    assert (found.header.stamp.sec, found.header.stamp.nanosec) == divmod(stamp_ns, 10**9)
    assert (found.header.frame_id, found.height, found.width) == (frame_id, height, width)
    assert (found.encoding, found.step, found.is_bigendian) == ("rgb8", 3 * width, 0)
    assert found.data.tobytes() == pixels
    found = HUMBLE.deserialize_cdr(ros.compressed_image(stamp_ns, frame_id, pixels), ros.COMPRESSED_IMAGE)
    assert (found.header.frame_id, found.format, found.data.tobytes()) == (frame_id, "jpeg", pixels)


@given(number, number, st.floats(-math.pi, math.pi), velocity)
def test_odometry_and_setpoints_are_read_as_they_were_written(
    x_m: float, y_m: float, yaw_rad: float, speed: Velocity
):
    found = HUMBLE.deserialize_cdr(
        ros.odometry(Odometry(10**9, x_m, y_m, yaw_rad, speed), 5, "base_link"), ros.ODOMETRY
    )
    assert (found.header.frame_id, found.child_frame_id) == ("odom", "base_link")
    assert found.header.stamp.nanosec == 5
    pose = found.pose.pose
    assert (pose.position.x, pose.position.y) == (x_m, y_m)
    assert 2 * math.atan2(pose.orientation.z, pose.orientation.w) == pytest.approx(yaw_rad)
    told = HUMBLE.deserialize_cdr(ros.twist(speed), ros.TWIST)
    for each in (told, found.twist.twist):
        moved = each.linear.x, each.linear.y, each.angular.z
        assert moved == (speed.linear_x_m_s, speed.linear_y_m_s, speed.angular_z_rad_s)


@pytest.mark.parametrize(
    "kind", [ros.IMAGE, ros.COMPRESSED_IMAGE, ros.TWIST, ros.ODOMETRY, ros.BOOL, ros.STRING]
)
def test_definitions_are_those_of_ros_2(kind: str):
    """The hash of a type is that of its fields, down to the last one."""
    types = get_types_from_msg(ros.definition(kind), kind)
    ours = get_typestore(Stores.EMPTY)
    ours.register(types)
    assert ours.hash_rihs01(kind) == HUMBLE.hash_rihs01(kind)


@pytest.mark.parametrize("jpeg", [False, True])
def test_a_bag_of_a_run_is_read_whole(tmp_path: Path, jpeg: bool):
    made = convert(record(tmp_path / "run.mcap", by_hand_s=(1.0, 1.5), jpeg=jpeg), tmp_path / "bag")
    topic = "/camera/front/image_raw" + ("/compressed" if jpeg else "")
    with AnyReader([tmp_path / "bag"]) as reader:
        counts = {each.topic: each.msgcount for each in reader.connections}
        assert counts == made.topics == {
            topic: 91, "/cmd_vel": 150, "/odom": 150, "/vla_edge/by_hand": 150
        }  # fmt: skip
        read = {name: [] for name in counts}
        for connection, at_ns, raw in reader.messages():
            read[connection.topic].append((at_ns, reader.deserialize(raw, connection.msgtype)))
    hand = [message.data for _, message in read["/vla_edge/by_hand"]]
    sent = [message.linear.x for _, message in read["/cmd_vel"]]
    assert sum(hand) == 25 and {x for x, by in zip(sent, hand, strict=True) if by} == {BY_PERSON.linear_x_m_s}
    at_ns, image = read[topic][7]
    assert (image.header.stamp.sec, image.header.stamp.nanosec) == divmod(at_ns, 10**9)
    if not jpeg:
        np.testing.assert_array_equal(image.data.reshape(36, 48, 3), picture(7))


def test_a_torn_run_and_one_that_is_none(tmp_path: Path):
    torn = tear(record(tmp_path / "run.mcap", size=(240, 320)), 0.6)
    made = convert(torn, tmp_path / "bag")
    assert not made.whole and 20 < made.topics["/camera/front/image_raw"] < 91
    (tmp_path / "none.mcap").write_bytes(b"no recording")
    with pytest.raises(UsageError, match="not a recording"):
        convert(tmp_path / "none.mcap", tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert START_NS > 0
