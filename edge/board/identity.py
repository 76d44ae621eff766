"""Which board this is: its model, its Linux for Tegra, its JetPack, its power mode."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edge.board.tree import Tree

UNKNOWN = "unknown"
NONE = "none"
# The first row whose version begins so. JetPack 7.2 (L4T 39.2) runs on Orin and on Thor.
_JETPACKS = (
    ("39.2.1", "7.2.1"),
    ("39.2", "7.2"),
    ("38.4", "7.1"),
    ("38.2", "7.0"),
    ("36.5", "6.2.2"),
    ("36.4.4", "6.2.1"),
    ("36.4.7", "6.2.1"),
    ("36.4.3", "6.2"),
    ("36.4.0", "6.1"),
    ("36.3", "6.0"),
    ("36.2", "6.0 DP"),
)
_RELEASE = re.compile(r"R(\d+)\s*\(release\)\s*,?\s*REVISION:\s*(\d+(?:\.\d+)*)")
_MODEL = re.compile(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+?)\s*>")
_DEFAULT = re.compile(r"<\s*PM_CONFIG\s+DEFAULT=(\d+)\s*>")


@dataclass(frozen=True, slots=True)
class PowerMode:
    """The power mode of a Jetson, and the others that it has."""

    name: str  # "MAXN", "25W"; "none" if the machine has no such modes, "unknown" if it does not tell
    modes: tuple[tuple[int, str], ...] = ()  # each with its number for `nvpmodel -m`


@dataclass(frozen=True, slots=True)
class BoardIdentity:
    """A machine as its own files describe it."""

    model: str  # "NVIDIA Jetson AGX Orin Developer Kit"; "unknown" on machines that don't tell
    compatible: tuple[str, ...]  # names in the device tree, the most exact first
    l4t: str  # "36.4.3"; "unknown" on a Jetson that does not tell, "none" on other machines
    jetpack: str  # "6.2", or as `l4t`
    power_mode: PowerMode

    @property
    def jetson(self) -> bool:
        """True on a Jetson."""
        return self.l4t != NONE

    def to_json(self) -> dict[str, str]:
        """Return what a measurement has to say about the machine that it was made on."""
        return {"board": self.model, "l4t": self.l4t, "power_mode": self.power_mode.name}


def read_board(tree: Tree) -> BoardIdentity:
    """Read which board this is. Nothing raises: what the files don't say is "unknown"."""
    model = tree.text("/proc/device-tree/model") or _pc_model(tree)
    listed = tree.text("/proc/device-tree/compatible") or ""
    compatible = tuple(filter(None, listed.split("\0")))
    l4t = read_l4t(tree)
    return BoardIdentity(model or UNKNOWN, compatible, l4t, jetpack_of(l4t), read_power_mode(tree))


def read_l4t(tree: Tree) -> str:
    """Return the version of Linux for Tegra, "36.4.3".

    "unknown" on a Jetson whose release file is odd, empty or not there, as in containers; "none" elsewhere.
    """
    text = tree.text("/etc/nv_tegra_release")
    found = _RELEASE.search(text or "")
    if found is not None:
        return f"{found[1]}.{found[2]}"
    tegra = "nvidia,tegra" in (tree.text("/proc/device-tree/compatible") or "")
    return UNKNOWN if tegra or text is not None else NONE


def jetpack_of(l4t: str) -> str:
    """Return the JetPack that an L4T belongs to; "unknown" for one that is not in the table."""
    if l4t in (UNKNOWN, NONE):
        return l4t
    parts = l4t.split(".")
    for version, jetpack in _JETPACKS:
        wanted = version.split(".")
        if parts[: len(wanted)] == wanted:
            return jetpack
    return UNKNOWN


def read_power_mode(tree: Tree) -> PowerMode:
    """Return the power mode by its name.

    nvpmodel keeps the mode that was chosen in its status file; without one, the default of its configuration
    holds since the board started.
    """
    text = tree.text("/etc/nvpmodel.conf")
    if text is None:
        return PowerMode(NONE if read_l4t(tree) == NONE else UNKNOWN)
    names = {int(number): name for number, name in _MODEL.findall(text)}
    status = re.search(r"pmode:\s*(\d+)", tree.text("/var/lib/nvpmodel/status") or "")
    chosen = status or _DEFAULT.search(text)
    name = names.get(int(chosen[1]), UNKNOWN) if chosen is not None else UNKNOWN
    return PowerMode(name, tuple(names.items()))


def _pc_model(tree: Tree) -> str:
    parts = (tree.text(f"/sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name"))
    return " ".join(filter(None, parts))


@cache
def this_board(root: Path = Path("/")) -> BoardIdentity:
    """Return the board that this process runs on, read once."""
    return read_board(Tree(root))
