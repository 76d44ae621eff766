"""Serial ports: by their stable names, with whoever else is on them."""

import os

from edge.board.ports import probers, serial_devices
from edge.board.tree import Tree
from edge.doctor.check import Check, absent, ok, warn

_CURES = {
    "NVIDIA's login": "sudo systemctl disable --now nvgetty",
    "a login": "sudo systemctl disable --now serial-getty@{port}.service",
    "the kernel's console": "take another port, or console={port} out of the kernel's command line (a "
    "Jetson has it in /boot/extlinux/extlinux.conf) and start again",
}


def check_ports(tree: Tree) -> list[Check]:
    """Look at each serial port, and at programs that write to whatever is plugged in."""
    devices = serial_devices(tree)
    checks = [_port(tree, each.name, each.stable, each.owners) for each in devices]
    if not devices:
        hint = "plug the base in; ls /dev/ttyACM* /dev/ttyUSB* /dev/ttyTHS*"
        checks.append(absent("serial ports", "none", hint))
    for program, cure in probers(tree).items():
        found = f"{program} runs: it writes to serial devices that are plugged in"
        checks.append(warn(program, found, cure))
    return checks


def _port(tree: Tree, name: str, stable: str, owners: tuple[str, ...]) -> Check:
    found = f"as {stable}" if stable else "without a stable name"
    if owners:
        taken = " and ".join(owners)
        return warn(name, f"{found}; taken by {taken}", _cure(name, owners))
    if tree.live and not os.access(name, os.R_OK | os.W_OK):
        return warn(name, f"{found}; no permission", "sudo usermod -aG dialout $USER, and log in again")
    return ok(name, found)


def _cure(name: str, owners: tuple[str, ...]) -> str:
    for kind, cure in _CURES.items():
        if any(owner.startswith(kind) for owner in owners):
            return cure.format(port=name.removeprefix("/dev/"))
    return f"end it: fuser -v {name}"
