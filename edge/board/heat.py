"""How hot a machine is, how near to throttling, whether it throttles, and what it draws."""

import re
from dataclasses import dataclass

from edge.board.tree import Tree

ZONES = "/sys/class/thermal/thermal_zone*"
_COOLING = "/sys/class/thermal/cooling_device*"
_HWMON = "/sys/class/hwmon/hwmon*"
# Zones of the processor itself, judged even if they don't say at which temperature they throttle.
_PROCESSOR = re.compile(r"^(cpu|gpu|tj|soc\d*|x86_pkg)[-_]", re.IGNORECASE)
DEFAULT_THROTTLE_C = 100.0
_BELIEVED_C = (-40.0, 150.0)  # any other temperature is not one: an idle block of an Orin reads -256 °C
_BELIEVED_TRIP_C = (70.0, 125.0)  # lower ones steer fans, or are not set


@dataclass(frozen=True, slots=True)
class HeatZone:
    """One temperature, and the limits that its driver states."""

    name: str  # "tj-thermal"
    celsius: float
    throttle_c: float | None  # the clocks are lowered from here on; None: this zone is not judged
    critical_c: float | None  # the board shuts down; None if the driver does not say

    @property
    def margin_c(self) -> float:
        """Degrees left until it throttles, below 0 beyond; infinite for a zone that is not judged."""
        return float("inf") if self.throttle_c is None else self.throttle_c - self.celsius


@dataclass(frozen=True, slots=True)
class HeatReading:
    """One look at a machine."""

    zones: tuple[HeatZone, ...]
    throttled: tuple[str, ...]  # what is throttled by heat now, "gpu-throttle-alert"
    over_currents: int  # events since the machine started

    @property
    def nearest(self) -> HeatZone | None:
        """The zone that is nearest to throttling; None if none is judged."""
        judged = [zone for zone in self.zones if zone.throttle_c is not None]
        return min(judged, key=lambda zone: zone.margin_c, default=None)


class Thermometer:
    """Reads the heat of one machine. The names and limits of its sensors are read once."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._zones = [(name, *_limits(tree, name)) for name in tree.names(ZONES)]
        self._alerts = [
            (name, kind)
            for name in tree.names(_COOLING)
            if (kind := tree.text(f"{name}/type") or "").endswith("-throttle-alert")
        ]
        self._counters = tree.names(f"{_HWMON}/oc*_event_cnt")

    @property
    def judged(self) -> bool:
        """True if the machine has a zone that says, or is known to say, when it throttles."""
        return any(throttle_c is not None for _, _, throttle_c, _ in self._zones)

    @property
    def tells_throttling(self) -> bool:
        """True if the machine tells what it throttles."""
        return bool(self._alerts)

    def read(self) -> HeatReading:
        """Read the sensors. One that can't be read now, as that of a GPU without power, is left out."""
        tree = self._tree
        zones: list[HeatZone] = []
        for name, kind, throttle_c, critical_c in self._zones:
            millidegrees = tree.number(f"{name}/temp")
            if millidegrees is not None and _BELIEVED_C[0] < millidegrees / 1e3 < _BELIEVED_C[1]:
                zones.append(HeatZone(kind, millidegrees / 1e3, throttle_c, critical_c))
        throttled = tuple(kind for name, kind in self._alerts if (tree.number(f"{name}/cur_state") or 0) > 0)
        counts = (tree.number(name) or 0 for name in self._counters)
        return HeatReading(tuple(zones), throttled, round(sum(counts)))


def _limits(tree: Tree, zone: str) -> tuple[str, float | None, float | None]:
    """Return a zone's name, the temperature at which it throttles, and the one at which it shuts down."""
    kind = tree.text(f"{zone}/type") or zone.rpartition("/")[2]
    trips: dict[str, list[float]] = {}
    for name in tree.names(f"{zone}/trip_point_*_type"):
        millidegrees = tree.number(name.replace("_type", "_temp"))
        if millidegrees is not None and _BELIEVED_TRIP_C[0] <= millidegrees / 1e3 <= _BELIEVED_TRIP_C[1]:
            trips.setdefault(tree.text(name) or "", []).append(millidegrees / 1e3)
    critical_c = min(trips.get("critical", []), default=None)
    throttle_c = min(trips.get("passive", []) + trips.get("hot", []), default=None)
    return kind, default_throttle_c(kind, critical_c) if throttle_c is None else throttle_c, critical_c


def default_throttle_c(kind: str, critical_c: float | None = None) -> float | None:
    """Return where a zone that does not say it is taken to throttle; None if it is not the processor's."""
    if not _PROCESSOR.match(kind):
        return None
    return DEFAULT_THROTTLE_C if critical_c is None else min(DEFAULT_THROTTLE_C, critical_c - 5)


def read_power_w(tree: Tree) -> dict[str, float]:
    """Return the watts of each rail that an INA3221 measures, by the rail's name."""
    rails: dict[str, float] = {}
    for label in tree.names(f"{_HWMON}/in*_label"):
        name = tree.text(label) or ""
        millivolts = tree.number(label.replace("_label", "_input"))
        milliamperes = tree.number(re.sub(r"/in(\d+)_label$", r"/curr\1_input", label))
        # The channels that sum up shunts are voltages, and not rails.
        if name and "shunt" not in name and millivolts is not None and milliamperes is not None:
            rails[name] = millivolts * milliamperes / 1e6
    return rails


def read_fan(tree: Tree) -> tuple[float | None, float | None]:
    """Return the fan's drive as a fraction, and its turns a minute; None for what is not measured."""
    drive = turns = None
    for folder in tree.names(_HWMON):
        kind = tree.text(f"{folder}/name") or ""
        if kind in ("pwmfan", "pwm_fan") and (pwm := tree.number(f"{folder}/pwm1")) is not None:
            drive = pwm / 255
        if kind in ("pwm_tach", "tachometer", "pwmfan", "pwm_fan"):
            rpm = tree.number(f"{folder}/rpm")
            turns = tree.number(f"{folder}/fan1_input") if rpm is None else rpm
    return drive, turns
