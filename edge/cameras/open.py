"""Cameras by their address: `open_camera("file://PATH", clock)`.

The table of schemes is `edge.plugins.CAMERAS`.
"""

from edge.cameras.file import EndOfFrames, FileCamera
from edge.cameras.frame_check import PackagedCamera
from edge.cameras.shm import FrameRing, ShmCamera
from edge.cameras.slot import LatestFrame
from edge.clock import Clock
from edge.interfaces import Camera
from edge.plugins import CAMERAS, is_ours

__all__ = ["EndOfFrames", "FileCamera", "FrameRing", "LatestFrame", "ShmCamera", "open_camera"]


def open_camera(address: str, clock: Clock, name: str = "front") -> Camera:
    """Open the camera behind an address such as file://PATH or shm://NAME; its frames bear `name`.

    Raises UsageError for a malformed address and an unknown scheme, HardwareMissing if nothing is there,
    PluginError if a package's camera fails: then and from now on.
    """
    camera: Camera = CAMERAS.open_address(address, clock, name)
    return camera if is_ours(type(camera).__module__) else PackagedCamera(camera, name)
