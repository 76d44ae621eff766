"""The stop over HTTP: `POST /stop` on the loopback address, with the token in a file of the run's folder."""

import contextlib
import json
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from edge.errors import EdgeError, UsageError
from edge.interfaces import Closing
from edge.runs.live.access import bears_token, new_token, write_access

STOP_FILE = "stop.json"
MAX_BODY_BYTES = 1024
REQUEST_LIMIT_S = 2.0  # for a whole request, however slowly it comes
POLL_MS = 50  # while a connection is open: it may take too long
MAX_CONNECTIONS = 16  # at once; one more closes the oldest, so that no client keeps a stop away
_CODES = {200: "stopping", 401: "the token is wrong", 404: "only POST /stop", 413: "too large", 503: "failed"}


class _Connections(ThreadingHTTPServer):
    """A server whose clients hold few connections, and none of them for long."""

    daemon_threads = True
    timeout = 0.0  # `handle_request` never waits: a client may have gone meanwhile
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler], kept_fd: int | None) -> None:
        """Listen on a free port of 127.0.0.1, or go on with a socket that listens already."""
        super().__init__(("127.0.0.1", 0), handler, bind_and_activate=kept_fd is None)
        if kept_fd is not None:
            self.socket.close()
            self.socket = socket.socket(fileno=kept_fd)
            self.server_address = self.socket.getsockname()
            os.set_inheritable(kept_fd, False)
        self._open: dict[socket.socket, float] = {}  # the oldest first, with the time of its end
        self._lock = threading.Lock()
        self._ended, self._ends = socket.socketpair()

    def listen(self) -> None:
        """Answer requests until `end`. Wakes for nothing else while no connection is open."""
        awaited = select.poll()
        for each in (self.socket, self._ended):
            awaited.register(each, select.POLLIN)
        while self._ended.fileno() not in (ready := dict(awaited.poll(POLL_MS if self._open else None))):
            if ready:
                self.handle_request()
            self.service_actions()

    def end(self) -> None:
        """End `listen`."""
        self._ends.close()

    def server_close(self) -> None:
        """Close all sockets."""
        super().server_close()
        self._ends.close()
        self._ended.close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own."""
        with self._lock:
            self._open[request] = time.monotonic() + REQUEST_LIMIT_S
            if len(self._open) > MAX_CONNECTIONS:
                _end(next(iter(self._open)))
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """End the connections that took too long; called at every poll."""
        with self._lock:
            for request, end_s in self._open.items():
                if time.monotonic() > end_s:
                    _end(request)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that has been answered, and close it."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write nothing: a client that goes away within its request concerns nobody."""


def _end(request: socket.socket) -> None:
    """Let the thread that reads a connection find its end."""
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class StopServer(Closing):
    """Listens until it is closed. Its file, for this user alone, holds port, token and process id."""

    def __init__(
        self, folder: Path, on_stop: Callable[[str], None], kept: tuple[int, str] | None = None
    ) -> None:
        """Listen on a free port of 127.0.0.1 and write the file; `kept` are socket and token of a former one.

        Raises UsageError if the file can't be written, OSError if nothing can listen.
        """
        self._file = folder / STOP_FILE
        self.token = token = kept[1] if kept else new_token()

        class BoundHandler(StopHandler):
            expected = token
            stop = staticmethod(on_stop)

        self._server = _Connections(BoundHandler, kept[0] if kept else None)
        try:
            write_access(self._file, self._server.server_address[1], token)
        except UsageError:
            self._server.server_close()
            raise
        self._thread = threading.Thread(target=self._server.listen, name="stop server", daemon=True)
        self._thread.start()

    @property
    def fd(self) -> int:
        """The number of the socket that it listens at."""
        return self._server.socket.fileno()

    def close(self) -> None:
        """Remove the file and stop listening."""
        with contextlib.suppress(OSError):  # what can't be removed any more must not cost the drive's outcome
            self._file.unlink()
        self._server.end()
        self._thread.join()
        self._server.server_close()


class StopHandler(BaseHTTPRequestHandler):
    """One request. http.server itself refuses lines over 64 KiB and more than 100 headers."""

    expected = ""  # token
    stop: Callable[[str], None]
    timeout = REQUEST_LIMIT_S

    def do_POST(self) -> None:
        """Stop the drive if the token is right, and say so once the motor process was told."""
        length = self.headers.get("Content-Length", "0")
        given = self.headers.get("Authorization", "")
        if not (length.isascii() and length.isdigit() and int(length[:9]) <= MAX_BODY_BYTES):
            self._answer(413)
        elif not bears_token(given, self.expected):
            self._answer(401)
        elif self.path != "/stop":
            self._answer(404)
        else:
            try:
                self.stop("vla-edge stop")
            except EdgeError as error:
                self._answer(503, error.message)
            else:
                self._answer(200)

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing: the run's log says who stopped it."""

    def _answer(self, code: int, text: str = "") -> None:
        body = json.dumps({"message": text or _CODES[code]}).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
