"""Cameras. `open_camera("file://PATH")` finds one by its URI; other packages add schemes by entry point."""

from pathlib import Path

from edge.cameras.file import EndOfFrames, FileCamera
from edge.cameras.shm import FrameRing, ShmCamera
from edge.cameras.slot import LatestFrame
from edge.clock import Clock
from edge.errors import HardwareMissing
from edge.interfaces import Camera

__all__ = ["EndOfFrames", "FileCamera", "FrameRing", "LatestFrame", "ShmCamera", "open_camera"]

ENTRY_POINTS = "vla_edge.cameras"  # scheme = "module:factory", called with (uri, clock)


def open_camera(uri: str, clock: Clock) -> Camera:
    """Open the camera of a URI such as file://PATH or shm://NAME."""
    scheme, separator, rest = uri.partition("://")
    if not separator or not rest:
        raise HardwareMissing(
            f"camera: {uri[:200]!r} is not of the form SCHEME://PLACE",
            hint="for a video or a folder: file://PATH",
        )
    if scheme == "file":
        return FileCamera(Path(rest).expanduser(), clock)
    if scheme == "shm":
        return ShmCamera(rest, clock)
    return _open_plugin(scheme, uri, clock)


def _open_plugin(scheme: str, uri: str, clock: Clock) -> Camera:
    from importlib.metadata import entry_points

    plugins = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if scheme not in plugins:
        known = ", ".join(f"{name}://" for name in sorted({"file", "shm", *plugins}))
        raise HardwareMissing(f"camera: nothing here opens {scheme[:40]}://", hint=f"there is {known}")
    return plugins[scheme].load()(uri, clock)
