"""Messages of ROS 2 as bytes, and their definitions, as far as a drive has them.

Bytes are CDR, little-endian: four bytes that say so, then every number at a multiple of its own size.
Fields are those of https://github.com/ros2/common_interfaces and https://github.com/ros2/rcl_interfaces.
"""

import math
import struct
from collections.abc import Sequence

from edge.records import Odometry, Velocity

IMAGE, COMPRESSED_IMAGE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
TWIST, ODOMETRY = "geometry_msgs/msg/Twist", "nav_msgs/msg/Odometry"
BOOL, STRING = "std_msgs/msg/Bool", "std_msgs/msg/String"
_FIELDS = {
    IMAGE: "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\n"
    "uint32 step\nuint8[] data\n",
    COMPRESSED_IMAGE: "std_msgs/Header header\nstring format\nuint8[] data\n",
    TWIST: "geometry_msgs/Vector3 linear\ngeometry_msgs/Vector3 angular\n",
    ODOMETRY: "std_msgs/Header header\nstring child_frame_id\ngeometry_msgs/PoseWithCovariance pose\n"
    "geometry_msgs/TwistWithCovariance twist\n",
    BOOL: "bool data\n",
    STRING: "string data\n",
    "std_msgs/Header": "builtin_interfaces/Time stamp\nstring frame_id\n",
    "builtin_interfaces/Time": "int32 sec\nuint32 nanosec\n",
    "geometry_msgs/Vector3": "float64 x\nfloat64 y\nfloat64 z\n",
    "geometry_msgs/Point": "float64 x\nfloat64 y\nfloat64 z\n",
    "geometry_msgs/Quaternion": "float64 x\nfloat64 y\nfloat64 z\nfloat64 w\n",
    "geometry_msgs/Pose": "geometry_msgs/Point position\ngeometry_msgs/Quaternion orientation\n",
    "geometry_msgs/PoseWithCovariance": "geometry_msgs/Pose pose\nfloat64[36] covariance\n",
    "geometry_msgs/Twist": "geometry_msgs/Vector3 linear\ngeometry_msgs/Vector3 angular\n",
    "geometry_msgs/TwistWithCovariance": "geometry_msgs/Twist twist\nfloat64[36] covariance\n",
}
_COVARIANCE = (0.0,) * 36  # nothing is known of it


def definition(kind: str) -> str:
    """Return a type's definition with those of all types in it, as MCAP files hold it."""
    needed: list[str] = []
    _need(kind, needed)
    return _FIELDS[kind] + "".join(f"{'=' * 80}\nMSG: {name}\n{_FIELDS[name]}" for name in needed)


def image(stamp_ns: int, frame_id: str, size: tuple[int, int], pixels: bytes) -> bytes:
    """Return an Image of RGB pixels; `size` is height and width."""
    height, width = size
    cdr = _header(stamp_ns, frame_id).u32(height).u32(width).text("rgb8").u8(0).u32(3 * width)
    return cdr.sequence(pixels).done()


def compressed_image(stamp_ns: int, frame_id: str, jpeg: bytes) -> bytes:
    """Return a CompressedImage of a JPEG."""
    return _header(stamp_ns, frame_id).text("jpeg").sequence(jpeg).done()


def twist(velocity: Velocity) -> bytes:
    """Return a Twist of a body velocity."""
    return CdrWriter().f64(*_twist(velocity)).done()


def odometry(measured: Odometry, offset_ns: int, child: str) -> bytes:
    """Return an Odometry in the frame "odom"; `child` is the frame of the base."""
    half = measured.yaw_rad / 2
    pose = measured.x_m, measured.y_m, 0.0, 0.0, 0.0, math.sin(half), math.cos(half)
    cdr = _header(measured.stamp_ns + offset_ns, "odom").text(child)
    return cdr.f64(*pose, *_COVARIANCE, *_twist(measured.velocity), *_COVARIANCE).done()


def boolean(value: bool) -> bytes:
    """Return a Bool."""
    return CdrWriter().u8(value).done()


def words(text: str) -> bytes:
    """Return a String."""
    return CdrWriter().text(text).done()


class CdrWriter:
    """One message under way."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0  # behind the four bytes at the beginning, from which places are counted

    def u8(self, value: int) -> "CdrWriter":
        """Add a byte."""
        return self._add(bytes((value,)))

    def u32(self, value: int) -> "CdrWriter":
        """Add a whole number."""
        return self._align(4)._add(struct.pack("<I", value))

    def i32(self, value: int) -> "CdrWriter":
        """Add a whole number with its sign."""
        return self._align(4)._add(struct.pack("<i", value))

    def f64(self, *values: float) -> "CdrWriter":
        """Add numbers."""
        return self._align(8)._add(struct.pack(f"<{len(values)}d", *values))

    def text(self, value: str) -> "CdrWriter":
        """Add a text; one with a zero in it ends there."""
        raw = value.partition("\0")[0].encode(errors="replace") + b"\0"
        return self.u32(len(raw))._add(raw)

    def sequence(self, value: bytes) -> "CdrWriter":
        """Add any number of bytes."""
        return self.u32(len(value))._add(value)

    def done(self) -> bytes:
        """Return the message."""
        return b"".join((b"\0\1\0\0", *self._parts))

    def _align(self, size: int) -> "CdrWriter":
        return self._add(bytes(-self._size % size))

    def _add(self, part: bytes) -> "CdrWriter":
        self._parts.append(part)
        self._size += len(part)
        return self


def _header(stamp_ns: int, frame_id: str) -> CdrWriter:
    return CdrWriter().i32(stamp_ns // 10**9).u32(stamp_ns % 10**9).text(frame_id)


def _twist(velocity: Velocity) -> Sequence[float]:
    return velocity.linear_x_m_s, velocity.linear_y_m_s, 0.0, 0.0, 0.0, velocity.angular_z_rad_s


def _need(kind: str, needed: list[str]) -> None:
    """Add the types of a type's fields to the list, each once."""
    for line in _FIELDS[kind].splitlines():
        name = line.partition(" ")[0].partition("[")[0]
        if "/" in name and name not in needed:
            needed.append(name)
            _need(name, needed)
