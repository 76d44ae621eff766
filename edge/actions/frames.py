"""Changes of a tool's pose: from and to absolute targets, and between the world's axes and the tool's.

A pose is x, y, z in metres and roll, pitch, yaw in radians about the fixed axes x, y, z in this order, so
that its rotation is Rz(yaw) Ry(pitch) Rx(roll), as in URDF, ROS and PyBullet, and thereby CALVIN. Actions are
(..., 6) pose deltas or (..., 7) with a gripper in the last column, which passes unchanged. All are physical:
decode a scaled action before. All raise ValueError for other widths, NaN and infinity.
"""

import numpy as np
from numpy.typing import ArrayLike

from edge.actions.arrays import Floats, finite_columns
from edge.errors import SafetyStop

MIN_COS_PITCH = 1e-6  # below it, roll and yaw turn about the same axis and can't be told apart
_WIDTHS = (6, 7)  # with and without gripper


class GimbalLock(SafetyStop):
    """The pitch is so near to straight up or down that roll and yaw are not defined."""


def to_relative(target: ArrayLike, pose: ArrayLike) -> Floats:
    """Return the change from a pose to an absolute target, angles in [-pi, pi).

    target (..., 6 | 7), pose (..., 6) of the same instant. The inverse of `to_absolute` for turns below pi.
    """
    delta, start = finite_columns(target, _WIDTHS, "targets"), finite_columns(pose, 6, "poses")
    delta[..., :3] -= start[..., :3]
    delta[..., 3:6] = _wrap(delta[..., 3:6] - start[..., 3:6])
    return delta


def to_absolute(delta: ArrayLike, pose: ArrayLike) -> Floats:
    """Return the target that a change leads to, angles in [-pi, pi). delta (..., 6 | 7), pose (..., 6)."""
    target, start = finite_columns(delta, _WIDTHS), finite_columns(pose, 6, "poses")
    target[..., :3] += start[..., :3]
    target[..., 3:6] = _wrap(target[..., 3:6] + start[..., 3:6])
    return target


def world_to_tcp(delta: ArrayLike, tcp_rpy_rad: ArrayLike) -> Floats:
    """Return a change in the world's axes as the tool-centre point sees it.

    delta (..., 6 | 7): in the world, turns are differences of roll, pitch and yaw. tcp_rpy_rad (..., 3) is
    the orientation that each delta starts from and broadcasts to it. The result's turn is the roll, pitch
    and yaw of R_old^T R_new. RoboVLMs' world_to_tcp_frame differs: it composes Rx Ry Rz, gives the inverse
    turn, and works on a hundredth of scaled actions.

    `tcp_to_world` is the exact inverse while roll and yaw change by less than pi / 2 in either frame.
    Raises GimbalLock.
    """
    change = finite_columns(delta, _WIDTHS)
    start = finite_columns(tcp_rpy_rad, 3, "orientations")
    old, new = _rotation(start), _rotation(start + change[..., 3:6])
    move = np.einsum("...ji,...j->...i", old, change[..., :3])
    turn = _turn_from(np.zeros(3), np.swapaxes(old, -1, -2) @ new)
    return np.concatenate([move, turn, change[..., 6:]], -1)


def tcp_to_world(delta: ArrayLike, tcp_rpy_rad: ArrayLike) -> Floats:
    """Return a change as the tool-centre point sees it, in the world's axes; the inverse of `world_to_tcp`.

    Shapes and errors are the same. There are two ways to write the new orientation in roll, pitch and yaw;
    the result is the one that turns roll and yaw less.
    """
    change = finite_columns(delta, _WIDTHS)
    start = finite_columns(tcp_rpy_rad, 3, "orientations")
    old = _rotation(start)
    move = np.einsum("...ij,...j->...i", old, change[..., :3])
    turn = _turn_from(start, old @ _rotation(change[..., 3:6]))
    return np.concatenate([move, turn, change[..., 6:]], -1)


def _rotation(rpy_rad: Floats) -> Floats:
    """Return the matrices Rz(yaw) Ry(pitch) Rx(roll), (..., 3, 3), of angles (..., 3)."""
    cr, cp, cy = np.moveaxis(np.cos(rpy_rad), -1, 0)
    sr, sp, sy = np.moveaxis(np.sin(rpy_rad), -1, 0)
    rows = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def _turn_from(start_rpy_rad: Floats, rotation: Floats) -> Floats:
    """Return roll, pitch and yaw of `rotation` (..., 3, 3) minus `start` (..., 3), in [-pi, pi)."""
    cos_pitch = np.hypot(rotation[..., 0, 0], rotation[..., 1, 0])
    if (cos_pitch < MIN_COS_PITCH).any():
        raise GimbalLock(
            f"a turn leads to a pitch within {MIN_COS_PITCH:g} rad of straight up or down, "
            "where roll and yaw are not defined"
        )
    # The arc tangent keeps its accuracy near the poles, where an arc sine loses half of its digits.
    pitch = np.arctan2(-rotation[..., 2, 0], cos_pitch)
    roll = np.arctan2(rotation[..., 2, 1], rotation[..., 2, 2])
    yaw = np.arctan2(rotation[..., 1, 0], rotation[..., 0, 0])
    one = _wrap(np.stack([roll, pitch, yaw], -1) - start_rpy_rad)
    # The same rotation, over the pole.
    other = _wrap(np.stack([roll + np.pi, np.pi - pitch, yaw + np.pi], -1) - start_rpy_rad)
    # Their rolls and yaws differ by pi: the smaller is the right one as long as neither turned by pi / 2.
    nearer = np.abs(one[..., ::2]).sum(-1) <= np.abs(other[..., ::2]).sum(-1)
    return np.where(nearer[..., None], one, other)


def _wrap(angles_rad: Floats) -> Floats:
    """Return the same angles in [-pi, pi)."""
    return (angles_rad + np.pi) % (2 * np.pi) - np.pi
