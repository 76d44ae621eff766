"""What jetson-stats reads of a Jetson, where its service runs; /sys tells the rest."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec

from edge.board.heat import HeatReading, HeatZone, default_throttle_c
from edge.board.tree import Tree
from edge.child import child_environment
from edge.errors import reason_of
from edge.interfaces import Closing

SOCKET = "/run/jtop.sock"
FRESH_S = 3.0  # an older reading counts for nothing; the service gives one a second
CLOSE_S = 0.5
_CHILD = (sys.executable, "-m", "edge.board.jtop_child")


@dataclass(frozen=True, slots=True)
class JtopReading:
    """One reading of the service."""

    celsius: dict[str, float]  # by the service's own names, "tj"
    power_w: dict[str, float]  # by rail
    power_mode: str  # "25W"; empty if there is none
    fan_fraction: float | None
    fan_rpm: float | None


class JtopReader(Closing):
    """Listens to the service through a process of its own. Nothing here waits for it."""

    def __init__(self, command: Sequence[str] = _CHILD) -> None:
        self.trouble = ""  # why there is no reading, in the package's words
        self._newest: tuple[float, JtopReading] | None = None
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=child_environment(),
            start_new_session=True,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._listen, name="jtop", daemon=True)
        self._thread.start()

    def latest(self) -> JtopReading | None:
        """Return the newest reading; None if it is older than FRESH_S, or if there is none."""
        newest = self._newest
        return None if newest is None or time.monotonic() - newest[0] > FRESH_S else newest[1]

    def await_reading(self, limit_s: float) -> JtopReading | None:
        """Wait for a reading; None if none comes in time or the process ends."""
        deadline_s = time.monotonic() + limit_s
        while (reading := self.latest()) is None and self._thread.is_alive():
            if time.monotonic() > deadline_s:
                self.trouble = self.trouble or f"no answer within {limit_s:g} s"
                return None
            time.sleep(0.02)
        return reading

    def close(self) -> None:
        """End the process, whatever it hangs in."""
        self._child.kill()
        self._child.wait()
        self._thread.join(CLOSE_S)
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()

    def _listen(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            try:
                values = json.loads(line)
                if "trouble" in values:
                    self.trouble = str(values["trouble"])
                else:
                    self._newest = time.monotonic(), JtopReading(**values)
            except (ValueError, TypeError) as error:
                self.trouble = f"an odd reading: {reason_of(error)}"


def open_jtop(tree: Tree) -> JtopReader | None:
    """Return a reader; None on another machine's files, without the service or without its package."""
    there = tree.live and tree.path(SOCKET).is_socket() and find_spec("jtop") is not None
    return JtopReader() if there else None


def with_jtop(reading: HeatReading, jtop: JtopReading | None) -> HeatReading:
    """Return the reading of /sys with the temperatures of the service, judged by the limits of /sys.

    A zone that only the service shows, as in a container, is judged if it is the processor's own.
    """
    if jtop is None:
        return reading
    left = dict(jtop.celsius)
    zones = [replace(zone, celsius=left.pop(_name(zone), zone.celsius)) for zone in reading.zones]
    zones += [HeatZone(name, celsius, default_throttle_c(f"{name}-"), None) for name, celsius in left.items()]
    return replace(reading, zones=tuple(zones))


def _name(zone: HeatZone) -> str:
    """Return the name that the service gives a zone: "tj" for "tj-thermal"."""
    return zone.name.partition("-")[0] if "-" in zone.name else zone.name.partition("_")[0]
