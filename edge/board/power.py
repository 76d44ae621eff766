"""What a machine draws, by the meter that it has: jetson-stats, an INA3221, RAPL, or a sensor of hwmon."""

import re

from edge.board.heat import read_power_w
from edge.board.jtop import JtopReader
from edge.board.tree import Tree

_RAPL = "/sys/class/powercap/intel-rapl:*"  # the processors of AMD have it too
_HWMON_W = "/sys/class/hwmon/hwmon*/power1_*"
_WHOLE = ("VDD_IN", "POM_5V_IN")  # rails that feed the whole module
_NOT_CONNECTED = "NC"


class PowerMeter:
    """Reads the power of one machine. `source` names what it reads; empty if there is nothing to read."""

    def __init__(self, tree: Tree, jtop: JtopReader | None = None) -> None:
        self.source = ""
        self.lacks = "no power meter on this machine"  # why `source` is empty
        self._tree, self._jtop = tree, jtop
        self._counters: dict[str, float] = {}  # file of microjoules -> where it wraps round
        self._before: tuple[dict[str, float], int] | None = None  # the counters, and when they were read
        self._sensors: list[str] = []  # files of microwatts
        if rails := self._rails():
            self.source = f"{'jetson-stats' if self._jtop_rails() else 'INA3221'}: {_named(rails)}"
        else:
            self._find_rapl()
        if not self.source:
            self._find_sensors()

    def watts(self, now_ns: int) -> float | None:
        """Return the power now; of a counter, the mean since the last call, and None at the first one."""
        if self._counters:
            return self._counted(now_ns)
        if self._sensors:
            values = [self._tree.number(file) for file in self._sensors]
            return None if None in values else sum(filter(None, values)) / 1e6
        rails = self._rails() if self.source else {}
        return total_w(rails) if rails else None

    def _jtop_rails(self) -> dict[str, float]:
        told = self._jtop.latest() if self._jtop is not None else None
        return told.power_w if told is not None else {}

    def _rails(self) -> dict[str, float]:
        rails = self._jtop_rails() or read_power_w(self._tree)
        return {name: watts for name, watts in rails.items() if name != _NOT_CONNECTED}

    def _find_rapl(self) -> None:
        """Take the counter of the whole platform, or those of each package and its memory."""
        named = {name: self._tree.text(f"{name}/name") or "" for name in self._tree.names(_RAPL)}
        whole = [name for name, kind in named.items() if kind == "psys"]
        chosen = whole or [name for name, kind in named.items() if re.match(r"package|dram", kind)]
        for name in chosen:
            if self._tree.number(f"{name}/energy_uj") is None:
                self.lacks = f"no power meter that this user may read: {name}/energy_uj is root's"
                return
        self._counters = {
            f"{name}/energy_uj": self._tree.number(f"{name}/max_energy_range_uj") or 0.0 for name in chosen
        }
        self.source = f"RAPL: {', '.join(named[name] for name in chosen)}" if chosen else ""

    def _find_sensors(self) -> None:
        files = [name for name in self._tree.names(_HWMON_W) if name.endswith(("_average", "_input"))]
        folders = {name.rpartition("/")[0]: name for name in sorted(files, reverse=True)}  # _average is kept
        self._sensors = [name for name in folders.values() if self._tree.number(name) is not None]
        kinds = [self._tree.text(f"{name.rpartition('/')[0]}/name") or "hwmon" for name in self._sensors]
        self.source = f"hwmon: {', '.join(kinds)}" if kinds else ""

    def _counted(self, now_ns: int) -> float | None:
        counts = {file: self._tree.number(file) for file in self._counters}
        known = {file: count for file, count in counts.items() if count is not None}
        before, self._before = self._before, (known, now_ns)
        if before is None or now_ns <= before[1] or len(known) < len(counts) or len(before[0]) < len(counts):
            return None
        used = 0.0
        for file, count in known.items():
            difference = count - before[0][file]
            used += difference if difference >= 0 else difference + self._counters[file]
        return used / 1e6 / ((now_ns - before[1]) / 1e9)


def total_w(rails: dict[str, float]) -> float:
    """Return the watts of all rails, or of the one that feeds the others."""
    whole = next((rails[name] for name in _WHOLE if name in rails), None)
    return sum(rails.values()) if whole is None else whole


def _named(rails: dict[str, float]) -> str:
    return next((name for name in _WHOLE if name in rails), f"the sum of {', '.join(rails)}")
