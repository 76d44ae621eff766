"""Which robot a run drives: a robot file, a robot of a package, or addresses; checked before it starts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from edge.base_spec import DEFAULT_BASE, BaseSpec
from edge.errors import UsageError
from edge.motor.limits import CEILINGS, MotorLimits
from edge.perception.apparent_size import ApparentSize
from edge.perception.lens import Lens
from edge.plugins import ROBOTS
from edge.records import CameraMount
from edge.robots.robot_file import (
    RobotFile,
    find_robot_file,
    is_real,
    read_robot_file,
    robot_file_names,
    seen_through,
)
from edge.robots.sections import NEVER
from edge.runs.setup import Setup
from edge.runtime.robot import PLAIN_MOUNT, PlainRobot, Robot, RobotOptions, find_robot
from edge.runtime.watched.delay import caution

MAX_STOP_TIME_S = 0.5  # a base that needs longer to stop by itself drives only on consent
LATE_S = 0.05  # wheels need as much: a base that answers later than this is said to
_FASTEST = BaseSpec(linear_m_s=CEILINGS["linear_m_s"])
_MEASURE = "`vla-edge robot check FILE --stop-test` measures it"


@dataclass(frozen=True)
class RobotChoice:
    """A robot that can be opened."""

    open: Callable[[RobotOptions], Robot]
    settings: Mapping[str, str]  # key=value behind the name of a package's robot
    mount_from: str
    base_from: str
    cautions: tuple[str, ...] = ()
    max_speed_m_s: float | None = None
    lenses: Mapping[str, Lens] = field(default_factory=dict[str, Lens])  # those measured, by camera
    sizes: Mapping[str, ApparentSize] = field(default_factory=dict[str, ApparentSize])  # by target
    measured: Mapping[str, float] = field(default_factory=dict[str, float])  # fields of its base
    delays_s: Mapping[str, float] = field(default_factory=dict[str, float])  # those measured, by camera

    def size_for(self, target: str, bundle: str) -> tuple[ApparentSize | None, tuple[str, ...]]:
        """Return how large a target looks to a bundle, if that was measured, and what to say about it."""
        size = self.sizes.get(target)
        if size is None or size.bundle == bundle:
            return size, ()
        return None, (
            f"the size of {target!r} was measured by the boxes of bundle {size.bundle!r}, not of {bundle!r}: "
            "its distance is judged by its foot alone (`vla-edge calibrate stop-distance`)",
        )

    def setup(self, robot: Robot, sees_with: str) -> Setup:
        """Return what the run takes for true about the opened robot, whose model sees with that camera.

        Raises UsageError if its motors move something and nobody has said where that camera sits, and if
        `max_speed_m_s` is not a speed that the base can be lowered to.
        """
        for what, measured in (("lens", self.lenses), ("delay", self.delays_s)):
            if strange := [name for name in measured if name not in robot.camera_uris]:
                raise UsageError(
                    f"{self.mount_from}: there is no camera {strange[0]!r} for its {what}",
                    f"the robot has {', '.join(robot.camera_uris)}",
                )
        mount, mount_from = robot.mounts.get(sees_with), self.mount_from
        if mount is None:
            if is_real(robot.motors_uri):
                raise _not_measured(self.mount_from, sees_with)
            mount, mount_from = PLAIN_MOUNT, "a guess"
        if sees_with in self.lenses:
            mount = seen_through(self.lenses[sees_with], mount)
            mount_from = f"{mount_from}, its lens measured"
        base, source = replace(robot.base, **self.measured), self.base_from
        if self.max_speed_m_s is not None:
            base, source = lowered(base, self.max_speed_m_s), f"{source}, lowered by --max-speed"
        if delay_s := self.delays_s.get(sees_with, 0.0):
            mount_from = f"{mount_from}, its delay of {delay_s * 1e3:.0f} ms measured"
        late = caution(sees_with, delay_s, MotorLimits.of(base))
        cautions = (*self.cautions, *([late] if late else []), *_late_caution(base))
        return Setup(mount, mount_from, base, source, cautions)


def _late_caution(base: BaseSpec) -> tuple[str, ...]:
    """Return what to say about a base that answers late."""
    if base.delay_s < LATE_S:
        return ()
    way_m = base.linear_m_s * base.delay_s
    return (
        f"this base answers {1e3 * base.delay_s:.0f} ms late, as it was measured: from full speed it stands "
        f"{way_m:.2f} m later than it is told",
    )


def choose_addresses(
    cameras: Mapping[str, str], motors: str, mount: CameraMount | None, max_speed_m_s: float | None
) -> RobotChoice:
    """Return the robot of --camera and --motors.

    Raises UsageError if its motors move something and nobody has said where the camera sits.
    """
    if is_real(motors) and mount is None:
        raise UsageError(
            f"motors {motors[:80]} move something, and where the camera sits is not known",
            'measure it: --mount "fov=55,height=0.35,pitch=0,forward=0.1" (degrees, metres), or better a '
            "robot file: `vla-edge robot new my-robot.yaml`, then --robot my-robot.yaml",
        )
    robot = PlainRobot(cameras, motors, {} if mount is None else dict.fromkeys(cameras, mount))
    cautions: tuple[str, ...] = ()
    if is_real(motors):
        lowered(DEFAULT_BASE, max_speed_m_s or DEFAULT_BASE.linear_m_s)
        cautions = (
            f"the base is taken for {DEFAULT_BASE.drive.value}, {DEFAULT_BASE.radius_m:g} m in radius: "
            "a robot file says what it is",
            f"how fast it stops by itself when this computer falls silent is not known: {_MEASURE}",
        )
    return RobotChoice(lambda _: robot, {}, "--mount", "the default base", cautions, max_speed_m_s)


def choose_robot(name: str, accept_stop_time: bool, max_speed_m_s: float | None) -> RobotChoice:
    """Return the robot of --robot: a robot file by its path or name, or the robot of a package.

    Raises UsageError for an unknown name, a file that is not right, and a base that stops by itself too late.
    """
    path = None if name.partition("?")[0] in ROBOTS.names() else find_robot_file(name)
    if path is None:
        return _of_package(name, max_speed_m_s, ())
    file = read_robot_file(path)
    if file.sections.opens:
        choice = _of_package(file.sections.opens, max_speed_m_s, _stop_cautions(file, accept_stop_time))
        return replace(
            choice,
            mount_from=f"{choice.mount_from}, {path}",
            base_from=f"{choice.base_from}, {path}",
            lenses=file.lenses,
            sizes=file.sizes,
            measured=file.measured,
            delays_s=file.camera_delays_s,
        )
    robot = open_file(file)
    lowered(file.base, max_speed_m_s or file.base.linear_m_s)
    moves = is_real(robot.motors_uri)
    cautions = _stop_cautions(file, accept_stop_time) if moves else ()
    source = str(path)
    return RobotChoice(
        lambda _: robot,
        {},
        source,
        source,
        cautions,
        max_speed_m_s,
        lenses=file.lenses,
        sizes=file.sizes,
        delays_s=file.camera_delays_s,
    )


def open_file(file: RobotFile, *, measured: bool = True) -> PlainRobot:
    """Return the robot of a file that states its own cameras and motors.

    Raises UsageError if its motors move something and no camera has a mount; not with `measured` False.
    """
    sections = file.sections
    assert sections.motors is not None  # `parse_robot_file` checked it
    if measured and not file.mounts and is_real(sections.motors):
        raise _not_measured(str(file.path), file.sees_with)
    about = f"robot {sections.name or file.path.stem}"
    return PlainRobot(file.camera_uris, sections.motors, file.mounts, file.base, about=about)


def _not_measured(source: str, camera: str) -> UsageError:
    return UsageError(
        f"{source}: cameras.{camera}.mount is missing: where the camera sits is not measured",
        "docs/robot-files.md says how; `vla-edge robot check` then draws what follows from it",
    )


def lowered(base: BaseSpec, max_speed_m_s: float) -> BaseSpec:
    """Return the base with a lower highest speed.

    Raises UsageError for a higher one, and for one below the speed of its pulses: it would still go at that.
    """
    if max_speed_m_s < base.lowest_m_s:
        kind = "one speed that the base has" if base.fixed_speed_m_s else "lowest speed of the base"
        raise UsageError(
            f"--max-speed {max_speed_m_s:g} is below the {kind}, {base.lowest_m_s:g} m/s: it can't go slower",
            "leave --max-speed out, with room around it; a lower `linear_m_s` in its robot file lowers only "
            "the average, by pauses (docs/bases.md#pulses)",
        )
    if max_speed_m_s > base.linear_m_s:
        raise UsageError(
            f"--max-speed {max_speed_m_s:g} is above the {base.linear_m_s:g} m/s that the base states",
            "it lowers the limit, never raises it; the base's own is in its robot file (docs/safety.md)",
        )
    return replace(base, linear_m_s=max_speed_m_s)


def _of_package(name: str, max_speed_m_s: float | None, cautions: tuple[str, ...]) -> RobotChoice:
    try:
        open_robot, settings = find_robot(name)
    except UsageError as error:
        files = ", ".join(robot_file_names())
        hint = (
            f"{error.hint}; or a robot file: {files or 'FILE.yaml'}"
            if "unknown robot" in error.message
            else ""
        )
        raise UsageError(error.message, hint or error.hint) from error
    if max_speed_m_s is not None:
        lowered(_FASTEST, max_speed_m_s)
    source = f"of the robot {name.partition('?')[0]}"
    return RobotChoice(open_robot, settings, source, source, cautions, max_speed_m_s)


def _stop_cautions(file: RobotFile, accepted: bool) -> tuple[str, ...]:
    """Return what to say about the base's own stop. Raises UsageError if it is too late and not accepted."""
    stop_time_s, command = file.sections.stop_time_s, f"`vla-edge robot check {file.path} --stop-test`"
    if stop_time_s is None:
        return (
            "how fast this base stops by itself when this computer falls silent was never measured: "
            f"{command} does",
        )
    if isinstance(stop_time_s, float) and stop_time_s <= MAX_STOP_TIME_S:
        return ()
    how = "never stops" if stop_time_s == NEVER else f"stops only after {stop_time_s:g} s"
    what = (
        f"{file.path}: the base {how} by itself when this computer falls silent (limit {MAX_STOP_TIME_S:g} s)"
    )
    if not accepted:
        raise UsageError(
            what,
            f"give the base's firmware a command timeout and measure again: {command}; "
            "to drive all the same, with a hand at the switch: --accept-stop-time",
        )
    return (f"{what}: keep a hand at its switch",)
