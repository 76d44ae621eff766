"""Memory that is left, of the machine and of the container around this process."""

import re
from dataclasses import dataclass

from edge.board.tree import Tree
from edge.errors import HardwareMissing

_MEMINFO = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)
_CGROUP = "/sys/fs/cgroup"
# Twice what a run takes besides its model: runtime, motor process and simulator, 180 MiB measured.
RUN_BYTES = 384 << 20


@dataclass(frozen=True, slots=True)
class MemoryLeft:
    """Sizes in bytes."""

    total: int
    available: int  # without swapping; the container's limit counts too
    swap: int
    swap_used: int


def read_memory(tree: Tree) -> MemoryLeft | None:
    """Return the memory; None if the machine does not tell."""
    sizes = {name: int(size) << 10 for name, size in _MEMINFO.findall(tree.text("/proc/meminfo") or "")}
    if "MemTotal" not in sizes or "MemAvailable" not in sizes:
        return None
    total, available = sizes["MemTotal"], sizes["MemAvailable"]
    limit, used = tree.number(f"{_CGROUP}/memory.max"), tree.number(f"{_CGROUP}/memory.current")
    if limit is not None and used is not None:
        # Pages of files count as used, and are given up when memory is short.
        files = re.search(r"^inactive_file (\d+)$", tree.text(f"{_CGROUP}/memory.stat") or "", re.MULTILINE)
        left = max(0, round(limit - used)) + (int(files[1]) if files else 0)
        total, available = min(total, round(limit)), min(available, left)
    swap = sizes.get("SwapTotal", 0)
    return MemoryLeft(total, available, swap, swap - sizes.get("SwapFree", swap))


def check_memory(tree: Tree, model_bytes: int) -> None:
    """Check that a run fits into the memory that is left, so that nothing is killed while a base drives.

    Raises HardwareMissing if it does not. A machine that does not tell its memory passes.
    """
    memory = read_memory(tree)
    need = RUN_BYTES + model_bytes  # an engine holds its own copy of what has been read
    if memory is not None and memory.available < need:
        raise HardwareMissing(
            f"memory: {memory.available / 2**20:.0f} MiB are free, a run with this model needs "
            f"{need / 2**20:.0f}",
            "close what else uses it (`ps aux --sort=-rss | head` shows what), or take a smaller bundle; "
            "without the desktop a Jetson has about 800 MiB more: sudo systemctl set-default multi-user",
        )
