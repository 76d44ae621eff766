"""What a mobile base is and can do: stated once by its robot, asked by motors, policies and navigation.

Body frame: x forward, y left. A base states here what it may be driven at; `edge.motor.limits` holds the
ceilings that no statement raises.
"""

import math
from dataclasses import dataclass, fields
from enum import Enum

from edge.errors import UsageError
from edge.records import Velocity

_CRUISE_SHARE = 0.9  # the rest is for corrections by the guard's slew
_BRAKING_SHARE = 0.3  # plans brake this gently, so that a late frame still leaves room


class DriveKind(Enum):
    """Which motions the wheels allow."""

    HOLONOMIC = "holonomic"  # any velocity in the plane, and turns
    DIFFERENTIAL = "differential"  # ahead, back and turns, also in place
    ACKERMANN = "ackermann"  # ahead and back, along arcs of a smallest radius


@dataclass(frozen=True, slots=True)
class BaseSpec:
    """A base's size, its limits and its kind of drive.

    All numbers are finite and above zero, but for `wheel_base_m`, which only an Ackermann base has. Raises
    UsageError if one is not.
    """

    radius_m: float = 0.2  # radius of the circle around its centre that holds its hull
    linear_m_s: float = 0.5  # highest speed, as the length of the (x, y) vector
    angular_rad_s: float = 1.0
    linear_accel_m_s2: float = 1.0
    angular_accel_rad_s2: float = 3.0
    linear_decel_m_s2: float = 2.0
    angular_decel_rad_s2: float = 4.0
    linear_jerk_m_s3: float = 20.0
    angular_jerk_rad_s3: float = 60.0
    drive: DriveKind = DriveKind.HOLONOMIC
    wheel_base_m: float = 0.0  # distance between the axles
    steering_rad: float = math.radians(30)  # largest angle of steered wheels, below pi / 2

    def __post_init__(self) -> None:
        ackermann = self.drive is DriveKind.ACKERMANN
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "drive" or (field.name == "wheel_base_m" and not ackermann and value == 0):
                continue
            # `type` and not isinstance: True is not a speed.
            if type(value) not in (int, float) or not 0 < value < math.inf:
                hint = "steered wheels need a wheel_base_m" if field.name == "wheel_base_m" else ""
                raise UsageError(f"base: {field.name} {value!r} is not a number above zero", hint)
        if self.wheel_base_m and not ackermann:
            raise UsageError(
                f"base: wheel_base_m {self.wheel_base_m:g} does not go with drive {self.drive.value}",
                "only drive ackermann steers its wheels: leave wheel_base_m out",
            )
        if self.steering_rad >= math.pi / 2:
            raise UsageError(f"base: steering_rad {self.steering_rad:g} is not below pi / 2")

    @property
    def sideways(self) -> bool:
        """True if the base can move sideways."""
        return self.drive is DriveKind.HOLONOMIC

    @property
    def turns_in_place(self) -> bool:
        """True if the base can turn without moving ahead or back."""
        return self.drive is not DriveKind.ACKERMANN

    @property
    def turn_radius_m(self) -> float:
        """Smallest radius of an arc, metres; 0 for a base that turns in place."""
        return self.wheel_base_m / math.tan(self.steering_rad)

    @property
    def cruise_m_s(self) -> float:
        """Highest speed that plans ask for."""
        return _CRUISE_SHARE * self.linear_m_s

    @property
    def cruise_rad_s(self) -> float:
        """Highest turn rate that plans ask for."""
        return _CRUISE_SHARE * self.angular_rad_s

    @property
    def planned_braking_m_s2(self) -> float:
        """Deceleration that plans count on."""
        return _BRAKING_SHARE * self.linear_decel_m_s2

    def possible(self, velocity: Velocity) -> Velocity:
        """Return the velocity without what the wheels can't do: sideways motion, too tight arcs."""
        x, y, turn = allowed_motion(
            velocity.linear_x_m_s,
            velocity.linear_y_m_s,
            velocity.angular_z_rad_s,
            self.sideways,
            self.turn_radius_m,
        )
        return Velocity(x, y, turn)


def allowed_motion(
    x_m_s: float, y_m_s: float, turn_rad_s: float, sideways: bool, turn_radius_m: float
) -> tuple[float, float, float]:
    """Return the nearest velocity (x, y, turn) that the wheels can follow.

    Without `sideways`, y is zero; with a `turn_radius_m` above zero, the turn rate is at most the speed ahead
    divided by it.
    """
    if not sideways:
        y_m_s = 0.0
    if turn_radius_m > 0:
        highest = abs(x_m_s) / turn_radius_m
        turn_rad_s = max(-highest, min(highest, turn_rad_s))
    return x_m_s, y_m_s, turn_rad_s


DEFAULT_BASE = BaseSpec()
