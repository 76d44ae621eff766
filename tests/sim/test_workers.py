"""Processes beside each other: who hears Ctrl-C."""

import os
import signal
import subprocess
import sys
from pathlib import Path

# A background job of a shell is started deaf to SIGINT; then the tests and their children are, too.
SCRIPT = """
import signal
import time
from sim.workers import worker_pool

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with worker_pool(2) as pool:
        print("born", flush=True)
        {wait}pool.map(abs, [1, 2])
        print("at work", flush=True)
        pool.map(time.sleep, [60, 60])
"""


def interrupted(tmp_path: Path, wait: bool) -> list[str]:
    """Lines of the error output of a pool that a terminal sent Ctrl-C, while its processes start or later."""
    file = tmp_path / "script.py"
    file.write_text(SCRIPT.format(wait="" if wait else "# "))
    child = subprocess.Popen(
        [sys.executable, str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert child.stdout is not None
    for _ in range(2):
        child.stdout.readline()
    os.killpg(child.pid, signal.SIGINT)
    return child.communicate(timeout=30)[1].splitlines()


def test_only_the_caller_hears_ctrl_c_also_while_its_processes_start(tmp_path: Path) -> None:
    for wait in (False, True):
        lines = interrupted(tmp_path, wait)
        assert sum(line.startswith("Traceback") for line in lines) == 1, lines
        assert lines[-1] == "KeyboardInterrupt"
