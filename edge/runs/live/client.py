"""The runtime's end of the live page: starts its process, beside the motor process and in line with it."""

import contextlib
import errno
import importlib.util
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from edge.child import KeptChild, child_environment
from edge.errors import UsageError, install_hint
from edge.interfaces import Closing
from edge.runs.live.access import new_token, write_access
from edge.runs.live.packets import MAX_BYTES, Settings, pack

PAGE_FILE = "web.json"
DEFAULT_PORT = 8080
LOOPBACK = "127.0.0.1"
END_S = 3.0  # for the process to end, once its feed has


@dataclass(frozen=True, slots=True)
class KeptPage:
    """A page that goes on while the program of its run is replaced."""

    pid: int
    feed_fd: int
    urls: list[str]


class LivePage(Closing):
    """The process that serves a run's page, to be closed after the motor process."""

    def __init__(
        self,
        child: "subprocess.Popen[bytes] | KeptChild",
        feed: socket.socket,
        urls: list[str],
        motor_end: socket.socket | None = None,
    ) -> None:
        self.urls = urls  # with the token, for people; this machine's own first, if it listens there
        self._child, self._feed, self._motor_end = child, feed, motor_end
        self._file: Path | None = None

    @classmethod
    def start(
        cls, title: str, port: int = DEFAULT_PORT, host: str = LOOPBACK, controls: bool = True
    ) -> "LivePage":
        """Listen, and start the process. Port 0 is any free one; a recording has no controls.

        Raises UsageError if aiohttp is not installed, or nothing can listen there.
        """
        if importlib.util.find_spec("aiohttp") is None:
            raise UsageError("--web needs the Python package aiohttp", install_hint("web"))
        token = new_token()
        listening = listen(host, port)
        motor_here, motor_there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        feed_here, feed_there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        feed_here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_BYTES)
        given = {"--feed": feed_there, "--motor": motor_there, "--listen": listening}
        with listening, motor_there, feed_there:
            command = [sys.executable, "-m", "edge.runs.live.process"]
            child = subprocess.Popen(
                [*command, *(word for name, each in given.items() for word in (name, str(each.fileno())))],
                pass_fds=[each.fileno() for each in given.values()],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                env=child_environment(),
            )
            urls = page_urls(host, listening.getsockname()[1], token)
        feed_here.send(pack(Settings(token, title, controls)))
        return cls(child, feed_here, urls, motor_here)

    @classmethod
    def kept(cls, page: KeptPage) -> "LivePage":
        """Go on with a page that was started before this process's program was replaced."""
        os.set_inheritable(page.feed_fd, False)
        return cls(KeptChild(page.pid), socket.socket(fileno=page.feed_fd), page.urls)

    def hand_over(self) -> KeptPage:
        """Return what a program needs that goes on in this one's place; the socket stays open for it."""
        os.set_inheritable(self._feed.fileno(), True)
        return KeptPage(self.pid, self._feed.fileno(), self.urls)

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._child.pid

    @property
    def feed_fd(self) -> int:
        """The number of the socket that takes packets for the page (`edge.runs.live.packets`)."""
        return self._feed.fileno()

    @property
    def motor_fd(self) -> int:
        """The number of the socket by which the motor process hears of the page."""
        assert self._motor_end is not None  # only before the motor process is started
        return self._motor_end.fileno()

    @property
    def operator(self) -> str:
        """The address of that socket for the motor process."""
        return f"page://?fd={self.motor_fd}"

    def handed_over(self) -> None:
        """Close this process's copy of the motor process's end: it must live nowhere else."""
        if self._motor_end is not None:
            self._motor_end.close()
            self._motor_end = None

    def write_file(self, folder: Path) -> None:
        """Write the addresses into a file of the run's folder, for this user alone. Raises UsageError."""
        self._file = folder / PAGE_FILE
        port, token = self.urls[0].rpartition(":")[2].split("/#")
        write_access(self._file, int(port), token, urls=self.urls)

    def close(self) -> None:
        """Let the viewers know that nothing more will come, and end the process."""
        self.handed_over()
        self._feed.close()
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.unlink()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(END_S)
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises UsageError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, address = found[0][0], found[0][4]
        dual = family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(address, family=family, backlog=64, dualstack_ipv6=dual)
    except OSError as error:
        hints = {
            errno.EADDRINUSE: f"--web {port + 1 if 0 < port < 65535 else 0}, or --web 0 for any free port",
            errno.EACCES: "ports below 1024 are root's: --web 8080",
        }
        raise UsageError(
            f"the live page can't listen at {host[:100]}:{port}: {error.strerror}",
            hints.get(error.errno or 0, "--web-host takes an address of this machine: `ip -brief address`"),
        ) from error


def page_urls(host: str, port: int, token: str) -> list[str]:
    """Return the addresses of a page, this machine's own first; the token is the part that no server sees."""
    names = [f"[{host}]" if ":" in host else host]
    if host in ("0.0.0.0", "::"):
        every = [each for many in psutil.net_if_addrs().values() for each in many]
        found = [each.address for each in every if each.family == socket.AF_INET]
        names = sorted(found, key=lambda each: (not each.startswith("127."), each))
    return [f"http://{name}:{port}/#{token}" for name in names]
