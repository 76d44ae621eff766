"""An MP4 of a run: what the camera saw, boxes in words, and what the policy did."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.records import Detection, Image
from edge.runs.drawing import latin
from edge.runs.recording.images import pixels_of
from edge.runs.tap.events import TapEvent
from edge.runs.tap.plain import from_plain

RATE_HZ = 10
PERIOD_NS = 10**9 // RATE_HZ
WIDTH_PX = 640
LEGEND_PX = 88
_PAPER, _INK, _FAINT, _BOX = (246, 246, 243), (38, 42, 48), (125, 130, 136), (22, 150, 84)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class VideoWriter:
    """A consumer that draws ten frames a second of the camera that the policy sees with."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._images: dict[str, Image] = {}  # the newest, by camera
        self._asked, self._said = "", ""
        self._velocity = (0.0, 0.0, 0.0)
        self._start_ns = self._due_ns = 0

    def take(self, event: TapEvent) -> None:
        """Draw a frame if one is due. Raises OSError if the file can't be written."""
        if event.topic == "image":
            self._images[event.data["camera"]] = pixels_of(event)
        elif event.topic == "header":
            self._asked = event.data["prompt"]
        elif event.topic == "start":
            self._start_ns = event.stamp_ns
        elif event.topic == "inference":
            self._said = _words(event.data)
        elif event.topic == "motor":
            sent = event.data["sent"]
            self._velocity = sent["linear_x_m_s"], sent["linear_y_m_s"], sent["angular_z_rad_s"]
        elif event.topic == "tick" and event.stamp_ns >= self._due_ns:
            camera = event.data["camera"] or next(iter(event.data["frames"]))
            if camera in self._images:
                self._draw(event, self._images[camera])

    def finish(self, whole: bool) -> list[str]:
        """Close the file."""
        if self._writer is None:
            return [f"{self.name}: there was no frame to show"]
        self._writer.release()
        if not self._path.exists() or self._path.stat().st_size == 0:
            raise OSError(5, "the video could not be written")
        return []

    def _draw(self, event: TapEvent, image: Image) -> None:
        frame = drawn(image, event.data, self._legend(event))
        if self._writer is None:
            self._size = frame.shape[1], frame.shape[0]
            self._writer = cv2.VideoWriter(self.name, cv2.VideoWriter.fourcc(*"mp4v"), RATE_HZ, self._size)
            if not self._writer.isOpened():
                raise OSError(5, "OpenCV can't write MP4 there")
            self._due_ns = event.stamp_ns
        if (frame.shape[1], frame.shape[0]) == self._size:
            bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
            while self._due_ns <= event.stamp_ns:  # a camera that was away leaves its last image
                self._writer.write(bgr)
                self._due_ns += PERIOD_NS

    def _legend(self, event: TapEvent) -> list[str]:
        x, y, turn = self._velocity
        seconds = max(0.0, (event.stamp_ns - self._start_ns) / 1e9) if self._start_ns else 0.0
        state, doubt = event.data["policy"]["state"], event.data["doubt"]
        return [
            f"{seconds:5.1f} s  {state}  {x:+.2f} m/s ahead  {y:+.2f} m/s left  {turn:+.2f} rad/s",
            f"asked: {self._asked}",
            f"read: {self._said}{'  doubt: ' + doubt if doubt else ''}",
        ]


def drawn(image: Image, tick: dict[str, Any], legend: list[str]) -> Image:
    """Return the image, WIDTH_PX wide, with the policy's box in words and a legend below."""
    tall = max(2, round(image.shape[0] * WIDTH_PX / image.shape[1]))
    picture = np.array(cv2.resize(image, (WIDTH_PX, tall), interpolation=cv2.INTER_LINEAR), np.uint8)
    found = tick["policy"]["detection"]
    if found is not None:
        _draw_box(picture, from_plain(Detection, found))
    below = np.full((LEGEND_PX + tall % 2, WIDTH_PX, 3), _PAPER, np.uint8)  # codecs want even sizes
    cv2.rectangle(below, (WIDTH_PX - 130, 8), (WIDTH_PX - 116, 18), _BOX, 2)
    _write(below, "box, tracked", (WIDTH_PX - 110, 18), _FAINT)
    for index, line in enumerate(legend):
        _write(below, line, (8, 20 + 26 * index), _FAINT if index else _INK)
    return np.vstack([picture, below])


def _draw_box(picture: Image, detection: Detection) -> None:
    tall, wide = picture.shape[:2]
    box = detection.box
    low = round(box.x0 * (wide - 1)), round(box.y0 * (tall - 1))
    high = round(box.x1 * (wide - 1)), round(box.y1 * (tall - 1))
    cv2.rectangle(picture, low, high, (255, 255, 255), 4)
    cv2.rectangle(picture, low, high, _BOX, 2)
    words = latin(f"{detection.label} {detection.confidence:.2f}")
    (long, high_px), _ = cv2.getTextSize(words, _FONT, 0.5, 1)
    left, bottom = min(low[0], wide - long - 8), max(low[1], high_px + 8)
    cv2.rectangle(picture, (left, bottom - high_px - 8), (left + long + 8, bottom), _BOX, -1)
    cv2.putText(picture, words, (left + 4, bottom - 4), _FONT, 0.5, (255, 255, 255), 1, cv2.LINE_AA)


def _write(sheet: Image, words: str, at: tuple[int, int], color: tuple[int, int, int]) -> None:
    words = latin(words)
    while words and cv2.getTextSize(words, _FONT, 0.45, 1)[0][0] > WIDTH_PX - at[0] - 4:
        words = words[:-1]
    cv2.putText(sheet, words, at, _FONT, 0.45, color, 1, cv2.LINE_AA)


def _words(data: dict[str, Any]) -> str:
    """Return what was read in an answer, in words."""
    found = [f"{each['label']} {each['confidence']:.2f}" for each in data["read"].get("detections", [])]
    inference = data["inference"]
    if found:
        return ", ".join(found)
    return inference["text"] if inference["chunk"] is not None or not data["read"] else "nothing found"
