"""The virtual environments of the peers: their packages are none of the project's dependencies."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge.errors import UsageError

CACHE = Path.home() / ".cache/vla-edge/peers"
_ROOT = Path(__file__).resolve().parents[2]
_LOCKS = ("runtime.txt", "dev.txt", "torch.txt")


@dataclass(frozen=True)
class PeerEnvironment:
    """What pip installs for some of the peers."""

    name: str
    size: str
    own: tuple[str, ...]  # the newest versions that were measured
    shared: tuple[str, ...]  # with the versions of the project's lock
    locked: bool = True  # False: its own requirements exclude those versions


_SHARED = (
    *("torch", "transformers", "onnxruntime", "numpy", "opencv-python-headless"),
    *("tokenizers", "pydantic", "safetensors", "psutil"),
)
MODELS = PeerEnvironment(
    "models",
    "1.8 GB with torch for processors alone, 7 GB with torch for CUDA",
    ("openvino==2026.4.1", "nncf==3.4.0"),
    _SHARED,
)
GPU = PeerEnvironment(
    "gpu",
    "7 GB with torch for CUDA",
    ("onnxruntime-gpu==1.31.1",),
    tuple(each for each in _SHARED if each != "onnxruntime"),
)
LEROBOT = PeerEnvironment(
    "lerobot", "8 GB with torch for CUDA", ("lerobot==0.4.4",), ("pydantic", "psutil"), locked=False
)


def make_venv(cache: Path, wanted: PeerEnvironment, on_text: Callable[[str], None]) -> Path:
    """Return the Python of an environment in the folder `cache`, installed first if it is not there yet.

    Raises UsageError if it can't be installed.
    """
    folder = cache / wanted.name
    python, mark = folder / "venv/bin/python", folder / "installed.txt"
    if mark.is_file() and mark.read_text() == contents(wanted) and python.exists():
        return python
    packages = (*wanted.own, *wanted.shared)
    on_text(f"installing {', '.join(packages)} into {folder} ({wanted.size}) ...")
    folder.mkdir(parents=True, exist_ok=True)
    constraints = folder / "constraints.txt"
    constraints.write_text(_constraints() if wanted.locked else "")
    mark.unlink(missing_ok=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", folder / "venv"],
        [*pip, "--constraint", constraints, *packages],
    ):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise UsageError(
                f"the peers can't be installed into {folder}: {' '.join(last)[:300]}",
                "pip's own settings count, such as PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu",
            )
    mark.write_text(contents(wanted))
    return python


def contents(wanted: PeerEnvironment) -> str:
    """Return what an environment must hold that is used again."""
    versions = _constraints() if wanted.locked else ""
    return "\n".join((sys.version.split()[0], *wanted.own, *wanted.shared, "", versions))


def environment() -> dict[str, str]:
    """Return what the peers' Python needs in its environment: this source tree, and one thread."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    kept = {"TORCHINDUCTOR_CACHE_DIR": str(CACHE / "torch-compile")}
    return {**os.environ, **threads, **kept, "PYTHONPATH": str(_ROOT)}


def _constraints() -> str:
    """Return the versions of the project's lock, without the hashes that not all of these packages have."""
    lines: list[str] = []
    for name in _LOCKS:
        file = _ROOT / "lock" / name
        if not file.is_file():
            raise UsageError(f"{file} is missing", "run this in a checkout of the project's sources")
        for line in file.read_text().splitlines():
            if line[:1].isalnum():
                lines.append(line.removesuffix("\\").strip())
    return "\n".join(dict.fromkeys(lines)) + "\n"
