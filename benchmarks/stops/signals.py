"""A run under way whose runtime gets a signal: what its base does then, and what it leaves."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.stops.firmware_log import await_setpoint, judge_stop, read_setpoints

ALL_GONE_S = 6.0  # time after a kill by which all other processes have ended
STOPPED_S = 1.5  # how long a stopped runtime stays so


def signal_once(
    command: Callable[[Path], list[str]], wanted: Callable[[dict[str, Any]], bool], number: signal.Signals
) -> dict[str, Any] | None:
    """Start a run, and signal its runtime once the firmware applies a wanted setpoint; None if it never does.

    `command` makes a run's command by the folder for it. A stopped runtime is killed STOPPED_S later.
    """
    with tempfile.TemporaryDirectory() as name:
        child = subprocess.Popen(command(Path(name)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            log = await_setpoint(Path(name), wanted)
            if log is None:
                return None
            pids = json.loads((log.parent / "pids.json").read_text())
            since_ns = time.monotonic_ns()
            os.kill(pids["runtime"], number)
            if number == signal.SIGSTOP:
                time.sleep(STOPPED_S)
                os.kill(pids["runtime"], signal.SIGKILL)
            child.wait()
            gone = _await_gone([pid for role, pid in pids.items() if role != "runtime"])
            return judge_stop(read_setpoints(log), since_ns) | {"all_gone": gone}
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
                child.send_signal(signal.SIGCONT)  # one that is stopped hears nothing else
                child.wait()


def _await_gone(pids: list[int]) -> bool:
    end_s = time.monotonic() + ALL_GONE_S
    while time.monotonic() < end_s:
        if not any(psutil.pid_exists(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False
