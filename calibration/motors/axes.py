"""The axes of a base that are measured one after the other, and the base without what was measured before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge.base_spec import BaseSpec, DriveKind
from edge.errors import UsageError
from edge.records import Velocity


@dataclass(frozen=True, slots=True)
class Axis:
    """One motion of a base, alone."""

    name: str  # for people
    column: int  # in a row of a chunk: x, y, turn
    unit: str
    highest: float  # that may be commanded, and that the base may really go at
    accel: float
    noise: float  # what odometry may say of a base that stands
    scale_key: str  # fields of BaseSpec
    offset_key: str
    lowest_key: str

    def row(self, command: float) -> np.ndarray:
        """Return the row of a chunk that commands this axis alone, (3,)."""
        row = np.zeros(3, np.float32)
        row[self.column] = command
        return row

    def of(self, velocity: Velocity) -> float:
        """Return the part of a velocity along this axis."""
        return parts(velocity)[self.column]


def parts(velocity: Velocity) -> tuple[float, float, float]:
    """Return x, y and turn of a velocity."""
    return velocity.linear_x_m_s, velocity.linear_y_m_s, velocity.angular_z_rad_s


def as_it_is(base: BaseSpec, linear_m_s: float, angular_rad_s: float) -> BaseSpec:
    """Return a base without anything that was measured of it before: commands reach its driver as they are.

    Raises UsageError for a base of fixed speed.
    """
    if base.fixed_speed_m_s:
        raise UsageError(
            f"this base goes at {base.fixed_speed_m_s:g} m/s whatever it is told: nothing can be corrected",
            "measure that speed with the battery full, by hand: docs/bases.md",
        )
    return replace(
        base, linear_m_s=linear_m_s, angular_rad_s=angular_rad_s, ahead_scale=1.0, sideways_scale=1.0,
        turn_scale=1.0, ahead_offset_m_s=0.0, sideways_offset_m_s=0.0, turn_offset_rad_s=0.0, delay_s=0.0,
        dead_band_m_s=0.0, dead_band_rad_s=0.0, min_speed_m_s=0.0, min_turn_rad_s=0.0,
    )  # fmt: skip


def axes_of(base: BaseSpec) -> Sequence[Axis]:
    """Return the axes along which a base moves by itself; steered wheels turn only as they drive."""
    linear = ("m/s", base.linear_m_s, base.linear_accel_m_s2, 0.004)
    ahead = Axis("ahead", 0, *linear, "ahead_scale", "ahead_offset_m_s", "min_speed_m_s")
    sideways = Axis("sideways", 1, *linear, "sideways_scale", "sideways_offset_m_s", "min_speed_m_s")
    turn = Axis(
        "turn", 2, "rad/s", base.angular_rad_s, base.angular_accel_rad_s2, 0.01,
        "turn_scale", "turn_offset_rad_s", "min_turn_rad_s",
    )  # fmt: skip
    if base.drive is DriveKind.ACKERMANN:
        return (ahead,)
    return (ahead, sideways, turn) if base.sideways else (ahead, turn)
