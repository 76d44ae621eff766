"""What this user may do: groups, real-time priority; and USB devices that fall asleep."""

import grp
import os
import resource
from dataclasses import dataclass

from edge.board.identity import read_board
from edge.board.tree import Tree
from edge.doctor.check import Check, absent, ok, warn

_GROUPS = {
    "video": "cameras and the GPU",
    "dialout": "serial ports",
    "input": "gamepads",
    "gpio": "pins",
    "jtop": "jetson-stats",
}


@dataclass(frozen=True, slots=True)
class _User:
    name: str
    root: bool
    groups: frozenset[str]


def check_rights(tree: Tree) -> list[Check]:
    """Look at the rights of this user, and at USB's power saving."""
    return [*([_groups(tree), _realtime()] if tree.live else []), _autosuspend(tree)]


def _this_user() -> _User:
    names = {group.gr_gid: group.gr_name for group in grp.getgrall()}
    mine = {names.get(number, str(number)) for number in {os.getgid(), *os.getgroups()}}
    return _User(os.environ.get("USER") or str(os.getuid()), os.geteuid() == 0, frozenset(mine))


def _groups(tree: Tree) -> Check:
    user = _this_user()
    if user.root:
        return ok("groups", "root may open everything")
    there = {group.gr_name for group in grp.getgrall()}
    wanted = [name for name in _GROUPS if name in there and (name != "jtop" or read_board(tree).jetson)]
    missing = [name for name in wanted if name not in user.groups]
    if not missing:
        return ok("groups", ", ".join(wanted) or "this machine has none of those that matter")
    why = ", ".join(f"{name} ({_GROUPS[name]})" for name in missing)
    return warn("groups", f"{user.name} is not in {why}", f"sudo usermod -aG {','.join(missing)} $USER")


def _realtime() -> Check:
    _, most = resource.getrlimit(resource.RLIMIT_RTPRIO)
    if os.geteuid() == 0 or most != 0:
        return ok("real time", "this user may raise its priority")
    return ok(
        "real time",
        "this user may not raise its priority; the motor process does not need it on an idle machine",
        "echo '@realtime - rtprio 90' | sudo tee /etc/security/limits.d/99-realtime.conf",
    )


def _autosuspend(tree: Tree) -> Check:
    delay_s = tree.number("/sys/module/usbcore/parameters/autosuspend")
    if delay_s is None:
        return absent("USB autosuspend", "this machine does not tell")
    asleep = [
        name.split("/")[-3]
        for name in tree.names("/sys/bus/usb/devices/*/power/control")
        if tree.text(name) == "auto" and tree.text(name.replace("power/control", "bDeviceClass")) != "09"
    ]
    if delay_s < 0 or not asleep:
        return ok("USB autosuspend", "off" if delay_s < 0 else "no device is put to sleep")
    return warn(
        "USB autosuspend",
        f"devices {', '.join(asleep[:5])} may be put to sleep after {delay_s:.0f} s, cameras among them",
        "echo -1 | sudo tee /sys/module/usbcore/parameters/autosuspend (for good: usbcore.autosuspend=-1 in "
        "/boot/extlinux/extlinux.conf)",
    )
