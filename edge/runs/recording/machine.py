"""What the machine says about itself while a run is kept, once a second."""

import os
import re

from edge.board.heat import Thermometer
from edge.board.memory import read_memory
from edge.board.power import PowerMeter
from edge.board.tree import Tree
from edge.runs.tap.events import TapEvent
from edge.runs.tap.plain import to_line

PERIOD_NS = 1_000_000_000
_CPUS = "/sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq"
_DEVICES = "/sys/class/devfreq/*/cur_freq"  # a Jetson's GPU is among them


class MachineWatch:
    """Reads temperatures, clocks, power and memory."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._thermometer = Thermometer(tree)
        self._meter = PowerMeter(tree)
        self._clocks = [(name, 1e3) for name in tree.names(_CPUS)]  # kHz
        self._clocks += [(name, 1e6) for name in tree.names(_DEVICES)]  # Hz
        self._due_ns = 0

    def due(self, stamp_ns: int) -> TapEvent | None:
        """Return an event if the one before it is a second old."""
        if stamp_ns < self._due_ns:
            return None
        self._due_ns = stamp_ns + PERIOD_NS
        return TapEvent("machine", 0, stamp_ns, to_line(self._read(stamp_ns)))

    def _read(self, stamp_ns: int) -> dict[str, object]:
        reading, memory = self._thermometer.read(), read_memory(self._tree)
        clocks = ((_short(name), self._tree.number(name), unit) for name, unit in self._clocks)
        return {
            "temperatures_c": {zone.name: zone.celsius for zone in reading.zones},
            "throttled": reading.throttled,
            "clocks_mhz": {name: round(value / unit, 1) for name, value, unit in clocks if value is not None},
            "power_w": self._meter.watts(stamp_ns),
            "memory_available_bytes": memory.available if memory is not None else None,
            "load": os.getloadavg()[0],
        }


def _short(name: str) -> str:
    """Return "cpu3" or the name of a device."""
    found = re.search(r"/(cpu\d+)/cpufreq/|/devfreq/([^/]+)/", name)
    return name if found is None else found[1] or found[2]
