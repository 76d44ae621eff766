"""The board, its software, its power mode; memory, disk and clock."""

import shutil
import sys
import time
from pathlib import Path

from edge.board.identity import NONE, UNKNOWN, BoardIdentity, read_board
from edge.board.memory import RUN_BYTES, read_memory
from edge.board.tree import Tree
from edge.doctor.check import Check, absent, fail, ok, warn

_GIB = 1 << 30
_LOW_DISK_BYTES = 2 * _GIB
_NO_DISK_BYTES = 16 << 20  # a run refuses to begin
_SMALL_BYTES = 12 * _GIB  # boards below it need swap to build plans of large models
_OLDEST_L4T = 36  # JetPack 5 has Python 3.8
_BUILT_S = 1_735_689_600.0  # 2025-01-01: a clock before it was never set


def check_system(tree: Tree) -> list[Check]:
    """Look at the machine as a whole."""
    board = read_board(tree)
    checks = [_board(board, tree), _jetpack(board), _power_mode(board), _memory(tree), _swap(tree, board)]
    return [*checks, *([_disk(), _clock(), _python()] if tree.live else [])]


def _board(board: BoardIdentity, tree: Tree) -> Check:
    if board.model == UNKNOWN:
        return ok("board", f"a machine that does not tell its name, {_processor(tree)}")
    exact = f" ({board.compatible[0]})" if board.compatible else ""
    return ok("board", f"{board.model}{exact}")


def _processor(tree: Tree) -> str:
    lines = (tree.text("/proc/cpuinfo") or "").splitlines()
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    cores = sum(line.startswith("processor") for line in lines)
    return f"{name or 'processor unknown'}, {cores} cores"


def _jetpack(board: BoardIdentity) -> Check:
    name = "jetpack"
    if board.l4t == NONE:
        return absent(name, "not a Jetson")
    if board.l4t == UNKNOWN:
        return warn(
            name,
            "a Jetson whose /etc/nv_tegra_release is missing, empty or odd: L4T unknown",
            "in a container, mount it: docker run -v /etc/nv_tegra_release:/etc/nv_tegra_release:ro …",
        )
    found = f"L4T {board.l4t}, JetPack {board.jetpack}"
    if int(board.l4t.partition(".")[0]) < _OLDEST_L4T:
        hint = "JetPack 6 or newer is needed (Python 3.10): flash it, see docs/jetson-first-hour.md"
        return fail(name, found, hint)
    return ok(name, found)


def _power_mode(board: BoardIdentity) -> Check:
    name, mode = "power mode", board.power_mode
    if mode.name == NONE:
        return absent(name, "this machine has no power modes")
    if mode.name == UNKNOWN:
        return warn(name, "unknown: nvpmodel's files do not tell it", "sudo nvpmodel -q")
    full = [(number, each) for number, each in mode.modes if each.startswith("MAXN")]
    if mode.name.startswith("MAXN") or not full:
        return ok(name, mode.name)
    number, best = full[-1]
    return ok(name, mode.name, f"for full speed, {best}: sudo nvpmodel -m {number}, and watch the heat")


def _memory(tree: Tree) -> Check:
    memory = read_memory(tree)
    if memory is None:
        return warn("memory", "unknown", "cat /proc/meminfo")
    found = f"{memory.available / _GIB:.1f} of {memory.total / _GIB:.1f} GiB free"
    if memory.available < RUN_BYTES:
        return fail(
            "memory",
            f"{found}, a run needs {RUN_BYTES / _GIB:.1f} and its model",
            "ps aux --sort=-rss | head shows what uses it; without the desktop, a Jetson has about 0.8 GiB "
            "more: sudo systemctl set-default multi-user",
        )
    return ok("memory", found)


def _swap(tree: Tree, board: BoardIdentity) -> Check:
    memory = read_memory(tree)
    if memory is None or not memory.swap:
        if memory is not None and board.jetson and memory.total < _SMALL_BYTES:
            return warn(
                "swap",
                "none; building plans of large models may run out of memory",
                "sudo fallocate -l 8G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && "
                "sudo swapon /swapfile",
            )
        return absent("swap", "none")
    found = f"{memory.swap_used / _GIB:.1f} of {memory.swap / _GIB:.1f} GiB used"
    if memory.swap_used > memory.swap / 2:
        return warn(
            "swap", f"{found}: what drives may be waiting for a disk", "free -h; restart what is large"
        )
    return ok("swap", found)


def _disk() -> Check:
    disk = shutil.disk_usage(Path.cwd())
    found = f"{disk.free / _GIB:.1f} GiB free in {Path.cwd()}"
    if disk.free < _NO_DISK_BYTES:
        return fail("disk", found, "no run begins: free some space, or change to another folder")
    if disk.free < _LOW_DISK_BYTES:
        return warn("disk", found, "du -xhd1 . | sort -h shows what is large")
    return ok("disk", found)


def _clock() -> Check:
    now_s = time.time()
    found = time.strftime("%Y-%m-%d %H:%M", time.localtime(now_s))
    if now_s < _BUILT_S:
        return warn(
            "clock",
            f"{found}: it was never set (no battery?); runs are still numbered in their order",
            "sudo timedatectl set-ntp true",
        )
    return ok("clock", found)


def _python() -> Check:
    return ok("python", f"{sys.version.split()[0]} at {sys.executable}")
