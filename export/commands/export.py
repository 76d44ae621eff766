"""`vla-edge export`: a checkpoint, of the hub or of training, or a bundle, to a bundle in any precision."""

import argparse
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from calibration.sample_set import CalibrationSet, read_set
from edge.bundle.bundle import MANIFEST, Bundle, load_bundle, write_bundle
from edge.bundle.files import check_replaceable
from edge.bundle.parity import print_parity
from edge.commands.arguments import ArgumentParser, non_negative_float, non_negative_int, positive_int
from edge.errors import UsageError
from edge.records import Image
from export.change_precision import change_precision, check_fp32
from export.gate.drive import find_episodes
from export.gate.plot import check_plot, plot_parity
from export.gate.records import GateRefused, Parity
from export.measure.progress import OnProgress
from export.measure.ranges import METHODS
from export.planner.boards import BOARDS
from export.precision.auto import Choice
from export.precision.auto_report import print_choices
from export.precision.options import BUDGETS_DB, PRECISIONS, PrecisionOptions
from export.sources.find import POLICY, family_at, find_source
from export.sources.notes import notes_of

_CALIBRATE = "make one with `vla-edge calibrate activations --robot sim --bundle FP32_BUNDLE --out DIR`"


def main(argv: list[str]) -> int:
    """Run it; returns the exit code."""
    a = _arguments().parse_args(argv)
    if a.precision != "fp32" and a.calibration is None:
        raise UsageError(
            f"{a.precision} needs --calibration DIR: its gate looks at those pictures", _CALIBRATE
        )
    if a.precision in ("fp16", "bf16") and (a.method or a.budget_db is not None):
        raise UsageError("--method and --budget-db are for precisions that are calibrated")
    if a.precision == "fp32" and (a.calibration or a.method or a.force or a.engine == "tensorrt"):
        raise UsageError("--calibration, --method, --force and --engine are for other precisions than fp32")
    torch2trt = a.engine == "torch2trt"
    options = PrecisionOptions(
        a.precision, "tensorrt" if torch2trt else a.engine, a.method, a.budget_db, a.smooth, a.board or ""
    )
    options.validate()  # before what takes long
    _check_gate_options(a)
    folder = find_source(a.given, a.model, a.head)
    _check_out(a.out, folder)
    calibration = read_set(a.calibration, family_at(folder)) if a.calibration else None
    other = load_bundle(a.against_seed) if a.against_seed else None
    if torch2trt:
        _check_torch2trt(a, folder)
    if _is_large(folder):
        return _export_large(a, folder, options, calibration)
    parity: Parity | None = None
    choices: list[Choice] = []
    with _told(a), _progress(a.json) as say:
        say("reading and exporting in fp32", 0, 1)
        bundle = _fp32(a, folder)
        if calibration is not None:
            bundle, parity, choices = change_precision(
                bundle, options, calibration, a.force, say, other, a.episodes
            )
    if torch2trt:
        from export.tensorrt.torch2trt import with_plans

        bundle = with_plans(bundle, folder)
    write_bundle(a.out, bundle)
    if parity is not None and a.plot:
        plot_parity(a.plot, parity)
    if choices and not a.json:
        print_choices(choices)
    _print(a, bundle, parity)
    return 0


def _check_out(out: Path, source: Path) -> None:
    """Raises UsageError for a folder that can't be written, or whose content would be lost."""
    if out.resolve() == source.resolve():
        raise UsageError(f"{out} is the model itself, which would be lost", "give another --out")
    check_replaceable(out)


def _check_gate_options(a: argparse.Namespace) -> None:
    """Raises UsageError for what would only fail after the long work."""
    if a.precision == "fp32" and (a.plot or a.against_seed or a.episodes):
        raise UsageError("--plot, --against-seed and --episodes are for other precisions than fp32")
    if a.plot:
        check_plot(a.plot)
    if a.episodes:
        find_episodes()


@contextlib.contextmanager
def _told(a: argparse.Namespace) -> Iterator[None]:
    """Where the gate refuses, show what it measured, too."""
    try:
        yield
    except GateRefused as refusal:
        if a.plot:
            plot_parity(a.plot, refusal.parity)
        if not a.json:
            print_parity(refusal.parity.to_json())
        raise


def _arguments() -> ArgumentParser:
    p = ArgumentParser("export", "a checkpoint, of the hub or of training, to a bundle, compared with torch")
    p.add_argument(
        "given", nargs="?", metavar="MODEL", help="a checkpoint's folder, ORG/NAME on the hub, an fp32 bundle"
    )
    p.add_argument("--model", metavar="MODEL", help="the same")
    p.add_argument("--head", type=Path, help="a policy's checkpoint, such as OUT/best of `vla-edge train`")
    p.add_argument("--out", type=Path, required=True, help="folder of the bundle; replaced if there")
    p.add_argument("--name", help="in the manifest; default: the name of --out")
    p.add_argument("--precision", choices=PRECISIONS, default="fp32", help="(%(default)s)")
    p.add_argument(
        "--engine",
        choices=("onnxruntime", "tensorrt", "torch2trt"),
        default="onnxruntime",
        help="(%(default)s); torch2trt builds plans at once, on the device that they are for",
    )
    p.add_argument("--calibration", type=Path, help="folder of `vla-edge calibrate activations`")
    p.add_argument("--method", choices=METHODS, help="of calibration; default: for each graph the best")
    p.add_argument(
        "--budget-db",
        type=non_negative_float,
        help="layers stay as they are until the noise of a graph is so far below its signal; 0: none does ("
        + ", ".join(f"{kind}: {db:g}" for kind, db in BUDGETS_DB.items())
        + "; auto: 34, then what the gate asks for)",
    )
    p.add_argument(
        "--plot", type=Path, help="draw what the gate measured into this .png, also when it refuses"
    )
    p.add_argument(
        "--against-seed",
        metavar="BUNDLE",
        help="fp32, of the same training with another seed: to compare with",
    )
    p.add_argument(
        "--episodes",
        type=non_negative_int,
        default=0,
        help="that both bundles drive in the same simulated rooms, as a part of the gate; under 100 prove "
        "little (%(default)s)",
    )
    p.add_argument(
        "--smooth", choices=("auto", "off"), default="auto", help="SmoothQuant of int8, where it is better"
    )
    p.add_argument("--board", choices=tuple(BOARDS), help="that it is for: what it lacks is refused")
    p.add_argument("--force", action="store_true", help="write it even when it is too far from fp32")
    p.add_argument(
        "--images", type=Path, help="folder of images to compare with torch on, besides random ones"
    )
    p.add_argument(
        "--camera",
        type=_size,
        default=(480, 640),
        metavar="WxH",
        help="pixels of the images to come, for families that keep their shape (640x480)",
    )
    p.add_argument(
        "--prompt-tokens", type=positive_int, help="at most; default: what its prompts take, and a few words"
    )
    p.add_argument("--answer-tokens", type=positive_int, default=96, help="at most (%(default)s)")
    p.add_argument("--floor", type=Path, help="ONNX file of python -m training.recipes.floor to put in")
    p.add_argument("--json", action="store_true")
    return p


def _check_torch2trt(a: argparse.Namespace, folder: Path) -> None:
    """Raises UsageError for what would only fail after the long work, HardwareMissing without TensorRT."""
    if (folder / MANIFEST).is_file() or _is_large(folder):
        raise UsageError("torch2trt takes small checkpoints, no bundles", "give --engine tensorrt")
    from export.tensorrt.torch2trt import check_torch2trt

    check_torch2trt(a.precision)


def _is_large(folder: Path) -> bool:
    """Whether it is a checkpoint of the hub's that does not fit into memory twice."""
    if any((folder / name).is_file() for name in (MANIFEST, POLICY, "tiny.json")):
        return False
    from export.large.checkpoint import is_large

    return is_large(folder)


def _export_large(
    a: argparse.Namespace, folder: Path, options: PrecisionOptions, calibration: CalibrationSet | None
) -> int:
    """The same of a large checkpoint; its gate compares stages, of few questions."""
    if a.plot or a.against_seed or a.episodes or a.images or a.method or a.budget_db is not None:
        raise UsageError(
            "--plot, --against-seed, --episodes, --images, --method and --budget-db are for small models"
        )
    from export.large.checkpoint import LargeExport, large_family_bundle
    from export.large.parity import LargeRefused

    large = LargeExport(
        folder=folder,
        name=a.name or a.out.name,
        precision=a.precision,
        profile=options.profile,
        camera=a.camera,
        prompt_tokens=a.prompt_tokens,
        answer_tokens=a.answer_tokens,
        floor=_read_floor(a.floor),
        force=a.force,
        board=options.board,
    )
    try:
        with (
            _progress(a.json) as say,
            large_family_bundle(large, a.out, calibration, say) as (bundle, judged),
        ):
            say("writing the bundle", 0, 1)
            write_bundle(a.out, bundle)
    except LargeRefused as refusal:
        if not a.json:
            print_parity(refusal.parity.to_json())
        raise
    if judged is not None and not a.json:
        print_parity(judged.to_json())
    _print(a, bundle, None)
    return 0


def _fp32(a: argparse.Namespace, folder: Path) -> Bundle:
    """The bundle that was given, or that of the checkpoint."""
    name = a.name or a.out.name
    if (folder / MANIFEST).is_file():
        if a.images or a.floor or a.precision == "fp32":
            raise UsageError(
                f"{folder} is a bundle already; it can only change its precision",
                "give a checkpoint, or --precision without --images and --floor",
            )
        found = load_bundle(folder)
        check_fp32(found)
        return Bundle(found.manifest.model_copy(update={"name": name}), found.contents, found.sha256)
    images, floor = _read_images(a.images), _read_floor(a.floor)
    # torch takes seconds to import, and a bundle does not need it.
    if (folder / POLICY).is_file():
        from export.sources.policy import build_policy_bundle

        return build_policy_bundle(folder, name, images, floor=floor)
    if (folder / "tiny.json").is_file():
        from export.sources.grounding import build_grounding

        return build_grounding(folder, name, images, floor=floor)
    from export.sources.family import build_family_bundle

    return build_family_bundle(folder, name, images, floor, a.camera, a.prompt_tokens, a.answer_tokens)


def _size(text: str) -> tuple[int, int]:
    """Height and width of "640x480"."""
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 640x480")
    return int(height), int(width)


def _print(a: argparse.Namespace, bundle: Bundle, parity: Parity | None) -> None:
    size = sum(map(len, bundle.contents.values()))
    figures = bundle.manifest.parity
    notes = notes_of(bundle.manifest)
    if a.json:
        said = {"out": str(a.out), "bytes": size, "parity": figures, "precision": a.precision}
        print(json.dumps(said | {"unproved": bundle.manifest.unproved, "notes": notes}))
        return
    if parity is not None:
        print_parity(parity.to_json())
    print(f"{a.out}: {size / 1e6:.1f} MB, {a.precision}{'' if parity else f', parity {figures}'}")
    for note in notes:
        print(f"note: {note}")


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[OnProgress]:
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
        raise UsageError(f"{path} is not a file", "python -m training.recipes.floor writes one")
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
