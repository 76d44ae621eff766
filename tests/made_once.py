"""What many tests read and none changes, made once for all processes and all passes of scripts/check."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path


def made_once(name: str, alone: Path, make: Callable[[Path], None]) -> Path:
    """The folder that the first who asks makes: in what the passes share, else in `alone`."""
    root = Path(os.environ.get("VLA_EDGE_TESTS_SHARE") or alone)
    folder, unfinished = root / name, root / f"{name}-unfinished-{os.getpid()}"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            shutil.rmtree(unfinished, ignore_errors=True)  # what a try that failed left
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder
