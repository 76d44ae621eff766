"""What a camera's child process is to do, and what it reports: JSON in the packets of a socket."""

import json
import socket
from dataclasses import asdict, dataclass
from typing import Any

from edge.cameras.view import ImageView

MAX_PACKET_BYTES = 65536
LONGEST_SIDE_PX = 640  # limit for images that leave the child, unless the address asks for another size
START_LIMIT_S = 10.0  # from the start of a stream to its first image
LAUNCHED_BY = {"gstreamer": "GStreamer", "opencv": "OpenCV"}


@dataclass(frozen=True, slots=True)
class StreamJob:
    """One stream, as a camera's address asks for it."""

    scheme: str
    shown: str  # the address for people, without passwords
    source: str  # the beginning of a GStreamer pipeline; for OpenCV the path of a device
    view: ImageView
    start_limit_s: float = START_LIMIT_S
    engine: str = "gstreamer"  # or "opencv"
    jpeg: bool = False  # the source's images are JPEG, to be decoded no larger than needed
    hardware: bool = False  # the source's images are in the memory of a Jetson's video hardware
    source_size: tuple[int, int] | None = None  # height and width of the source's images, where it is known
    rate_hz: int = 0  # to ask an OpenCV device for; 0 takes its own
    fourcc: str = ""  # to ask an OpenCV device for, such as "MJPG"; empty takes its own

    def to_json(self) -> str:
        """Return the job as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "StreamJob":
        """Return the job that `to_json` wrote."""
        values = json.loads(text)
        view = values.pop("view")
        size, crop = view.pop("size"), tuple(view.pop("crop"))
        values["view"] = ImageView(crop=crop, size=tuple(size) if size else None, **view)
        values["source_size"] = tuple(values["source_size"]) if values["source_size"] else None
        return cls(**values)


def send_report(control: socket.socket, kind: str, **values: Any) -> None:
    """Send one report. Raises OSError if nobody is there any more."""
    control.send(json.dumps({"kind": kind, **values}).encode())


def read_report(packet: bytes) -> dict[str, Any]:
    """Return the report in a packet."""
    return json.loads(packet)
