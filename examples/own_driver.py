"""A driver of your own, in one file: `lines://HOST:PORT`, a base that takes lines of text over TCP.

The driver sends `arm`, `stop` and `move X Y TURN` (m/s, m/s, rad/s); the base answers each line with
`state ARMED BATTERY`. To offer it as `vla-edge run --camera file://PATH --motors lines://10.0.0.7:9000`,
install it with this entry point:

    [project.entry-points."vla_edge.motors"]
    lines = "own_driver:open_address"
"""

import contextlib
import math
import re
import socket
import threading
import time

from edge.errors import EdgeError, HardwareMissing, MotorFault, UsageError
from edge.interfaces import Closing, Feedback
from edge.records import ZERO, Velocity

CONNECT_LIMIT_S = 3.0
SILENCE_LIMIT_S = 1.0  # a base silent for longer is a fault


class LineMotors(Closing):
    """The driver. It lives in the motor process, which limits every velocity before it comes here."""

    max_rate_hz = 200.0

    def __init__(self, host: str, port: int) -> None:
        """Connect. Raises HardwareMissing if nobody listens there."""
        self._where = f"motors {host}:{port}"
        try:
            self._line = socket.create_connection((host, port), CONNECT_LIMIT_S)
        except OSError as error:
            raise HardwareMissing(
                f"{self._where}: {error}", "is the base on, and in this network?"
            ) from error
        self._line.setblocking(False)
        self._received = b""
        self._heard_s = time.monotonic()
        self._feedback = Feedback(armed=False)

    def arm(self) -> None:
        """Ask the base to arm; `read().armed` tells when it has."""
        self._send("arm")

    def write(self, command: Velocity) -> Velocity:
        """Send one setpoint; returns what was sent. Raises MotorFault, HardwareMissing."""
        self._send(f"move {command.linear_x_m_s} {command.linear_y_m_s} {command.angular_z_rad_s}")
        return command

    def stop(self) -> None:
        """Send zero and disarm. Never raises: on a line that is gone there is nothing left to stop."""
        with contextlib.suppress(EdgeError):
            self.write(ZERO)
            self._send("stop")

    def read(self) -> Feedback:
        """Return the base's newest state. Never blocks. Raises HardwareMissing if the line is gone."""
        try:
            received = self._line.recv(65536)
        except BlockingIOError:
            pass
        except OSError as error:
            raise self._gone(error) from error
        else:
            if not received:
                raise self._gone("closed by the base")
            *lines, self._received = (self._received + received).split(b"\n")
            for line in lines:
                _, armed, battery = line.split()
                self._heard_s = time.monotonic()
                self._feedback = Feedback(armed == b"1", battery_fraction=float(battery))
        if (silent_s := time.monotonic() - self._heard_s) > SILENCE_LIMIT_S:
            return Feedback(
                False, fault=f"the base is silent for {silent_s:.1f} s (limit {SILENCE_LIMIT_S:g} s)"
            )
        return self._feedback

    def close(self) -> None:
        """Give the line back."""
        self._line.close()

    def _send(self, line: str) -> None:
        data = f"{line}\n".encode()
        try:
            if self._line.send(data) != len(data):
                raise BlockingIOError
        except BlockingIOError as error:
            raise MotorFault(f"{self._where}: the base does not read", "restart the base") from error
        except OSError as error:
            raise self._gone(error) from error

    def _gone(self, why: object) -> HardwareMissing:
        return HardwareMissing(f"{self._where}: the line is gone: {why}", "check the network and the base")


def open_address(address: str) -> LineMotors:
    """Open `lines://HOST:PORT`. Raises UsageError for another address, HardwareMissing if nobody listens."""
    parts = re.fullmatch(r"lines://([\w.-]+):([1-9]\d{0,4})", address)
    if parts is None or int(parts[2]) > 65535:
        raise UsageError(
            f"motors address {address[:200]!r} is not like lines://10.0.0.7:9000", "give host and port"
        )
    return LineMotors(parts[1], int(parts[2]))


class ToyBase:
    """A base to try the driver with: it obeys one driver after the other, and moves nothing."""

    def __init__(self) -> None:
        self.velocity, self._armed = ZERO, False
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"lines://127.0.0.1:{self._server.getsockname()[1]}"
        self._connection: socket.socket | None = None
        threading.Thread(target=self._work, daemon=True).start()

    def unplug(self) -> None:
        """Let go of the line."""
        for end in (self._server, self._connection):
            if end is not None:
                with contextlib.suppress(OSError):  # the driver may have gone before
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _work(self) -> None:
        with contextlib.suppress(OSError):  # `unplug` ends this thread so
            while True:
                self._connection, _ = self._server.accept()
                # Two files: one for both would drop lines that it has read ahead whenever it writes.
                with (
                    self._connection,
                    contextlib.suppress(OSError),
                    self._connection.makefile("r") as lines,
                    self._connection.makefile("w") as answers,
                ):
                    for line in lines:
                        self._obey(line.split())
                        print(f"state {int(self._armed)} 0.9", file=answers, flush=True)
                self._armed, self.velocity = False, ZERO

    def _obey(self, words: list[str]) -> None:
        if words[0] in ("arm", "stop"):
            self._armed = words[0] == "arm"
        wanted = Velocity(*map(float, words[1:])) if words[0] == "move" else ZERO
        finite = math.isfinite(wanted.linear_x_m_s + wanted.linear_y_m_s + wanted.angular_z_rad_s)
        self.velocity = wanted if self._armed and finite else ZERO


def main() -> None:
    """Drive a toy base forward for half a second."""
    base = ToyBase()
    with open_address(base.address) as motors:
        while not motors.read().armed:
            motors.arm()
            time.sleep(0.02)
        for _ in range(25):
            motors.write(Velocity(0.2, 0.0, 0.1))
            time.sleep(0.02)
        print(f"moving: {base.velocity}, {motors.read()}")
        motors.stop()
        while motors.read().armed:
            time.sleep(0.02)
        print(f"stopped: {base.velocity}")
    base.unplug()


if __name__ == "__main__":
    main()
