"""The pictures of a run for the page: small JPEGs with what was seen, said and sent then, within a budget."""

import base64
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.records import Image
from edge.report.material import RunMaterial
from edge.report.recording import RecordedRun, StoredImage
from edge.report.story import said

WIDTH_PX = 480
QUALITY = 72
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
    step = 1
    while True:
        chosen = images[::step]
        pictures = [_base64(_jpeg(each)) for each in chosen]
        if sum(map(len, pictures)) <= most_bytes or len(chosen) <= 1:
            break
        step = -(-step * sum(map(len, pictures)) // most_bytes)  # rounded up
    facts = FrameFacts(recording)
    return [
        {"t": run.seconds(each.stamp_ns), "jpeg": picture, **facts.at(each.stamp_ns)}
        for each, picture in zip(chosen, pictures, strict=True)
    ]


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

    def __init__(self, recording: RecordedRun) -> None:
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


def _before(values: Sequence[Any], stamps: Sequence[int], stamp_ns: int) -> Any:
    """Return the newest value up to a stamp; None if there is none."""
    number = bisect_right(stamps, stamp_ns)
    return values[number - 1] if number else None


def _tick_ns(tick: dict[str, Any]) -> int:
    frames = tick["frames"]
    return (frames.get(tick["camera"]) or next(iter(frames.values())))["stamp_ns"]


def _corners(box: dict[str, float]) -> list[float]:
    return [round(box[key], 4) for key in ("y0", "x0", "y1", "x1")]


def _jpeg(stored: StoredImage) -> bytes:
    """Return an image as a JPEG no wider than the page shows."""
    fields = dict(_fields(stored.message))
    if not stored.raw:
        content = bytes(fields[2])
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if image is None or image.shape[1] <= WIDTH_PX:
            return content
        return _encoded(_narrow(image, WIDTH_PX))
    pixels = np.frombuffer(fields[6], np.uint8).reshape(fields[3], fields[2], 3)
    return _encoded(_narrow(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), WIDTH_PX))


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


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield number and value of the fields of a protobuf message: numbers, and bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == 2:
            length, at = _varint(message, at)
            yield key >> 3, memoryview(message)[at : at + length]
            at += length
        elif key & 7 == 5:
            yield key >> 3, int.from_bytes(message[at : at + 4], "little")
            at += 4
        else:
            value, at = _varint(message, at)
            yield key >> 3, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
