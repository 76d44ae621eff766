"""What the simulated bases share: a room's time at the pace of the clock, and the log of their setpoints."""

import json
import os
from pathlib import Path

from edge.clock import Clock
from edge.interfaces import Closing
from edge.records import Velocity
from sim.world import TIMESTEP_NS, World

MAX_BEHIND_NS = 100_000_000  # a longer delay is not caught up: the room's time stood still


class RoomTime:
    """When each time step of a room is due on CLOCK_MONOTONIC."""

    def __init__(self, world: World, clock: Clock) -> None:
        self.lost_ns = 0  # time by which the physics fell behind
        self._world = world
        self._clock = clock
        self._epoch_ns = clock.now_ns()

    @property
    def shown_ns(self) -> int:
        """The time of what the room shows: that of its newest step."""
        return self._epoch_ns + self._world.time_ns

    def start(self) -> None:
        """Let the room's time run from now on."""
        self._epoch_ns = self._clock.now_ns() - self._world.time_ns

    def wait(self) -> tuple[int, int]:
        """Wait until the next time step is due; return its time and the present one, both in ns."""
        due_ns = self._epoch_ns + self._world.time_ns + TIMESTEP_NS
        self._clock.sleep_until(due_ns)
        now_ns = self._clock.now_ns()
        if (behind_ns := now_ns - due_ns) > MAX_BEHIND_NS:
            self._epoch_ns += behind_ns
            self.lost_ns += behind_ns
            due_ns += behind_ns
        return due_ns, now_ns


class SetpointLog(Closing):
    """The file of a base's setpoints: what really reached the actuator, and when.

    Each is one line, written out at once. A line that the disk does not take is lost and counted: the base
    obeys all the same.
    """

    def __init__(self, file: Path) -> None:
        """Open the file. Raises OSError."""
        self.lost = 0  # lines
        # Unbuffered and in append mode: each line is one write, whole even when this process is killed.
        self._fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, velocity: Velocity, now_ns: int, **others: object) -> None:
        """Add a line."""
        values: dict[str, object] = {
            "stamp_ns": now_ns,
            "linear_x": velocity.linear_x_m_s,
            "linear_y": velocity.linear_y_m_s,
            "angular_z": velocity.angular_z_rad_s,
            **others,
        }
        line = json.dumps(values).encode() + b"\n"
        try:
            written = os.write(self._fd, line)
            if written == len(line):
                return
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)  # what follows begins a line
        except OSError:
            pass
        self.lost += 1

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
