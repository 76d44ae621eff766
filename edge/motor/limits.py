"""The limits of a mobile base. Configuration may lower the ceilings, never raise them."""

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

from edge.errors import UsageError


@dataclass(frozen=True, slots=True)
class MotorLimits:
    """What no command may exceed. Every value is finite and above zero; the defaults are the ceilings.

    Braking from full speed must fit between `follow_age_s` and `zero_age_s`. Raises UsageError.
    """

    linear_m_s: float = 0.5  # length of the (x, y) vector
    angular_rad_s: float = 1.0
    linear_accel_m_s2: float = 1.0
    angular_accel_rad_s2: float = 3.0
    linear_decel_m_s2: float = 2.0  # 0.5 m/s to zero in 250 ms
    angular_decel_rad_s2: float = 4.0  # 1.0 rad/s to zero in 250 ms
    linear_jerk_m_s3: float = 20.0  # in normal following; braking for safety ignores it
    angular_jerk_rad_s3: float = 60.0
    follow_age_s: float = 0.25  # of the frame that a chunk answers; older is braked
    zero_age_s: float = 0.5  # zero velocity at this age
    min_confidence: float = 0.3  # lower is not followed
    linear_jump_m_s: float = 0.6  # between rows that follow each other; more is an outlier
    angular_jump_rad_s: float = 1.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value, ceiling = getattr(self, field.name), field.default
            # `type` and not isinstance: True is no limit.
            if type(value) not in (int, float) or not 0 < value < math.inf:
                raise UsageError(f"motor limit {field.name}: {value!r} is not a number above zero")
            # A higher confidence bar is the stricter one.
            raised = value < ceiling if field.name == "min_confidence" else value > ceiling
            if raised or (field.name == "min_confidence" and value > 1.0):
                raise UsageError(
                    f"motor limit {field.name}: {value} is outside the hardware ceiling {ceiling}",
                    "limits may be made stricter by configuration, never looser",
                )
        self._check_braking()

    def braking_s(self, linear_m_s: float, angular_rad_s: float) -> float:
        """How long it takes to brake from these speeds to zero."""
        return max(linear_m_s / self.linear_decel_m_s2, angular_rad_s / self.angular_decel_rad_s2)

    def brake_age_s(self, linear_m_s: float, angular_rad_s: float) -> float:
        """The age of its frame from which on a plan of these speeds is braked.

        At full speed it is `follow_age_s`. A slower one takes less time to brake, is followed longer by so
        much, and is at zero by the same age. With v the speed and z that age it goes v (z - v / decel) +
        v^2 / 2 decel without sight: that grows with v, so it is never more than at full speed.
        """
        full_s = self.braking_s(self.linear_m_s, self.angular_rad_s)
        return self.follow_age_s + max(0.0, full_s - self.braking_s(linear_m_s, angular_rad_s))

    def share_at_age(self, age_s: float) -> float:
        """The share of full speed, in [0, 1], at which a plan is followed up to this age."""
        full_s = self.braking_s(self.linear_m_s, self.angular_rad_s)
        return min(1.0, max(0.0, 1 - (age_s - self.follow_age_s) / full_s))

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
        """One line of JSON; `from_json` reads it back."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "MotorLimits":
        """Limits from a JSON object; missing keys take their defaults. Raises UsageError."""
        try:
            parsed: object = json.loads(text)
        except json.JSONDecodeError as error:
            raise UsageError(f"motor limits are not JSON: {error}") from error
        if not isinstance(parsed, dict):
            raise UsageError(f"motor limits are not a JSON object: {text[:80]}")
        values = cast("dict[str, Any]", parsed)
        known = {field.name for field in fields(MotorLimits)}
        if unknown := sorted(set(values) - known):
            raise UsageError(f"unknown motor limit {unknown[0]}", f"known: {', '.join(sorted(known))}")
        return MotorLimits(**values)
