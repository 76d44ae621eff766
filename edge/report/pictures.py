"""The pictures of a run for the page: small JPEGs with what was seen, said and sent then, within a budget."""

import base64
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.engines.protobuf import parts
from edge.records import Image
from edge.report.material import RunMaterial
from edge.report.recording import ShownRecording, StoredImage
from edge.report.story import said

WIDTH_PX = 480
QUALITY = 72
_RAW_DATA, _COMPRESSED_DATA = 6, 2  # their fields in foxglove.RawImage and foxglove.CompressedImage
STRIP_WIDTH_PX = 1310  # as frames.png is drawn


def frames_of(run: RunMaterial, most_bytes: int) -> list[dict[str, Any]]:
    """Return the pictures of the camera that the policy saw with, spread over the run.

    All of them in base64 have at most `most_bytes`.
    """
    recording = run.recording
    if recording is None:
        return []
    camera = recording.header.get("camera") or next((each.camera for each in recording.images), "")
    images = [each for each in recording.images if each.camera == camera]
    sizes = _sizes(recording)
    made = [(each.stamp_ns, _base64(_jpeg(each, sizes))) for each in images]
    made = [(stamp_ns, picture) for stamp_ns, picture in made if picture]
    total = sum(len(picture) for _, picture in made)
    made = made[:: max(1, -(-total // most_bytes))]  # rounded up
    facts = FrameFacts(recording)
    return [{"t": run.seconds(stamp_ns), "jpeg": picture, **facts.at(stamp_ns)} for stamp_ns, picture in made]


def drawn_picture(path: Path) -> str:
    """Return a picture of the run's folder as a data URL, small enough for a page; empty if it is broken."""
    image = cv2.imread(str(path))
    if image is None:
        return ""
    image = _narrow(image, STRIP_WIDTH_PX)
    if path.name == "path.png":  # lines and letters
        return f"data:image/png;base64,{_base64(cv2.imencode('.png', image)[1].tobytes())}"
    return f"data:image/jpeg;base64,{_base64(_encoded(image))}"


class FrameFacts:
    """What was seen, said and sent when a frame was acted on."""

    def __init__(self, recording: ShownRecording) -> None:
        self._ticks = sorted(recording.ticks, key=_tick_ns)
        self._tick_ns = [_tick_ns(each) for each in self._ticks]
        self._answers = recording.inferences
        self._answer_ns = [each["stamp_ns"] for each in self._answers]
        self._motor = recording.motor
        self._motor_ns = [each["stamp_ns"] for each in self._motor]

    def at(self, stamp_ns: int) -> dict[str, Any]:
        """Return the facts of the frame that was captured then."""
        tick = _before(self._ticks, self._tick_ns, stamp_ns)
        answer = _before(self._answers, self._answer_ns, stamp_ns)
        status = _before(self._motor, self._motor_ns, stamp_ns)
        found = tick and tick["policy"]["detection"]
        sent = status and status["sent"]
        return {
            "box": found and [*_corners(found["box"]), f"{found['label']} {found['confidence']:.2f}"],
            "said": said(answer["inference"], answer["read"]) if answer else "",
            "state": tick["policy"]["state"] if tick else "",
            "sent": sent and [round(value, 3) for value in sent.values()],
            "reason": status["reason"] if status else "",
        }


def _sizes(recording: ShownRecording) -> dict[int, tuple[int, int]]:
    """Return height and width of the images that a policy has seen, by stamp."""
    frames = [frame for tick in recording.ticks for frame in tick["frames"].values()]
    return {each["image_ns"]: (each["height"], each["width"]) for each in frames if "height" in each}


def _before(values: Sequence[Any], stamps: Sequence[int], stamp_ns: int) -> Any:
    """Return the newest value up to a stamp; None if there is none."""
    number = bisect_right(stamps, stamp_ns)
    return values[number - 1] if number else None


def _tick_ns(tick: dict[str, Any]) -> int:
    frames = tick["frames"]
    return (frames.get(tick["camera"]) or next(iter(frames.values())))["stamp_ns"]


def _corners(box: dict[str, float]) -> list[float]:
    return [round(box[key], 4) for key in ("y0", "x0", "y1", "x1")]


def _jpeg(stored: StoredImage, sizes: Mapping[int, tuple[int, int]]) -> bytes:
    """Return an image as a JPEG no wider than the page shows; empty if its size is not known.

    `sizes` has height and width by stamp.
    """
    fields = dict(parts(memoryview(stored.message)))
    if not stored.raw:
        content = bytes(fields[_COMPRESSED_DATA])
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if image is None or image.shape[1] <= WIDTH_PX:
            return content
        return _encoded(_narrow(image, WIDTH_PX))
    size = sizes.get(stored.stamp_ns)
    if size is None:  # no policy has seen it
        return b""
    pixels: Image = np.ndarray((*size, 3), np.uint8, fields[_RAW_DATA])
    return _encoded(np.asarray(cv2.cvtColor(_narrow(pixels, WIDTH_PX), cv2.COLOR_RGB2BGR), np.uint8))


def _narrow(image: Any, width_px: int) -> Image:
    height, width = image.shape[:2]
    if width <= width_px:
        return image
    size = (width_px, max(1, round(height * width_px / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _encoded(image: Image) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
