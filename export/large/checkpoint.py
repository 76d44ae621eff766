"""A checkpoint's folder whose fp32 weights do not fit into memory twice, to a bundle in any precision that
`export.large.change` makes. Weights go to a work folder one by one, and no two engines are open at once."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from tokenizers import Tokenizer

from calibration.sample_set import CalibrationSet, Sample
from edge.bundle.bundle import Bundle
from edge.bundle.manifest import Manifest
from edge.errors import BundleRefused, UsageError
from edge.goals.prompts import goal_prompt
from edge.model.images import image_to_tensor
from edge.model.prompt_ids import ids_after_image
from edge.records import Goal
from export.graphs.stream import hollow
from export.graphs.weights import FILE, WeightStore, weights_in, work_folder
from export.large.change import (
    METHOD,
    Graphs,
    Judged,
    LargePrecision,
    LargeRefused,
    change_large,
    large_bundle,
)
from export.measure.feeds import Feed
from export.measure.progress import OnProgress
from export.measure.stages import walk
from export.precision.options import Profile
from export.sources.compare import random_patches
from export.sources.family import (
    answering_sources,
    family_manifest,
    room_for_prompts,
    torch_answer,
)
from export.sources.manifest import check_floor_graph
from vla.backbones.backbone import Backbone
from vla.backbones.loading import load_backbone
from vla.backbones.preprocessor import one_size, read_image_spec
from vla.backbones.weights import read_headers, weight_files

LARGE_FP32_BYTES = 1 << 30  # of weights; with more a model is exported in here
_QUESTIONS = 6  # of a calibration set, to calibrate on, and as many to judge by: each takes seconds
_TYPES = {"F64": torch.float32, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
# The first token's logits against torch, which computes in the checkpoint's own type.
_LEAST_COSINE = {torch.float32: 0.9999, torch.bfloat16: 0.99, torch.float16: 0.99}


@dataclass(frozen=True)
class LargeExport:
    """What was asked for."""

    folder: Path
    name: str
    precision: str
    profile: Profile
    camera: tuple[int, int]
    prompt_tokens: int | None
    answer_tokens: int
    floor: bytes | None
    force: bool
    board: str = ""


def is_large(folder: Path) -> bool:
    """Whether a checkpoint's weights take more than LARGE_FP32_BYTES in fp32. Raises UsageError if one of
    their files is missing or damaged."""
    headers = read_headers(weight_files(folder))
    return 4 * sum(math.prod(head.shape) for head in headers.values()) > LARGE_FP32_BYTES


def _own_type(folder: Path) -> torch.dtype:
    """The type that holds all weights exactly, and takes the least memory."""
    kinds = {head.kind for head in read_headers(weight_files(folder)).values()} & _TYPES.keys()
    return _TYPES[kinds.pop()] if len(kinds) == 1 else torch.float32


@contextmanager
def large_family_bundle(
    options: LargeExport, out: Path, calibration: CalibrationSet | None, on_progress: OnProgress
) -> Iterator[tuple[Bundle, Judged | None]]:
    """The bundle, and what the gate says of it; its weights lie in a work folder beside `out` until the end.

    Raises UsageError where the checkpoint is incomplete or the precision can't be made of one so large,
    BundleRefused where ONNX Runtime and torch disagree, or the bundle is too far from fp32 and not forced.
    """
    if options.precision not in get_args(LargePrecision):
        raise UsageError(
            f"a model of more than {LARGE_FP32_BYTES >> 30} GiB does not become {options.precision} yet",
            f"give --precision {', '.join(get_args(LargePrecision))}",
        )
    if options.floor is not None:
        check_floor_graph(options.floor)
    with work_folder(out) as work:
        yield _build(options, work, calibration, on_progress)


def _build(
    options: LargeExport, work: Path, calibration: CalibrationSet | None, on_progress: OnProgress
) -> tuple[Bundle, Judged | None]:
    on_progress("reading the checkpoint", 0, 1)
    real = load_backbone(options.folder, dtype=_own_type(options.folder))
    image = one_size(read_image_spec(options.folder), options.camera)
    tokenizer = (options.folder / "tokenizer.json").read_bytes()
    manifest = family_manifest(options.folder, options.name, real, image, tokenizer, options.answer_tokens)
    prompt_tokens = room_for_prompts(tokenizer, manifest, options.prompt_tokens)
    graphs = _graphs(real, manifest, tokenizer, prompt_tokens, options.answer_tokens, work, on_progress)
    parity = _compare(real, manifest, tokenizer, graphs, prompt_tokens, on_progress)
    del real
    judged, files = None, {"tokenizer": tokenizer}
    if calibration is not None:
        calibrate, held_out = (
            [_question(s, manifest, tokenizer, prompt_tokens) for s in _some(part)]
            for part in (calibration.calibrate, calibration.held_out)
        )
        precision: Any = options.precision
        graphs, ranges, judged = change_large(
            graphs, precision, options.profile, calibrate, held_out, on_progress
        )
        if judged.failures and not options.force:
            raise LargeRefused(
                judged, "take another --precision, calibrate with other pictures, or give --force"
            )
        parity |= judged.summary()
        about = {
            "digest": calibration.digest,
            "source": calibration.source,
            "method": METHOD,
            "graphs": ranges,
        }
        files |= {"parity": judged.to_json(), "calibration": json.dumps(about).encode()}
    on_progress("gathering the weights", 0, 1)
    if options.floor is not None:
        graphs = Graphs({**graphs.files, "floor": options.floor}, graphs.store)
    manifest = manifest.model_copy(
        update={
            "parity": parity,
            "unproved": tuple(judged.failures) if judged else (),
            "provenance": {
                **manifest.provenance,
                **_calibrated(calibration),
                **({"for_board": options.board} if options.board else {}),
            },
            "target": manifest.target.model_copy(update={"engine": options.profile}),
        }
    )
    (work / "bundle").mkdir()
    bundle = large_bundle(manifest, graphs, files, work / "bundle" / FILE, options.precision)  # type: ignore[arg-type]
    graphs.store.file.unlink()  # before there is yet another copy on the disk
    return bundle, judged


def _graphs(
    real: Backbone,
    manifest: Manifest,
    tokenizer: bytes,
    prompt_tokens: int,
    answer_tokens: int,
    work: Path,
    on_progress: OnProgress,
) -> Graphs:
    """The fp32 graphs, their weights in the work folder, where each comes from the real net one by one."""
    net: Any = type(real.model)
    empty = hollow(
        lambda: net(real.model.config).float().eval(), lambda name: real.model.get_parameter(name).float()
    )
    with torch.no_grad():
        for name, buffer in real.model.named_buffers():
            empty.get_buffer(name).copy_(buffer)
    backbone = type(real)(empty, real.layout, {})
    store = WeightStore(work)
    files: dict[str, bytes] = {}
    with weights_in(store):
        sources = answering_sources(backbone, manifest, tokenizer, prompt_tokens, answer_tokens)
        for done, (role, source) in enumerate(sources.items()):
            on_progress(f"exporting {role} in fp32", done, len(sources))
            files[role] = source.to_onnx()
    return Graphs(files, store)


def _compare(
    real: Backbone,
    manifest: Manifest,
    tokenizer: bytes,
    graphs: Graphs,
    prompt_tokens: int,
    on_progress: OnProgress,
) -> dict[str, float]:
    """What the fp32 graphs and torch say first of a picture. Raises BundleRefused when that differs by more
    than torch's own type explains."""
    on_progress("comparing with torch", 0, 1)
    words = goal_prompt(manifest, Goal("describe_scene"))
    image = random_patches(0, manifest.image.height, manifest.image.width)
    wanted = torch_answer(real, manifest, tokenizer, image, words, count=1)[0].float().numpy()
    feed = _feed(manifest, tokenizer, image_to_tensor(image, manifest.image), words, prompt_tokens)
    calls = walk(graphs.open, [feed], 0, lambda role: None, ("vision", "prefill"))
    found = calls["prefill"][0][0].outputs["logits"][0]
    cosine = float(found @ wanted / max(float(np.linalg.norm(found) * np.linalg.norm(wanted)), 1e-12))
    least = _LEAST_COSINE[real.dtype]
    if not cosine >= least:
        raise BundleRefused(
            f"ONNX Runtime and torch disagree: cosine of the first logits {cosine:.5f} (limit {least})",
            "check the export with random inputs",
        )
    return {"logits_cosine": cosine}


def _calibrated(calibration: CalibrationSet | None) -> dict[str, str]:
    if calibration is None:
        return {}
    return {"calibration_sha256": calibration.digest, "calibration_source": calibration.source}


def _some(samples: Sequence[Sample]) -> Sequence[Sample]:
    return samples[:: max(1, len(samples) // _QUESTIONS)][:_QUESTIONS]


def _question(sample: Sample, manifest: Manifest, tokenizer: bytes, prompt_tokens: int) -> Feed:
    pixels = image_to_tensor(sample.image, manifest.image)
    return _feed(manifest, tokenizer, pixels, sample.question.prompt, prompt_tokens)


def _feed(manifest: Manifest, tokenizer: bytes, pixels: np.ndarray, words: str, prompt_tokens: int) -> Feed:
    """Raises UsageError for a prompt of too many tokens."""
    found = Tokenizer.from_str(tokenizer.decode())
    ids = ids_after_image(found, manifest.family, words, 1, manifest.chat)
    if len(ids) > prompt_tokens:
        raise UsageError(
            f"the prompt '{words}' has {len(ids)} tokens, at most {prompt_tokens} fit", "give --prompt-tokens"
        )
    padded = np.zeros((1, prompt_tokens), np.int64)
    padded[0, : len(ids)] = ids
    return {"pixel_values": pixels, "ids": padded, "length": np.array([len(ids)], np.int64)}
