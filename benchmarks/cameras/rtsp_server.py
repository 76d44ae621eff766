"""An RTSP camera whose images carry the time at which they were drawn.

Run by the system's Python, which has PyGObject: `/usr/bin/python3 benchmarks/cameras/rtsp_server.py`. It
prints one line with its port, and ends when its standard input does. /h264 and /mjpeg show the same images.
"""

import argparse
import math
import sys
import threading
import time
from collections.abc import Iterator

import gi  # pyright: ignore[reportMissingImports]

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 # pyright: ignore[reportMissingImports]

BITS = 32  # hold the time in milliseconds, in two rows of blocks at the top, the highest bit first
COLUMNS = 16
SCROLL_ROWS = 128
ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={rate} bitrate=4000 threads=1"
    " ! rtph264pay name=pay0 pt=96 config-interval=1",
    "mjpeg": "jpegenc quality=85 ! rtpjpegpay name=pay0 pt=26",
}


class Painter:
    """Draws images in I420: the time as blocks, and below a texture that scrolls."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._block = width, (width // COLUMNS, height // 8)
        self._rest = height - 2 * self._block[1]
        self._texture = b"".join(self._rows(self._rest + SCROLL_ROWS))
        self._chroma = bytes(128 + round(60 * math.sin(x / 40)) for x in range(width // 2)) * (height // 2)

    def draw(self, number: int) -> bytes:
        """Return the image that is drawn now."""
        stamp_ms = time.monotonic_ns() // 1_000_000 % 2**BITS
        bits = f"{stamp_ms:0{BITS}b}"
        stripes = [
            b"".join((b"\xeb" if bit == "1" else b"\x10") * self._block[0] for bit in part) * self._block[1]
            for part in (bits[:COLUMNS], bits[COLUMNS:])
        ]
        first = number % SCROLL_ROWS * self._width
        texture = self._texture[first : first + self._rest * self._width]
        return b"".join((*stripes, texture, self._chroma, self._chroma))

    def _rows(self, count: int) -> Iterator[bytes]:
        for y in range(count):
            yield bytes(
                128 + round(50 * math.sin(x / 9 + y / 31) + 50 * math.sin(y / 7 - x / 23))
                for x in range(self._width)
            )


class Feed:
    """Feeds one media's appsrc at its rate until that refuses."""

    def __init__(self, painter: Painter, rate_hz: int) -> None:
        self._painter, self._period_s = painter, 1 / rate_hz

    def configure(self, _factory: object, media: "GstRtspServer.RTSPMedia") -> None:
        """Begin to feed a media that a client has asked for."""
        source = media.get_element().get_by_name_recurse_up("source")
        threading.Thread(target=self._push, args=(source,), daemon=True).start()

    def _push(self, source: "Gst.Element") -> None:
        due_s, number, taken = time.monotonic(), 0, False
        while True:
            image = Gst.Buffer.new_wrapped(self._painter.draw(number))
            took = source.emit("push-buffer", image) == Gst.FlowReturn.OK
            if taken and not took:  # before the first one the media is still being prepared
                return
            taken = took
            number, due_s = number + 1, due_s + self._period_s
            time.sleep(max(0.0, due_s - time.monotonic()))


def _auth(user: str, password: str) -> "GstRtspServer.RTSPAuth":
    auth = GstRtspServer.RTSPAuth.new()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", user)
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    return auth


def main() -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--rate-hz", type=int, default=30)
    parser.add_argument("--port", default="0", help="0 takes a free one")
    parser.add_argument("--user", default="", help="USER:PASSWORD that clients must know")
    options = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(options.port)
    painter = Painter(options.width, options.height)
    size = f"width={options.width},height={options.height},framerate={options.rate_hz}/1"
    for name, encoder in ENCODERS.items():
        factory = GstRtspServer.RTSPMediaFactory.new()
        factory.set_launch(
            "( appsrc name=source is-live=true do-timestamp=true format=time leaky-type=downstream"
            f" max-buffers=1 caps=video/x-raw,format=I420,{size}"
            f" ! {encoder.format(rate=options.rate_hz)} )"
        )
        factory.set_shared(True)
        factory.connect("media-configure", Feed(painter, options.rate_hz).configure)
        if options.user:
            permissions = GstRtspServer.RTSPPermissions()
            permissions.add_permission_for_role(options.user.partition(":")[0], "media.factory.access", True)
            permissions.add_permission_for_role(
                options.user.partition(":")[0], "media.factory.construct", True
            )
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory(f"/{name}", factory)
    if options.user:
        server.set_auth(_auth(*options.user.split(":", 1)))
    if not server.attach(None):
        sys.exit("the port is taken")
    print(server.get_bound_port(), flush=True)
    loop = GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main()
