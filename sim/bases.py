"""The base that a simulated robot drives on, and how its camera hangs, by settings.

Such as `drive=differential&speed_m_s=0.25` and `upside_down=yes&flip=180`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from edge.base_spec import DEFAULT_BASE, BaseSpec, DriveKind
from edge.cameras.view import FLIPS, ImageView
from edge.errors import UsageError
from edge.records import Image, Velocity

_DRIVES = {kind.value: kind for kind in DriveKind}
_RANGES = {  # lowest and highest value of the settings with a number
    "speed_m_s": (0.1, 0.5),
    "turn_rad_s": (0.1, 1.0),
    "radius_m": (0.1, 0.3),
    "wheel_base_m": (0.05, 0.5),
    "steering_rad": (0.1, 1.2),
    "fixed_speed_m_s": (0.05, 0.5),
    "fixed_turn_rad_s": (0.1, 1.0),
    "dead_band_m_s": (0.01, 0.3),
    "dead_band_rad_s": (0.01, 0.6),
    "min_speed_m_s": (0.01, 0.3),
    "min_turn_rad_s": (0.01, 0.6),
    "pulse_on_s": (0.02, 0.5),
    "pulse_off_s": (0.02, 0.5),
}
_FIELDS = {"speed_m_s": "linear_m_s", "turn_rad_s": "angular_rad_s"}  # the others are named as in BaseSpec
_SWITCHES = {"turns_while_driving": {"true": True, "false": False}}
_RESPONSES = {  # what the wheels make of a setpoint, and the base does not state: to be measured
    "scale": (-2.0, 2.0),
    "dead_band": (0.0, 0.3),
    "turn_scale": (-2.0, 2.0),
    "turn_dead_band": (0.0, 0.6),
    "delay_ms": (0.0, 500.0),
}
BASE_SETTINGS = ("drive", *_RANGES, *_SWITCHES)
RESPONSE_SETTINGS = tuple(_RESPONSES)
HANGING_SETTINGS = ("upside_down", "flip")
_YES_NO = ("no", "yes")


def base_of(settings: Mapping[str, str]) -> BaseSpec:
    """Return the default base with the settings in place of its own values.

    Raises UsageError for a setting that a base does not have, a value out of its range, and a base that can't
    be, such as one with steered wheels and no distance between its axles.
    """
    drive = settings.get("drive", DEFAULT_BASE.drive.value)
    if drive not in _DRIVES:
        raise UsageError(f"the simulated robot has no drive {drive[:40]!r}", f"known: {', '.join(_DRIVES)}")
    switches = {name: _switch(name, settings[name]) for name in _SWITCHES if name in settings}
    others = {name: text for name, text in settings.items() if name not in ("drive", *_SWITCHES)}
    values = {_field(name): _number(name, text) for name, text in others.items()}
    return BaseSpec(**values, drive=_DRIVES[drive], **switches)


@dataclass(frozen=True, slots=True)
class WheelResponse:
    """What the wheels make of a setpoint u, and nobody has stated: scale * (|u| - dead band), later."""

    scale: float = 1.0  # ahead and sideways
    dead_band: float = 0.0  # m/s
    turn_scale: float = 1.0
    turn_dead_band: float = 0.0  # rad/s
    delay_ms: float = 0.0

    def given(self, setpoint: Velocity) -> Velocity:
        """Return the velocity that the wheels' controller takes a setpoint for."""
        return Velocity(
            _given(setpoint.linear_x_m_s, self.scale, self.dead_band),
            _given(setpoint.linear_y_m_s, self.scale, self.dead_band),
            _given(setpoint.angular_z_rad_s, self.turn_scale, self.turn_dead_band),
        )


def _given(command: float, scale: float, dead_band: float) -> float:
    return math.copysign(scale, scale * command) * max(0.0, abs(command) - dead_band)


def response_of(settings: Mapping[str, str]) -> WheelResponse:
    """Return the response of these settings; `turn_scale` is `scale` unless it is one of them.

    Raises UsageError for a setting that wheels don't have, and a value that is out of its range.
    """
    if strange := sorted(settings.keys() - _RESPONSES.keys()):
        known = ", ".join(RESPONSE_SETTINGS)
        raise UsageError(f"the simulated wheels have no setting {strange[0][:40]!r}", f"they have {known}")
    values = {
        name: number_of(f"the simulated robot's {name}", text, *_RESPONSES[name], f"such as {name}=0.1")
        for name, text in settings.items()
    }
    return WheelResponse(**({"turn_scale": values.get("scale", 1.0)} | values))


def wheels_of(base: BaseSpec, setpoint: Velocity) -> Velocity:
    """Return the velocity that the wheels' controller makes of a setpoint: at once, and as fast as it can."""
    s = base.possible(setpoint)
    linear_m_s, angular_rad_s = math.hypot(s.linear_x_m_s, s.linear_y_m_s), abs(s.angular_z_rad_s)
    real_m_s = _real(linear_m_s, base.fixed_speed_m_s, base.dead_band_m_s, base.min_speed_m_s)
    real_rad_s = _real(angular_rad_s, base.fixed_turn_rad_s, base.dead_band_rad_s, base.min_turn_rad_s)
    if real_m_s and not base.turns_while_driving:
        real_rad_s = 0.0
    way, turn = real_m_s / (linear_m_s or 1.0), real_rad_s / (angular_rad_s or 1.0)
    return Velocity(s.linear_x_m_s * way, s.linear_y_m_s * way, s.angular_z_rad_s * turn)


def _real(speed: float, fixed: float, dead_band: float, lowest: float) -> float:
    """Return the speed of wheels that are told `speed`, from 0 on."""
    if speed == 0 or speed < dead_band:
        return 0.0
    return fixed or max(speed, lowest)


def parse_base(query: str) -> BaseSpec:
    """Return the base of settings that are written as key=value&key=value; empty: the default one."""
    return base_of(_parsed(query, "base", BASE_SETTINGS))


def parse_response(query: str) -> WheelResponse:
    """Return the response of settings that are written as key=value&key=value; empty: as the base states."""
    return response_of(_parsed(query, "response", RESPONSE_SETTINGS))


def _parsed(query: str, what: str, known: Sequence[str]) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, strict_parsing=True)) if query else {}
    except ValueError as error:
        raise UsageError(
            f"{what}: {query[:80]!r} is not key=value&key=value", f"the keys are {', '.join(known)}"
        ) from error


def _field(name: str) -> str:
    if name not in _RANGES:
        raise UsageError(
            f"the simulated base has no setting {name[:40]!r}", f"it has {', '.join(BASE_SETTINGS)}"
        )
    return _FIELDS.get(name, name)


def _switch(name: str, text: str) -> bool:
    known = _SWITCHES[name]
    if text not in known:
        raise UsageError(
            f"the simulated robot's {name} {text[:40]!r} is not true or false", f"known: {', '.join(known)}"
        )
    return known[text]


def _number(name: str, text: str) -> float:
    low, high = _RANGES[name]
    return number_of(
        f"the simulated robot's {name}", text, low, high, f'such as --robot "sim?{name}={high:g}"'
    )


def yes_no(name: str, text: str) -> str:
    """Return a setting that is yes or no. Raises UsageError for anything else."""
    if text not in _YES_NO:
        raise UsageError(f"the simulated robot's {name} {text[:40]!r} is neither yes nor no", f"{name}=no")
    return text


def number_of(what: str, text: str, low: float, high: float, hint: str) -> float:
    """Return the number that a setting states. Raises UsageError if it is none from `low` to `high`."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise UsageError(f"{what} {text[:40]!r} is not a number from {low:g} to {high:g}", hint)
    return value


@dataclass(frozen=True, slots=True)
class Hanging:
    """How the camera hangs on the base, and the option of its address that may put its picture right."""

    upside_down: bool = False
    flip: str = "none"  # one of FLIPS

    def seen(self, image: Image) -> Image:
        """Return what is delivered of what an upright camera would see: (H, W, 3)."""
        return ImageView(flip=self.flip).apply(self.turned(image))

    def turned(self, image: Image) -> Image:
        """Return what the sensor sees of what an upright one would: (H, W, 3)."""
        return ImageView(flip="180").apply(image) if self.upside_down else image


def hanging_of(settings: Mapping[str, str]) -> Hanging:
    """Return how a camera with these settings hangs. Raises UsageError for another setting or value."""
    for name, text in settings.items():
        choices = {"upside_down": _YES_NO, "flip": FLIPS}.get(name)
        if choices is None:
            known = ", ".join(HANGING_SETTINGS)
            raise UsageError(f"the simulated camera has no setting {name[:40]!r}", f"it has {known}")
        if text not in choices:
            raise UsageError(
                f"the simulated camera's {name} {text[:40]!r} is none of {', '.join(choices)}",
                "such as upside_down=yes&flip=180",
            )
    return Hanging(settings.get("upside_down") == "yes", settings.get("flip", FLIPS[0]))
