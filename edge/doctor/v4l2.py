"""V4L2 devices as the kernel lists them, and the formats that they offer."""

import fcntl
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from edge.board.tree import Tree

_VIDIOC_QUERYCAP = 0x80685600
_VIDIOC_ENUM_FMT = 0xC0405602
_CAPABILITY = "16s32s32sIII12x"  # driver, card, bus, version, capabilities, those of this node
_DESCRIPTION = "III32sII12x"  # index, type, flags, description, pixel format, bus code
_CAPTURE = 0x1
_CAPTURE_BUFFERS = 1
_MAX_FORMATS = 32


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


def read_formats(device: Path) -> tuple[str, ...] | None:
    """Return the pixel formats of a device, none if it takes no pictures; None if it can't be opened."""
    try:
        handle = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        answer = fcntl.ioctl(handle, _VIDIOC_QUERYCAP, bytes(struct.calcsize(_CAPABILITY)))
        if not struct.unpack(_CAPABILITY, answer)[5] & _CAPTURE:
            return ()
        return tuple(_formats(handle))
    except OSError:
        return None
    finally:
        os.close(handle)


def _formats(handle: int) -> list[str]:
    found: list[str] = []
    for index in range(_MAX_FORMATS):
        question = struct.pack(_DESCRIPTION, index, _CAPTURE_BUFFERS, 0, b"", 0, 0)
        try:
            answer = fcntl.ioctl(handle, _VIDIOC_ENUM_FMT, question)
        except OSError:  # EINVAL ends the list
            break
        code: int = struct.unpack(_DESCRIPTION, answer)[4]
        found.append(code.to_bytes(4, "little").decode("ascii", "replace").strip())
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
