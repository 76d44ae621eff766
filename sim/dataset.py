"""Labelled images of random rooms: what the default model learns from and is judged by.

A dataset is a folder with `images.npy` (N, H, W, 3) uint8 at the model's input size, `objects.npy`
(N, MAX_OBJECTS, 8) float32 with columns kind, colour (indices into `sim.objects`), y0, x0, y1, x1 (fractions
of the image), distance in metres, clear (1: may be a target; 0: too hidden or small to judge; -1: no
object), `floor.npy` (N, COLUMNS) float32, the image row at which the floor ends, and `dataset.json`.
"""

import argparse
import json
import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.base_spec import DEFAULT_BASE
from edge.commands.arguments import parallel_int
from edge.commands.output import ProgressLine
from edge.perception.geometry import COLUMNS
from edge.records import Image
from sim.objects import COLOURS, KINDS
from sim.render import CameraSpec, Renderer, Visible, degrade
from sim.scene import Scene, sample_scene, scene_mjcf
from sim.workers import worker_pool

MODEL_SIZE = (144, 192)  # height, width
MAX_OBJECTS = 10
VIEWS_PER_SCENE = 6
RADIUS_M = DEFAULT_BASE.radius_m
MIN_WHOLE = 0.3  # visible share of the box under which an object is too hidden to judge
MIN_SIDE_PX = 4.0  # at the model's input
SCENE_SEED_BASE = 10_000_000  # evaluation episodes use small seeds, so no room is shared
KIND_NAMES, COLOUR_NAMES = list(KINDS), list(COLOURS)


def view(scene: Scene, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return a base pose that a robot could have: free, and more often than not facing something."""
    hx, hy = scene.width_m / 2 - RADIUS_M - 0.05, scene.depth_m / 2 - RADIUS_M - 0.05
    solids = (*scene.objects, *scene.clutter)
    for _ in range(50):
        x, y = float(rng.uniform(-hx, hx)), float(rng.uniform(-hy, hy))
        if all(math.hypot(x - o.x_m, y - o.y_m) > o.radius_m + RADIUS_M for o in solids):
            break
    yaw = float(rng.uniform(-np.pi, np.pi))
    o = scene.objects[int(rng.integers(len(scene.objects)))]
    choice = rng.uniform()
    if choice < 0.25:  # in front of an object, where an approach ends
        for _ in range(20):
            angle, gap = rng.uniform(-np.pi, np.pi), o.radius_m + RADIUS_M + rng.uniform(0.05, 1.2)
            nx, ny = o.x_m + gap * math.cos(angle), o.y_m + gap * math.sin(angle)
            if abs(nx) < hx and abs(ny) < hy:
                x, y = float(nx), float(ny)
                break
    if choice < 0.65:
        yaw = math.atan2(o.y_m - y, o.x_m - x) + float(rng.normal(0, 0.35))
    return x, y, yaw


def label(scene: Scene, visible: list[Visible]) -> NDArray[np.float32]:
    """Return the rows of a dataset's `objects.npy` for one image, nearest first."""
    height, width = MODEL_SIZE
    rows = np.full((MAX_OBJECTS, 8), -1, np.float32)
    for row, v in zip(rows, sorted(visible, key=lambda v: v.distance_m), strict=False):
        b, o = v.box, scene.objects[v.index]
        side = min((b.y1 - b.y0) * height, (b.x1 - b.x0) * width)
        clear = side >= MIN_SIDE_PX and v.whole >= MIN_WHOLE
        kind, colour = KIND_NAMES.index(o.kind), COLOUR_NAMES.index(o.colour)
        row[:] = (kind, colour, b.y0, b.x0, b.y1, b.x1, v.distance_m, clear)
    return rows


def scene_pictures(
    seed: int, renderer: Renderer
) -> tuple[list[Image], list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """Return VIEWS_PER_SCENE images of one room, as the robot's camera would deliver them.

    With them come their rows of `objects.npy` and of `floor.npy`.
    """
    import mujoco

    scene = sample_scene(seed)
    rng = np.random.default_rng((seed, 1))
    model = mujoco.MjModel.from_xml_string(scene_mjcf(scene))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    renderer.load(model, scene)
    images, labels, floors = [], [], []
    for _ in range(VIEWS_PER_SCENE):
        pose = view(scene, rng)
        pitch = renderer.spec.pitch_rad + float(rng.normal(0, 0.02))
        height = renderer.spec.height_m + float(rng.normal(0, 0.01))
        image = renderer.image(data, *pose, pitch, height)
        image = degrade(image, rng, float(rng.uniform(0, 6)), float(rng.uniform(0, 0.9)))
        images.append(cv2.resize(image, MODEL_SIZE[::-1], interpolation=cv2.INTER_AREA))
        geoms = renderer.segment(data, *pose, pitch, height)
        labels.append(label(scene, renderer.visible_in(geoms)))
        floors.append(renderer.floor_rows_in(geoms))
    return images, labels, floors


def _worker(job: tuple[str, int, int, int]) -> int:
    """Fill the memory-mapped arrays with scenes [first, last); return their count."""
    folder, seed, first, last = job
    images = np.load(Path(folder) / "images.npy", mmap_mode="r+")
    objects = np.load(Path(folder) / "objects.npy", mmap_mode="r+")
    floor = np.load(Path(folder) / "floor.npy", mmap_mode="r+")
    renderer = Renderer(CameraSpec())
    for i in range(first, last):
        pictures, labels, floors = scene_pictures(SCENE_SEED_BASE + seed + i, renderer)
        span = slice(i * VIEWS_PER_SCENE, (i + 1) * VIEWS_PER_SCENE)
        images[span], objects[span], floor[span] = np.stack(pictures), np.stack(labels), np.stack(floors)
    renderer.close()
    return last - first


def generate(folder: Path, pictures: int, seed: int, jobs: int = 2) -> None:
    """Write a dataset of at least `pictures` images; the same seed gives the same rooms."""
    scenes = -(-pictures // VIEWS_PER_SCENE)
    folder.mkdir(parents=True, exist_ok=True)
    n = scenes * VIEWS_PER_SCENE
    np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (n, *MODEL_SIZE, 3)).flush()
    np.lib.format.open_memmap(folder / "objects.npy", "w+", np.float32, (n, MAX_OBJECTS, 8)).flush()
    np.lib.format.open_memmap(folder / "floor.npy", "w+", np.float32, (n, COLUMNS)).flush()
    step = 100
    work = [(str(folder), seed, i, min(scenes, i + step)) for i in range(0, scenes, step)]
    done = 0
    with ProgressLine() as progress, worker_pool(jobs) as pool:
        progress.show("rooms", 0, scenes)
        for count in pool.imap_unordered(_worker, work):
            done += count
            progress.show("rooms", done, scenes)
    about = {"pictures": n, "seed": seed, "kinds": KIND_NAMES, "colours": COLOUR_NAMES, "size": MODEL_SIZE}
    (folder / "dataset.json").write_text(json.dumps(about, indent=1))


def main(argv: list[str] | None = None) -> int:
    """Run `python -m sim.dataset FOLDER --pictures N --seed S`; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m sim.dataset",
        description="Labelled pictures of random rooms: what the default model learns from and is judged by.",
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=parallel_int, default=2)
    a = parser.parse_args(argv)
    generate(a.folder, a.pictures, a.seed, a.jobs)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
