"""A camera behind GStreamer: images go to a process of its own, which serves them through a socket."""

import contextlib
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from edge.cameras.shm import SHARED_MEMORY
from edge.interfaces import Closing
from edge.records import Image
from sim.faults.feed import Shot, unspoilt


class Stream(Closing):
    """Serves images (height, width, 3) at `uri`, 30 a second."""

    def __init__(self, folder: Path, height: int, width: int, images: Iterable[Shot | None]) -> None:
        self._socket = socket = folder / "camera"
        caps = f"video/x-raw,format=RGB,width={width},height={height},framerate=30/1"
        parse = f"rawvideoparse format=rgb width={width} height={height} framerate=30/1"
        size = height * width * 3
        command = f"gst-launch-1.0 -q fdsrc fd=0 blocksize={size} ! {parse} ! shmsink sync=false"
        self._command = [*command.split(), f"socket-path={socket}", "wait-for-connection=false"]
        self._command += [f"shm-size={size * 16}"]
        self.uri = f"gst://shmsrc socket-path={socket} is-live=true do-timestamp=true ! {caps}"
        self.spoil: Callable[[Image, int], Shot | None] = unspoilt
        self._images = images
        self._over = threading.Event()
        self._server = self._serve()
        self._thread = threading.Thread(target=self._write, name="stream", daemon=True)
        self._thread.start()

    def _serve(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._command, 0, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def _write(self) -> None:
        for shot in self._images:
            if self._over.is_set():
                return
            pipe = self._server.stdin
            spoilt = None if shot is None else self.spoil(*shot)
            if spoilt is not None and pipe is not None:
                with contextlib.suppress(OSError, ValueError):  # it is down, for now or for good
                    pipe.write(spoilt[0].tobytes())

    def hang(self) -> None:
        """Let its process stand still, as a cable that is out without an end of the stream."""
        self._server.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let its process go on."""
        self._server.send_signal(signal.SIGCONT)

    def die(self) -> None:
        """End its process for good."""
        self._server.kill()
        self._server.wait()
        self._socket.unlink(missing_ok=True)
        # What killed processes of GStreamer leave in shared memory is theirs, not that of the run.
        for left in SHARED_MEMORY.glob(f"shmpipe.{self._server.pid}.*"):
            left.unlink(missing_ok=True)

    def come_back(self) -> None:
        """Serve anew after `die`."""
        before = self._server
        self._server = self._serve()
        if before.stdin is not None:
            with contextlib.suppress(OSError):
                before.stdin.close()

    def close(self) -> None:
        """End it all."""
        self._over.set()
        self.die()
        self._thread.join(5)
        if self._server.stdin is not None:
            with contextlib.suppress(OSError):
                self._server.stdin.close()
