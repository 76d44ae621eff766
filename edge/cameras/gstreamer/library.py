"""GStreamer by ctypes: a pipeline whose newest image is pulled from an appsink.

Only child processes use it, never the process that drives. PyGObject has no wheels, so its bindings miss from
most virtual environments, while the libraries themselves are on every Jetson.
"""

import ctypes
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.interfaces import Closing
from edge.records import Image

NO_STAMP = 2**64 - 1  # GST_CLOCK_TIME_NONE
SINK = "newest"  # the name of the appsink
_STATE_NULL, _STATE_PLAYING, _STATE_FAILURE = 1, 4, 0
_MESSAGE_EOS, _MESSAGE_ERROR = 1 << 0, 1 << 1
_FORMAT_TIME, _MAP_READ, _CLOCK_TYPE_MONOTONIC = 3, 1, 1
# Offsets in structures whose layout is the same in all of GStreamer 1.x, on machines of 64 bits.
_MESSAGE_TYPE_AT, _BUFFER_PTS_AT = 64, 72

_P, _S, _I, _U, _U64 = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_uint64
_CORE: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "gst_init_check": (_I, (_P, _P, _P)),
    "gst_parse_launch": (_P, (_S, _P)),
    "gst_element_factory_find": (_P, (_S,)),
    "gst_bin_get_by_name": (_P, (_P, _S)),
    "gst_element_set_state": (_I, (_P, _I)),
    "gst_element_get_bus": (_P, (_P,)),
    "gst_system_clock_obtain": (_P, ()),
    "gst_pipeline_use_clock": (None, (_P, _P)),
    "gst_element_get_base_time": (_U64, (_P,)),
    "gst_element_get_static_pad": (_P, (_P, _S)),
    "gst_element_send_event": (_I, (_P, _P)),
    "gst_event_new_eos": (_P, ()),
    "gst_bus_timed_pop_filtered": (_P, (_P, _U64, _I)),
    "gst_message_parse_error": (None, (_P, _P, _P)),
    "gst_pad_get_current_caps": (_P, (_P,)),
    "gst_caps_get_structure": (_P, (_P, _U)),
    "gst_structure_get_int": (_I, (_P, _S, _P)),
    "gst_structure_get_fraction": (_I, (_P, _S, _P, _P)),
    "gst_sample_get_buffer": (_P, (_P,)),
    "gst_sample_get_caps": (_P, (_P,)),
    "gst_sample_get_segment": (_P, (_P,)),
    "gst_segment_to_running_time": (_U64, (_P, _I, _U64)),
    "gst_buffer_map": (_I, (_P, _P, _I)),
    "gst_buffer_unmap": (None, (_P, _P)),
    "gst_object_unref": (None, (_P,)),
    "gst_mini_object_unref": (None, (_P,)),
    "gst_util_set_object_arg": (None, (_P, _S, _S)),
}
_APP: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "gst_app_sink_try_pull_sample": (_P, (_P, _U64)),
}
_GLIB: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "g_quark_to_string": (_S, (ctypes.c_uint32,)),
    "g_error_free": (None, (_P,)),
    "g_free": (None, (_P,)),
}
_GOBJECT: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "g_object_get": (None, (_P, _S, _P, _P)),
}


class StreamFailed(Exception):
    """A stream failed: GStreamer's domain and code of the error, its text, and what it says to developers."""

    def __init__(self, domain: str, code: int, text: str, detail: str = "") -> None:
        super().__init__(text)
        self.domain, self.code, self.text, self.detail = domain, code, text, detail


class StreamEnded(Exception):
    """The stream has come to its end."""


@dataclass(frozen=True, slots=True)
class StreamImage:
    """One image of a stream. Its memory is valid until the next one is pulled."""

    image: Image
    stamp_ns: int  # CLOCK_MONOTONIC
    source_size: tuple[int, int]  # height and width before crop, turn and scale
    source_hz: float = 0.0  # frames a second as the source states them; 0 if it does not


class _GError(ctypes.Structure):
    _fields_ = [("domain", ctypes.c_uint32), ("code", _I), ("message", _S)]


class _MapInfo(ctypes.Structure):
    _fields_ = [
        ("memory", _P),
        ("flags", _I),
        ("data", _P),
        ("size", ctypes.c_size_t),
        ("maxsize", ctypes.c_size_t),
        ("rest", _P * 8),
    ]


class Gst:
    """The functions of GStreamer that are used here, initialised. Raises StreamFailed if it is missing."""

    def __init__(self) -> None:
        self._functions: dict[str, Callable[..., Any]] = {}
        for library, table in (
            ("libglib-2.0.so.0", _GLIB),
            ("libgobject-2.0.so.0", _GOBJECT),
            ("libgstreamer-1.0.so.0", _CORE),
            ("libgstapp-1.0.so.0", _APP),
        ):
            try:
                opened = ctypes.CDLL(library)
            except OSError as error:
                raise StreamFailed("library", 0, str(error)) from error
            for name, (result, arguments) in table.items():
                function = getattr(opened, name)
                function.restype, function.argtypes = result, arguments
                self._functions[name] = function
        if not self("gst_init_check", None, None, None):
            raise StreamFailed("library", 1, "GStreamer does not initialise")

    def __call__(self, name: str, *arguments: Any) -> Any:
        """Call a function by its name."""
        return self._functions[name](*arguments)

    def has(self, element: str) -> bool:
        """Return True if GStreamer has an element of that name."""
        factory = self("gst_element_factory_find", element.encode())
        if factory:
            self("gst_object_unref", factory)
        return bool(factory)

    def number_of(self, thing: int, name: str) -> int:
        """Return a property that is a whole number or a choice."""
        value = _I(-1)
        self("g_object_get", thing, name.encode(), ctypes.byref(value), None)
        return value.value

    def take_error(self, error: Any, detail: str = "") -> StreamFailed:
        """Turn a GError into an exception, and free it."""
        content = error.contents
        domain = (self("g_quark_to_string", content.domain) or b"").decode(errors="replace")
        failed = StreamFailed(domain, content.code, (content.message or b"").decode(errors="replace"), detail)
        self("g_error_free", error)
        return failed


class GstPipeline(Closing):
    """A pipeline whose images leave it as RGB through the appsink SINK, behind a videocrop `view_crop`."""

    def __init__(self, gst: Gst, text: str) -> None:
        """Parse the text, without starting anything. Raises StreamFailed with GStreamer's own words."""
        self._gst = gst
        self._element = self._parse(text)
        self._sink = gst("gst_bin_get_by_name", self._element, SINK.encode())
        self._bus = gst("gst_element_get_bus", self._element)
        self._crop = gst("gst_bin_get_by_name", self._element, b"view_crop")
        self._crop_pad = gst("gst_element_get_static_pad", self._crop, b"sink")
        # A source that brings a clock of its own would give stamps that mean nothing to anybody else.
        clock = gst("gst_system_clock_obtain")
        self.monotonic = gst.number_of(clock, "clock-type") == _CLOCK_TYPE_MONOTONIC
        gst("gst_pipeline_use_clock", self._element, clock)
        gst("gst_object_unref", clock)
        self._sample: int | None = None
        self._mapped: tuple[int, _MapInfo] | None = None
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
        self._release()
        sample = self._gst("gst_app_sink_try_pull_sample", self._sink, round(wait_s * 1e9))
        if not sample:
            self.check()
            return None
        self._sample = sample
        return self._image_of(sample)

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
        self._release()
        self._gst("gst_element_set_state", self._element, _STATE_NULL)
        if self._caps is not None:
            self._gst("gst_mini_object_unref", self._caps)
        for held in (self._crop_pad, self._crop, self._sink, self._bus, self._element):
            self._gst("gst_object_unref", held)
        self._element = None

    def _parse(self, text: str) -> Any:
        error = ctypes.POINTER(_GError)()
        element = self._gst("gst_parse_launch", text.encode(), ctypes.byref(error))
        if error:  # also where GStreamer went on without an element that it does not have
            if element:
                self._gst("gst_object_unref", element)
            raise self._gst.take_error(error)
        return element

    def _error_of(self, message: int) -> StreamFailed:
        error, detail = ctypes.POINTER(_GError)(), ctypes.c_char_p()
        self._gst("gst_message_parse_error", message, ctypes.byref(error), ctypes.byref(detail))
        text = (detail.value or b"").decode(errors="replace")
        self._gst("g_free", ctypes.cast(detail, _P))
        return self._gst.take_error(error, text)

    def _image_of(self, sample: int) -> StreamImage:
        width, height = self._size_in(self._gst("gst_sample_get_caps", sample))
        buffer, info = self._gst("gst_sample_get_buffer", sample), _MapInfo()
        stamp_ns = self._stamp_ns(sample, buffer)
        if not self._gst("gst_buffer_map", buffer, ctypes.byref(info), _MAP_READ):
            raise StreamFailed("pipeline", 1, "an image's memory can't be read")
        self._mapped = buffer, info
        # GStreamer pads the rows of RGB to whole words of 4 bytes.
        pixels = np.ctypeslib.as_array((ctypes.c_uint8 * info.size).from_address(info.data or 0))
        stride = -(-width * 3 // 4) * 4
        rows = np.lib.stride_tricks.as_strided(pixels, (height, width, 3), (stride, 3, 1), writeable=False)
        if info.size < stride * (height - 1) + width * 3:
            raise StreamFailed("pipeline", 2, f"{info.size} bytes are too few for {width} x {height} RGB")
        return StreamImage(rows, stamp_ns, self._source_size(), self._rate_hz)

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
            width, height = self._size_in(caps)
            self._size, self._rate_hz = (height, width), self._rate_in(caps)
        return self._size

    def _rate_in(self, caps: int) -> float:
        structure, over, under = self._gst("gst_caps_get_structure", caps, 0), _I(), _I(1)
        self._gst(
            "gst_structure_get_fraction", structure, b"framerate", ctypes.byref(over), ctypes.byref(under)
        )
        return over.value / under.value

    def _size_in(self, caps: int) -> tuple[int, int]:
        structure, width, height = self._gst("gst_caps_get_structure", caps, 0), _I(), _I()
        self._gst("gst_structure_get_int", structure, b"width", ctypes.byref(width))
        self._gst("gst_structure_get_int", structure, b"height", ctypes.byref(height))
        return width.value, height.value

    def _release(self) -> None:
        if self._mapped is not None:
            buffer, info = self._mapped
            self._gst("gst_buffer_unmap", buffer, ctypes.byref(info))
            self._mapped = None
        if self._sample is not None:
            self._gst("gst_mini_object_unref", self._sample)
            self._sample = None
