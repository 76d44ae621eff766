"""A trial sheet: which bundles drive where, towards what, how often; read from YAML and checked whole."""

import difflib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from edge.errors import UsageError
from edge.goals.goals import parse_goal
from edge.robots.yaml_tree import MAX_BYTES, YamlTree, read_tree

MOST_TRIALS = 10_000
EXAMPLE = "docs/field.md has a sheet to begin with"
_Word = Annotated[str, Field(min_length=1, max_length=200)]
_Count = Annotated[int, Field(ge=1, le=1000)]
_Seed = Annotated[int, Field(ge=0, le=10**9)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class SettingSection(_Part):
    """Where trials take place: a room, a light, things of a colour."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    seen: bool  # the bundles were trained on such scenes
    scene: str = ""  # what the operator sets up, for people
    targets: Annotated[list[_Word], Field(min_length=1, max_length=100)] | None = None
    trials: _Count | None = None
    room: _Seed | None = None  # seed of the first simulated room
    robot: _Word | None = None
    runs: Annotated[list[_Word], Field(min_length=1)] | None = Field(None, alias="from")


class TrialSheet(_Part):
    """The whole sheet."""

    name: _Word
    bundles: Annotated[list[_Word], Field(min_length=1, max_length=20)]
    settings: Annotated[list[SettingSection], Field(min_length=1, max_length=100)]
    trials: _Count = 1  # how often each bundle drives to each target in a setting
    goal: _Word = "find_object"
    targets: Annotated[list[_Word], Field(min_length=1, max_length=100)] | None = None
    robot: _Word = "sim"
    order: Literal["interleaved", "random"] = "interleaved"
    seed: _Seed = 1  # shuffles the order
    max_seconds: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 60.0
    options: list[_Word] = Field(default_factory=list[str])  # more words for `vla-edge run`

    @property
    def simulated(self) -> bool:
        """True if every trial drives the simulated robot, which needs nobody to set a scene or to judge."""
        return all(self.robot_in(each).partition("?")[0] == "sim" for each in self.settings)

    @property
    def recorded(self) -> bool:
        """True if the trials are runs that were made before."""
        return any(each.runs for each in self.settings)

    def robot_in(self, setting: SettingSection) -> str:
        """Return the robot that drives in a setting."""
        return setting.robot or self.robot

    def targets_in(self, setting: SettingSection) -> list[str]:
        """Return what the goal is about in a setting; one empty target for goals without one."""
        return setting.targets or self.targets or [""]

    def trials_in(self, setting: SettingSection) -> int:
        """Return how often each bundle drives to each target in a setting."""
        return setting.trials or self.trials


def read_sheet(path: Path) -> TrialSheet:
    """Read and check a trial sheet.

    Raises UsageError, with file, line and key, for anything in it that can't be meant so.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1).decode()
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}", EXAMPLE) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8", "save it as UTF-8 text") from error
    if not text.strip():
        raise UsageError(f"{path} is empty", EXAMPLE)
    return parse_sheet(text, str(path))


def parse_sheet(text: str, where: str) -> TrialSheet:
    """Return the sheet with this text; `where` begins messages. Raises UsageError as `read_sheet` does."""
    tree = read_tree(text, where)
    try:
        sheet = TrialSheet.model_validate_json(json.dumps(tree.values))
    except ValidationError as error:
        # A key that is misspelt is also one that is missing: what stands there is named first.
        problems = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        raise _refusal(where, tree, problems[0]) from error
    _check(sheet, tree, where)
    return sheet


def _check(sheet: TrialSheet, tree: YamlTree, where: str) -> None:
    """Check what goes together. Raises UsageError."""
    lists = {("bundles",): sheet.bundles, ("settings",): [each.name for each in sheet.settings]}
    lists |= {("settings", i, "targets"): each.targets or [] for i, each in enumerate(sheet.settings)}
    for place, names in {**lists, ("targets",): sheet.targets or []}.items():
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise UsageError(f"{where}, line {tree.line(place)}: {twice!r} stands there twice", "keep one")
    for number, setting in enumerate(sheet.settings):
        line = tree.line(("settings", number))
        for target in sheet.targets_in(setting):
            try:
                parse_goal(sheet.goal, target or None)
            except UsageError as error:
                raise UsageError(f"{where}, line {line}: {error.message}", error.hint) from error
        if sheet.recorded and not setting.runs:
            raise UsageError(
                f"{where}, line {line}: setting {setting.name!r} has no `from`, and others have",
                "a sheet either drives or reads runs that were recorded: give each setting its folders",
            )
    count = len(sheet.bundles) * sum(sheet.trials_in(s) * len(sheet.targets_in(s)) for s in sheet.settings)
    if count > MOST_TRIALS:
        raise UsageError(f"{where}: these are {count} trials (limit {MOST_TRIALS})", "make several sheets")


def _refusal(where: str, tree: YamlTree, problem: ErrorDetails) -> UsageError:
    place: tuple[str | int, ...] = problem["loc"]
    key = ".".join(str(part)[:40] for part in place) or "the file"
    at = f"{where}, line {tree.line(place)}"
    if problem["type"] == "extra_forbidden":
        known = _keys(SettingSection if place[0] == "settings" else TrialSheet)
        near = difflib.get_close_matches(str(place[-1])[:40], known, n=1, cutoff=0.5)
        hint = f"{f'did you mean {near[0]}? ' if near else ''}known: {', '.join(known)}"
        return UsageError(f"{at}: unknown key {key}", hint)
    if problem["type"] == "missing":
        return UsageError(f"{at}: {key} is missing", EXAMPLE)
    return UsageError(f"{at}: {key}: {problem['input']!r:.60}: {problem['msg']}", f"mend it; {EXAMPLE}")


def _keys(section: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in section.model_fields.items()]
