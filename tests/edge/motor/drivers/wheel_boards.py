"""Boards with two wheels, each in a process of its own at the end of a pseudo-terminal.

`python -m tests.edge.motor.drivers.wheel_boards KIND LOG` prints the port's path, then obeys lines on its
input. The protocols are those of the published firmware: ROSArduinoBridge (CR ends a command,
`Invalid Command`, a stop 2 s after the last `m`) and Waveshare's UGV (JSON lines, feedback with cm and
hundredths of a volt, a stop after 3 s until T 136 says otherwise). Each line goes out in two halves. Wheels
follow at once, and each setpoint that is applied is a line of the log.
"""

import contextlib
import json
import os
import select
import sys
import time
from pathlib import Path

from edge.records import ZERO, Velocity
from sim.realtime.terminal import open_pty
from tests.board_process import BoardProcess

TRACK_M = 0.172
COUNTS_PER_M = 5000
PID_HZ = 30
BOOT_S = 0.7  # longer than a driver waits for an answer


class WheelBoard(BoardProcess):
    """The parent's handle on the child process."""

    def __init__(self, kind: str, folder: Path, options: str = "") -> None:
        log = folder / f"{kind}.jsonl"
        log.touch()
        super().__init__("tests.edge.motor.drivers.wheel_boards", log, kind)
        needed = f"counts_per_m={COUNTS_PER_M}&track_m={TRACK_M}" if kind == "arduino" else ""
        self.address = f"{kind}://{self.port}?" + "&".join(filter(None, [needed, options or "timeout_s=9"]))

    def tell(self, command: str) -> None:
        """Send a command, and wait until the child has obeyed it."""
        super().tell(command)
        assert self._output.readline() == "done\n"

    def velocity(self) -> Velocity:
        lines = self.lines()
        if not lines:
            return ZERO
        left, right = lines[-1]["left_m_s"], lines[-1]["right_m_s"]
        return Velocity((left + right) / 2, 0.0, (right - left) / TRACK_M)

    def unplug(self) -> None:
        if self._child.poll() is None:
            with contextlib.suppress(BrokenPipeError, ValueError):
                self.tell("pull")


class Board:
    """What both boards share: the line, the wheels and what a test may do to them."""

    ends = b"\n"
    banner = b""
    timeout_ms = 0

    def __init__(self, fd: int, log: Path) -> None:
        self.fd = fd
        os.set_blocking(fd, False)
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.muted = self.garbage = self.stuck = self.echo = False
        self.drift_m_s = 0.0  # both wheels roll at this speed, whatever they are told
        self.ways_m = [0.0, 0.0]
        self.volts = 11.8
        self.command_ns = 0
        self.limit_ms = self.timeout_ms
        self.reboot(boot_s=0.0)

    def reboot(self, boot_s: float = BOOT_S) -> None:
        self.rest = b""
        self.ways_m = [0.0, 0.0]
        self.limit_ms = self.timeout_ms
        self.ready_ns = time.monotonic_ns() + round(boot_s * 1e9)
        self.moved_ns = time.monotonic_ns()
        self.speeds = (0.0, 0.0)
        self.apply(0.0, 0.0)
        if boot_s:
            self.send(self.banner)

    def apply(self, left_m_s: float, right_m_s: float) -> None:
        self.move()
        self.speeds = (left_m_s, right_m_s)
        now_ns = time.monotonic_ns()
        line = {"stamp_ns": now_ns, "left_m_s": left_m_s, "right_m_s": right_m_s}
        os.write(self._log, (json.dumps(line) + "\n").encode())

    def move(self) -> None:
        now_ns = time.monotonic_ns()
        dt_s, self.moved_ns = (now_ns - self.moved_ns) / 1e9, now_ns
        for i in range(2):
            self.ways_m[i] += (self.drift_m_s + (0.0 if self.stuck else self.speeds[i])) * dt_s

    def send(self, data: bytes) -> None:
        if self.garbage:
            data = bytes(byte | 0x80 for byte in data)
        middle = len(data) // 2
        for part in (data[:middle], data[middle:]):
            with contextlib.suppress(OSError):
                os.write(self.fd, part)

    def poll(self) -> None:
        try:
            data = os.read(self.fd, 4096)
        except OSError:
            data = b""
        now_ns = time.monotonic_ns()
        if now_ns < self.ready_ns or self.muted:
            return  # a bootloader takes what comes, and drops it
        *commands, self.rest = (self.rest + data).split(self.ends)
        for command in commands:
            self.obey(command)
        if self.speeds != (0.0, 0.0) and now_ns - self.command_ns > self.limit_ms * 1_000_000:
            self.apply(0.0, 0.0)
        self.report(now_ns)

    def obey(self, command: bytes) -> None:
        raise NotImplementedError

    def report(self, now_ns: int) -> None:
        """Say nothing without being asked."""


class ArduinoBoard(Board):
    ends = b"\r"
    timeout_ms = 2000

    def __init__(self, fd: int, log: Path) -> None:
        self.motors = True  # USE_BASE
        super().__init__(fd, log)

    def obey(self, command: bytes) -> None:
        words = command.split(b" ")
        if command == b"e" and self.motors:
            self.move()
            left, right = (int(way_m * COUNTS_PER_M) for way_m in self.ways_m)
            self.send(b"%d %d\r\n" % (left, right))
        elif words[0] == b"m" and len(words) == 3 and self.motors:
            self.command_ns = time.monotonic_ns()
            left, right = (int(word) * PID_HZ / COUNTS_PER_M for word in words[1:])
            self.apply(left, right)
            self.send(b"OK\r\n")
        else:
            self.send(b"Invalid Command\r\n")


class WaveshareBoard(Board):
    timeout_ms = 3000
    banner = b"ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"

    def __init__(self, fd: int, log: Path) -> None:
        self.encoders = True
        self.report_ns = 0
        super().__init__(fd, log)

    def reboot(self, boot_s: float = BOOT_S) -> None:
        self.reporting = False
        super().reboot(boot_s)

    def obey(self, command: bytes) -> None:
        try:
            message = json.loads(command)
        except ValueError:
            return
        if self.echo:
            self.send(command + b"\r\n")
        match message:
            case {"T": 1, "L": left, "R": right}:
                self.command_ns = time.monotonic_ns()
                self.apply(left, right)
            case {"T": 136, "cmd": limit_ms}:
                self.limit_ms = limit_ms
            case {"T": 131, "cmd": on}:
                self.reporting = bool(on)
            case {"T": 143, "cmd": on}:
                self.echo = bool(on)

    def report(self, now_ns: int) -> None:
        if not self.reporting or now_ns - self.report_ns < 50_000_000:
            return
        self.report_ns = now_ns
        self.move()
        speeds = (0.0, 0.0) if self.stuck else self.speeds
        message = {
            "T": 1001,
            "L": speeds[0] + self.drift_m_s,
            "R": speeds[1] + self.drift_m_s,
            "ax": 3,
            "gz": -1,
        }
        if self.encoders:
            message |= {"odl": int(self.ways_m[0] * 100), "odr": int(self.ways_m[1] * 100)}
            message |= {"v": int(self.volts * 100)}
        else:
            message |= {"L": int(speeds[0] * 512), "R": int(speeds[1] * 512), "v": self.volts}
        self.send(json.dumps(message, separators=(",", ":")).encode() + b"\r\n")


def main() -> None:
    fd, cable, port = open_pty()
    board = {"arduino": ArduinoBoard, "waveshare": WaveshareBoard}[sys.argv[1]](fd, Path(sys.argv[2]))
    print(port, flush=True)
    pulled = False
    while True:
        ready = select.select([0] if pulled else [0, fd], [], [], 0.002)[0]
        if not pulled:
            board.poll()
        if 0 not in ready:
            continue
        line = os.read(0, 4096).decode().strip()
        if not line:
            return
        command, _, value = line.partition(" ")
        if command == "pull":
            pulled = True
            os.close(cable)
            os.close(fd)
        elif command == "reboot":
            board.reboot(float(value or BOOT_S))
        elif command == "noise":
            os.write(fd, bytes(range(256)) * 8 + b'12 3\x00 4 5\r\n{"T":1001\r\n')
        elif command == "say":
            os.write(fd, value.encode() + b"\r\n")
        else:
            assert hasattr(board, command), command
            setattr(board, command, float(value))
        print("done", flush=True)


if __name__ == "__main__":
    main()
