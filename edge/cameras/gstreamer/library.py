"""A pipeline of GStreamer whose newest image is pulled from an appsink."""

import ctypes
import struct
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.cameras.gstreamer.functions import GError, Gst, MapInfo, StreamEnded, StreamFailed
from edge.cameras.gstreamer.jpeg import decode_jpeg
from edge.cameras.gstreamer.pipelines import SINK
from edge.cameras.view import ImageView
from edge.interfaces import Closing
from edge.records import Image

NO_STAMP = 2**64 - 1  # GST_CLOCK_TIME_NONE
_STATE_NULL, _STATE_PLAYING, _STATE_FAILURE = 1, 4, 0
_MESSAGE_EOS, _MESSAGE_ERROR = 1 << 0, 1 << 1
_FORMAT_TIME, _MAP_READ, _CLOCK_TYPE_MONOTONIC = 3, 1, 1
# Offsets in structures whose layout is the same in all of GStreamer 1.x, on machines of 64 bits.
_MESSAGE_TYPE_AT, _BUFFER_PTS_AT = 64, 72
_POINTER = ctypes.c_void_p


@dataclass(frozen=True, slots=True)
class StreamImage:
    """One image of a stream."""

    image: Image  # RGB
    stamp_ns: int  # CLOCK_MONOTONIC
    source_size: tuple[int, int]  # height and width before crop, turn and scale
    source_hz: float = 0.0  # frames a second as the source states them; 0 if it does not


class GstPipeline(Closing):
    """A pipeline whose images leave it through the appsink SINK.

    They are BGRx, behind a videocrop `view_crop`, or JPEG.
    """

    def __init__(self, gst: Gst, text: str, view: ImageView | None = None) -> None:
        """Parse the text, without starting anything. Raises StreamFailed with GStreamer's own words.

        `view` is that of JPEG images, which are decoded here.
        """
        self._gst = gst
        self._element = self._parse(text)
        self._sink = gst("gst_bin_get_by_name", self._element, SINK.encode())
        self._bus = gst("gst_element_get_bus", self._element)
        # Without a crop, JPEG images reach the sink, which are decoded as the view wants them.
        self._crop = gst("gst_bin_get_by_name", self._element, b"view_crop")
        self._crop_pad = gst("gst_element_get_static_pad", self._crop, b"sink") if self._crop else None
        self._view = view
        # A source that brings a clock of its own would give stamps that mean nothing to anybody else.
        clock = gst("gst_system_clock_obtain")
        self.monotonic = gst.number_of(clock, "clock-type") == _CLOCK_TYPE_MONOTONIC
        gst("gst_pipeline_use_clock", self._element, clock)
        gst("gst_object_unref", clock)
        self._caps: int | None = None
        self._size, self._rate_hz = (0, 0), 0.0

    def play(self) -> None:
        """Start the pipeline. Raises StreamFailed if an element refuses at once."""
        if not self.monotonic:
            raise StreamFailed("pipeline", 4, "GStreamer's clock is not CLOCK_MONOTONIC")
        if self._gst("gst_element_set_state", self._element, _STATE_PLAYING) == _STATE_FAILURE:
            self.check(wait_s=1.0)
            raise StreamFailed("pipeline", 0, "the pipeline does not start")

    def check(self, wait_s: float = 0.0) -> None:
        """Raise StreamFailed for an error on the bus, StreamEnded at the end of the stream."""
        kinds, wait_ns = _MESSAGE_EOS | _MESSAGE_ERROR, round(wait_s * 1e9)
        message = self._gst("gst_bus_timed_pop_filtered", self._bus, wait_ns, kinds)
        if not message:
            return
        try:
            (kind,) = struct.unpack("I", ctypes.string_at(message + _MESSAGE_TYPE_AT, 4))
            if kind == _MESSAGE_EOS:
                raise StreamEnded
            raise self._error_of(message)
        finally:
            self._gst("gst_mini_object_unref", message)

    def pull(self, wait_s: float) -> StreamImage | None:
        """Return the newest image; None if none comes in time. Raises what `check` raises."""
        self.check()
        sample = self._gst("gst_app_sink_try_pull_sample", self._sink, round(wait_s * 1e9))
        if not sample:
            self.check()
            return None
        try:
            return self._image_of(sample)
        finally:
            self._gst("gst_mini_object_unref", sample)

    def set(self, element: str, **values: object) -> None:
        """Set properties of the element of that name."""
        found = self._gst("gst_bin_get_by_name", self._element, element.encode())
        for name, value in values.items():
            self._gst("gst_util_set_object_arg", found, name.encode(), str(value).encode())
        self._gst("gst_object_unref", found)

    def send_eos(self) -> None:
        """Ask the source to come to its end: `check` tells when the end has arrived."""
        self._gst("gst_element_send_event", self._element, self._gst("gst_event_new_eos"))

    def close(self) -> None:
        """Stop all elements, which gives their devices back."""
        if self._element is None:
            return
        self._gst("gst_element_set_state", self._element, _STATE_NULL)
        if self._caps is not None:
            self._gst("gst_mini_object_unref", self._caps)
        for held in filter(None, (self._crop_pad, self._crop, self._sink, self._bus, self._element)):
            self._gst("gst_object_unref", held)
        self._element = None

    def _parse(self, text: str) -> Any:
        error = ctypes.POINTER(GError)()
        element = self._gst("gst_parse_launch", text.encode(), ctypes.byref(error))
        if error:  # also where GStreamer went on without an element that it does not have
            if element:
                self._gst("gst_object_unref", element)
            raise self._gst.take_error(error)
        return element

    def _error_of(self, message: int) -> StreamFailed:
        error, detail = ctypes.POINTER(GError)(), ctypes.c_char_p()
        self._gst("gst_message_parse_error", message, ctypes.byref(error), ctypes.byref(detail))
        text = (detail.value or b"").decode(errors="replace")
        self._gst("g_free", ctypes.cast(detail, _POINTER))
        return self._gst.take_error(error, text)

    def _image_of(self, sample: int) -> StreamImage | None:
        """Return a sample's image; None for a JPEG that can't be decoded."""
        caps = self._gst("gst_sample_get_caps", sample)
        buffer, info = self._gst("gst_sample_get_buffer", sample), MapInfo()
        stamp_ns = self._stamp_ns(sample, buffer)
        if not self._gst("gst_buffer_map", buffer, ctypes.byref(info), _MAP_READ):
            raise StreamFailed("pipeline", 1, "an image's memory can't be read")
        try:
            content = np.ndarray(
                (info.size,), np.uint8, memoryview((ctypes.c_uint8 * info.size).from_address(info.data or 0))
            )
            if self._view is None:
                image = _rgb_of(content, *self._size_in(caps))
                return StreamImage(image, stamp_ns, self._source_size(), self._rate_hz)
            if (decoded := decode_jpeg(content, self._view)) is None:
                return None
            return StreamImage(decoded[0], stamp_ns, decoded[1], self._rate_in(caps))
        finally:
            self._gst("gst_buffer_unmap", buffer, ctypes.byref(info))

    def _stamp_ns(self, sample: int, buffer: int) -> int:
        """Return the moment at which the image entered the pipeline, CLOCK_MONOTONIC."""
        (pts,) = struct.unpack("Q", ctypes.string_at(buffer + _BUFFER_PTS_AT, 8))
        if pts == NO_STAMP:
            raise StreamFailed("pipeline", 3, "its images have no time stamps")
        segment = self._gst("gst_sample_get_segment", sample)
        running_ns = self._gst("gst_segment_to_running_time", segment, _FORMAT_TIME, pts)
        return self._gst("gst_element_get_base_time", self._element) + running_ns

    def _source_size(self) -> tuple[int, int]:
        """Return height and width before the crop; looked up again only when the stream's format changes."""
        caps = self._gst("gst_pad_get_current_caps", self._crop_pad)
        if caps == self._caps:
            self._gst("gst_mini_object_unref", caps)
        elif caps:
            if self._caps is not None:
                self._gst("gst_mini_object_unref", self._caps)
            self._caps = caps
            self._size, self._rate_hz = self._size_in(caps), self._rate_in(caps)
        return self._size

    def _rate_in(self, caps: int) -> float:
        structure, over, under = self._gst("gst_caps_get_structure", caps, 0), ctypes.c_int(), ctypes.c_int(1)
        self._gst(
            "gst_structure_get_fraction", structure, b"framerate", ctypes.byref(over), ctypes.byref(under)
        )
        return over.value / under.value

    def _size_in(self, caps: int) -> tuple[int, int]:
        """Return height and width."""
        structure, width, height = (
            self._gst("gst_caps_get_structure", caps, 0),
            ctypes.c_int(),
            ctypes.c_int(),
        )
        self._gst("gst_structure_get_int", structure, b"width", ctypes.byref(width))
        self._gst("gst_structure_get_int", structure, b"height", ctypes.byref(height))
        return height.value, width.value


def _rgb_of(content: NDArray[np.uint8], height: int, width: int) -> Image:
    """Return an image (height, width) in BGRx as RGB. Raises StreamFailed if it is cut short."""
    if content.size < height * width * 4:
        raise StreamFailed("pipeline", 2, f"{content.size} bytes are too few for {width} x {height} BGRx")
    bgrx = np.ndarray((height, width, 4), np.uint8, content)
    return np.asarray(cv2.cvtColor(bgrx, cv2.COLOR_BGRA2RGB), np.uint8)
