"""The camera `rtsp://USER:PASSWORD@HOST/PATH`: a camera on the network.

The URL may have a query of its own; only the options that are known here are taken out of it.
"""

from urllib.parse import urlsplit

from edge.address import Address, split_options, without_password
from edge.cameras.gstreamer.camera import StreamCamera
from edge.cameras.gstreamer.job import START_LIMIT_S, StreamJob
from edge.cameras.view import take_view
from edge.clock import Clock

_OPTIONS = ("flip", "rotate", "crop", "out", "timeout", "transport")
_EXAMPLE = "such as rtsp://USER:PASSWORD@192.168.1.20/stream?transport=udp"


def job_of(text: str) -> StreamJob:
    """Return what an address asks for. Raises UsageError if it is malformed."""
    url, options = split_options(text, _OPTIONS)
    shown = without_password(url)
    # The address that is taken apart has no password, so that no error can show one.
    address = Address(f"{shown.replace('?', '%3F')}{'?' * bool(options)}{options}", "camera", _EXAMPLE)
    _check(url, address)
    view = take_view(address)
    transport = address.choice("transport", "tcp", ("tcp", "udp"))
    limit_s = address.number("timeout", START_LIMIT_S, 1, 120)
    address.finish()
    source = (
        f'rtspsrc location="{url}" latency=0 drop-on-latency=true protocols={transport}'
        " ! application/x-rtp,media=video ! decodebin"
    )
    return StreamJob("rtsp", shown, source, view, limit_s)


def open_address(text: str, clock: Clock, name: str = "front") -> StreamCamera:
    """Open `rtsp://HOST/PATH`. Raises UsageError if it is malformed, HardwareMissing without an image."""
    return StreamCamera(job_of(text), clock, name)


def _check(url: str, address: Address) -> None:
    if any(sign in '"\\' or sign.isspace() or not sign.isprintable() for sign in url):
        raise address.error("a URL has no blanks, quotes or backslashes: write them as %20, %22, %5C")
    try:
        parts = urlsplit(url)
        host, many = parts.hostname if parts.port != 0 else None, parts.netloc.count("@") > 1
    except ValueError:
        host, many = None, False
    if many:
        raise address.error("a URL has one @, before its host: write that of a password as %40")
    if not host:
        raise address.error("there is no host, or its port is not a number")
