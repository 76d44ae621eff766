"""Cameras and serial ports that are plugged in, by the addresses that stay when cables are moved."""

from dataclasses import dataclass
from pathlib import Path

# What the name of a port in /dev/serial/by-id tells about the base behind it; others may be anything.
_BASES = (
    ("ardupilot", "mavlink", ""),
    ("pixhawk", "mavlink", ""),
    ("cubepilot", "mavlink", ""),
    ("px4", "mavlink", ""),
    ("holybro", "mavlink", ""),
    ("arduino", "arduino", "?baud=57600"),
)


@dataclass(frozen=True, slots=True)
class Plugged:
    """One camera or port."""

    address: str  # an unknown port's is its path
    about: str


def find_cameras(root: Path = Path("/")) -> list[Plugged]:
    """Return CSI sensors, as the kernel's driver of Tegra names them, then USB cameras by id."""
    names = sorted(root.glob("sys/class/video4linux/video*/name"))
    texts = [path.read_text(errors="replace").strip() for path in names]
    sensors = [text for text in texts if text.startswith("vi-output")]
    csi = [Plugged(f"csi://{index}", text.partition(", ")[2]) for index, text in enumerate(sensors)]
    # A camera offers its pictures at index0; the others are metadata.
    usb = sorted(root.glob("dev/v4l/by-id/*-video-index0"))
    return [*csi, *(Plugged(f"v4l2:///dev/v4l/by-id/{path.name}", path.name) for path in usb)]


def find_ports(root: Path = Path("/")) -> list[Plugged]:
    """Return serial ports by id."""
    return [_port(path.name) for path in sorted(root.glob("dev/serial/by-id/*"))]


def _port(name: str) -> Plugged:
    path = f"/dev/serial/by-id/{name}"
    for word, scheme, options in _BASES:
        if word in name.lower():
            return Plugged(f"{scheme}://{path}{options}", name)
    return Plugged(path, name)
