"""V4L2 devices as the kernel lists them, and the formats that they offer."""

import re
from dataclasses import dataclass
from pathlib import Path

from edge.board.tree import Tree
from edge.board.video_modes import read_formats


@dataclass(frozen=True, slots=True)
class VideoDevice:
    """One video device."""

    name: str  # "/dev/video0"
    card: str  # its maker's name for it
    stable: str  # its name in /dev/v4l/by-id or by-path; may be empty
    bus: str  # the USB bus that it shares, "usb1 at 480 Mbit/s"; empty for others
    formats: tuple[str, ...] | None  # "MJPG", "YUYV"; None if it can't be asked


def video_devices(tree: Tree) -> list[VideoDevice]:
    """List the devices that take pictures; the metadata nodes beside them are left out."""
    stable: dict[str, str] = {}
    for link in [*tree.names("/dev/v4l/by-path/*"), *tree.names("/dev/v4l/by-id/*")]:
        stable[tree.link(link)] = link
    found: list[VideoDevice] = []
    for folder in tree.names("/sys/class/video4linux/video*"):
        short = folder.rpartition("/")[2]
        if (tree.number(f"{folder}/index") or 0) > 0:
            continue  # a second node of the same camera holds its metadata
        formats = read_formats(Path(f"/dev/{short}")) if tree.live else None
        if formats == ():
            continue  # an encoder or another device without pictures
        card = tree.text(f"{folder}/name") or "no name"
        found.append(
            VideoDevice(f"/dev/{short}", card, stable.get(short, ""), _usb_bus(tree, folder), formats)
        )
    return found


def _usb_bus(tree: Tree, folder: str) -> str:
    """Return the USB bus of a device by where its link leads."""
    path = tree.path(f"{folder}/device").resolve()
    bus = next((part for part in path.parts if re.fullmatch(r"usb\d+", part)), "")
    if not bus:
        return ""
    speeds = (parent / "speed" for parent in (path, *path.parents))
    speed = next((each.read_text().strip() for each in speeds if each.is_file()), "?")
    return f"{bus} at {speed} Mbit/s"
