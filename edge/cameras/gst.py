"""The camera `gst://PIPELINE`: whatever GStreamer can show.

The pipeline is the beginning of one, in the words of `gst-launch-1.0`, and ends in raw video:
`gst://videotestsrc is-live=true ! video/x-raw,width=1280,height=720?flip=180`.
"""

from edge.address import Address, split_options, without_password
from edge.cameras.gstreamer.camera import StreamCamera
from edge.cameras.gstreamer.job import START_LIMIT_S, StreamJob
from edge.cameras.view import take_view
from edge.clock import Clock

_OPTIONS = ("flip", "rotate", "crop", "out", "timeout")


def job_of(text: str) -> StreamJob:
    """Return what an address asks for. Raises UsageError if it is malformed."""
    rest, options = split_options(text, _OPTIONS)
    shown = without_password(text)
    address = Address(f"gst://…?{options}" if options else "gst://…", "camera", "such as gst://videotestsrc")
    pipeline = rest.removeprefix("gst://").strip()
    if not pipeline or "\0" in text:
        raise address.error("there is no pipeline")
    view, limit_s = take_view(address), address.number("timeout", START_LIMIT_S, 1, 120)
    address.finish()
    return StreamJob("gst", shown, pipeline, view, limit_s)


def open_address(text: str, clock: Clock, name: str = "front") -> StreamCamera:
    """Open `gst://PIPELINE`. Raises UsageError for a malformed one, HardwareMissing without an image."""
    return StreamCamera(job_of(text), clock, name)
