"""Serial ports: which there are, by which name they stay the same, and who else is on them."""

import re
from dataclasses import dataclass
from pathlib import Path

from edge.board.tree import Tree

_PORTS = ("/dev/ttyACM*", "/dev/ttyUSB*", "/dev/ttyTHS*", "/dev/ttyAMA*", "/dev/ttyS*")
_GETTYS = ("getty", "agetty", "nvgetty")
_PROBERS = {"ModemManager": "sudo systemctl disable --now ModemManager", "brltty": "sudo apt remove brltty"}
MAX_NAME_CHARS = 40


@dataclass(frozen=True, slots=True)
class SerialDevice:
    """A port that something could be plugged into."""

    name: str  # "/dev/ttyACM0"
    stable: str  # its name in /dev/serial/by-id, which stays when it is plugged in again; may be empty
    owners: tuple[str, ...]  # what else has it, for people


def serial_devices(tree: Tree) -> list[SerialDevice]:
    """List the serial ports that have hardware behind them."""
    stable = {tree.link(link): link for link in tree.names("/dev/serial/by-id/*")}
    names = [name for pattern in _PORTS for name in tree.names(pattern) if _has_hardware(tree, name)]
    return [SerialDevice(name, stable.get(name[5:], ""), tuple(owners_of(name, tree))) for name in names]


def _has_hardware(tree: Tree, name: str) -> bool:
    """Return False for the ports that an 8250 driver offers and nothing is wired to."""
    kind = tree.number(f"/sys/class/tty/{name[5:]}/type")
    return not name.startswith("/dev/ttyS") or (kind is not None and kind > 0)


def owners_of(name: str, tree: Tree | None = None) -> list[str]:
    """Name the programs that have a port open, the kernel's console on it and a login on it.

    Programs of other users are seen by root alone.
    """
    tree = tree or Tree()
    short = name.removeprefix("/dev/")
    owners = [f"{program} (process {pid})" for pid, program in _holders(tree, name)]
    if re.search(rf"(?:^|\s)console={re.escape(short)}(?:[,\s]|$)", tree.text("/proc/cmdline") or ""):
        owners.append("the kernel's console (console= in /proc/cmdline)")
    wants = tree.names("/etc/systemd/system/*.wants/*getty*")
    if any(want.endswith(f"@{short}.service") for want in wants):
        owners.append(f"a login (serial-getty@{short}.service)")
    if short.startswith("ttyTHS") and any(want.endswith("/nvgetty.service") for want in wants):
        owners.append("NVIDIA's login (nvgetty.service)")
    return owners


def probers(tree: Tree) -> dict[str, str]:
    """Return the running programs that write to whatever serial device is plugged in: name to cure."""
    running = {tree.text(name) for name in tree.names("/proc/[0-9]*/comm")}
    return {name: cure for name, cure in _PROBERS.items() if name in running}


def _holders(tree: Tree, name: str) -> list[tuple[int, str]]:
    """Return the processes that have a port open: id and name."""
    target = Path(name) if not tree.live else Path(name).resolve()
    found: dict[int, str] = {}
    for link in tree.names("/proc/[0-9]*/fd/*"):
        try:
            opened = tree.path(link).readlink()
        except OSError:
            continue  # it has ended, or is another user's
        if opened == target:
            pid = link.split("/")[2]
            found[int(pid)] = (tree.text(f"/proc/{pid}/comm") or "?")[:MAX_NAME_CHARS]
    return sorted(found.items())
