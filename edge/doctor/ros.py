"""ROS 2 as this shell and this Python see it."""

import os
import re
import sys
from collections.abc import Mapping
from importlib.util import find_spec

from edge.board.tree import Tree
from edge.doctor.check import Check, absent, fail, ok, warn

_PYTHONS = {"humble": (3, 10), "jazzy": (3, 12), "kilted": (3, 12), "lyrical": (3, 14)}
_DOMAINS = range(233)
_SHM = "/dev/shm"
_SHM_BYTES = 256 << 20  # Fast DDS shares its messages there


def check_ros(tree: Tree, environment: Mapping[str, str] = os.environ) -> list[Check]:
    """Look at what a robot behind ROS 2 needs."""
    distro = environment.get("ROS_DISTRO", "")
    if not distro:
        installed = [name.rpartition("/")[2] for name in tree.names("/opt/ros/*")]
        if installed:
            hint = f"source /opt/ros/{installed[-1]}/setup.bash"
            return [warn("ROS", f"{installed[-1]} is installed, but not sourced in this shell", hint)]
        if tree.live and find_spec("rclpy") is not None:
            return [ok("ROS", "rclpy is installed in this Python"), _domain(environment), _shared_memory()]
        return [absent("ROS", "not installed; only robots behind ROS 2 need it")]
    checks = [_distro(distro), _middleware(environment), _domain(environment)]
    return [*checks, _shared_memory()] if tree.live else checks


def _distro(distro: str) -> Check:
    wanted, have = _PYTHONS.get(distro), sys.version_info[:2]
    if wanted is not None and wanted != have:
        python = f"{wanted[0]}.{wanted[1]}"
        return fail(
            "ROS",
            f"{distro} is made for Python {python}, and this is {have[0]}.{have[1]}: rclpy does not load",
            f"make the environment with that one: make clean && make run PYTHON=python{python}",
        )
    if find_spec("rclpy") is None:
        hint = "make the environment with the system's packages in sight, or pip install ros-rclpy"
        return fail("ROS", f"{distro}, but this Python does not see rclpy", hint)
    return ok("ROS", f"{distro}, seen by this Python")


def _middleware(environment: Mapping[str, str]) -> Check:
    return ok("ROS middleware", environment.get("RMW_IMPLEMENTATION") or "the default of this ROS")


def _domain(environment: Mapping[str, str]) -> Check:
    domain = environment.get("ROS_DOMAIN_ID", "0")
    if not re.fullmatch(r"\d{1,3}", domain) or int(domain) not in _DOMAINS:
        found = f"ROS_DOMAIN_ID is {domain[:20]!r}, not a number from 0 to {_DOMAINS[-1]}"
        return fail("ROS domain", found, "export ROS_DOMAIN_ID=0, the same on every machine")
    local = environment.get("ROS_LOCALHOST_ONLY") == "1"
    return ok("ROS domain", f"{domain}{', this machine alone (ROS_LOCALHOST_ONLY)' if local else ''}")


def _shared_memory() -> Check:
    size = os.statvfs(_SHM)
    total = size.f_blocks * size.f_frsize
    found = f"/dev/shm has {total / 2**20:.0f} MiB"
    if total < _SHM_BYTES:
        return warn(
            "shared memory", f"{found}: too little for pictures over ROS", "docker run --shm-size=1g …"
        )
    return ok("shared memory", found)
