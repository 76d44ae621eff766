"""Faults that a run must refuse before anything moves: bundles, configuration, ports, too little room."""

import io
import json
import os
import pickle
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sim.bundles
from benchmarks.soak.setpoints import read_setpoints
from edge.bundle.archive import pack_bundle
from edge.bundle.bundle import file_info
from edge.child import child_environment
from sim.faults.machine import write

LIMIT_S = 120.0
BUNDLE = Path(sim.bundles.__file__).parent / "default-int8"
# What makes root an ordinary user for files of others.
NOT_PERMITTED = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
)
ROBOT = """
name: a robot
cameras:
  front:
    address: shm://nothing
    mount: {{vertical_fov_deg: 50, height_m: {height}, pitch_deg: 5, forward_m: 0.1}}
motors: null://
base: {{drive: differential, radius_m: {radius}, linear_m_s: {speed}, angular_rad_s: 0.8{more}}}
"""
RIGHT = {"height": "0.3", "radius": "0.25", "speed": "0.4", "more": ""}
MOUNT = "fov=55,height=0.35,pitch=0,forward=0.1"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A command that must fail with this exit code and these words."""

    arguments: list[str]
    code: int
    words: tuple[str, ...]
    command: str = "run"
    prefix: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A fault of the 68 that is refused. `attempts` makes what is wrong in a folder."""

    number: int
    title: str
    attempts: Callable[[Path], list[Attempt]]


def try_refusal(refusal: Refusal, folder: Path) -> tuple[int, str, list[str]]:
    """Try all of a refusal's attempts; return the last exit code, what was said, and what was wrong."""
    found: list[str] = []
    code, said = 0, ""
    for attempt in refusal.attempts(folder):
        goal = ["--goal", "find_object", "--target", "red cup", "--runs-dir", str(folder / "runs")]
        more = goal if attempt.command == "run" else []
        command = [*attempt.prefix, sys.executable, "-m", "edge.cli", *attempt.command.split()]
        done = subprocess.run(
            [*command, *more, *attempt.arguments],
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        code, said = done.returncode, done.stderr
        missing = [words for words in attempt.words if words not in said]
        if code != attempt.code or missing or "Traceback" in said or "\nhint: " not in said:
            found.append(f"exit code {code}, not {attempt.code}; {missing} is not in: {said[:300]}")
        logs = (folder / "runs").rglob("firmware.jsonl") if (folder / "runs").is_dir() else []
        if any(line.moving or line.armed for log in logs for line in read_setpoints(log)):
            found.append("armed, or moved, although it was refused")
    return code, said, found


def _copy(folder: Path) -> Path:
    return Path(shutil.copytree(BUNDLE, folder / "spoilt"))


def _altered(folder: Path) -> list[Attempt]:
    copy = _copy(folder)
    graph = copy / "vision.onnx"
    graph.write_bytes(b"\xff" * graph.stat().st_size)
    return [Attempt(["--bundle", str(copy)], 6, ("vision.onnx", "altered"))]


def _cut_short(folder: Path) -> list[Attempt]:
    copy = _copy(folder)
    graph = copy / "decode.onnx"
    graph.write_bytes(graph.read_bytes()[:-100])
    return [Attempt(["--bundle", str(copy)], 6, ("decode.onnx", "bytes, the manifest says"))]


class _Bomb:
    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self._mark,)


def _pickled(folder: Path) -> list[Attempt]:
    copy = _copy(folder)
    bomb = pickle.dumps(_Bomb(folder / "ran"))
    (copy / "vision.onnx").write_bytes(bomb)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["graphs"]["vision"].update(file_info("vision.onnx", bomb).model_dump())
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return [Attempt(["--bundle", str(copy)], 6, ("not a whole ONNX file",))]


def _of_an_arm(folder: Path) -> list[Attempt]:
    copy = _copy(folder)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["action"] = {**manifest["action"], "names": [f"joint{number}" for number in range(7)]}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return [Attempt(["--bundle", str(copy)], 6, ("actions ('joint0'",))]


def _archives(folder: Path) -> list[Attempt]:
    pack_bundle(BUNDLE, folder / "good.zip")
    link = zipfile.ZipInfo("link.onnx")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    packed = zipfile.ZipInfo("packed.onnx")
    packed.compress_type = zipfile.ZIP_DEFLATED
    attempts: list[Attempt] = []
    for number, (name, content) in enumerate(
        (("../outside", b"x"), (link, b"/etc/passwd"), (packed, bytes(1 << 24)))
    ):
        archive = io.BytesIO((folder / "good.zip").read_bytes())
        with zipfile.ZipFile(archive, "a") as opened:
            opened.writestr(name, content)
        file = folder / f"{number}.zip"
        file.write_bytes(archive.getvalue())
        attempts.append(Attempt([str(file), str(folder / "out")], 6, (), command="bundle unpack"))
    return attempts


def _without_room(folder: Path) -> list[Attempt]:
    write(folder / "machine", "/proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 300000 kB")
    return [Attempt(["--root", str(folder / "machine")], 5, ("memory: 293 MiB are free",))]


def _configured(folder: Path, code: int, *wrong: tuple[str, str, str]) -> list[Attempt]:
    attempts: list[Attempt] = []
    for number, (key, value, words) in enumerate(wrong):
        file = folder / f"{number}.yaml"
        file.write_text(ROBOT.format(**{**RIGHT, key: value}))
        attempts.append(Attempt(["--robot", str(file)], code, (words,)))
    return attempts


def _senseless(folder: Path) -> list[Attempt]:
    return _configured(
        folder,
        2,
        ("height", "0", "height_m"),
        ("radius", "-0.25", "radius_m"),
        ("speed", ".nan", "linear_m_s"),
        ("more", ", wheels: 4", "wheels"),
    )


def _above_the_ceiling(folder: Path) -> list[Attempt]:
    return _configured(folder, 2, ("speed", "0.6", "linear_m_s"))


def _ports(folder: Path) -> list[Attempt]:
    at_port = ["--camera", "gst://videotestsrc is-live=true", "--mount", MOUNT, "--allow-domain", "--motors"]
    closed = folder / "port"
    closed.touch(mode=0o000)
    prefix: tuple[str, ...] = ()
    if os.getuid() == 0:
        os.chown(closed, 65534, 65534)
        prefix = NOT_PERMITTED
    return [
        Attempt([*at_port, "mavlink:///dev/nowhere"], 5, ("no port /dev/nowhere",)),
        Attempt([*at_port, "mavlink://nowhere"], 2, ("neither the path of a port",)),
        Attempt([*at_port, f"mavlink://{closed}"], 5, ("no permission for port",), prefix=prefix),
    ]


REFUSALS = (
    Refusal(12, "bundle: hash mismatch", _altered),
    Refusal(14, "bundle: cut short", _cut_short),
    Refusal(15, "bundle: a pickle", _pickled),
    Refusal(17, "bundle: actions of another width than the robot's", _of_an_arm),
    Refusal(18, "bundle: links, other folders, size bombs in an archive", _archives),
    Refusal(47, "memory low at the start", _without_room),
    Refusal(62, "config: zero, negative, NaN, unknown keys", _senseless),
    Refusal(63, "config: a limit above the ceiling", _above_the_ceiling),
    Refusal(64, "no port, no permission", _ports),
)
