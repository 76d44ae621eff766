"""The addresses of `ros2://` motors: topics, types, quality."""

from dataclasses import dataclass

from edge.address import Address
from edge.ros2 import QUALITIES, take_domain, topic_name

EXAMPLE = "such as ros2:///cmd_vel?odom=/odom&estop=/estop"
TYPES = {"twist": "geometry_msgs/msg/Twist", "stamped": "geometry_msgs/msg/TwistStamped"}
NONE = "none"


@dataclass(frozen=True, slots=True)
class RosMotorOptions:
    """What an address of the driver says. `odom` and `estop` are empty for none."""

    topic: str
    domain: int
    quality: str
    type: str
    odom: str
    estop: str
    timeout_s: float


def parse_motors(text: str) -> RosMotorOptions:
    """Take an address of the driver apart. Raises UsageError if it is malformed."""
    address = Address(text, "motors", EXAMPLE)
    topics = {name: address.take(name, default) for name, default in (("odom", "/odom"), ("estop", NONE))}
    options = RosMotorOptions(
        topic_name(address, address.place),
        take_domain(address),
        address.choice("qos", "reliable", QUALITIES),
        address.choice("type", "twist", TYPES),
        *("" if topic == NONE else topic_name(address, topic) for topic in topics.values()),
        timeout_s=address.number("timeout_s", 5.0, 0.5, 10.0),
    )
    address.finish()
    return options
