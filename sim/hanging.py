"""How the simulated camera hangs, and what its address makes of that: `upside_down=yes&flip=180`."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from edge.cameras.view import FLIPS, ImageView
from edge.errors import UsageError
from edge.records import Image

HANGING_SETTINGS = ("upside_down", "flip")
_YES_NO = ("no", "yes")


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


def parse_hanging(query: str) -> Hanging:
    """Return how a camera hangs by settings written as key=value&key=value; empty: upright."""
    try:
        settings = dict(parse_qsl(query, strict_parsing=True)) if query else {}
    except ValueError as error:
        hint = f"the keys are {', '.join(HANGING_SETTINGS)}"
        raise UsageError(f"camera: {query[:80]!r} is not key=value&key=value", hint) from error
    return hanging_of(settings)
