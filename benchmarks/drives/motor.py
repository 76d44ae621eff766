"""The motor process of every drive, with stamps: `python -m benchmarks.drives.motor`.

The loop, the guard and the driver are those of `edge.motor.process`. What is added notes when a chunk came,
when the guard first followed it, and when its first setpoint was written; it is kept in memory, and written
to the file that VLA_EDGE_BENCH_STAMPS names once the loop has ended.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.drives.stamps import Slowed, peak_memory_mb
from edge.interfaces import Motors
from edge.motor.drivers.open import open_motors
from edge.motor.guard import Guard
from edge.motor.process import main as run_motor_process
from edge.records import ActionChunk, Velocity

STAMPS_FILE = "VLA_EDGE_BENCH_STAMPS"


class MotorStamps:
    """What happened to each chunk, ns of CLOCK_MONOTONIC."""

    def __init__(self, slowed: Slowed) -> None:
        self.chunks: list[tuple[int, ...]] = []  # t0, decision, came, step begins, step ends, written
        self.writes: list[int] = []  # when each setpoint was written
        self.cpu_s = (0.0, 0.0)  # time of this process at the first and at the newest of them
        self._slowed = slowed
        self._came: tuple[int, ...] | None = None
        self._stepped: tuple[int, ...] | None = None

    def watch_guard(self) -> None:
        """Note what every guard of this process does."""
        follow, step = Guard.follow, Guard.step

        def stamped_follow(guard: Guard, chunk: ActionChunk, now_ns: int) -> bool:
            followed = follow(guard, chunk, now_ns)
            if followed:
                self._came = (chunk.t0_ns, chunk.decision, now_ns)
            return followed

        def stamped_step(guard: Guard, now_ns: int) -> Velocity:
            begin_ns, begin_cpu_ns = time.monotonic_ns(), time.thread_time_ns()
            setpoint = step(guard, now_ns)
            self._slowed.spin("guard", begin_cpu_ns)
            if self._came is not None and guard.frame_to_motor_ns >= 0:
                self._stepped, self._came = (*self._came, begin_ns, time.monotonic_ns()), None
            return setpoint

        guards: Any = Guard
        guards.follow, guards.step = stamped_follow, stamped_step

    def open(self, address: str) -> Motors:
        """Open the driver of an address, whose writes are noted."""
        motors: Any = open_motors(address)
        write = motors.write

        def stamped_write(command: Velocity) -> Velocity:
            begin_cpu_ns = time.thread_time_ns()
            sent = write(command)
            self._slowed.spin("write", begin_cpu_ns)
            end_ns = time.monotonic_ns()
            cpu_s = time.process_time()
            self.cpu_s = (self.cpu_s[0] if self.writes else cpu_s, cpu_s)
            self.writes.append(end_ns)
            if self._stepped is not None:
                self.chunks.append((*self._stepped, end_ns))
                self._stepped = None
            return sent

        motors.write = stamped_write
        return motors

    def save(self, file: Path) -> None:
        """Write everything down."""
        document = {
            "chunks": self.chunks,
            "writes": self.writes,
            "cpu_s": self.cpu_s[1] - self.cpu_s[0],
            "memory_mb": peak_memory_mb(),
        }
        file.write_text(json.dumps(document))


def main(argv: list[str]) -> int:
    """Run the motor process; return its exit code."""
    stamps = MotorStamps(Slowed.of_environment())
    stamps.watch_guard()
    try:
        return run_motor_process(argv, stamps.open)
    finally:
        stamps.save(Path(os.environ[STAMPS_FILE]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
