"""Reads frames of a video file by their time; codecs AV1, H.264, HEVC, VP9 and MPEG-4."""

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

from edge.errors import UsageError
from training.datasets.source import Images

OPEN_FILES = 4
_SAME_S = 1e-3  # times that differ by less are the same: containers round them
_NEAR = 4  # decoding so many frames ahead is cheaper than seeking a keyframe
_AGAIN = "copy the dataset again: it is not whole"


class Videos:
    """Keeps video files open while they are read. Copies and forks open them anew."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._open: OrderedDict[Path, _Video] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {"_process": 0, "_open": OrderedDict()}

    def read(self, file: Path, times_s: Sequence[float], period_s: float, names: Sequence[str]) -> Images:
        """Read the frame nearest to each time, at most half a period away: (n, height, width, 3).

        names: one for each time, by which an error names the frame. Raises UsageError if the file is missing,
        damaged or has no frame near a time.
        """
        if self._process != os.getpid():  # a fork shares its parent's position in the file
            self._process, self._open = os.getpid(), OrderedDict()
        video = self._open.pop(file, None) or _Video(file, names[0])
        frames = [video.read(t, period_s, name) for t, name in zip(times_s, names, strict=True)]
        self._open[file] = video
        if len(self._open) > OPEN_FILES:
            self._open.popitem(last=False)
        return np.stack(frames)


class _Video:
    """One open file, and the position where it is read."""

    def __init__(self, file: Path, name: str) -> None:
        """Open the file. Raises UsageError if it is missing or not a video."""
        try:
            self._container = av.open(str(file))
            self._stream = self._container.streams.video[0]
            # Workers share the cores, and a fork that closes a decoder waits for ever for its threads.
            self._stream.codec_context.thread_count = 1
            self._stream.codec_context.thread_type = "NONE"
        except FileNotFoundError as error:
            raise UsageError(f"{file} is missing", _AGAIN) from error
        except (FFmpegError, IndexError) as error:
            raise UsageError(f"{name}: the video can't be read: {_reason(error)}", _AGAIN) from error
        self._frames: Iterator[Any] = iter(())
        self._last: tuple[float, Any] | None = None  # time and frame that were decoded last
        self._image: tuple[float, Images] | None = None  # time and image that were read last

    def read(self, time_s: float, period_s: float, name: str) -> Images:
        """Read the frame nearest to a time: (height, width, 3). Raises UsageError."""
        try:
            found = self._nearest(time_s, period_s)
        except (FFmpegError, EOFError, _DamagedVideo) as error:
            self._last = None
            raise UsageError(f"{name}: the video can't be decoded: {_reason(error)}", _AGAIN) from error
        if found is None:
            raise UsageError(f"{name}: the video has no frames", _AGAIN)
        at_s, frame = found
        if abs(at_s - time_s) > period_s / 2:
            raise UsageError(
                f"{name}: the video has no frame at {time_s:.3f} s; the nearest is at {at_s:.3f} s "
                f"(limit {period_s / 2:.3f} s away)",
                _AGAIN,
            )
        if self._image is None or self._image[0] != at_s:
            self._image = at_s, frame.to_ndarray(format="rgb24", threads=1)
        return self._image[1]

    def _nearest(self, time_s: float, period_s: float) -> tuple[float, Any] | None:
        """Find the frame nearest to a time: decode up to it and, unless it is met, one further."""
        before = self._last
        if before is None or not -_SAME_S <= time_s - before[0] <= _NEAR * period_s:
            before = self._seek(time_s)
        if before is None or before[0] >= time_s - _SAME_S:
            return before
        for after in self._decoded():
            if after[0] >= time_s - _SAME_S:
                return min(before, after, key=lambda each: abs(each[0] - time_s))
            before = after
        return before

    def _seek(self, time_s: float) -> tuple[float, Any] | None:
        """Seek the keyframe before a time, and decode its first frame.

        Containers seek by decoding time, not by presentation time, so the first try may end too late.
        """
        back_s = 0.0
        while True:
            start_s = max(0.0, time_s - back_s)
            assert self._stream.time_base is not None
            self._container.seek(
                int((start_s + _SAME_S) / self._stream.time_base), stream=self._stream, backward=True
            )
            self._frames, self._last = self._decode(), None
            first = next(self._decoded(), None)
            if start_s == 0 or (first is not None and first[0] <= time_s + _SAME_S):
                return first
            back_s = 2 * back_s + 1

    def _decoded(self) -> Iterator[tuple[float, Any]]:
        for frame in self._frames:
            self._last = float(frame.pts * frame.time_base), frame
            yield self._last

    def _decode(self) -> Iterator[Any]:
        """Decode from here on. Raises _DamagedVideo if packets or pixels are lost."""
        for packet in self._container.demux(self._stream):
            for frame in packet.decode():
                if packet.is_corrupt or frame.is_corrupt:
                    raise _DamagedVideo("a part of it is lost")
                yield frame


class _DamagedVideo(Exception):
    """A part of the file is lost, and the decoder would make pixels up."""


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
