"""The sections of a robot file, by key, with the range of each number."""

import math
import re
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import Self

from edge.address import without_password
from edge.errors import UsageError
from edge.perception.apparent_size import ApparentSize
from edge.perception.lens import TERMS, Lens
from edge.records import CameraMount
from edge.runtime.watched.delay import MOST_DELAY_S

NEVER = "never"
MOST_CAMERAS = 8
MOST_CHARS = 4096
MOST_THINGS = 100
MOST_NAME_CHARS = 80
MOST_STOP_TIME_S = 10.0
_CAMERA_NAME = re.compile(r"[^\W\d_]\w{0,31}")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S*")


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def _wrong(why: str) -> PydanticCustomError:
    return PydanticCustomError("wrong", "{why}", {"why": why})


def ranged(low: float, high: float, unit: str) -> BeforeValidator:
    """Return a check for a number in [low, high]."""

    def check(value: Any) -> float:
        # `type` and not isinstance: true is not a number.
        if type(value) not in (int, float) or not low <= value <= high or not math.isfinite(value):
            raise _wrong(f"{value!r:.60} is not a number from {low:g} to {high:g} ({unit})")
        return float(value)

    return BeforeValidator(check)


def _address(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MOST_CHARS or not _ADDRESS.fullmatch(value):
        raise _wrong(f"{without_password(repr(value))[:60]} is not an address, SCHEME://PLACE without blanks")
    return value


def _stop_time(value: Any) -> float | Literal["never"] | None:
    if value is None or value == NEVER:
        return value
    if type(value) not in (int, float) or not 0 <= value <= MOST_STOP_TIME_S:
        raise _wrong(f"{value!r:.60} is not a time from 0 to {MOST_STOP_TIME_S:g} (seconds), or {NEVER}")
    return float(value)


def _cameras(value: Any) -> Any:
    names = list(cast("dict[str, Any]", value)) if isinstance(value, dict) else []
    if not 1 <= len(names) <= MOST_CAMERAS:
        raise _wrong(f"it takes 1 to {MOST_CAMERAS} cameras by name, such as `front:`")
    for name in names:
        if not _CAMERA_NAME.fullmatch(name):
            raise _wrong(
                f"{name[:40]!r} is not a camera's name: a letter, then letters, digits and _, at most 32"
            )
    return cast(Any, value)


def _numbers(counts: tuple[int, ...], low: float, high: float, unit: str) -> BeforeValidator:
    """Return a check for a list of so many numbers in [low, high]."""

    def check(value: Any) -> tuple[float, ...]:
        many = " or ".join(map(str, counts))
        good = isinstance(value, list) and all(
            type(each) in (int, float) and math.isfinite(each) and low <= each <= high
            for each in cast("list[Any]", value)
        )
        if not good or len(cast("list[Any]", value)) not in counts:
            raise _wrong(f"{value!r:.60} is not [{many} numbers] from {low:g} to {high:g} ({unit})")
        return tuple(map(float, cast("list[Any]", value)))

    return BeforeValidator(check)


def _things(value: Any) -> Any:
    names = list(cast("dict[str, Any]", value)) if isinstance(value, dict) else []
    if not 1 <= len(names) <= MOST_THINGS or any(len(name) > MOST_NAME_CHARS for name in names):
        raise _wrong(f"it takes 1 to {MOST_THINGS} targets by name, such as `red cup:`")
    return cast(Any, value)


Address = Annotated[str, BeforeValidator(_address)]


class MountSection(_Section):
    """Where a camera sits and how wide it sees."""

    vertical_fov_deg: Annotated[float, ranged(10, 170, "degrees")]
    height_m: Annotated[float, ranged(0.02, 3, "metres above the floor")]
    pitch_deg: Annotated[float, ranged(-60, 80, "degrees, downwards positive")] = 0.0
    forward_m: Annotated[float, ranged(-2, 2, "metres ahead of the base's centre")]

    def mount(self) -> CameraMount:
        """Return it in radians."""
        return CameraMount(
            math.radians(self.vertical_fov_deg), self.height_m, math.radians(self.pitch_deg), self.forward_m
        )


class CameraSection(_Section):
    """One camera."""

    address: Address
    mount: MountSection | None = None  # None: not measured yet


class LensSection(_Section):
    """A camera's lens, as `vla-edge calibrate camera` writes it."""

    model: Literal["brown", "fisheye"]
    size_px: Annotated[tuple[float, ...], _numbers((2,), 16, 16384, "pixels")]
    focal_px: Annotated[tuple[float, ...], _numbers((2,), 4, 1e5, "pixels")]
    centre_px: Annotated[tuple[float, ...], _numbers((2,), 0, 16384, "pixels")]
    distortion: Annotated[tuple[float, ...], _numbers((4, 5), -100, 100, "terms")]
    error_px: Annotated[float, ranged(0, 100, "pixels")] = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.distortion) != TERMS[self.model]:
            raise _wrong(f"distortion has {len(self.distortion)} numbers, {self.model} {TERMS[self.model]}")
        try:
            _ = self.lens().straight_focal_px
        except UsageError as error:
            raise _wrong(error.message) from error
        return self

    def lens(self) -> Lens:
        """Return it as the runtime takes it."""
        (width, height), (fx, fy), (cx, cy) = self.size_px, self.focal_px, self.centre_px
        size_px = round(width), round(height)
        return Lens(self.model, size_px, (fx, fy), (cx, cy), self.distortion, self.error_px)


class SizeSection(_Section):
    """How large one thing looks by its distance, as `vla-edge calibrate stop-distance` writes it."""

    side: Literal["height", "width"]
    fills_at_m: Annotated[float, ranged(0.001, 50, "metres from the lens")]
    spread: Annotated[float, ranged(0, 1, "share of the distance")]
    nearest_m: Annotated[float, ranged(0.01, 50, "metres from the lens")]
    farthest_m: Annotated[float, ranged(0.01, 50, "metres from the lens")]
    bundle: str = Field(default="", max_length=80)

    def size(self) -> ApparentSize:
        """Return it as the runtime takes it."""
        return ApparentSize(**self.model_dump())


class RobotSections(_Section):
    """All that a robot file may say. `base` has the fields of `edge.base_spec.BaseSpec`."""

    name: str = Field(default="", max_length=80)  # for people
    opens: str = Field(default="", max_length=MOST_CHARS)  # a robot of a package, such as "sim?noise=8"
    cameras: Annotated[dict[str, CameraSection] | None, BeforeValidator(_cameras)] = None
    motors: Address | None = None
    base: dict[str, Any] | None = None
    lenses: Annotated[dict[str, LensSection], BeforeValidator(_cameras)] = {}  # by camera
    sizes: Annotated[dict[str, SizeSection], BeforeValidator(_things)] = {}  # by target
    # From the exposure to the camera's own stamp, by camera, as `vla-edge calibrate latency` writes it.
    camera_delays_s: Annotated[
        dict[str, Annotated[float, ranged(0, MOST_DELAY_S, "seconds")]], BeforeValidator(_cameras)
    ] = {}
    stop_time_s: Annotated[float | str | None, BeforeValidator(_stop_time)] = None  # NEVER: it did not stop
    notes: str = Field(default="", max_length=MOST_CHARS)


MOUNT_KEYS = {"fov": "vertical_fov_deg", "height": "height_m", "pitch": "pitch_deg", "forward": "forward_m"}


def parse_mount(text: str) -> CameraMount:
    """Return the mount in a text such as "fov=55,height=0.35,pitch=0,forward=0.1".

    Raises UsageError for a part that is missing, unknown or out of its range.
    """
    example = 'such as --mount "fov=55,height=0.35,pitch=0,forward=0.1": degrees and metres, pitch downwards'
    parts = [part.partition("=") for part in text.split(",")]
    names = [name.strip() for name, _, _ in parts]
    if sorted(names) != sorted(MOUNT_KEYS):
        raise UsageError(f"--mount {text[:80]!r} does not have {', '.join(MOUNT_KEYS)}, each once", example)
    values: dict[str, Any] = {}
    for name, (_, _, number) in zip(names, parts, strict=True):
        try:
            values[MOUNT_KEYS[name]] = float(number) if number.isascii() and "_" not in number else math.nan
        except ValueError:
            values[MOUNT_KEYS[name]] = number.strip()
    try:
        return MountSection.model_validate(values).mount()
    except ValidationError as error:
        problem = error.errors()[0]
        name = next(key for key, value in MOUNT_KEYS.items() if value == problem["loc"][0])
        raise UsageError(f"--mount {text[:80]!r}: {name}: {problem['msg']}", example) from error
