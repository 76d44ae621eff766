"""The child process of one camera.

`python -m edge.cameras.gstreamer.child --control FD --bell FD --ring NAME`

It takes its job from the socket, writes the newest image into shared memory, and reports over the socket:
`started` with each new ring, `failed`, `ended`. It ends in good order when a packet or SIGINT comes, and in
any case when its parent is gone.
"""

import argparse
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType

import cv2

from edge.cameras.gstreamer.functions import StreamEnded, StreamFailed
from edge.cameras.gstreamer.job import MAX_PACKET_BYTES, StreamJob, send_report
from edge.cameras.gstreamer.library import StreamImage
from edge.cameras.gstreamer.sources import StreamSource, open_source
from edge.cameras.shm import FrameRing
from edge.errors import HardwareMissing

PULL_S = 0.1  # so often a request to end is looked for
MOST_AHEAD_NS = 1_000_000_000
STALL_NS = 1_000_000_000  # a process that stood still for longer finds old images waiting in the network
ORPHAN_LIMIT_S = 3.0  # to end in good order once the parent is gone


class StreamChild:
    """Pulls images and publishes them until it shall end."""

    def __init__(self, control: socket.socket, bell: int, ring_name: str) -> None:
        self._control = control
        self._bell = bell
        self._ring_name = ring_name
        self._ring: FrameRing | None = None
        self._source_size: tuple[int, int] | None = None
        self._ending = threading.Event()
        self._interrupted = False

    def run(self, job: StreamJob) -> None:
        """Run the job. What ends it is reported."""
        threading.Thread(target=self._watch_parent, name="parent", daemon=True).start()
        try:
            source = open_source(job)
            try:
                self._publish_all(source, job.scheme == "rtsp")
                if not self._interrupted:
                    source.end()
            finally:
                source.close()
        except StreamEnded:
            self._report("ended")
        except StreamFailed as failed:
            self._report(
                "failed", domain=failed.domain, code=failed.code, text=failed.text, detail=failed.detail
            )
        except HardwareMissing as missing:
            self._report("failed", domain="memory", code=0, text=missing.message, detail="")
        except Exception as error:
            self._report("failed", domain="bug", code=0, text=f"{type(error).__name__}: {error}", detail="")
            raise
        finally:
            if self._ring is not None:
                self._ending.wait()  # the parent, which may be slow, opens the ring by its name
                self._ring.close()

    def _publish_all(self, source: StreamSource, buffered: bool) -> None:
        """Publish until the end. Raises StreamFailed if a stream of the network fell behind."""
        looked_ns = time.monotonic_ns()
        while not self._ending.is_set():
            found = source.pull(PULL_S)
            stood_ns, looked_ns = time.monotonic_ns() - looked_ns, time.monotonic_ns()
            if buffered and self._ring is not None and stood_ns > STALL_NS:
                raise StreamFailed("stall", 0, f"its process stood still for {stood_ns / 1e9:.1f} s")
            if found is not None:
                self._publish(found)
                os.eventfd_write(self._bell, 1)

    def _publish(self, found: StreamImage) -> None:
        """Write an image into the ring. Raises StreamFailed if its size is not that of the first one."""
        height, width = found.image.shape[:2]
        # Streams over a network are stamped by an estimate of the sender's clock, which may be ahead.
        now_ns = time.monotonic_ns()
        stamp_ns = min(found.stamp_ns, now_ns)
        if found.stamp_ns - now_ns > MOST_AHEAD_NS:
            ahead_s = (found.stamp_ns - now_ns) / 1e9
            raise StreamFailed(
                "pace", 0, f"its images come faster than real time: {ahead_s:.1f} s ahead of it"
            )
        if self._ring is None:
            self._source_size = found.source_size
            self._ring = FrameRing.create(self._ring_name, height, width)
            self._ring.write(found.image, stamp_ns)
            self._report("started", source_size=found.source_size, source_hz=found.source_hz)
            return
        if found.source_size != self._source_size or (height, width) != (self._ring.height, self._ring.width):
            before, now = (
                "{1} x {0}".format(*size or (0, 0)) for size in (self._source_size, found.source_size)
            )
            raise StreamFailed("size", 0, f"its images changed from {before} to {now}")
        self._ring.write(found.image, stamp_ns)

    def _report(self, kind: str, **values: object) -> None:
        # A parent that is gone has no use for it, and `_watch_parent` has noticed.
        with contextlib.suppress(OSError):
            send_report(self._control, kind, **values)

    def interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        """End without waiting for the stream's own end; the handler of SIGINT."""
        self._interrupted = True
        self._ending.set()

    def _watch_parent(self) -> None:
        """Wait for a request to end, or for the parent's end; then no call into a library may hold it up."""
        with contextlib.suppress(OSError):
            asked = bool(self._control.recv(16))
            self._ending.set()
            if asked:
                self._control.recv(16)  # until the parent has let go
        self._ending.set()
        time.sleep(ORPHAN_LIMIT_S)
        os._exit(1)


def main(argv: list[str]) -> int:
    """Run one stream until it ends; what happened is on the socket."""
    parser = argparse.ArgumentParser(
        prog="python -m edge.cameras.gstreamer.child", description="The child process of one camera."
    )
    parser.add_argument("--control", type=int, required=True, help="the socket to the parent, inherited")
    parser.add_argument("--bell", type=int, required=True, help="rung for each frame, an eventfd, inherited")
    parser.add_argument("--ring", required=True, help="name of the shared memory for the frames")
    options = parser.parse_args(argv)
    with socket.socket(fileno=options.control) as control:
        child = StreamChild(control, options.bell, options.ring)
        signal.signal(signal.SIGINT, child.interrupt)
        cv2.setNumThreads(1)  # more of them cost more than they gain at these sizes
        job = control.recv(MAX_PACKET_BYTES).decode()
        if job:
            child.run(StreamJob.from_json(job))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
