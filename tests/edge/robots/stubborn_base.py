"""A base whose firmware stops by itself as late as one likes: `python -m tests.edge.robots.stubborn_base`.

The firmware of the simulated robot at the end of a pseudo-terminal, over the simplest physics: the base has
the speed that it was told. It lives until its standard input ends.
"""

import argparse
import contextlib
import math
import select
import sys
import time
from pathlib import Path

from edge.records import ZERO, Odometry, Velocity
from sim.realtime import firmware
from sim.realtime.terminal import open_pty

STEP_S = 0.005


class Wheels:
    """Where the base is, and how fast it goes."""

    def __init__(self, odometry: bool, stuck: bool) -> None:
        self._reports, self._stuck = odometry, stuck
        self._velocity = ZERO
        self._x_m = 0.0

    def apply(self, velocity: Velocity, armed: bool) -> None:
        self._velocity = velocity if armed and not self._stuck else ZERO

    def step(self) -> None:
        self._x_m += self._velocity.linear_x_m_s * STEP_S

    def odometry(self) -> Odometry:
        # The driver drops odometry that is not finite: this base has none.
        x_m = self._x_m if self._reports else math.nan
        return Odometry(time.monotonic_ns(), x_m, 0.0, 0.0, self._velocity)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--timeout-s", type=float, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--no-odometry", action="store_true")
    parser.add_argument("--stuck", action="store_true")
    options = parser.parse_args()
    firmware.SETPOINT_LIMIT_NS = round(min(options.timeout_s, 1e6) * 1e9)
    board, _, port = open_pty()  # the other end stays open, as a cable that is plugged in
    wheels = Wheels(not options.no_odometry, options.stuck)
    with contextlib.closing(firmware.Firmware(board, wheels.apply, wheels.odometry, options.log)) as base:
        print(port, flush=True)
        while not select.select([sys.stdin], [], [], STEP_S)[0]:
            base.poll(time.monotonic_ns())
            wheels.step()


if __name__ == "__main__":
    main()
