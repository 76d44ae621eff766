"""What a name, or the scheme of an address, stands for: built in, or added by an installed package.

Everything here is found by name and imported when it is opened. A new camera or driver is one file and one
row of CAMERAS or MOTORS; a package of its own adds one by an entry point of the same shape:

    [project.entry-points."vla_edge.cameras"]
    mycam = "my_package.mycam:open_address"
"""

import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from edge.address import without_password
from edge.errors import EdgeError, PluginError, UsageError, install_hint, reason_of

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

log = logging.getLogger(__name__)

MAX_NAME_CHARS = 40  # a message shows no more of a name from outside
MAX_ADDRESS_CHARS = 200
# The packages of vla-edge itself: what they raise unexpectedly is a bug here, however they are found.
OURS = frozenset(("edge", "export", "calibration", "benchmarks", "vla", "training", "sim"))


@dataclass(frozen=True)
class PluginGroup:
    """One kind of thing that is found by a name. `built_in` and the entry points map it to a function."""

    entry_points: str  # group of entry points, such as "vla_edge.cameras"
    noun: str  # for messages
    built_in: Mapping[str, str] = field(default_factory=dict[str, str])  # name -> "module:function"
    separator: str = ""  # what follows a name in an address; empty where names stand alone
    instead: str = ""  # what else a user may give, for hints
    members: tuple[str, ...] = ()  # what all that a package's function returns must have

    def names(self) -> list[str]:
        """Return all known names, sorted."""
        return sorted({*self.built_in, *(entry.name for entry in self._entries())})

    def names_of_packages(self) -> list[str]:
        """Return the names that packages other than vla-edge bring, sorted."""
        return sorted({entry.name for entry in self._entries() if not is_ours(entry.module)})

    def load(self, name: str) -> Callable[..., Any]:
        """Import the function behind a name.

        Raises UsageError for an unknown name, for a name that two packages offer, and if the import fails.
        """
        if name in self.built_in:
            return self._load_built_in(name)
        entry = self._entry(name)
        with _blaming_entry(entry, self.noun, UsageError):
            function = entry.load()
            if not callable(function):
                raise TypeError(f"{entry.value} is not a function")
            return function

    def open(self, name: str, *arguments: Any) -> Any:
        """Call the function behind a name. Raises what `load` and the function raise.

        What a package's function raises is an EdgeError of its own, or a PluginError that names the package.
        """
        function = self.load(name)
        with self.blaming(name):
            found = function(*arguments)
            if missing := [each for each in self.members if not hasattr(found, each)]:
                raise TypeError(f"it returned {type(found).__name__}, which lacks {', '.join(missing)}")
            return found

    @contextmanager
    def blaming(self, name: str) -> Generator[None]:
        """Turn what the package behind a name raises into a PluginError; what is ours stays as it is."""
        if name in self.built_in:
            yield
            return
        entry = self._entry(name)
        with nullcontext() if is_ours(entry.module) else _blaming_entry(entry, self.noun, PluginError):
            yield

    def open_address(self, address: str, *arguments: Any) -> Any:
        """Call the function behind an address's scheme with the address. Raises what `open` raises."""
        scheme, separator, _ = address.partition("://")
        shown = f"{self.noun} address {without_password(address)[:MAX_ADDRESS_CHARS]!r}"
        if not separator or not scheme:
            hint = _as_file(address) if "file" in self.names() else ""
            raise UsageError(f"{shown} is not of the form SCHEME://PLACE", hint or self.hint(scheme))
        if scheme not in self.names():
            raise UsageError(f"{shown}: nothing here opens {scheme[:MAX_NAME_CHARS]}://", self.hint(scheme))
        return self.open(scheme, address, *arguments)

    def hint(self, name: str) -> str:
        """Say which known name is near to this one, and which names there are."""
        from difflib import get_close_matches

        names = self.names()
        near = get_close_matches(name[:MAX_NAME_CHARS], names, n=1, cutoff=0.6)
        meant = f"did you mean {near[0]}{self.separator}? " if near else ""
        known = ", ".join(f"{each}{self.separator}" for each in names) or "none installed"
        return f"{meant}known: {known}{'; ' * bool(self.instead)}{self.instead}"

    def _load_built_in(self, name: str) -> Callable[..., Any]:
        module, _, function = self.built_in[name].partition(":")
        try:
            return getattr(import_module(module), function)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package in ("", "edge"):
                raise
            needs = f"needs the Python package {package!r}, which is not installed"
            raise UsageError(f"{self.noun} {name}{self.separator} {needs}", install_hint()) from error

    def _entries(self) -> list["EntryPoint"]:
        from importlib.metadata import entry_points  # takes longer than all other imports here

        return list(entry_points(group=self.entry_points))

    def _entry(self, name: str) -> "EntryPoint":
        found = {entry.value: entry for entry in self._entries() if entry.name == name}
        if not found:
            raise UsageError(f"unknown {self.noun} {name[:MAX_NAME_CHARS]!r}", self.hint(name))
        if len(found) > 1:
            packages = " and ".join(sorted(map(_package, found.values())))
            raise UsageError(
                f"{self.noun} {name!r} is offered by {packages}", "uninstall one of them: nothing chooses"
            )
        return next(iter(found.values()))


CAMERAS = PluginGroup(
    "vla_edge.cameras",  # called with (address, clock, name)
    "camera",
    {
        "csi": "edge.cameras.csi:open_address",
        "file": "edge.cameras.file:open_address",
        "gst": "edge.cameras.gst:open_address",
        "ros2": "edge.cameras.ros2.camera:open_address",
        "rtsp": "edge.cameras.rtsp:open_address",
        "shm": "edge.cameras.shm:open_address",
        "v4l2": "edge.cameras.v4l2:open_address",
    },
    "://",
    members=("name", "latest", "close"),
)
MOTORS = PluginGroup(
    "vla_edge.motors",  # called with (address)
    "motors",
    {
        "arduino": "edge.motor.drivers.arduino:open_address",
        "mavlink": "edge.motor.drivers.mavlink.driver:open_address",
        "null": "edge.motor.drivers.null:open_address",
        "ros2": "edge.motor.drivers.ros2:open_address",
        "waveshare": "edge.motor.drivers.waveshare:open_address",
    },
    "://",
    members=("max_rate_hz", "arm", "write", "stop", "read", "close"),
)
ROBOTS = PluginGroup(
    "vla_edge.robots",  # called with (RobotOptions)
    "robot",
    instead="or give --camera and --motors",
    members=(
        *("about", "camera_uris", "motors_uri", "recorded", "mounts", "base", "room", "pids"),
        *("check", "finish", "close"),
    ),
)
BUNDLES = PluginGroup(
    "vla_edge.bundles",  # called with (), return a folder
    "bundle",
    instead="or give auto, or the path of a bundle's folder",
)
PICTURES = PluginGroup(
    "vla_edge.pictures",  # called with (seed), yield (image, names in sight)
    "source of pictures",
    instead="or give --from FOLDER",
)
EPISODES = PluginGroup(
    "vla_edge.episodes",  # an `export.gate.drive.Episodes`
    "simulation",
)


def is_ours(module: str) -> bool:
    """Return True for a module of vla-edge itself."""
    return module.partition(".")[0] in OURS


class Blaming:
    """A context that turns whatever a call of `thing`, which a package brought, raises into a PluginError.

    An EdgeError stays as it is, and so does what a thing of ours raises. `what` names the thing for people,
    such as "camera 'front'". It may be entered any number of times.
    """

    def __init__(self, thing: object, what: str) -> None:
        self._thing, self._what = thing, what

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, EdgeError) or not isinstance(error, Exception | SystemExit):
            return
        if not is_ours(type(self._thing).__module__):
            why = f"{type(error).__name__}: {reason_of(error)}"
            raise plugin_error(self._thing, self._what, why) from error


def plugin_error(thing: object, what: str, why: str) -> PluginError:
    """Return the error for a thing of a package whose code fails, or breaks its contract."""
    kind = type(thing)
    package = kind.__module__.partition(".")[0]
    return PluginError(
        f"{what} ({kind.__module__}.{kind.__qualname__}) fails: {why}",
        f"mend or uninstall what brings {package!r}: the error is in its code, not in vla-edge "
        "(docs/plug-ins.md says what it must do)",
    )


@contextmanager
def ended(end: Callable[[], object], what: str) -> Generator[None]:
    """Call `end` on the way out, such as a package's `close`. The first error counts: a later one is logged.

    Raises what `end` raises if nothing was raised before. `what` names it in the log.
    """
    try:
        yield
    except BaseException:
        try:
            end()
        except Exception as error:  # noqa: BLE001 - logged, beside the error that is on its way
            log.warning("%s fails, too: %s", what, reason_of(error))
        raise
    end()


@contextmanager
def _blaming_entry(entry: "EntryPoint", noun: str, kind: type[EdgeError]) -> Generator[None]:
    """Turn whatever a package's code raises into an error of a kind that names the package."""
    try:
        yield
    except EdgeError:
        raise
    except (Exception, SystemExit) as error:
        summary = f"{type(error).__name__}: {reason_of(error)}"
        raise kind(
            f"{noun} {entry.name!r}: {_package(entry)} fails "
            f"(entry point {entry.name} = {entry.value} of {entry.group}): {summary}",
            f"mend or uninstall that package; `python -c 'import {entry.module}'` shows if it imports",
        ) from error


def load_function(target: str, what: str) -> Callable[..., Any]:
    """Import the function that "module:function" names. Raises UsageError, which begins with `what`."""
    module, _, name = target.partition(":")
    try:
        function = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"{what}: {target!r} can't be found: {reason_of(error)}") from error
    if not callable(function):
        raise UsageError(f"{what}: {target!r} is not a function")
    return function


def _as_file(address: str) -> str:
    """Return a hint for the bare path of a file or a folder that is there; empty for anything else."""
    path = Path(address.removeprefix("file:"))
    there = 0 < len(address) <= MAX_ADDRESS_CHARS and (path.is_file() or path.is_dir())
    return f"did you mean file://{path}?" if there else ""


def _package(entry: "EntryPoint") -> str:
    return f"the package {entry.dist.name!r}" if entry.dist is not None else "an installed package"
