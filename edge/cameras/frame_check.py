"""The contract of cameras and frames, held against what a camera delivers: a package's may break it."""

from dataclasses import replace
from numbers import Integral
from typing import Any

import cv2
import numpy as np

from edge.errors import PluginError
from edge.interfaces import AwaitsAnswers, Camera, Closing, PlaysRecording, ShowsStills
from edge.plugins import Blaming
from edge.records import Frame

CHANNELS = ("RGB", "BGR")
_UINT8 = np.dtype(np.uint8)
_MEND = "mend that camera's code: docs/adding-a-camera-or-driver.md says what a frame is"


class PackagedCamera(Closing):
    """The camera of an installed package. What its code raises, or delivers wrongly, is a PluginError.

    Its images are RGB, whatever channels it names.
    """

    def __init__(self, camera: Camera, name: str) -> None:
        """Take an opened camera and the robot's name for it."""
        self.name = name
        self._camera = camera
        self._what = f"camera {name!r}"
        self._raw: Frame | None = None  # the newest, as it came
        self._frame: Frame | None = None  # the same, checked
        # A camera has these only if they hold for it: `edge.interfaces` asks whether they are there.
        with Blaming(camera, self._what):
            if isinstance(camera, PlaysRecording):
                self.plays_recording = camera.plays_recording
            if isinstance(camera, ShowsStills):
                self.shows_stills = camera.shows_stills
            if isinstance(camera, AwaitsAnswers):
                self.answered = self._answered

    def latest(self, max_age_s: float) -> Frame:
        """Return the newest frame. Raises StaleFrame if it is older than `max_age_s`."""
        with Blaming(self._camera, self._what):
            raw = self._camera.latest(max_age_s)
        if self._frame is None or raw is not self._raw:
            self._frame = checked(raw, self._raw, self.name, self._camera)
            self._raw = raw
        return self._frame

    def close(self) -> None:
        """Close the camera."""
        with Blaming(self._camera, self._what):
            self._camera.close()

    def _answered(self) -> None:
        with Blaming(self._camera, self._what):
            assert isinstance(self._camera, AwaitsAnswers)
            self._camera.answered()


def checked(frame: Frame, before: Frame | None, name: str, camera: Camera) -> Frame:
    """Return a camera's frame under the robot's name for the camera, contiguous and RGB.

    `before` is the camera's frame before this one, as it came. Raises PluginError if the camera is wrong.
    """
    # What `NamesChannels` states; to ask for the protocol takes longer than the rest of this check.
    channels = getattr(camera, "channels", CHANNELS[0])
    if why := _breach(frame, before, channels):
        raise PluginError(f"camera {name!r} ({type(camera).__qualname__}): {why}", _MEND)
    image = np.ascontiguousarray(frame.image)
    if channels == "BGR":
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
    if image is frame.image and frame.camera == name:
        return frame
    return replace(frame, image=image, camera=name)


def _breach(frame: object, before: Frame | None, channels: object) -> str:
    """Return what is wrong with a frame; empty if nothing is."""
    if not isinstance(frame, Frame):
        return f"it delivered {type(frame).__name__}, not an edge.records.Frame"
    if channels not in CHANNELS:
        return f"its channels {str(channels)[:40]!r} are none of {', '.join(CHANNELS)}"
    return image_breach(frame.image) or _count_breach(frame, before)


def image_breach(image: Any) -> str:
    """Return what keeps a thing from being an image; empty if nothing does."""
    if type(image) is not np.ndarray:
        return f"its image is {type(image).__name__}, not a numpy array"
    shape = image.shape
    if image.dtype != _UINT8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        return f"its image is {image.dtype}{shape}, not uint8 (height, width, 3)"
    return ""


def _count_breach(frame: Frame, before: Frame | None) -> str:
    counts: tuple[tuple[str, Any], ...] = (("stamp_ns", frame.stamp_ns), ("seq", frame.seq))
    for field, value in counts:
        # Nearly all are an int: to ask for Integral takes longer than the rest of this check.
        whole = type(value) is int or (type(value) is not bool and isinstance(value, Integral))
        if not whole or int(value) < 0:
            return f"its {field} is {str(value)[:40]} ({type(value).__name__}), not a whole number from 0 up"
    if before is None:
        return ""
    if frame.seq < before.seq:
        return f"its seq went back from {before.seq} to {frame.seq}; it counts up"
    if frame.seq == before.seq and frame.stamp_ns != before.stamp_ns:
        return f"its seq stays {frame.seq} while its stamps go on; it counts the frames"
    return ""
