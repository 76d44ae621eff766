"""Prints what the service of jetson-stats reads, a JSON line each time: `python -m edge.board.jtop_child`.

A process of its own, because the package changes how its process starts others, runs programs when it is
opened, and may hang in a service that does. It ends when its standard input does.
"""

import json
import os
import sys
import threading
from importlib import import_module
from typing import Any

PERIOD_S = 1.0


def main() -> int:
    """Print until standard input or the service ends; return the exit code."""
    threading.Thread(target=_await_end, daemon=True).start()
    package: Any = import_module("jtop")
    try:
        with package.jtop(interval=PERIOD_S) as service:
            told = None
            while service.ok():
                # A service that has stalled shows its last reading again and again.
                if service.uptime != told:
                    told = service.uptime
                    print(json.dumps(_reading(service)), flush=True)
        raise package.JtopException("the service has fallen silent")
    except (package.JtopException, OSError) as error:
        print(json.dumps({"trouble": " ".join(str(error).split())}), flush=True)
    return 5


def _await_end() -> None:
    sys.stdin.read()
    os._exit(0)  # whatever hangs in the service


def _reading(service: Any) -> dict[str, Any]:
    """Return what is measured now: degrees Celsius, watts, a fraction, turns a minute."""
    zones: Any = service.temperature.items()
    power: Any = service.power or {"rail": {}}
    rails: Any = power["rail"].items()
    fans: Any = list(service.fan.values())
    drives = [each["speed"][0] / 100 for each in fans if each.get("speed")]
    turns = [each["rpm"][0] for each in fans if each.get("rpm")]
    return {
        "celsius": {name: zone["temp"] for name, zone in zones if zone.get("online")},
        "power_w": {name: rail["power"] / 1000 for name, rail in rails if rail.get("online")},
        "power_mode": "" if service.nvpmodel is None else str(service.nvpmodel),
        "fan_fraction": drives[0] if drives else None,
        "fan_rpm": turns[0] if turns else None,
    }


if __name__ == "__main__":
    sys.exit(main())
