"""What a mobile base is and can do: stated once by its robot, asked by motors, policies and navigation.

Body frame: x forward, y left. A base states here what it may be driven at; `edge.motor.limits` holds the
ceilings that no statement raises.
"""

import math
from dataclasses import dataclass, fields
from enum import Enum

from edge.errors import UsageError
from edge.records import Velocity

HIGHEST_M_S, HIGHEST_RAD_S = 0.5, 1.0  # no setpoint is ever above: `edge.motor.limits` has the other ceilings
_CRUISE_SHARE = 0.9  # the rest is for corrections by the guard's slew
LONGEST_STEP_M, LONGEST_STEP_RAD = 0.1, 0.3  # a pulse: policies arrive within 0.12 m and 9 degrees
_SCALES, _MOST_DELAY_S = (0.2, 5.0), 0.5  # what a calibration may state
_BRAKING_SHARE = 0.3  # plans brake this gently, so that a late frame still leaves room


class DriveKind(Enum):
    """Which motions the wheels allow."""

    HOLONOMIC = "holonomic"  # any velocity in the plane, and turns
    DIFFERENTIAL = "differential"  # ahead, back and turns, also in place
    ACKERMANN = "ackermann"  # ahead and back, along arcs of a smallest radius


@dataclass(frozen=True, slots=True)
class BaseSpec:
    """A base's size, its limits, its kind of drive, and which speeds its wheels can't turn at.

    All numbers are finite and above zero; those with a default of zero are left out of a base that has no
    such thing. A base of `fixed_speed_m_s` drives at that speed whatever it is asked for, so it is driven by
    pulses, and `linear_m_s` is what they may come to: it is lowered to the fixed speed if that is less, and
    `angular_rad_s` likewise. All speeds are true ones: where a command of u gives scale * (u - offset), the
    motor process sends what gives the speed that is wanted, and `linear_m_s` and `angular_rad_s` are lowered
    to what the highest setpoint gives. Raises UsageError if a number is not allowed, or numbers don't go
    together.
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
    fixed_speed_m_s: float = 0.0  # the real speed of a base that ignores the magnitude of a command
    fixed_turn_rad_s: float = 0.0  # the same base's turn rate
    dead_band_m_s: float = 0.0  # below it a command does nothing
    dead_band_rad_s: float = 0.0
    min_speed_m_s: float = 0.0  # the base can't go slower than that, only stand
    min_turn_rad_s: float = 0.0
    pulse_on_s: float = 0.1  # shortest time for which a pulse of such a base lasts
    pulse_off_s: float = 0.1  # shortest pause after it
    turns_while_driving: bool = True  # False: a base of fixed speed that drives or turns, one at a time
    ahead_scale: float = 1.0  # measured by `vla-edge calibrate motors`, as are the six below
    sideways_scale: float = 1.0
    turn_scale: float = 1.0
    ahead_offset_m_s: float = 0.0
    sideways_offset_m_s: float = 0.0
    turn_offset_rad_s: float = 0.0
    delay_s: float = 0.0  # from a setpoint until the base begins to follow it

    def __post_init__(self) -> None:
        self._check_numbers()
        self._check_steering()
        self._check_fixed()
        self._check_response()
        self._check_lowest()
        if self.fixed_speed_m_s:
            object.__setattr__(self, "linear_m_s", min(self.linear_m_s, self.fixed_speed_m_s))
        if self.fixed_turn_rad_s:
            object.__setattr__(self, "angular_rad_s", min(self.angular_rad_s, self.fixed_turn_rad_s))

    def _check_numbers(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("drive", "turns_while_driving"):
                continue
            # `type` and not isinstance: True is not a speed.
            left_out = field.default == 0 and type(value) in (int, float) and value == 0
            if not left_out and (type(value) not in (int, float) or not 0 < value < math.inf):
                raise UsageError(f"base: {field.name} {value!r} is not a number above zero")
        if type(self.turns_while_driving) is not bool:
            raise UsageError(f"base: turns_while_driving {self.turns_while_driving!r} is not true or false")

    def _check_steering(self) -> None:
        ackermann = self.drive is DriveKind.ACKERMANN
        if ackermann and not self.wheel_base_m:
            raise UsageError(
                f"base: wheel_base_m {self.wheel_base_m!r} is not a number above zero",
                "steered wheels need a wheel_base_m",
            )
        if self.wheel_base_m and not ackermann:
            raise UsageError(
                f"base: wheel_base_m {self.wheel_base_m:g} does not go with drive {self.drive.value}",
                "only drive ackermann steers its wheels: leave wheel_base_m out",
            )
        if self.steering_rad >= math.pi / 2:
            raise UsageError(f"base: steering_rad {self.steering_rad:g} is not below pi / 2")
        turns = self.fixed_turn_rad_s, self.dead_band_rad_s, self.min_turn_rad_s
        if ackermann and any(turns):
            raise UsageError(
                f"base: a turn rate of its own ({max(turns):g} rad/s) does not go with drive ackermann",
                "its turn follows from speed and steering: leave the fields in rad/s out",
            )

    def _check_fixed(self) -> None:
        fixed = bool(self.fixed_speed_m_s or self.fixed_turn_rad_s)
        if fixed and self.turns_in_place and not (self.fixed_speed_m_s and self.fixed_turn_rad_s):
            raise UsageError(
                f"base: fixed_speed_m_s {self.fixed_speed_m_s:g} and fixed_turn_rad_s "
                f"{self.fixed_turn_rad_s:g} are not both above zero",
                "a base that ignores magnitudes ignores both: measure its speed and its turn rate",
            )
        others = self.dead_band_m_s, self.dead_band_rad_s, self.min_speed_m_s, self.min_turn_rad_s
        if fixed and any(others):
            raise UsageError(
                "base: a dead band or a lowest speed does not go with a fixed speed",
                "leave dead_band_* and min_* out: any command moves such a base",
            )
        if not self.turns_while_driving and not self.fixed_turn_rad_s:
            raise UsageError(
                "base: turns_while_driving false does not go without fixed_turn_rad_s",
                "only pulses can take turns",
            )

    def _check_response(self) -> None:
        """Check what commands give, and lower the highest speeds to what the highest setpoint gives."""
        scales = self.ahead_scale, self.sideways_scale, self.turn_scale
        offsets = self.ahead_offset_m_s, self.sideways_offset_m_s, self.turn_offset_rad_s
        for scale in scales:
            if not _SCALES[0] <= scale <= _SCALES[1]:
                raise UsageError(f"base: a scale of {scale:g} is not from {_SCALES[0]:g} to {_SCALES[1]:g}")
        if self.delay_s > _MOST_DELAY_S:
            raise UsageError(f"base: delay_s {self.delay_s:g} is above {_MOST_DELAY_S:g}")
        odd = any(scale != 1 for scale in scales) or any(offsets)
        if odd and (self.fixed_speed_m_s or self.fixed_turn_rad_s):
            raise UsageError(
                "base: scales and offsets don't go with a fixed speed",
                "leave ..._scale and ..._offset_... out: such a base ignores how large a command is",
            )
        linear_scale, lost_m_s = self.ahead_scale, self.ahead_offset_m_s
        if self.sideways:
            linear_scale = min(linear_scale, self.sideways_scale)
            lost_m_s = math.hypot(lost_m_s, self.sideways_offset_m_s)
        most_m_s = linear_scale * (HIGHEST_M_S - lost_m_s)
        most_rad_s = self.turn_scale * (HIGHEST_RAD_S - self.turn_offset_rad_s)
        if min(most_m_s, most_rad_s) <= 0:
            raise UsageError(
                f"base: no setpoint up to {HIGHEST_M_S:g} m/s and {HIGHEST_RAD_S:g} rad/s moves it",
                "measure again: `vla-edge calibrate motors FILE`",
            )
        if odd:
            object.__setattr__(self, "linear_m_s", min(self.linear_m_s, most_m_s))
            object.__setattr__(self, "angular_rad_s", min(self.angular_rad_s, most_rad_s))

    def _check_lowest(self) -> None:
        way = max(self.dead_band_m_s, self.min_speed_m_s), self.linear_m_s, "m/s"
        turn = max(self.dead_band_rad_s, self.min_turn_rad_s), self.angular_rad_s, "rad/s"
        for lowest, highest, unit in (way, turn):
            if lowest >= highest:
                raise UsageError(
                    f"base: its lowest speed {lowest:g} {unit} is not below its highest, {highest:g} {unit}",
                    "if it knows only one speed, state that as fixed_speed_m_s and fixed_turn_rad_s",
                )
        for step, longest, unit in (
            (self.step_m, LONGEST_STEP_M, "m"),
            (self.step_rad, LONGEST_STEP_RAD, "rad"),
        ):
            if step > longest:
                raise UsageError(
                    f"base: a pulse of pulse_on_s {self.pulse_on_s:g} moves it by {step:.2f} {unit}, "
                    f"at most {longest:g} {unit} let it arrive anywhere",
                    "lower pulse_on_s",
                )

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
    def lowest_m_s(self) -> float:
        """Lowest speed that it can drive at, and so that of its pulses; 0 if it can go at any."""
        return max(self.fixed_speed_m_s, self.dead_band_m_s, self.min_speed_m_s)

    @property
    def lowest_rad_s(self) -> float:
        """Lowest rate that it can turn at; 0 if it can turn at any."""
        return max(self.fixed_turn_rad_s, self.dead_band_rad_s, self.min_turn_rad_s)

    @property
    def step_m(self) -> float:
        """Smallest way that it can be moved by; 0 if there is none."""
        return self.lowest_m_s * self.pulse_on_s

    @property
    def step_rad(self) -> float:
        """Smallest angle that it can be turned by; 0 if there is none."""
        return self.lowest_rad_s * self.pulse_on_s

    @property
    def cruise_m_s(self) -> float:
        """Highest speed that plans ask for; a fixed one whole, so that it needs no pauses."""
        return self.linear_m_s if self.fixed_speed_m_s else _CRUISE_SHARE * self.linear_m_s

    @property
    def cruise_rad_s(self) -> float:
        """Highest turn rate that plans ask for."""
        return self.angular_rad_s if self.fixed_turn_rad_s else _CRUISE_SHARE * self.angular_rad_s

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
