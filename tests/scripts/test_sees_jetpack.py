"""`scripts/sees-jetpack`: on which machines .venv sees the system's packages; and that it then does."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/sees-jetpack"
PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"


def decide(root: Path) -> int:
    return subprocess.run(
        [str(SCRIPT), sys.executable, str(root)], capture_output=True, check=False
    ).returncode


def machine(root: Path, tegra: str, tensorrt: str) -> Path:
    if tegra:
        (root / tegra).parent.mkdir(parents=True)
        (root / tegra).write_text(
            "nvidia,p3768-0000+p3767-0000\0nvidia,tegra234\0" if "compatible" in tegra else ""
        )
    if tensorrt:
        (root / "usr/lib" / tensorrt / "dist-packages/tensorrt").mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("tegra", "tensorrt", "code"),
    [
        ("etc/nv_tegra_release", PYTHON, 0),
        ("proc/device-tree/compatible", PYTHON, 0),  # a container without the release file
        ("etc/nv_tegra_release", "python3.8", 3),
        ("etc/nv_tegra_release", "", 1),
        ("", PYTHON, 1),
        ("", "", 1),
    ],
)
def test_only_a_jetson_whose_tensorrt_fits_this_python_opens_the_environment(tmp_path, tegra, tensorrt, code):
    assert decide(machine(tmp_path, tegra, tensorrt)) == code


def test_an_environment_sees_the_system_once_its_configuration_says_so(tmp_path: Path):
    """What `scripts/setup` does: the environment's own packages come first, the system's behind them."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)

    def path() -> list[str]:
        code = "import sys; print('\\n'.join(sys.path))"
        answer = subprocess.run(
            [str(venv / "bin/python"), "-I", "-c", code], capture_output=True, text=True, check=True
        )
        return [line for line in answer.stdout.splitlines() if line.endswith("-packages")]

    assert len(path()) == 1
    change = next(
        line for line in (SCRIPT.parent / "setup").read_text().splitlines() if "system_packages()" in line
    )
    script = f"set -e; cd {tmp_path}; ln -s venv .venv; {change}; system_packages true"
    subprocess.run(["bash", "-c", script], check=True)
    first, *others = path()
    assert first.startswith(str(venv)) and others
    subprocess.run(
        ["bash", "-c", script.replace("ln -s venv .venv; ", "").replace("true", "false")], check=True
    )
    assert len(path()) == 1
