"""What `vla-edge convert --to rosbag2` writes, read by ROS 2 itself."""

import math

import pytest

from edge.convert import ros_messages as ros
from edge.records import Odometry, Velocity


@pytest.mark.slow
def test_ros_2_reads_every_message():
    from geometry_msgs.msg import Twist
    from nav_msgs.msg import Odometry as RosOdometry
    from rclpy.serialization import deserialize_message
    from sensor_msgs.msg import CompressedImage, Image
    from std_msgs.msg import Bool, String

    speed = Velocity(0.25, -0.125, 0.5)
    odometry = Odometry(3_000_000_004, 1.5, -2.25, math.pi / 2, speed)
    written = {
        Image: ros.image(1_000_000_002, "front", (2, 3), bytes(range(18))),
        CompressedImage: ros.compressed_image(1_000_000_002, "front", b"\xff\xd8jpeg"),
        Twist: ros.twist(speed),
        RosOdometry: ros.odometry(odometry, 0, "base_link"),
        Bool: ros.boolean(True),
        String: ros.words("a cup, 컵"),
    }
    read = {kind: deserialize_message(raw, kind) for kind, raw in written.items()}
    image = read[Image]
    assert (image.header.stamp.sec, image.header.stamp.nanosec, image.header.frame_id) == (1, 2, "front")
    assert (image.height, image.width, image.encoding, image.step) == (2, 3, "rgb8", 9)
    assert bytes(image.data) == bytes(range(18)) and bytes(read[CompressedImage].data) == b"\xff\xd8jpeg"
    for twist in (read[Twist], read[RosOdometry].twist.twist):
        assert (twist.linear.x, twist.linear.y, twist.angular.z) == (0.25, -0.125, 0.5)
    assert read[RosOdometry].pose.pose.position.y == -2.25 and read[RosOdometry].child_frame_id == "base_link"
    assert read[RosOdometry].pose.pose.orientation.z == pytest.approx(math.sqrt(0.5))
    assert read[Bool].data is True and read[String].data == "a cup, 컵"
