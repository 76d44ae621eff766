"""A base without physics, in a process of its own: the real firmware, a pseudo-terminal, perfect wheels.

`python -m tests.sim.realtime.rover LOG` prints the port's path, then obeys lines on its input: `pull`,
`mute`, `reboot`, `manual 1`, `emergency 1`, `battery 0.05`, `stuck 1`, `noise`. It ends with its input.
"""

import math
import os
import select
import sys
import time
from pathlib import Path

from edge.records import ZERO, Odometry, Velocity
from sim.realtime.firmware import Firmware
from sim.realtime.mishaps import Mishaps
from sim.realtime.terminal import open_pty
from tests.board_process import BoardProcess


class Rover(BoardProcess):
    """The parent's handle on the child process."""

    def __init__(self, folder: Path) -> None:
        super().__init__("tests.sim.realtime.rover", folder / "firmware.jsonl")
        self.uri = f"mavlink://{self.port}?timeout_s=10&omni=yes"


class _Wheels:
    def __init__(self) -> None:
        self.velocity = ZERO
        self.stuck = False
        self._x_m = self._y_m = self._yaw_rad = 0.0
        self._moved_ns = time.monotonic_ns()

    def apply(self, velocity: Velocity, armed: bool) -> None:
        self.odometry()
        self.velocity = velocity if armed and not self.stuck else ZERO

    def odometry(self) -> Odometry:
        now_ns = time.monotonic_ns()
        dt_s, self._moved_ns = (now_ns - self._moved_ns) / 1e9, now_ns
        x, y = self.velocity.linear_x_m_s * dt_s, self.velocity.linear_y_m_s * dt_s
        self._x_m += x * math.cos(self._yaw_rad) - y * math.sin(self._yaw_rad)
        self._y_m += x * math.sin(self._yaw_rad) + y * math.cos(self._yaw_rad)
        self._yaw_rad += self.velocity.angular_z_rad_s * dt_s
        return Odometry(now_ns, self._x_m, self._y_m, self._yaw_rad, self.velocity)


def main() -> None:
    board, cable, port = open_pty()
    wheels, mishaps = _Wheels(), Mishaps(battery_fraction=0.9)
    firmware = Firmware(
        board,
        wheels.apply,
        wheels.odometry,
        Path(sys.argv[1]),
        battery_fraction=lambda: mishaps.battery_fraction,
    )
    print(port, flush=True)
    os.set_blocking(0, False)
    while True:
        if not mishaps.muted:
            firmware.poll(time.monotonic_ns())
        if not select.select([0], [], [], 0.002)[0]:
            continue
        data = os.read(0, 4096).decode()
        if not data:
            return
        for line in data.splitlines():
            command, _, value = line.partition(" ")
            if command == "pull":
                os.close(cable)
                os.close(board)
                mishaps.muted = True
            elif command == "noise":
                os.write(board, bytes(range(256)) + b"\xfd\x40\x00" + b"\xfd" * 40)
            elif command == "stuck":
                wheels.stuck = value == "1"
            else:
                assert mishaps.obey(line, firmware), line


if __name__ == "__main__":
    main()
