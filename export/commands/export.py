"""`vla-edge export`: a checkpoint of the hub or of training, or a bundle, to a bundle in any precision.

What needs onnx or torch is imported where it is used: --help and a wrong option are answered without them.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from calibration.sample_set import CalibrationSet, read_set
from edge.bundle.bundle import Bundle, load_bundle, with_manifest, write_bundle
from edge.bundle.files import check_replaceable
from edge.bundle.manifest import SIMULATED_ROOMS
from edge.bundle.parity import print_parity
from edge.cameras.recordings.encoded import decode_picture
from edge.errors import UsageError
from edge.records import Image
from export.commands.options import ExportOptions, parse_options
from export.commands.report import print_result, show_progress
from export.sources.find import ModelKind, family_at, find_source, kind_at


def main(argv: list[str]) -> int:
    """Run the command, and return its exit code."""
    options = parse_options(argv)
    options.validate()
    folder = find_source(options.given, options.model, options.head)
    _check_out(options.out, folder)
    kind = _kind(folder)
    options.validate(kind)
    calibration = read_set(options.calibration, family_at(folder)) if options.calibration else None
    if kind == "large":
        _export_large(options, folder, calibration)
    elif calibration is None:
        _export_fp32(options, folder, kind)
    else:
        _export_in_precision(options, folder, kind, calibration)
    return 0


def _export_fp32(options: ExportOptions, folder: Path, kind: ModelKind) -> None:
    """Write the bundle of a checkpoint in fp32."""
    with show_progress() as on_progress:
        on_progress("reading and exporting in fp32", 0, 1)
        bundle = _with_plans(_fp32(options, folder, kind), options, folder)
    bundle = with_domain(bundle, options, kind)
    write_bundle(options.out, bundle)
    print_result(options, bundle)


def _export_in_precision(
    options: ExportOptions, folder: Path, kind: ModelKind, calibration: CalibrationSet
) -> None:
    """Write the bundle of a checkpoint or another bundle in another precision, if it passes the gate."""
    from export.change_precision import change_precision
    from export.gate.plot import plot_parity
    from export.precision.auto_report import print_choices

    other = load_bundle(options.against_seed) if options.against_seed else None
    with _show_refusal(options), show_progress() as on_progress:
        on_progress("reading and exporting in fp32", 0, 1)
        base = _fp32(options, folder, kind)
        bundle, parity, choices = change_precision(
            base, options.for_precision(), calibration, options.force, on_progress, other, options.episodes
        )
    bundle = with_domain(_with_plans(bundle, options, folder), options, kind)
    write_bundle(options.out, bundle)
    if options.plot:
        plot_parity(options.plot, parity)
    if choices and not options.json:
        print_choices(choices)
    print_result(options, bundle, parity.to_json())


def _export_large(options: ExportOptions, folder: Path, calibration: CalibrationSet | None) -> None:
    """Write the bundle of a large checkpoint in any precision; its gate compares stages on few questions."""
    from export.large.checkpoint import LargeExport, large_family_bundle
    from export.large.parity import LargeRefused

    large = LargeExport(
        folder=folder,
        name=options.bundle_name,
        precision=options.precision,
        profile=options.for_precision().profile,
        camera=options.camera,
        prompt_tokens=options.prompt_tokens,
        answer_tokens=options.answer_tokens,
        floor=_read_floor(options.floor),
        force=options.force,
        board=options.board or "",
    )
    try:
        with (
            show_progress() as on_progress,
            large_family_bundle(large, options.out, calibration, on_progress) as (bundle, judged),
        ):
            on_progress("writing the bundle", 0, 1)
            bundle = with_domain(bundle, options, "large")
            write_bundle(options.out, bundle)
    except LargeRefused as refusal:
        if not options.json:
            print_parity(refusal.parity.to_json())
        raise
    print_result(options, bundle, None if judged is None else judged.to_json())


def _kind(folder: Path) -> ModelKind:
    """Find the kind of model in a folder.

    Raises UsageError if a checkpoint's weights are missing or damaged.
    """
    kind = kind_at(folder)
    if kind != "family":
        return kind
    from export.large.checkpoint import is_large  # torch takes seconds to import

    return "large" if is_large(folder) else kind


def _check_out(out: Path, source: Path) -> None:
    """Check a folder. Raises UsageError if it can't be written, or if its content would be lost."""
    if out.resolve() == source.resolve():
        raise UsageError(f"{out} is the model itself, which would be lost", "give another --out")
    check_replaceable(out)


@contextlib.contextmanager
def _show_refusal(options: ExportOptions) -> Iterator[None]:
    """Show what the gate measured also if it refuses the bundle."""
    from export.gate.plot import plot_parity
    from export.gate.records import GateRefused

    try:
        yield
    except GateRefused as refusal:
        if options.plot:
            plot_parity(options.plot, refusal.parity)
        if not options.json:
            print_parity(refusal.parity.to_json())
        raise


def _fp32(options: ExportOptions, folder: Path, kind: ModelKind) -> Bundle:
    """Load the fp32 bundle in a folder, or build that of the checkpoint there."""
    if kind == "bundle":
        from export.change_precision import check_fp32

        found = load_bundle(folder)
        check_fp32(found)
        manifest = found.manifest.model_copy(update={"name": options.bundle_name})
        return Bundle(manifest, found.contents, found.sha256)
    images, floor = _read_images(options.images), _read_floor(options.floor)
    # torch takes seconds to import, and a bundle does not need it.
    from export.sources.build import SourceOptions, build_bundle

    source = SourceOptions(
        options.bundle_name,
        images,
        floor=floor,
        camera=options.camera,
        prompt_tokens=options.prompt_tokens,
        answer_tokens=options.answer_tokens,
    )
    return build_bundle(folder, source)


def _with_plans(bundle: Bundle, options: ExportOptions, folder: Path) -> Bundle:
    """Add plans to the bundle, if torch2trt is to build them."""
    if options.engine != "torch2trt":
        return bundle
    from export.tensorrt.torch2trt import with_plans

    return with_plans(bundle, folder)


def with_domain(bundle: Bundle, options: ExportOptions, kind: ModelKind) -> Bundle:
    """Return the bundle with what its training has shown it, as the options say."""
    domain = options.domain
    if domain is None:  # checkpoints of this kind are trained on the simulator's pictures alone
        domain = SIMULATED_ROOMS if kind == "tiny" else bundle.manifest.domain
    floor = bundle.manifest.floor_domain if options.floor is None else options.floor_domain
    return with_manifest(bundle, bundle.manifest.model_copy(update={"domain": domain, "floor_domain": floor}))


def _read_floor(path: Path | None) -> bytes | None:
    """Read a floor graph's file. Raises UsageError if it is not there."""
    if path is not None and not path.is_file():
        raise UsageError(f"{path} is not a file", "python -m training.recipes.floor writes one")
    return path.read_bytes() if path is not None else None


def _read_images(folder: Path | None) -> list[Image]:
    """Read RGB images in the order of their names. Raises UsageError for anything else in the folder."""
    if folder is None:
        return []
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder of images")
    images: list[Image] = []
    for path in sorted(folder.iterdir()):
        image = decode_picture(path.read_bytes()) if path.is_file() else None
        if image is None:
            raise UsageError(f"{path} is not an image")
        images.append(np.ascontiguousarray(image[:, :, ::-1], np.uint8))
    return images
