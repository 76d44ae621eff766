# ruff: noqa: E501 - its tables stay tables
"""Datasets, configs and pictures of a hostile author."""

import io
import json
import zipfile
from functools import lru_cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from benchmarks.fuzz.mutate import hostile_value, mutated, mutated_json
from benchmarks.fuzz.target import ACCEPTED, Check, Flaw, FuzzTarget
from edge.cameras.gstreamer.jpeg import decode_jpeg
from edge.cameras.recordings.encoded import decode_picture
from edge.cameras.recordings.pictures import read_picture
from edge.cameras.ros2.images import DamagedImage, UnknownImage, compressed_image, raw_image
from edge.cameras.view import ImageView
from edge.errors import UsageError
from edge.robots.robot_file import read_robot_file
from training.config import load_config
from training.datasets.calvin import CalvinSource
from training.datasets.lerobot import LeRobotSource
from training.datasets.lerobot_writer import LeRobotWriter, Recording
from training.datasets.npz import read_arrays

_FRAMES = 4
_PARTS = ("meta/info.json", "meta/tasks.parquet", "meta/episodes/chunk-000/file-000.parquet",
          "data/chunk-000/file-000.parquet")  # fmt: skip
_ROOT = Path(__file__).parents[2]


@lru_cache
def _lerobot() -> dict[str, bytes]:
    """Return the files of a good LeRobotDataset."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "set"
        picture = cv2.imencode(".png", np.zeros((16, 24, 3), np.uint8))[1].tobytes()
        numbers = np.zeros((_FRAMES, 2), np.float32)
        with LeRobotWriter(path, "rover", 10, {"front": (16, 24)}, ("x", "y"), ("v", "w")) as writer:
            pixels = np.zeros((4, 3), np.uint8)
            writer.add(
                Recording("find the cup", {"front": [picture] * _FRAMES}, {"front": pixels}, numbers, numbers)
            )
            writer.finish({})
        return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def make_lerobot(rng: Random) -> bytes:
    """Make one file of a dataset, behind a byte that names it; half of them info.json."""
    which = rng.choice((0, 0, 0, 1, 2, 3))
    good = _lerobot()[_PARTS[which]]
    return bytes((which,)) + (mutated_json(rng, json.loads(good)) if which == 0 else mutated(rng, good))


def open_lerobot(folder: Path) -> Check:
    """Return the check of a dataset whose other files are good."""
    path = folder / "set"
    for name, content in _lerobot().items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)

    def check(data: bytes) -> str:
        name = _PARTS[(data[0] if data else 0) % len(_PARTS)]
        (path / name).write_bytes(data[1:])
        try:
            source = LeRobotSource(path)
            for i, episode in enumerate(source.episodes):
                if not episode.file.resolve().is_relative_to(path.resolve()):
                    raise Flaw(f"{episode.file} is outside of {path}")
                source.images(i, np.flatnonzero(episode.usable).tolist()[:2])
                if len(source.states(i)) != episode.length or len(source.actions(i)) != episode.length:
                    raise Flaw("rows and frames differ")
        finally:
            (path / name).write_bytes(_lerobot()[name])
        return ACCEPTED

    return check


@lru_cache
def _frame() -> bytes:
    content = io.BytesIO()
    pictures = {"rgb_static": np.zeros((20, 20, 3), np.uint8), "rgb_gripper": np.zeros((8, 8, 3), np.uint8)}
    arrays: dict[str, Any] = {"rel_actions": np.zeros(7), "robot_obs": np.zeros(15), **pictures}
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def _annotated(value: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, np.array(value, object), allow_pickle=True)
    return content.getvalue()


_ANNOTATIONS = {"language": {"ann": ["do it"], "task": ["do"]}, "info": {"indx": [(0, _FRAMES - 1)]}}


def make_calvin(rng: Random) -> bytes:
    """Make the annotations of a split."""
    if rng.random() < 0.6:
        return mutated(rng, _annotated(_ANNOTATIONS))
    changed = json.loads(json.dumps(_ANNOTATIONS))
    part = rng.choice(("language", "info"))
    changed[part][rng.choice(list(changed[part]))] = hostile_value(rng)
    return _annotated(changed if rng.random() < 0.9 else hostile_value(rng))


def open_calvin(folder: Path) -> Check:
    """Return the check of a split whose frames are good."""
    path = folder / "training"
    (path / "lang_annotations").mkdir(parents=True)
    for n in range(_FRAMES):
        (path / f"episode_{n:07d}.npz").write_bytes(_frame())

    def check(data: bytes) -> str:
        (path / "lang_annotations/auto_lang_ann.npy").write_bytes(data)
        source = CalvinSource(path)
        source.states(0)
        source.images(0, [0])
        return ACCEPTED

    return check


def make_npz(rng: Random) -> bytes:
    """Make a frame of CALVIN: changed bytes of an archive, or of an array in a good one."""
    if rng.random() < 0.5:
        return mutated(rng, _frame())
    content, array = io.BytesIO(), io.BytesIO()
    np.save(array, np.zeros(15))
    changed = bytearray(array.getvalue())
    if rng.random() < 0.5:
        shape = rng.choice(("(10**9,)", "(1000000000000,)", "(-1,)", "()", "(0, 99999999999)", "(" * 40))
        dtype = rng.choice(("<f8", "|O", "<U9", "|S0", "<M8[s]", ">f4", "|V8", "no", "<f8,<f8"))
        header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117)
        changed[10:128] = header[:117] + b"\n"
    with zipfile.ZipFile(content, "w", rng.choice((0, 8, 8, 12, 14))) as archive:
        archive.writestr("robot_obs.npy", mutated(rng, bytes(changed)) if rng.random() < 0.5 else changed)
        archive.writestr("rel_actions.npy", bytes(rng.choice((10,) * 30 + (80_000_000,))))
    return content.getvalue()


def open_npz(folder: Path) -> Check:
    """Return the check of arrays in an archive."""
    file = folder / "frame.npz"

    def check(data: bytes) -> str:
        file.write_bytes(data)
        try:
            read_arrays(file, ("robot_obs", "rel_actions"))
        except (OSError, ValueError, KeyError) as error:
            return f"{type(error).__name__}, as it says"
        return ACCEPTED

    return check


@lru_cache
def _yamls() -> tuple[bytes, ...]:
    names = ("robots/sim.yaml", "training/configs/fc.yaml", "training/configs/gpt.yaml")
    return tuple((_ROOT / name).read_bytes() for name in names if (_ROOT / name).is_file())


_YAML = ("&a [*a, *a]", "*a", "!!python/object:os.system {}", "[" * 3000, "{a: " * 500, "2020-13-45", "0x" + "f" * 5000,
         "9" * 5000, "1e999", ".nan", "-.inf", "? [a]\n: b", "--- a\n--- b", "<<: {a: 1}", "\t", "\"\\ud800\"", "\0",
         "12:30:45", "!!binary x", "| \n  a", "''", "~", "a: a: a", "\ufeff", "\u2028", "%YAML 9.9", "@", "`")  # fmt: skip


def make_yaml(rng: Random) -> bytes:
    """Make a robot file or a training config: values replaced, lines doubled, bytes changed."""
    lines = rng.choice(_yamls()).decode().splitlines()
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(lines))
        key, colon, _value = lines[at].partition(":")
        lines[at] = rng.choice((f"{key}{colon} {rng.choice(_YAML)}", rng.choice(_YAML), "", lines[at] * 2, " " + lines[at]))  # fmt: skip
    content = "\n".join(lines).encode(errors="surrogatepass")
    return mutated(rng, content) if rng.random() < 0.3 else content


def open_yaml(folder: Path) -> Check:
    """Return the check of both readers of YAML."""
    file = folder / "any.yaml"

    def check(data: bytes) -> str:
        file.write_bytes(data)
        taken = 0
        for read in (read_robot_file, load_config):
            try:
                read(file)
                taken += 1
            except UsageError:
                continue
        return ACCEPTED if taken else "refused by both"

    return check


def make_images(rng: Random) -> bytes:
    """Make an encoded picture, or the bytes of a raw one, behind four bytes of a message's fields."""
    picture = np.frombuffer(rng.randbytes(24 * 32 * 3), np.uint8).reshape(24, 32, 3)
    kind = rng.choice((".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm", ".hdr"))
    content = cv2.imencode(kind, picture.astype(np.float32) if kind == ".hdr" else picture)[1].tobytes()
    if rng.random() < 0.3:  # a size that no picture has
        at = rng.randrange(8, 28)
        content = (
            content[:at] + rng.choice((b"\x7f\xff\xff\xff", b"\xff\xff", b"\0\0\xff\xff")) + content[at + 4 :]
        )
    return rng.randbytes(4) + mutated(rng, content)


def open_images(folder: Path) -> Check:
    """Return the check of everything that decodes pictures."""
    file = folder / "a.png"
    encodings = ("rgb8", "mono8", "yuyv", "bayer_rggb8", "no", "")

    def check(data: bytes) -> str:
        (a, b, c, d), content = (*data[:4], 0, 0, 0, 0)[:4], data[4:]
        decode_jpeg(np.frombuffer(content, np.uint8), ImageView())
        size = {"height": a * 64, "width": b * 64, "step": c * 200, "is_bigendian": d > 250}
        messages = (
            (compressed_image, SimpleNamespace(format=("jpeg", "png", "no")[a % 3], data=content)),
            (raw_image, SimpleNamespace(encoding=encodings[d % 6], data=content, **size)),
        )
        for read, message in messages:
            try:
                read(message)
            except (UnknownImage, DamagedImage):
                continue
        taken = decode_picture(content) is not None
        file.write_bytes(content)
        read_picture(file)
        return ACCEPTED if taken else "no picture"

    return check


TARGETS = {
    "lerobot": FuzzTarget("files of a LeRobotDataset", make_lerobot, open_lerobot, 10.0),
    "calvin": FuzzTarget("annotations of CALVIN", make_calvin, open_calvin, 10.0),
    "npz": FuzzTarget("frames of CALVIN", make_npz, open_npz, 5.0),
    "yaml": FuzzTarget("robot files and training configs", make_yaml, open_yaml, 10.0),
    "images": FuzzTarget("pictures, and images of ROS 2", make_images, open_images),
}
