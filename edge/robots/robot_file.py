"""A robot file: a robot's cameras, motors, base and stop time, read from YAML and checked whole."""

import difflib
import json
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

import edge
from edge.base_spec import BaseSpec
from edge.errors import UsageError
from edge.motor.limits import MotorLimits
from edge.perception.apparent_size import ApparentSize
from edge.perception.lens import Lens
from edge.records import CameraMount
from edge.robots.sections import CameraSection, LensSection, MountSection, RobotSections, SizeSection
from edge.robots.yaml_tree import MAX_BYTES, Place, YamlTree, read_tree
from edge.runtime.cameras import DEFAULT_CAMERA

SUFFIXES = (".yaml", ".yml")
# What a real base must state, since a wrong guess drives it into something.
STATED = ("drive", "radius_m", "linear_m_s", "angular_rad_s")
# What `vla-edge calibrate motors` writes: also into a file whose robot brings its base.
MEASURED = (
    *("ahead_scale", "sideways_scale", "turn_scale"),
    *("ahead_offset_m_s", "sideways_offset_m_s", "turn_offset_rad_s"),
    *("delay_s", "min_speed_m_s", "min_turn_rad_s"),
)
# `edge.motor.limits` has the highest of speeds; these catch a number in the wrong unit.
SAME_FOV_DEG = 0.5  # so near must a mount's field of view be to the lens's
_RANGES_M = {"radius_m": (0.03, 2.0), "wheel_base_m": (0.03, 3.0)}
_BASE_FIELDS: dict[str, Any] = {field.name: field.default for field in fields(BaseSpec)}
_KINDS = {
    "string_type": "is not text: put it into quotes",
    "model_type": "is not a section of `key: value` lines",
    "dict_type": "is not a section of `key: value` lines",
    "string_too_long": "is too long",
}


@dataclass(frozen=True)
class RobotFile:
    """A checked robot file."""

    path: Path
    sections: RobotSections
    base: BaseSpec

    @property
    def camera_uris(self) -> dict[str, str]:
        """The addresses of the cameras by name; empty if a package opens the robot."""
        return {name: camera.address for name, camera in (self.sections.cameras or {}).items()}

    @property
    def sees_with(self) -> str:
        """The name of the camera that drives unless the bundle names another: the only one, or "front"."""
        names = list(self.camera_uris)
        return names[0] if len(names) == 1 else DEFAULT_CAMERA

    @property
    def mounts(self) -> dict[str, CameraMount]:
        """Where the cameras sit, by name, as far as somebody has measured it."""
        cameras, lenses = self.sections.cameras or {}, self.lenses
        mounts = {name: each.mount.mount() for name, each in cameras.items() if each.mount is not None}
        return {name: seen_through(lenses.get(name), mount) for name, mount in mounts.items()}

    @property
    def lenses(self) -> dict[str, Lens]:
        """The lenses that were measured, by camera."""
        return {name: each.lens() for name, each in self.sections.lenses.items()}

    @property
    def camera_delays_s(self) -> dict[str, float]:
        """The measured delays of cameras, from the exposure to the camera's own stamp, by camera."""
        return dict(self.sections.camera_delays_s)

    @property
    def sizes(self) -> dict[str, ApparentSize]:
        """How large things look, by target, where that was measured."""
        return {name: each.size() for name, each in self.sections.sizes.items()}

    @property
    def measured(self) -> dict[str, float]:
        """What was measured about a base that a package brings: fields of BaseSpec that replace its own."""
        return dict(self.sections.base or {}) if self.sections.opens else {}

    @property
    def mount(self) -> CameraMount | None:
        """Where the camera sits that drives; None if nobody has measured it."""
        return self.mounts.get(self.sees_with)


def seen_through(lens: Lens | None, mount: CameraMount) -> CameraMount:
    """Return the mount with the field of view that a known lens has."""
    return mount if lens is None else replace(mount, vertical_fov_rad=lens.vertical_fov_rad)


def read_robot_file(path: Path) -> RobotFile:
    """Read and check a robot file.

    Raises UsageError, with file, line, key, value and range, for anything in it that can't be meant so.
    """
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder", "give a file, such as robots/sim.yaml")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}", _how_to_get_one()) from error
    try:
        return parse_robot_file(content.decode(), path)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8", "save it as UTF-8 text") from error


def parse_robot_file(text: str, path: Path) -> RobotFile:
    """Return the robot file with this text. Raises UsageError as `read_robot_file` does."""
    tree = read_tree(text, str(path))
    try:
        sections = RobotSections.model_validate_json(json.dumps(tree.values))
    except ValidationError as error:
        # A key that is misspelt is also one that is missing: what stands there is named first.
        problems = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        raise _refusal(path, tree, problems[0]) from error
    _check_parts(path, tree, sections)
    return RobotFile(path, sections, _base(path, tree, sections))


def find_robot_file(name: str) -> Path | None:
    """Return the file that `--robot NAME` means: a path, or a name in one of the folders `robots`.

    Returns None if the name is neither. A path that is not there is returned as it is.
    """
    if "/" in name or name.endswith(SUFFIXES):
        return Path(name)
    found = (folder / f"{name}{suffix}" for folder in _folders() for suffix in SUFFIXES)
    return next((path for path in found if path.is_file()), None)


def robot_file_names() -> list[str]:
    """Return the names in the folders `robots`, sorted."""
    return sorted({path.stem for folder in _folders() for path in folder.glob("*.y*ml")})


def _folders() -> list[Path]:
    beside = Path(edge.__file__ or ".").parent.parent / "robots"
    return [Path("robots"), beside, Path(sys.prefix) / "share" / "vla-edge" / "robots"]


def _check_parts(path: Path, tree: YamlTree, sections: RobotSections) -> None:
    """Check which sections go together."""
    if sections.opens:
        own = [("base", key) for key in sections.base or {} if key not in MEASURED]
        place = next(((key,) for key in ("cameras", "motors") if getattr(sections, key) is not None), None)
        if place := place or next(iter(own), None):
            key = ".".join(place)
            raise UsageError(
                f"{path}, line {tree.line(place)}: {key} does not go with `opens`",
                f"{sections.opens.partition('?')[0]} brings its own: leave {key} out, or leave `opens` out",
            )
        return
    for key in ("cameras", "motors"):
        if getattr(sections, key) is None:
            raise UsageError(f"{path}: {key} is missing", _how_to_get_one())
    assert sections.cameras is not None
    if len(sections.cameras) > 1 and DEFAULT_CAMERA not in sections.cameras:
        raise UsageError(
            f"{path}, line {tree.line(('cameras',))}: none of several cameras is named {DEFAULT_CAMERA!r}",
            f"the model sees with the only camera, or with {DEFAULT_CAMERA!r}: name it so",
        )
    for name in sections.camera_delays_s.keys() - sections.cameras.keys():
        raise UsageError(
            f"{path}, line {tree.line(('camera_delays_s', name))}: there is no camera {name!r} for this "
            "delay",
            "name it as in `cameras`",
        )
    for name, section in sections.lenses.items():
        _check_lens(path, tree, sections.cameras.get(name), name, section)


def _check_lens(
    path: Path, tree: YamlTree, camera: CameraSection | None, name: str, section: LensSection
) -> None:
    """Check that a lens has a camera, and that the camera's mount states the same field of view."""
    if camera is None:
        raise UsageError(
            f"{path}, line {tree.line(('lenses', name))}: there is no camera {name!r} for this lens",
            "name it as in `cameras`",
        )
    fov_deg = math.degrees(section.lens().vertical_fov_rad)
    if camera.mount is not None and abs(camera.mount.vertical_fov_deg - fov_deg) > SAME_FOV_DEG:
        place = ("cameras", name, "mount", "vertical_fov_deg")
        raise UsageError(
            f"{path}, line {tree.line(place)}: {'.'.join(place)}: {camera.mount.vertical_fov_deg:g} is not "
            f"what the measured lens shows: {fov_deg:.2f}",
            f"write {fov_deg:.2f}, or take `lenses.{name}` out if the camera or its address has changed",
        )


def _base(path: Path, tree: YamlTree, sections: RobotSections) -> BaseSpec:
    """Return the base, its own checks and the safety ceilings included."""
    stated = sections.base or {}
    values: dict[str, Any] = {}
    for key, value in stated.items():
        where = f"{path}, line {tree.line(('base', key))}"
        if key not in _BASE_FIELDS:
            raise UsageError(f"{where}: unknown key base.{key[:40]}", _nearest(key, _BASE_FIELDS))
        try:
            values[key] = _base_value(key, value)
        except ValueError as error:
            raise UsageError(f"{where}: base.{key}: {error}", "docs/bases.md says what it is") from error
    moves = sections.motors is not None and is_real(sections.motors)
    if moves and (missing := [key for key in STATED if key not in stated]):
        raise UsageError(
            f"{path}, line {tree.line(('base',))}: base.{missing[0]} is missing",
            f"motors that move something need {', '.join(STATED)} of their base: docs/robot-files.md",
        )
    try:
        base = BaseSpec(**values)
        MotorLimits.of(base)
    except UsageError as error:
        key = next((key for key in stated if key in error.message), "")
        line = tree.line(("base", key) if key else ("base",))
        raise UsageError(f"{path}, line {line}: {error.message}", error.hint or "docs/bases.md") from error
    return base


def _base_value(key: str, value: object) -> object:
    """Return the value of a field of BaseSpec. Raises ValueError if it can't be one."""
    default = _BASE_FIELDS[key]
    if isinstance(default, Enum):
        kinds = {str(each.value): each for each in type(default)}
        if not isinstance(value, str) or value not in kinds:
            raise ValueError(f"{value!r:.60} is none of {', '.join(kinds)}")
        return kinds[value]
    low, high = _RANGES_M.get(key, (-math.inf, math.inf))
    if isinstance(value, int | float) and not low <= value <= high:
        raise ValueError(f"{value!r:.60} is not a number from {low:g} to {high:g} (metres)")
    return value


def is_real(motors_uri: str) -> bool:
    """Return True if motors at this address move something."""
    return motors_uri.partition("://")[0] != "null"


def _refusal(path: Path, tree: YamlTree, problem: ErrorDetails) -> UsageError:
    place: Place = problem["loc"]
    key = ".".join(str(part)[:40] for part in place) or "the file"
    where = f"{path}, line {tree.line(place)}"
    if problem["type"] == "extra_forbidden":
        return UsageError(f"{where}: unknown key {key}", _nearest(str(place[-1]), _known_keys(place[:-1])))
    if problem["type"] == "missing":
        return UsageError(f"{where}: {key} is missing", "docs/robot-files.md says how to measure it")
    value = "" if problem["type"] == "wrong" else f"{problem['input']!r:.60} "
    words = _KINDS.get(problem["type"], problem["msg"])
    return UsageError(f"{where}: {key}: {value}{words}", f"mend line {tree.line(place)} of {path}")


def _known_keys(place: Place) -> Iterable[str]:
    if not place:
        return RobotSections.model_fields
    if place[0] in ("lenses", "sizes"):
        return (LensSection if place[0] == "lenses" else SizeSection).model_fields
    return (
        MountSection.model_fields if place[-1] == "mount" and len(place) == 3 else CameraSection.model_fields
    )


def _nearest(key: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key[:40], list(known), n=1, cutoff=0.5)
    return f"{f'did you mean {near[0]}? ' if near else ''}known: {', '.join(known)}"


def _how_to_get_one() -> str:
    names = ", ".join(robot_file_names()) or "none here"
    return f"`vla-edge robot new FILE` writes one by asking; by name there are: {names}"
