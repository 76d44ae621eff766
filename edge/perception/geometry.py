"""Image positions to directions and floor positions, for a pinhole camera of known mount over a flat floor.

Base frame: origin under the middle of the base, x forward, y left, metres. Image positions are
fractions: u across from the left, v down from the top.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.perception.apparent_size import ApparentSize
from edge.records import Box, CameraMount, Odometry, Velocity

Floats = NDArray[np.float64]
COLUMNS = 48  # across the image, in which a floor graph says how far the floor is free
FAR_M = 8.0  # metres to a box whose foot is farther, at the horizon, or above it


class View:
    """One camera's geometry at one image shape."""

    def __init__(self, mount: CameraMount, aspect: float, size: ApparentSize | None = None) -> None:
        """Take a mount, `aspect`, the image's width / height, and the size of what boxes are around."""
        self.mount = mount
        self._size = size
        self.tan_v = math.tan(mount.vertical_fov_rad / 2)
        self.tan_u = self.tan_v * aspect
        self._cos, self._sin = math.cos(mount.pitch_rad), math.sin(mount.pitch_rad)

    @property
    def half_fov_rad(self) -> float:
        """Half the horizontal field of view, radians."""
        return math.atan(self.tan_u)

    def ray(self, u: float, v: float) -> tuple[float, float, float]:
        """Return the direction (forward, left, up) of an image position, not normalised."""
        left, up = (0.5 - u) * 2 * self.tan_u, (0.5 - v) * 2 * self.tan_v
        return self._cos + up * self._sin, left, up * self._cos - self._sin

    def floor_point(self, u: float, v: float) -> tuple[float, float] | None:
        """Return the floor point at (u, v), in the base frame, metres; None at or above the horizon."""
        forward, left, up = self.ray(u, v)
        if up >= -1e-3:
            return None
        scale = self.mount.height_m / -up
        return self.mount.forward_m + scale * forward, scale * left

    def target_point(self, box: Box) -> tuple[float, float] | None:
        """Return the floor point at the foot of a box, in the base frame; None at the horizon or above."""
        return self.floor_point(box.center_x, min(box.y1, 1.0))

    def depth_m(self, box: Box, ahead_m: float) -> float:
        """Return how far along the optical axis the middle of a box is, `ahead_m` ahead of the base's."""
        return (ahead_m - self.mount.forward_m) / self.ray(box.center_x, (box.y0 + box.y1) / 2)[0]

    def sized_point(self, box: Box) -> tuple[float, float] | None:
        """Return where a box is by how large it looks, in the base frame; None if that does not tell."""
        depth_m = None if self._size is None else self._size.distance_m(box)
        if depth_m is None:
            return None
        forward, left, _ = self.ray(box.center_x, (box.y0 + box.y1) / 2)
        return self.mount.forward_m + depth_m * forward, depth_m * left

    def place(self, box: Box) -> tuple[float, float]:
        """Return where a box is: by its size where that is known, else by its foot on the floor.

        It is the point FAR_M away along the bearing if that is farther, or at the horizon.
        """
        point = self.sized_point(box) or self.target_point(box)
        if point is None or math.hypot(*point) > FAR_M:
            bearing = self.bearing(box)
            return FAR_M * math.cos(bearing), FAR_M * math.sin(bearing)
        return point

    def bearing(self, box: Box) -> float:
        """Return the direction of a box's middle from the camera, radians, left positive."""
        forward, left, _ = self.ray(box.center_x, (box.y0 + box.y1) / 2)
        return math.atan2(left, forward)


@dataclass(frozen=True, slots=True)
class Pose:
    """A position on the floor and a heading, in the odometry frame."""

    x_m: float = 0.0
    y_m: float = 0.0
    yaw_rad: float = 0.0

    def to_world(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Return a base-frame point in the odometry frame."""
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return self.x_m + c * x_m - s * y_m, self.y_m + s * x_m + c * y_m

    def to_base(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Return an odometry-frame point in the base frame; inverse of `to_world`."""
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        dx, dy = x_m - self.x_m, y_m - self.y_m
        return c * dx + s * dy, -s * dx + c * dy

    def after(self, velocity: Velocity, seconds: float) -> "Pose":
        """Return the pose a short time later, at a velocity in the base frame."""
        x, y = self.to_world(velocity.linear_x_m_s * seconds, velocity.linear_y_m_s * seconds)
        return Pose(x, y, wrap(self.yaw_rad + velocity.angular_z_rad_s * seconds))

    def many_to_base(self, points: Floats) -> Floats:
        """Return `to_base` for points (N, 2)."""
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        d = points - np.array([self.x_m, self.y_m])
        return np.stack([c * d[:, 0] + s * d[:, 1], -s * d[:, 0] + c * d[:, 1]], 1)

    def many_to_world(self, points: Floats) -> Floats:
        """Return `to_world` for points (N, 2)."""
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        x = self.x_m + c * points[:, 0] - s * points[:, 1]
        y = self.y_m + s * points[:, 0] + c * points[:, 1]
        return np.stack([x, y], 1)


def wrap(angle_rad: float) -> float:
    """Return the same angle in [-pi, pi]."""
    return math.remainder(angle_rad, 2 * math.pi)


class PoseHistory:
    """The base's poses of the last second or two, from its odometry."""

    def __init__(self, length: int = 120) -> None:
        self._length = length
        self._items: list[Odometry] = []

    def add(self, odometry: Odometry) -> None:
        """Add an odometry; one that is not newer than the last is ignored."""
        if not self._items or odometry.stamp_ns > self._items[-1].stamp_ns:
            self._items.append(odometry)
            del self._items[: -self._length]

    @property
    def known(self) -> bool:
        """True once there was any odometry."""
        return bool(self._items)

    def at(self, stamp_ns: int) -> Pose:
        """Return the pose at a time: interpolated, or carried on with the last velocity by at most 0.2 s.

        Without any odometry it is the origin: then only what the camera sees now counts.
        """
        if not self._items:
            return Pose()
        later = next((o for o in self._items if o.stamp_ns >= stamp_ns), None)
        if later is None:
            last = self._items[-1]
            pose = Pose(last.x_m, last.y_m, last.yaw_rad)
            return pose.after(last.velocity, min(0.2, (stamp_ns - last.stamp_ns) / 1e9))
        before = [o for o in self._items if o.stamp_ns < stamp_ns]
        if not before:
            return Pose(later.x_m, later.y_m, later.yaw_rad)
        a = before[-1]
        t = (stamp_ns - a.stamp_ns) / (later.stamp_ns - a.stamp_ns)
        yaw = wrap(a.yaw_rad + t * wrap(later.yaw_rad - a.yaw_rad))
        return Pose(a.x_m + t * (later.x_m - a.x_m), a.y_m + t * (later.y_m - a.y_m), yaw)
