"""The runtime imports without anything that is not on the robot."""

import subprocess
import sys

PROBE = """
import importlib, importlib.abc, pkgutil, sys

ABSENT = {absent!r}

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
import edge
count = 0
for module in pkgutil.walk_packages(edge.__path__, "edge."):
    importlib.import_module(module.name)
    count += 1
print(count)
"""

OTHER_FOLDERS = {"benchmarks", "calibration", "export", "sim", "training", "vla"}
NOT_ON_THE_ROBOT = {"torch", "transformers", "onnx", "onnxscript", "mujoco", "matplotlib", "safetensors"} | {
    "aiohttp"
}


def import_edge_without(absent: set[str]) -> subprocess.CompletedProcess[str]:
    probe = PROBE.format(absent=absent)
    return subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)


def test_edge_imports_alone():
    done = import_edge_without(OTHER_FOLDERS | NOT_ON_THE_ROBOT)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


def test_the_probe_would_notice():
    assert import_edge_without({"numpy"}).returncode != 0
