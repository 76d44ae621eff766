"""The functions of GStreamer that are used here, by ctypes.

PyGObject has no wheels, so its bindings miss from most virtual environments, while the libraries themselves
are on every Jetson. Only child processes use them, never the process that drives.
"""

import ctypes
from collections.abc import Callable
from typing import Any

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


class GError(ctypes.Structure):
    """Error of GLib, as it lies in memory."""

    _fields_ = [("domain", ctypes.c_uint32), ("code", _I), ("message", _S)]


class MapInfo(ctypes.Structure):
    """Memory of a mapped buffer: `size` bytes at `data`, of at most `maxsize`."""

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
