"""A video: its frames with their own times, what could not be decoded, and why one can't be opened."""

import math
from collections.abc import Generator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

import cv2
import numpy as np

from edge.cameras.recordings.frame_sizes import check_one_size
from edge.errors import HardwareMissing
from edge.interfaces import Closing
from edge.records import Image

RATES_HZ = (1.0, 240.0)  # what a video's frames come at; a rate outside is a container's mistake
UNKNOWN_RATE_HZ = 30.0
LONGEST_GAP_S = 60.0  # a longer one between two frames is a mistake, too
CONVERT = "is it AV1? `ffmpeg -i IN -c:v libx264 OUT.mp4` writes one that can be read"

_PROBED = 12  # frames whose times are looked at first
_MOST_BAD = 1000  # frames in a row that can't be decoded; more are the end
_REPAIR = (
    "with a whole video of the same camera, `untrunc WHOLE.mp4 CUT.mp4` can mend it; record into .mkv, "
    "which needs no index, or end the recorder by SIGINT"
)


class TimedImage(NamedTuple):
    """A frame of a recording."""

    at_s: float  # seconds since the first one
    image: Image


class Video(Closing):
    """Reads a video from its first frame to its last."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises HardwareMissing if that fails, with the reason if it is known.

        A video whose frames change their size fails too: OpenCV squeezes them into the first one.
        """
        self._path = path
        self._capture = _opened(path)
        check_one_size(path)
        self._read = self._bad = 0
        # Only there it is the count of an index: elsewhere it is a guess by the duration, or counts repeats.
        counted = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) if _is_mp4(_head(path)) else 0
        self._indexed = round(counted)
        self._cut = _is_cut_avi(path)
        stated_hz = self._capture.get(cv2.CAP_PROP_FPS)
        own_hz = _own_rate_hz(path)
        self._own_times = own_hz is not None
        self.rate_hz = stated_hz if _plausible(stated_hz) else own_hz or UNKNOWN_RATE_HZ
        rates = f"its container says {stated_hz:g} frames a second; shown at {self.rate_hz:g}"
        self._rate_note = "" if self._own_times or _plausible(stated_hz) else rates

    def images(self) -> Generator[TimedImage, None, None]:
        """Yield the frames that can be decoded, RGB, each with its time."""
        at_s, own_s, failed = 0.0, math.nan, 0
        while failed < _MOST_BAD:
            got, image = self._capture.read()
            if not got:
                failed += 1
                continue
            before_s, own_s = own_s, self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
            gap_s = own_s - before_s
            if not (self._own_times and 0 < gap_s <= LONGEST_GAP_S):
                gap_s = (failed + 1) / self.rate_hz
            at_s += gap_s if self._read else 0.0
            self._bad += failed
            self._read, failed = self._read + 1, 0
            yield TimedImage(at_s, np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8))

    def played(self) -> str:
        """Return what was played, for people, once it is over."""
        return self.trouble() or f"every frame of {self._path} has been played"

    def trouble(self) -> str:
        """Return what was not as it should be, for people, once it is over; empty if nothing."""
        frames = max(self._read + self._bad, self._indexed)
        lost = f"{self._read} of {frames} frames of {self._path} could be read" if self._read < frames else ""
        cut = f"{self._path} is cut short" if self._cut else ""
        return "; ".join(filter(None, (lost, self._rate_note, cut)))

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


def _opened(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path))
    if capture.isOpened():
        return capture
    head = _head(path)
    if not head and path.is_file():
        raise HardwareMissing(f"camera: {path} is empty", "remove or replace it")
    if _is_mp4(head) and not _has_index(path):
        raise HardwareMissing(f"camera: {path} is cut short: its index is missing", _REPAIR)
    raise HardwareMissing(f"camera: {path} is not a video that OpenCV can read", CONVERT)


def _own_rate_hz(path: Path) -> float | None:
    """Return the rate by the times of the first frames; None if they can't be times of frames."""
    capture = _opened(path)
    times_s = [capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3 for _ in range(_PROBED) if capture.grab()]
    capture.release()
    gaps_s = [after - before for before, after in pairwise(times_s)]
    gap_s = median(gaps_s) if gaps_s else 0.0
    return 1 / gap_s if gap_s > 0 and _plausible(1 / gap_s) else None


def _plausible(rate_hz: float) -> bool:
    return RATES_HZ[0] <= rate_hz <= RATES_HZ[1]


def _head(path: Path) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(12)


def _is_mp4(head: bytes) -> bool:
    return head[4:8] == b"ftyp"


def _is_cut_avi(path: Path) -> bool:
    """Return True if a file says that it is longer than it is."""
    head = _head(path)
    stated_bytes = int.from_bytes(head[4:8], "little") + 8
    return head[:4] == b"RIFF" and head[8:12] == b"AVI " and stated_bytes > path.stat().st_size


def _has_index(path: Path) -> bool:
    """Return True if an MP4 file has its "moov", and has it whole."""
    end, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while at + 8 <= end:
            file.seek(at)
            head = file.read(16)
            size = int.from_bytes(head[:4], "big")
            size = int.from_bytes(head[8:16], "big") if size == 1 else size or end - at
            if head[4:8] == b"moov":
                return at + size <= end
            at += max(size, 8)
    return False
