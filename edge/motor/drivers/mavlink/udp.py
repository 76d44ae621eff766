"""A UDP socket as the MAVLink driver uses it: one owner, one peer, never blocking."""

import contextlib
import errno
import socket

from edge.errors import HardwareMissing, MotorFault, reason_of
from edge.interfaces import Closing

MAX_DATAGRAM_BYTES = 4096  # a longer one loses its end, and with it its last packet's checksum
Peer = tuple[str, int]


class UdpPort(Closing):
    """A socket that listens at `place` (HOST:PORT), or sends to it first.

    Whoever listens gets datagrams from anybody until `keep_to` names the base; from then on from it alone.
    """

    busy = False  # a datagram goes out whole or not at all

    def __init__(self, place: str, connects: bool) -> None:
        """Open the socket. Raises HardwareMissing with what to do about it."""
        self.path = place
        self.sender: Peer = ("", 0)  # whence the newest datagram came
        self._lock: socket.socket | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._connected = False
        self._heard = False
        host, _, port = place.rpartition(":")
        try:
            if connects:
                # Any number of sockets may send to one place: this name is taken once on this computer.
                self._lock = _locked(f"\0vla-edge mavlink {place}")
                self.keep_to((host, int(port)))
            else:
                self._socket.bind((host, int(port)))
        except OSError as error:
            self.close()
            raise _refused(place, connects, error) from error

    def keep_to(self, peer: Peer) -> None:
        """Exchange datagrams with this peer alone. Raises OSError if there is no way to it."""
        self._socket.connect(peer)
        self._connected = True

    def read(self) -> bytes:
        """Return the next datagram; empty if none has come. Raises HardwareMissing if the peer is gone."""
        try:
            data, self.sender = self._socket.recvfrom(MAX_DATAGRAM_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            self._check_gone(error)
            return b""
        self._heard = True
        return data

    def write(self, message: bytes) -> bool:
        """Send a message without blocking; False if it could not go out.

        Raises HardwareMissing if the peer is gone, MotorFault if this socket is closed.
        """
        if not self._connected or not message:
            return False
        try:
            self._socket.send(message)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._check_gone(error)
            return False
        return True

    def close(self) -> None:
        """Close the socket and give its place free."""
        self._socket.close()
        if self._lock is not None:
            self._lock.close()

    def _check_gone(self, error: OSError) -> None:
        """Raise what an error means. Until the base was heard, nobody need listen at its end yet."""
        if error.errno == errno.ENOBUFS or (error.errno == errno.ECONNREFUSED and not self._heard):
            return
        if error.errno == errno.EBADF:
            raise MotorFault(f"motors {self.path}: the socket is closed", "start the run again") from error
        why = "nobody listens there any more" if error.errno == errno.ECONNREFUSED else reason_of(error)
        raise HardwareMissing(
            f"motors {self.path}: the port is gone: {why}", "check the base's power and the network"
        ) from error


def _locked(name: str) -> socket.socket:
    """Take a name among Unix sockets, which the kernel frees when this process ends. Raises OSError."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with contextlib.ExitStack() as stack:
        stack.callback(lock.close)
        lock.bind(name)
        stack.pop_all()
    return lock


def _refused(place: str, connects: bool, error: OSError) -> HardwareMissing:
    port = place.rpartition(":")[2]
    if error.errno == errno.EADDRINUSE:
        if connects:
            hint = "another run drives that base: stop it"
        else:
            hint = f"find it with `ss -lunp 'sport = :{port}'`, then stop it"
        return HardwareMissing(f"motors: UDP {place} is taken by another process", hint)
    if error.errno == errno.EADDRNOTAVAIL:
        return HardwareMissing(
            f"motors: {place} is not an address of this computer",
            f"udp: listens here: udp:0.0.0.0:{port}; to send to another computer: udpout:{place}",
        )
    if error.errno == errno.EACCES:
        return HardwareMissing(f"motors: no permission for UDP {place}", "take a port above 1023")
    # The name of a host that nobody knows has an error number of its own, below zero.
    why = reason_of(error) if (error.errno or 0) > 0 else "the host's name is not known"
    return HardwareMissing(f"motors: UDP {place} does not open: {why}", "check the host, `ping` it")
