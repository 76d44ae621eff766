"""Temperatures, throttling, fan, power and clocks."""

from edge.board.heat import Thermometer, read_fan, read_power_w
from edge.board.identity import read_board
from edge.board.tree import Tree
from edge.doctor.check import Check, absent, ok, warn
from edge.runtime.heat import REST_MARGIN_C

_CPU = "/sys/devices/system/cpu"
_STOPPED_FAN_C = 60.0  # a fan that stands is worth a word from here on


def check_heat(tree: Tree) -> list[Check]:
    """Look at what heat does to the machine."""
    return [
        _temperatures(tree),
        _throttling(tree),
        _over_current(tree),
        _fan(tree),
        _power(tree),
        *_clocks(tree),
    ]


def _temperatures(tree: Tree) -> Check:
    reading = Thermometer(tree).read()
    nearest = reading.nearest
    if nearest is None:
        if reading.zones:
            hottest = max(reading.zones, key=lambda zone: zone.celsius)
            return ok("temperature", f"{hottest.name} {hottest.celsius:.0f} °C; none of them says its limit")
        return absent("temperature", "this machine shows no temperatures: a run can't watch its heat")
    critical = f", shuts down at {nearest.critical_c:.0f}" if nearest.critical_c else ""
    found = f"{nearest.name} {nearest.celsius:.0f} °C, throttles at {nearest.throttle_c or 0:.0f}{critical}"
    if nearest.margin_c <= REST_MARGIN_C:
        return warn("temperature", found, "a drive would be slowed: let it cool, check the fan and its vents")
    return ok("temperature", found)


def _throttling(tree: Tree) -> Check:
    thermometer = Thermometer(tree)
    throttled = thermometer.read().throttled
    if not thermometer.tells_throttling:
        return absent("throttling", "this machine does not tell")
    if throttled:
        hint = "let it cool, raise the fan (sudo jetson_clocks --fan), or take a lower power mode"
        return warn("throttling", f"by heat, now: {', '.join(throttled)}", hint)
    return ok("throttling", "not throttled by heat")


def _over_current(tree: Tree) -> Check:
    if not tree.names("/sys/class/hwmon/hwmon*/oc*_event_cnt"):
        return absent("over-current", "this machine does not count it")
    count = Thermometer(tree).read().over_currents
    if not count:
        return ok("over-current", "no events since it started")
    return warn(
        "over-current",
        f"{count} events since it started: the board was throttled for a moment each time",
        "take the next lower power mode (sudo nvpmodel -q --verbose lists them), or a stronger supply",
    )


def _fan(tree: Tree) -> Check:
    drive, turns = read_fan(tree)
    if drive is None and turns is None:
        return absent("fan", "none that tells its speed")
    words = [] if drive is None else [f"driven at {drive:.0%}"]
    words += [] if turns is None else [f"{turns:.0f} turns a minute"]
    nearest = Thermometer(tree).read().nearest
    hot = nearest is not None and nearest.celsius >= _STOPPED_FAN_C
    if hot and turns == 0:
        return warn(
            "fan", f"{', '.join(words)} at {_STOPPED_FAN_C:.0f} °C", "sudo systemctl restart nvfancontrol"
        )
    return ok("fan", ", ".join(words))


def _power(tree: Tree) -> Check:
    rails = read_power_w(tree)
    if not rails:
        return absent("power", "this machine does not measure it")
    return ok("power", ", ".join(f"{name} {watts:.1f} W" for name, watts in rails.items()))


def _clocks(tree: Tree) -> list[Check]:
    checks: list[Check] = []
    folders = tree.names(f"{_CPU}/cpu[0-9]*/cpufreq")
    online, present = tree.text(f"{_CPU}/online") or "", tree.text(f"{_CPU}/present") or ""
    off = f", cores {online} of {present} are on" if online != present else ""
    if folders:
        now = [(tree.number(f"{folder}/scaling_cur_freq") or 0) / 1e6 for folder in folders]
        allowed = [(tree.number(f"{folder}/scaling_max_freq") or 0) / 1e6 for folder in folders]
        governor = tree.text(f"{folders[0]}/scaling_governor") or "unknown"
        found = f"{max(now):.2f} GHz now, {max(allowed):.2f} allowed, governor {governor}{off}"
        steady = (
            "for steady times until the next start: sudo jetson_clocks" if read_board(tree).jetson else ""
        )
        checks.append(ok("processor clock", found, steady if governor != "performance" else ""))
    else:
        checks.append(absent("processor clock", f"not shown by this machine{off}"))
    for folder in tree.names("/sys/class/devfreq/*"):
        if folder.endswith((".gpu", ".ga10b", "gpu-gpc-0", ".gv11b")):
            now_hz, most_hz = tree.number(f"{folder}/cur_freq"), tree.number(f"{folder}/max_freq")
            checks.append(
                ok("GPU clock", f"{(now_hz or 0) / 1e6:.0f} MHz now, {(most_hz or 0) / 1e6:.0f} allowed")
            )
    return checks
