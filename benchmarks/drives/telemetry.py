"""What the machine does while it is measured: temperature, clocks, power, throttling, once a second or so."""

import os
import subprocess
import sys
import threading
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any

import edge
from edge.board.heat import Thermometer
from edge.board.identity import read_board
from edge.board.jtop import open_jtop, with_jtop
from edge.board.power import PowerMeter
from edge.board.tree import Tree

PERIOD_S = 0.5
JTOP_WAIT_S = 3.0
_CPU = "/sys/devices/system/cpu/cpu*"
# The GPU of a Jetson, by the names that its driver has had.
_GPU_CLOCKS = ("/sys/class/devfreq/*gpu*/cur_freq", "/sys/class/devfreq/*gv11b*/cur_freq")
_THROTTLE_COUNTS = f"{_CPU}/thermal_throttle/*_throttle_count"
_PACKAGES = ("numpy", "onnxruntime", "onnxruntime-gpu", "tensorrt", "opencv-python-headless")


class Telemetry:
    """Samples the machine in a thread of its own while it is open."""

    def __init__(self, tree: Tree | None = None, period_s: float = PERIOD_S) -> None:
        self._tree, self._period_s = tree or Tree(), period_s
        self.samples: list[dict[str, Any]] = []
        self._jtop = open_jtop(self._tree)
        if self._jtop is not None:
            self._jtop.await_reading(JTOP_WAIT_S)
        self.meter = PowerMeter(self._tree, self._jtop)
        self._thermometer = Thermometer(self._tree)
        self._clocks = self._tree.names(f"{_CPU}/cpufreq/scaling_cur_freq")
        self._gpu = next((name for each in _GPU_CLOCKS for name in self._tree.names(each)), "")
        self._counts = self._tree.names(_THROTTLE_COUNTS)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="telemetry", daemon=True)

    def __enter__(self) -> "Telemetry":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()
        if self._jtop is not None:
            self._jtop.close()

    def during(self, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        """Return the samples between two times of CLOCK_MONOTONIC."""
        return [each for each in list(self.samples) if start_ns <= each["stamp_ns"] <= end_ns]

    def sample(self) -> dict[str, Any]:
        """Look at the machine once; None for what it does not tell."""
        tree, now_ns = self._tree, time.monotonic_ns()
        reading = with_jtop(self._thermometer.read(), self._jtop.latest() if self._jtop is not None else None)
        hottest = max((zone.celsius for zone in reading.zones), default=None)
        clocks = [value for name in self._clocks if (value := tree.number(name)) is not None]
        gpu_hz = tree.number(self._gpu) if self._gpu else None
        counts = [value for name in self._counts if (value := tree.number(name)) is not None]
        return {
            "stamp_ns": now_ns,
            "celsius": hottest,
            "cpu_mhz": round(sum(clocks) / len(clocks) / 1e3, 1) if clocks else None,
            "gpu_mhz": None if gpu_hz is None else round(gpu_hz / 1e6, 1),
            "watts": self.meter.watts(now_ns),
            "load": os.getloadavg()[0],
            "throttled": ", ".join(reading.throttled),
            "throttle_count": round(sum(counts)) + reading.over_currents,
        }

    def _work(self) -> None:
        while not self._closed.wait(self._period_s):
            self.samples.append(self.sample())


def governors(tree: Tree) -> str:
    """Return the governors of the processors, "performance"; "unknown" if the machine does not tell."""
    names = {tree.text(name) or "" for name in tree.names(f"{_CPU}/cpufreq/scaling_governor")}
    return ", ".join(sorted(filter(None, names))) or "unknown"


def energy(samples: list[dict[str, Any]], actions: int, seconds: float) -> tuple[float | None, float | None]:
    """Return the mean watts of the samples, and the joules of each action; None without a meter."""
    watts = [each["watts"] for each in samples if each["watts"] is not None]
    if not watts or not actions:
        return None, None
    mean_w = sum(watts) / len(watts)
    return mean_w, mean_w * seconds / actions


def describe_machine(tree: Tree) -> dict[str, Any]:
    """Return all that figures depend on besides the code: board, power mode, governor, versions, commit."""
    model = next(
        (line.partition(":")[2].strip() for line in (tree.text("/proc/cpuinfo") or "").splitlines()
         if line.startswith(("model name", "Model"))), "",
    )  # fmt: skip
    return {
        **read_board(tree).to_json(),
        "cpu": model or "unknown",
        "processors": len(os.sched_getaffinity(0)),
        "governor": governors(tree),
        "kernel": os.uname().release,
        "architecture": os.uname().machine,
        "python": ".".join(map(str, sys.version_info[:3])),
        "versions": {"vla-edge": edge.__version__, **_versions()},
        "commit": commit(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def commit() -> str:
    """Return the commit of the code, with "+" if files differ from it; "unknown" for an installed package."""
    folder = Path(edge.__file__ or ".").parent.parent
    try:
        git = ["git", "-C", str(folder)]
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
        dirty = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True)
    except OSError:  # there is no git
        return "unknown"
    own = (folder / ".git").exists() and head.returncode == 0
    return head.stdout.strip() + "+" * bool(dirty.stdout.strip()) if own else "unknown"


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
