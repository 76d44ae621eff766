"""The camera of a package: RGB for everybody, its own errors, and nothing that it did not claim."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge.cameras.frame_check import PackagedCamera
from edge.errors import PluginError, StaleFrame
from edge.interfaces import AwaitsAnswers, PlaysRecording, ShowsStills
from edge.records import Frame

BLUE_FIRST = np.zeros((4, 6, 3), np.uint8)
BLUE_FIRST[..., 0] = 200


class VendorCamera:
    """Gives its frame, or raises its error."""

    name = "vendor"

    def __init__(self, frame: Any = None, error: BaseException | None = None) -> None:
        self.frame = Frame(BLUE_FIRST, 5, 0) if frame is None else frame
        self.error = error

    def _raise(self) -> None:
        if self.error is not None:
            raise self.error

    def latest(self, max_age_s: float) -> Any:
        self._raise()
        return self.frame

    def close(self) -> None:
        self._raise()


class BgrCamera(VendorCamera):
    channels = "BGR"


def test_a_declared_channel_order_is_put_right_once_a_frame_and_none_is_guessed():
    """Field case 18."""
    vendor = BgrCamera()
    camera = PackagedCamera(vendor, "front")
    frame = camera.latest(1.0)
    assert frame.image[0, 0].tolist() == [0, 0, 200] and frame.camera == "front"
    assert camera.latest(1.0) is frame, "the same frame is not converted again"
    vendor.frame = replace(vendor.frame, seq=1, stamp_ns=9)
    assert camera.latest(1.0).seq == 1
    assert PackagedCamera(VendorCamera(), "front").latest(1.0).image[0, 0].tolist() == [200, 0, 0]


def test_a_frame_that_breaks_the_contract_names_the_camera():
    vendor = VendorCamera(Frame(BLUE_FIRST.astype(np.float32), 5, 0))  # type: ignore[arg-type]
    with pytest.raises(PluginError, match=r"camera 'front' \(VendorCamera\): its image is float32"):
        PackagedCamera(vendor, "front").latest(1.0)


def test_what_it_raises_is_its_own_error_and_ours_stay_what_they_are():
    camera = PackagedCamera(VendorCamera(error=OSError("ioctl 5")), "front")
    for call in (lambda: camera.latest(1.0), camera.close):
        with pytest.raises(PluginError, match=r"camera 'front' \(.*VendorCamera\) fails: OSError: ioctl 5"):
            call()
    with pytest.raises(StaleFrame, match="old"):
        PackagedCamera(VendorCamera(error=StaleFrame("old")), "front").latest(1.0)


def test_a_call_that_its_code_can_not_take_is_its_own_error():
    class Forgetful(VendorCamera):
        def latest(self) -> Frame:  # type: ignore[override]
            return self.frame

    with pytest.raises(PluginError, match=r"TypeError: .*latest"):
        PackagedCamera(Forgetful(), "front").latest(1.0)


def test_it_is_only_what_its_camera_claims_to_be():
    plain = PackagedCamera(VendorCamera(), "front")
    assert not isinstance(plain, PlaysRecording | ShowsStills | AwaitsAnswers)
    vendor, answered = VendorCamera(), []
    vendor.plays_recording = vendor.shows_stills = True  # type: ignore[attr-defined]
    vendor.answered = lambda: answered.append(1)  # type: ignore[attr-defined]
    camera = PackagedCamera(vendor, "front")
    assert isinstance(camera, PlaysRecording) and camera.plays_recording
    assert isinstance(camera, ShowsStills) and camera.shows_stills
    assert isinstance(camera, AwaitsAnswers)
    camera.answered()
    assert answered == [1]
    vendor.answered = lambda: 1 / 0  # type: ignore[attr-defined]
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        camera.answered()
