"""The base that a simulated robot drives on, by settings such as `drive=differential&speed_m_s=0.25`."""

import math
from collections.abc import Mapping
from urllib.parse import parse_qsl

from edge.base_spec import DEFAULT_BASE, BaseSpec, DriveKind
from edge.errors import UsageError

_DRIVES = {kind.value: kind for kind in DriveKind}
_FIELDS = {  # settings with a number: the field of BaseSpec, its lowest and highest value
    "speed_m_s": ("linear_m_s", 0.1, 0.5),
    "turn_rad_s": ("angular_rad_s", 0.1, 1.0),
    "radius_m": ("radius_m", 0.1, 0.3),
    "wheel_base_m": ("wheel_base_m", 0.05, 0.5),
    "steering_rad": ("steering_rad", 0.1, 1.2),
}
BASE_SETTINGS = ("drive", *_FIELDS)


def base_of(settings: Mapping[str, str]) -> BaseSpec:
    """Return the default base with the settings in place of its own values.

    Raises UsageError for a setting that a base does not have, a value out of its range, and a base that can't
    be, such as one with steered wheels and no distance between its axles.
    """
    drive = settings.get("drive", DEFAULT_BASE.drive.value)
    if drive not in _DRIVES:
        raise UsageError(f"the simulated robot has no drive {drive[:40]!r}", f"known: {', '.join(_DRIVES)}")
    values = {_field(name): _number(name, text) for name, text in settings.items() if name != "drive"}
    return BaseSpec(**values, drive=_DRIVES[drive])


def parse_base(query: str) -> BaseSpec:
    """Return the base of settings that are written as key=value&key=value; empty: the default one."""
    try:
        settings = dict(parse_qsl(query, strict_parsing=True)) if query else {}
    except ValueError as error:
        raise UsageError(
            f"base: {query[:80]!r} is not key=value&key=value", f"the keys are {', '.join(BASE_SETTINGS)}"
        ) from error
    return base_of(settings)


def _field(name: str) -> str:
    if name not in _FIELDS:
        raise UsageError(
            f"the simulated base has no setting {name[:40]!r}", f"it has {', '.join(BASE_SETTINGS)}"
        )
    return _FIELDS[name][0]


def _number(name: str, text: str) -> float:
    _, low, high = _FIELDS[name]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise UsageError(
            f"the simulated robot's {name} {text[:40]!r} is not a number from {low:g} to {high:g}",
            f'such as --robot "sim?{name}={high:g}"',
        )
    return value
