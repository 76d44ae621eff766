"""The text of a new robot file: what was answered, with a comment at each line that a person must know."""

from dataclasses import dataclass, field

from edge.base_spec import DriveKind
from edge.records import CameraMount
from edge.runs.setup import mount_degrees

_COMMENTS = {
    "vertical_fov_deg": "what the image shows from top to bottom, degrees",
    "height_m": "of the lens above the floor",
    "pitch_deg": "how far it looks down; level is 0",
    "forward_m": "of the lens ahead of the middle of the base",
    "drive": "holonomic, differential or ackermann: docs/bases.md",
    "radius_m": "of the circle around the middle that holds every part of the robot",
    "linear_m_s": "highest speed; never above 0.5",
    "angular_rad_s": "highest turn rate; never above 1",
    "wheel_base_m": "between the axles",
}


@dataclass(frozen=True)
class NewRobot:
    """The answers that make a robot file."""

    name: str
    camera: str
    motors: str
    mount: CameraMount | None = None  # None: not measured
    drive: DriveKind = DriveKind.DIFFERENTIAL
    numbers: dict[str, float] = field(default_factory=dict[str, float])  # fields of BaseSpec
    measured: bool = True  # False: nobody was asked, and `numbers` are examples

    def to_yaml(self) -> str:
        """Return the text of the file."""
        lines = [
            "# Checked by `vla-edge robot check FILE`; what each line means: docs/robot-files.md.",
            f"name: {quoted(self.name)}",
            "cameras:",
            "  front:",
            f"    address: {quoted(self.camera)}",
            *self._mount_lines(),
            f"motors: {quoted(self.motors)}",
            *(["# Nobody has measured the base: these are examples."] if not self.measured else []),
            "base:",
            _line("  ", "drive", self.drive.value),
            *(_line("  ", key, f"{value:g}") for key, value in self.numbers.items()),
            "  # A base that ignores how large a speed is, or does nothing below one, states that too:",
            "  # fixed_speed_m_s, dead_band_m_s and others in docs/bases.md#pulses.",
            "# stop_time_s is written by `vla-edge robot check FILE --stop-test`.",
        ]
        return "\n".join(lines) + "\n"

    def _mount_lines(self) -> list[str]:
        if self.mount is None:
            keys = ("vertical_fov_deg", "height_m", "pitch_deg", "forward_m")
            head = "    # mount: # measure it, and take the # away: the robot does not drive without it"
            return [head, *(f"    #   {key}: # {_COMMENTS[key]}" for key in keys)]
        values = mount_degrees(self.mount).items()
        return ["    mount:", *(_line("      ", key, f"{value:g}") for key, value in values)]


def quoted(text: str) -> str:
    """Return a text as YAML that means it and nothing else."""
    escaped = "".join(_escaped(each) for each in text)
    return f'"{escaped}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def _line(indent: str, key: str, value: str) -> str:
    return f"{indent}{key}: {value} # {_COMMENTS[key]}"
