"""The limits of a mobile base. A base and configuration may lower the ceilings, never raise them."""

import json
import math
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any, cast

from edge.base_spec import DEFAULT_BASE, HIGHEST_M_S, HIGHEST_RAD_S, BaseSpec, allowed_motion
from edge.errors import UsageError, reason_of

# The safety ceilings: values of any base, of any configuration, are at or below them.
CEILINGS = MappingProxyType(
    {
        "linear_m_s": HIGHEST_M_S,
        "angular_rad_s": HIGHEST_RAD_S,
        "linear_accel_m_s2": 1.0,
        "angular_accel_rad_s2": 3.0,
        "linear_decel_m_s2": 2.0,
        "angular_decel_rad_s2": 4.0,
        "linear_jerk_m_s3": 20.0,
        "angular_jerk_rad_s3": 60.0,
        "follow_age_s": 0.25,
        "zero_age_s": 0.5,
        "blind_m": 0.1875,
        "blind_rad": 0.375,
        "longest_age_s": 3.0,
        "linear_jump_m_s": 0.6,
        "angular_jump_rad_s": 1.5,
    }
)
SCALES = ("ahead_scale", "sideways_scale", "turn_scale")
LOWEST_CONFIDENCE = 0.3  # the same for the bar that confidence must pass: a higher one is stricter


@dataclass(frozen=True, slots=True)
class MotorLimits:
    """What no command may exceed; the defaults are those of the default base.

    Every number is finite and within CEILINGS, and braking from full speed fits between `follow_age_s` and
    `zero_age_s`. Raises UsageError if not.
    """

    linear_m_s: float = DEFAULT_BASE.linear_m_s  # length of the (x, y) vector
    angular_rad_s: float = DEFAULT_BASE.angular_rad_s
    linear_accel_m_s2: float = DEFAULT_BASE.linear_accel_m_s2
    angular_accel_rad_s2: float = DEFAULT_BASE.angular_accel_rad_s2
    linear_decel_m_s2: float = DEFAULT_BASE.linear_decel_m_s2  # 0.5 m/s to zero in 250 ms
    angular_decel_rad_s2: float = DEFAULT_BASE.angular_decel_rad_s2  # 1.0 rad/s to zero in 250 ms
    linear_jerk_m_s3: float = DEFAULT_BASE.linear_jerk_m_s3  # while following; braking for safety ignores it
    angular_jerk_rad_s3: float = DEFAULT_BASE.angular_jerk_rad_s3
    # Lower these freely; to raise them, see CEILINGS and `_check_braking`.
    follow_age_s: float = 0.25  # age of the frame that a chunk answers, up to which it is followed
    zero_age_s: float = 0.5  # age of that frame at which the base stands
    # A chunk that is bounded by its way: what the base goes and turns since the frame, braking included. It
    # is what full speed needs from a frame's capture until the base stands.
    blind_m: float = 0.1875
    blind_rad: float = 0.375
    longest_age_s: float = 3.0  # age of the frame of such a chunk, up to which it is followed
    min_confidence: float = LOWEST_CONFIDENCE  # chunks below it are not followed
    linear_jump_m_s: float = 0.6  # change from one row to the next; more is an outlier
    angular_jump_rad_s: float = 1.5
    sideways: bool = DEFAULT_BASE.sideways  # False: the lateral part of a velocity is cut
    turn_radius_m: float = DEFAULT_BASE.turn_radius_m  # smallest radius of an arc; 0: turns in place
    # A base that can't go slower than this is driven by pulses of this speed; 0: it can go at any.
    lowest_m_s: float = DEFAULT_BASE.lowest_m_s
    lowest_rad_s: float = DEFAULT_BASE.lowest_rad_s
    pulse_on_s: float = DEFAULT_BASE.pulse_on_s  # shortest pulse
    pulse_off_s: float = DEFAULT_BASE.pulse_off_s  # shortest pause after one
    turns_while_driving: bool = DEFAULT_BASE.turns_while_driving  # False: pulses drive or turn in turns
    # What the base makes of a command; the limits above are true speeds (`edge.motor.pulses`).
    ahead_scale: float = DEFAULT_BASE.ahead_scale
    sideways_scale: float = DEFAULT_BASE.sideways_scale
    turn_scale: float = DEFAULT_BASE.turn_scale
    ahead_offset_m_s: float = DEFAULT_BASE.ahead_offset_m_s
    sideways_offset_m_s: float = DEFAULT_BASE.sideways_offset_m_s
    turn_offset_rad_s: float = DEFAULT_BASE.turn_offset_rad_s
    delay_s: float = DEFAULT_BASE.delay_s

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in CEILINGS or field.name in ("min_confidence", "pulse_on_s", *SCALES):
                self._check_number(field.name, value)
            elif type(field.default) is bool:
                if type(value) is not bool:
                    raise UsageError(f"motor limit {field.name}: {value!r} is not true or false")
            elif type(value) not in (int, float) or not 0 <= value < math.inf:
                raise UsageError(f"motor limit {field.name}: {value!r} is not a number from 0 on")
        self._check_lowest()
        self._check_braking()

    @staticmethod
    def of(base: BaseSpec) -> "MotorLimits":
        """Return the limits of a base. Raises UsageError if the base is beyond a ceiling."""
        own = {field.name for field in fields(MotorLimits)}
        return MotorLimits(**{name: getattr(base, name) for name in own if hasattr(base, name)})

    def allowed(self, x_m_s: float, y_m_s: float, turn_rad_s: float) -> tuple[float, float, float]:
        """Return the nearest velocity that the wheels can follow; the speeds are limited elsewhere."""
        return allowed_motion(x_m_s, y_m_s, turn_rad_s, self.sideways, self.turn_radius_m)

    def braking_s(self, linear_m_s: float, angular_rad_s: float) -> float:
        """Return the time that braking from these speeds to zero takes, seconds.

        What is below the lowest speed, and not zero, is driven by pulses of that speed.
        """
        linear_m_s = max(linear_m_s, self.lowest_m_s) if linear_m_s else 0.0
        angular_rad_s = max(angular_rad_s, self.lowest_rad_s) if angular_rad_s else 0.0
        return max(linear_m_s / self.linear_decel_m_s2, angular_rad_s / self.angular_decel_rad_s2)

    def brake_age_s(self, linear_m_s: float, angular_rad_s: float) -> float:
        """Return the age of its frame, seconds, from which on a chunk of these speeds is braked.

        At full speed it is `follow_age_s`. A slower chunk takes less time to brake, is followed longer by so
        much, and is at zero by the same age. With v the speed and z that age, the base goes
        v (z - v / decel) + v^2 / 2 decel without sight: that grows with v, so it is most at full speed.
        """
        full_s = self.braking_s(self.linear_m_s, self.angular_rad_s)
        return self.follow_age_s + max(0.0, full_s - self.braking_s(linear_m_s, angular_rad_s))

    def share_by_way(self, age_s: float) -> float:
        """Return the share of full speed, in [0, 1], at which a chunk `by_way` is followed up to this age.

        The base goes at that speed from the frame on, is braked at this age, and stands within `blind_m` and
        `blind_rad`. Zero if the base can't go so slowly, and beyond `longest_age_s`.
        """
        if age_s > self.longest_age_s:
            return 0.0
        way = _share_within(self.blind_m, self.linear_m_s, self.linear_decel_m_s2, age_s)
        turn = _share_within(self.blind_rad, self.angular_rad_s, self.angular_decel_rad_s2, age_s)
        share = min(1.0, way, turn)
        slow = share * self.linear_m_s >= self.lowest_m_s and share * self.angular_rad_s >= self.lowest_rad_s
        return share if slow else 0.0

    @staticmethod
    def _check_number(name: str, value: float) -> None:
        # `type` and not isinstance: True is not a limit.
        if type(value) not in (int, float) or not 0 < value < math.inf:
            raise UsageError(f"motor limit {name}: {value!r} is not a number above zero")
        hint = "limits may be made stricter by a base or by configuration, never looser"
        if name == "min_confidence":
            if not LOWEST_CONFIDENCE <= value <= 1.0:
                raise UsageError(
                    f"motor limit {name}: {value} is not between {LOWEST_CONFIDENCE} and 1.0", hint
                )
        elif value > CEILINGS.get(name, math.inf):
            raise UsageError(
                f"motor limit {name}: {value} is above its safety ceiling {CEILINGS[name]}", hint
            )

    def _check_lowest(self) -> None:
        for name, ceiling in (("lowest_m_s", "linear_m_s"), ("lowest_rad_s", "angular_rad_s")):
            if getattr(self, name) > CEILINGS[ceiling]:
                raise UsageError(
                    f"motor limit {name}: {getattr(self, name)} is above the safety ceiling of {ceiling}, "
                    f"{CEILINGS[ceiling]}",
                    "this is what the base really does: no software makes it slower",
                )

        if not (self.turns_while_driving or (self.lowest_m_s and self.lowest_rad_s)):
            raise UsageError("only a base that drives and turns by pulses can do one at a time")

    def _check_braking(self) -> None:
        window_s = self.zero_age_s - self.follow_age_s
        needed_s = self.braking_s(self.linear_m_s, self.angular_rad_s)
        if needed_s > window_s + 1e-9:
            raise UsageError(
                f"braking from full speed takes {needed_s * 1e3:.0f} ms, "
                f"{window_s * 1e3:.0f} ms are left between follow_age_s and zero_age_s",
                "lower linear_m_s, angular_rad_s or follow_age_s",
            )
        if self.linear_jump_m_s < self.linear_m_s or self.angular_jump_rad_s < self.angular_rad_s:
            raise UsageError("a jump limit below the full speed would refuse a stop from full speed")

    def to_json(self) -> str:
        """One line of JSON, which `from_json` reads back."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "MotorLimits":
        """Limits from a JSON object; missing keys take their defaults.

        Raises UsageError if the text is not such an object, or a value is not allowed.
        """
        try:
            parsed: object = json.loads(text)
        except json.JSONDecodeError as error:
            raise UsageError(f"motor limits are not JSON: {reason_of(error)}") from error
        if not isinstance(parsed, dict):
            raise UsageError(f"motor limits are not a JSON object: {text[:80]}")
        values = cast("dict[str, Any]", parsed)
        known = {field.name for field in fields(MotorLimits)}
        if unknown := sorted(set(values) - known):
            raise UsageError(f"unknown motor limit {unknown[0]}", f"known: {', '.join(sorted(known))}")
        return MotorLimits(**values)


def _share_within(way: float, speed: float, decel: float, age_s: float) -> float:
    """Return the share s of a speed v with s v age + (s v)^2 / 2 decel = way."""
    return (math.sqrt((decel * age_s) ** 2 + 2 * decel * way) - decel * age_s) / speed
