"""`vla-edge export`: what training wrote, the default model or a policy, to a bundle in any precision."""

import argparse
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from edge.arguments import ArgumentParser, non_negative_float
from edge.bundle import MANIFEST, Bundle, bundle_names, find_bundle, load_bundle, write_bundle
from edge.calibration_set import read_set
from edge.errors import UsageError
from edge.records import Image
from export.auto import Choice
from export.gate import Parity, Say
from export.gate_report import print_choices, print_report
from export.plan.boards import BOARDS
from export.precision import change_precision, check_base, check_wish
from export.precision_make import BUDGETS_DB, PRECISIONS, Wish
from export.ranges import METHODS

_CALIBRATE = "make one with `vla-edge calibrate activations --robot sim --out DIR`"


def main(argv: list[str]) -> int:
    """Run it; returns the exit code."""
    a = _arguments().parse_args(argv)
    if a.precision != "fp32" and a.calibration is None:
        raise UsageError(
            f"{a.precision} needs --calibration DIR: its gate looks at those pictures", _CALIBRATE
        )
    if a.precision == "fp32" and (a.calibration or a.method or a.force or a.engine != "onnxruntime"):
        raise UsageError("--calibration, --method, --force and --engine are for other precisions than fp32")
    wish = Wish(a.precision, a.engine, a.method, a.budget_db, a.smooth, a.board or "")
    check_wish(wish)  # before what takes long
    parity: Parity | None = None
    choices: list[Choice] = []
    with _progress(a.json) as say:
        say("reading and exporting in fp32", 0, 1)
        bundle = _fp32(a)
        if a.precision != "fp32":
            check_base(bundle)
            calibration = read_set(a.calibration, bundle.manifest.family)
            bundle, parity, choices = change_precision(bundle, wish, calibration, a.force, say)
    write_bundle(a.out, bundle)
    if choices and not a.json:
        print_choices(choices)
    _print(a, bundle, parity)
    return 0


def _arguments() -> ArgumentParser:
    p = ArgumentParser("export", "a folder that training wrote to a bundle, compared with torch")
    p.add_argument("checkpoint", type=Path, help="such as OUT/best of `vla-edge train`; or an fp32 bundle")
    p.add_argument("--out", type=Path, required=True, help="folder of the bundle; replaced if there")
    p.add_argument("--name", help="in the manifest; default: the name of --out")
    p.add_argument("--precision", choices=PRECISIONS, default="fp32", help="(%(default)s)")
    p.add_argument(
        "--engine", choices=("onnxruntime", "tensorrt"), default="onnxruntime", help="(%(default)s)"
    )
    p.add_argument("--calibration", type=Path, help="folder of `vla-edge calibrate activations`")
    p.add_argument("--method", choices=METHODS, help="of calibration; default: for each graph the best")
    p.add_argument(
        "--budget-db",
        type=non_negative_float,
        help="layers stay as they are until the noise of a graph is so far below its signal; 0: none does ("
        + ", ".join(f"{kind}: {db:g}" for kind, db in BUDGETS_DB.items())
        + ")",
    )
    p.add_argument(
        "--smooth", choices=("auto", "off"), default="auto", help="SmoothQuant of int8, where it is better"
    )
    p.add_argument("--board", choices=tuple(BOARDS), help="that it is for: what it lacks is refused")
    p.add_argument("--force", action="store_true", help="write it even when it is too far from fp32")
    p.add_argument(
        "--images", type=Path, help="folder of images to compare with torch on, besides random ones"
    )
    p.add_argument("--floor", type=Path, help="ONNX file of python -m training.floor to put in")
    p.add_argument("--json", action="store_true")
    return p


def _fp32(a: argparse.Namespace) -> Bundle:
    """The bundle that was given, or that of the checkpoint."""
    name = a.name or a.out.name
    if not a.checkpoint.exists():
        a.checkpoint = _installed(a.checkpoint)
    if (a.checkpoint / MANIFEST).is_file():
        if a.images or a.floor or a.precision == "fp32":
            raise UsageError(
                f"{a.checkpoint} is a bundle already; it can only change its precision",
                "give a checkpoint, or --precision without --images and --floor",
            )
        found = load_bundle(a.checkpoint)
        return Bundle(found.manifest.model_copy(update={"name": name}), found.contents, found.sha256)
    images, floor = _read_images(a.images), _read_floor(a.floor)
    # torch takes seconds to import, and a bundle does not need it.
    if (a.checkpoint / "vla.json").is_file():
        from export.policy import build_policy_bundle as build
    else:
        from export.grounding import build_grounding as build
    return build(a.checkpoint, name, images, floor=floor)


def _installed(name: Path) -> Path:
    """The folder of the bundle that is installed under a name. Raises UsageError when there is none."""
    if str(name) not in bundle_names():
        names = ", ".join(bundle_names())
        raise UsageError(f"there is no folder {name}", f"give a checkpoint's folder, or a bundle: {names}")
    return find_bundle(name)


def _print(a: argparse.Namespace, bundle: Bundle, parity: Parity | None) -> None:
    size = sum(map(len, bundle.contents.values()))
    figures = bundle.manifest.parity
    if a.json:
        said = {"out": str(a.out), "bytes": size, "parity": figures, "precision": a.precision}
        print(json.dumps(said | {"unproved": bundle.manifest.unproved}))
        return
    if parity is not None:
        print_report(parity)
    print(f"{a.out}: {size / 1e6:.1f} MB, {a.precision}{'' if parity else f', parity {figures}'}")


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Say]:
    """What is being done, on standard error and only where a person looks."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )
    with bar:
        task = bar.add_task("")
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def _read_floor(path: Path | None) -> bytes | None:
    """The file's bytes. Raises UsageError when there is no such file."""
    if path is not None and not path.is_file():
        raise UsageError(f"{path} is not a file", "python -m training.floor writes one")
    return path.read_bytes() if path is not None else None


def _read_images(folder: Path | None) -> list[Image]:
    """RGB pictures in the order of their names. Raises UsageError for anything else in the folder."""
    if folder is None:
        return []
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder of images")
    images: list[Image] = []
    for path in sorted(folder.iterdir()):
        image = cv2.imread(str(path))
        if image is None:
            raise UsageError(f"{path} is not an image")
        images.append(np.ascontiguousarray(image[:, :, ::-1], np.uint8))
    return images
