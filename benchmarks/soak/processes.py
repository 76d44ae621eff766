"""Which processes descend from this one, and what they hold: memory, descriptors, threads, shared memory."""

import contextlib
import ctypes
import os
import time
from dataclasses import dataclass
from pathlib import Path

from edge.cameras.shm import SHARED_MEMORY

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Relative:
    """A process that descends from this one."""

    pid: int
    parent: int
    state: str  # as in /proc/PID/stat: Z is a zombie
    command: str


@dataclass(frozen=True, slots=True)
class Holdings:
    """What one process holds."""

    rss_kib: int
    pss_kib: int
    descriptors: int
    threads: int
    segments: int  # mappings of shared memory


def adopt_orphans() -> None:
    """Let processes whose parent died become children of this one, so that none is lost from sight."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def relatives() -> list[Relative]:
    """Return all processes that descend from this one, zombies too."""
    found: list[Relative] = []
    waiting = [os.getpid()]
    while waiting:
        parent = waiting.pop()
        for pid in _children(parent):
            with contextlib.suppress(OSError):
                name, rest = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)
                command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
                found.append(Relative(pid, parent, rest.split()[0], command or name.partition("(")[2]))
                waiting.append(pid)
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += [int(word) for word in (task / "children").read_text().split()]
    return found


def reap_orphans(own: set[int]) -> None:
    """Take the exit codes of adopted children that have ended; those of `own` belong to their handles."""
    for child in relatives():
        if child.parent == os.getpid() and child.state == "Z" and child.pid not in own:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child.pid, os.WNOHANG)


def await_none(patience_s: float, own: set[int]) -> list[Relative]:
    """Wait until no relatives are left but `own`; return those that still are after `patience_s`."""
    deadline_s = time.monotonic() + patience_s
    while True:
        reap_orphans(own)
        left = [each for each in relatives() if each.pid not in own]
        if not left or time.monotonic() > deadline_s:
            return left
        time.sleep(0.05)


def unreaped() -> set[int]:
    """Return the zombies whose parent lives and is not this process."""
    return {each.pid for each in relatives() if each.state == "Z" and each.parent != os.getpid()}


def segments_of(pids: set[int]) -> list[str]:
    """Return the names in shared memory that carry the id of one of these processes."""
    words = {str(pid) for pid in pids}
    return sorted(
        path.name
        for path in SHARED_MEMORY.iterdir()
        if words & set(path.name.replace(".", "-").replace("_", "-").split("-"))
    )


def holdings(pid: int) -> Holdings | None:
    """Return what a process holds; None if it is gone."""
    folder = Path(f"/proc/{pid}")
    try:
        sizes = dict(
            line.split(":", 1) for line in (folder / "smaps_rollup").read_text().splitlines() if ":" in line
        )
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        return Holdings(
            rss_kib=_kib(sizes["Rss"]),
            pss_kib=_kib(sizes["Pss"]),
            descriptors=len(list((folder / "fd").iterdir())),
            threads=int(status["Threads"]),
            segments=(folder / "maps").read_text().count(f"{SHARED_MEMORY}/"),
        )
    except (OSError, KeyError):
        return None


def _kib(text: str) -> int:
    return int(text.split()[0])
