"""The virtual environment of the peers: their packages are none of the project's dependencies."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from edge.errors import UsageError

CACHE = Path.home() / ".cache/vla-edge/peers"
SIZE = "1.8 GB with torch for processors alone, 7 GB with torch for CUDA"
_ROOT = Path(__file__).resolve().parents[2]
_LOCKS = ("runtime.txt", "dev.txt", "torch.txt")
# The peers' newest versions that were measured; all else comes from the project's lock.
_OWN = ("openvino==2026.4.1", "nncf==3.4.0")
_SHARED = (
    *("torch", "transformers", "onnxruntime", "numpy", "opencv-python-headless"),
    *("tokenizers", "pydantic", "safetensors", "psutil"),
)


def make_venv(folder: Path, on_text: Callable[[str], None]) -> Path:
    """Return the Python of the peers' environment in a folder, installed first where it is not there yet.

    Raises UsageError if it can't be installed.
    """
    python, mark = folder / "venv/bin/python", folder / "installed.txt"
    if mark.is_file() and mark.read_text() == wanted() and python.exists():
        return python
    on_text(f"installing {', '.join((*_OWN, *_SHARED))} into {folder} ({SIZE}) ...")
    folder.mkdir(parents=True, exist_ok=True)
    constraints = folder / "constraints.txt"
    constraints.write_text(_constraints())
    mark.unlink(missing_ok=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", folder / "venv"],
        [*pip, "--constraint", constraints, *_OWN, *_SHARED],
    ):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise UsageError(
                f"the peers can't be installed into {folder}: {' '.join(last)[:300]}",
                "pip's own settings count, such as PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu",
            )
    mark.write_text(wanted())
    return python


def wanted() -> str:
    """Return what an environment must hold that is used again."""
    return "\n".join((sys.version.split()[0], *_OWN, *_SHARED, "", _constraints()))


def environment() -> dict[str, str]:
    """Return what the peers' Python needs in its environment: this source tree, and one thread."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {**os.environ, **threads, "PYTHONPATH": str(_ROOT)}


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
