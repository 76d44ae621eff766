"""Start the child process of a camera, hear its reports, and end it: asked, interrupted, killed."""

import contextlib
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from enum import Enum
from typing import Any

from edge.cameras.gstreamer.job import MAX_PACKET_BYTES, StreamJob, read_report
from edge.cameras.shm import FrameRing
from edge.child import child_environment

ASK_LIMIT_S = 2.0  # for the end of the stream to run through, and the device to be given back
INTERRUPT_LIMIT_S = 1.0
KILL_LIMIT_S = 2.0  # a process in the middle of a driver's call can't be killed
_CHILD = (sys.executable, "-m", "edge.cameras.gstreamer.child")


class StreamEnd(Enum):
    """How a child process came to its end."""

    ASKED = "when asked to"
    INTERRUPTED = "by SIGINT"
    KILLED = "by SIGKILL"
    NEVER = "not even by SIGKILL"


class StreamProcess:
    """A running child process. It is for one thread."""

    def __init__(self, job: StreamJob, bell: int, command: Sequence[str] = _CHILD) -> None:
        """Start it and hand it its job, which never stands in its command line: there may be a password.

        `bell` is an eventfd, which it rings for each frame that it has published.
        """
        self.ring_name = f"vla-edge-{os.getpid()}-{secrets.token_hex(4)}"
        self._control, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Its end of the socket must live nowhere else, or neither side would hear the other one die.
        with there:
            self._child = subprocess.Popen(
                [*command, "--control", str(there.fileno()), "--bell", str(bell), "--ring", self.ring_name],
                pass_fds=[there.fileno(), bell],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # What goes wrong is reported; the libraries' own chatter is for who asks for it.
                stderr=None if "GST_DEBUG" in os.environ else subprocess.DEVNULL,
                env=child_environment(),
            )
        with contextlib.suppress(OSError):  # a child that is gone already is noticed in `report`
            self._control.send(job.to_json().encode())

    @property
    def pid(self) -> int:
        """Process id."""
        return self._child.pid

    def report(self, wait_s: float) -> dict[str, Any] | None:
        """Return the next report, None if none comes in time. `gone` is the last one, with how it ended."""
        if not select.select([self._control], [], [], wait_s)[0]:
            return None
        try:
            packet = self._control.recv(MAX_PACKET_BYTES)
        except OSError:
            packet = b""
        if packet:
            return read_report(packet)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(KILL_LIMIT_S)
        code = self._child.returncode
        how = (
            f"killed by {signal.Signals(-code).name}"
            if code is not None and code < 0
            else f"exit code {code}"
        )
        return {"kind": "gone", "text": how}

    def end(self) -> StreamEnd:
        """End it by a packet, then SIGINT, then SIGKILL; return what it took. A second call is harmless."""
        with contextlib.suppress(OSError):  # it is gone already
            self._control.send(b"end", socket.MSG_DONTWAIT)
        steps = (
            (StreamEnd.ASKED, None, ASK_LIMIT_S),
            (StreamEnd.INTERRUPTED, signal.SIGINT, INTERRUPT_LIMIT_S),
            (StreamEnd.KILLED, signal.SIGKILL, KILL_LIMIT_S),
        )
        ended = StreamEnd.NEVER
        for step, sent, limit_s in steps:
            if sent is not None:
                self._child.send_signal(sent)
            with contextlib.suppress(subprocess.TimeoutExpired):
                # One that died of a signal before has not given its device back either.
                ended = StreamEnd.KILLED if self._child.wait(limit_s) < 0 else step
                break
        self._control.close()
        FrameRing.unlink(self.ring_name)  # in case it was killed before anybody attached
        return ended
