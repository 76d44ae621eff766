"""A checkpoint's folder whose fp32 weights do not fit into memory twice, to a bundle.

Its precision is one that `export.large.change` makes. Weights go to a work folder one by one, and no two
engines are open at once.
"""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

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
from edge.records import Goal, Image
from export.graphs.graph import Graph
from export.graphs.stream import hollow
from export.graphs.weights import FILE, WeightStore, weights_in, work_folder
from export.large.bundle import large_bundle
from export.large.change import METHOD, LargeChange, LargeGraphs, change_large
from export.large.parity import LargeParity, LargePrecision, LargeRefused
from export.measure.feeds import Feed
from export.measure.progress import OnProgress
from export.measure.stages import walk
from export.precision.options import Profile
from export.sources.compare import random_patches
from export.sources.family import FamilyCheckpoint, read_family, torch_answer
from export.sources.manifest import check_floor_graph
from vla.backbones.weights import read_headers, weight_files

LARGE_FP32_BYTES = 1 << 30  # a model with more bytes of weights is exported in here
_QUESTIONS = 6  # questions to calibrate on, and as many to judge by: each takes seconds
_TYPES = {"F64": torch.float32, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
# The first token's logits against torch, which computes in the checkpoint's own type.
_LEAST_COSINE = {torch.float32: 0.9999, torch.bfloat16: 0.99, torch.float16: 0.99}


@dataclass(frozen=True)
class LargeExport:
    """The checkpoint to export, and the bundle to make of it."""

    folder: Path
    name: str
    precision: str
    profile: Profile
    camera: tuple[int, int]  # height and width of its images
    prompt_tokens: int | None  # None: as many as its prompts take, and a few words
    answer_tokens: int
    floor: bytes | None  # ONNX file of the floor net
    force: bool
    board: str = ""


@dataclass(frozen=True)
class _Questions:
    """How a bundle's images and prompts become inputs of its graphs."""

    manifest: Manifest
    tokenizer: bytes
    prompt_tokens: int

    def feed(self, image: Image, words: str) -> Feed:
        """Return the inputs of vision and prefill. Raises UsageError for a prompt of too many tokens."""
        found = Tokenizer.from_str(self.tokenizer.decode())
        ids = ids_after_image(found, self.manifest.family, words, 1, self.manifest.chat)
        if len(ids) > self.prompt_tokens:
            raise UsageError(
                f"the prompt '{words}' has {len(ids)} tokens, at most {self.prompt_tokens} fit",
                "give --prompt-tokens",
            )
        padded = np.zeros((1, self.prompt_tokens), np.int64)
        padded[0, : len(ids)] = ids
        return {
            "pixel_values": image_to_tensor(image, self.manifest.image),
            "ids": padded,
            "length": np.array([len(ids)], np.int64),
        }

    def some(self, samples: Sequence[Sample]) -> list[Feed]:
        """Return the inputs of a few of the samples, evenly spread."""
        chosen = samples[:: max(1, len(samples) // _QUESTIONS)][:_QUESTIONS]
        return [self.feed(sample.image, sample.question.prompt) for sample in chosen]


def is_large(folder: Path) -> bool:
    """Return True if a checkpoint's weights take more than LARGE_FP32_BYTES in fp32.

    Raises UsageError if one of their files is missing or damaged.
    """
    headers = read_headers(weight_files(folder))
    return 4 * sum(math.prod(head.shape) for head in headers.values()) > LARGE_FP32_BYTES


def _own_type(folder: Path) -> torch.dtype:
    """Return the type that holds all weights exactly, and takes the least memory."""
    kinds = {head.kind for head in read_headers(weight_files(folder)).values()} & _TYPES.keys()
    return _TYPES[kinds.pop()] if len(kinds) == 1 else torch.float32


@contextmanager
def large_family_bundle(
    options: LargeExport, out: Path, calibration: CalibrationSet | None, on_progress: OnProgress
) -> Iterator[tuple[Bundle, LargeParity | None]]:
    """Return the bundle, and the gate's figures; its weights lie in a work folder beside `out` until the end.

    Raises UsageError if the checkpoint is incomplete or the precision can't be made of one so large,
    BundleRefused if ONNX Runtime and torch disagree, or the bundle is too far from fp32 and not forced.
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
) -> tuple[Bundle, LargeParity | None]:
    questions, graphs, figures = _fp32(options, work, on_progress)
    parity, files = None, {"tokenizer": questions.tokenizer}
    precision = cast("LargePrecision", options.precision)
    if calibration is not None:
        change = change_large(
            graphs,
            precision,
            options.profile,
            questions.some(calibration.calibrate),
            questions.some(calibration.held_out),
            on_progress,
        )
        graphs, parity = change.graphs, change.parity
        if parity.failures and not options.force:
            raise LargeRefused(
                parity, "take another --precision, calibrate with other pictures, or give --force"
            )
        figures |= parity.summary()
        files |= {"parity": parity.to_json(), "calibration": _calibration_file(calibration, change)}
    on_progress("gathering the weights", 0, 1)
    if options.floor is not None:
        graphs = replace(graphs, graphs={**graphs.graphs, "floor": Graph.parse(options.floor)})
    manifest = questions.manifest.model_copy(
        update={
            "parity": figures,
            "unproved": tuple(parity.failures) if parity else (),
            "provenance": {
                **questions.manifest.provenance,
                **_calibrated(calibration),
                **({"for_board": options.board} if options.board else {}),
            },
            "target": questions.manifest.target.model_copy(update={"engine": options.profile}),
        }
    )
    (work / "bundle").mkdir()
    bundle = large_bundle(manifest, graphs, files, work / "bundle" / FILE, precision)
    graphs.store.file.unlink()  # before there is yet another copy on the disk
    return bundle, parity


def _fp32(
    options: LargeExport, work: Path, on_progress: OnProgress
) -> tuple[_Questions, LargeGraphs, dict[str, float]]:
    """Return the fp32 graphs, how to ask them, and their agreement with torch.

    torch's own weights are out of memory again when this returns.
    """
    on_progress("reading the checkpoint", 0, 1)
    checkpoint = read_family(
        options.folder,
        options.name,
        options.camera,
        options.prompt_tokens,
        options.answer_tokens,
        _own_type(options.folder),
    )
    questions = _Questions(checkpoint.manifest, checkpoint.tokenizer, checkpoint.prompt_tokens)
    graphs = _export(checkpoint, work, on_progress)
    return questions, graphs, _compare(checkpoint, questions, graphs, on_progress)


def _export(checkpoint: FamilyCheckpoint, work: Path, on_progress: OnProgress) -> LargeGraphs:
    """Return the fp32 graphs; the real net's weights go to the work folder one by one."""
    real = checkpoint.backbone
    net: Any = type(real.model)
    empty = hollow(
        lambda: net(real.model.config).float().eval(), lambda name: real.model.get_parameter(name).float()
    )
    with torch.no_grad():
        for name, buffer in real.model.named_buffers():
            empty.get_buffer(name).copy_(buffer)
    backbone = type(real)(empty, real.layout, {})
    store = WeightStore(work)
    graphs: dict[str, Graph] = {}
    with weights_in(store):
        sources = replace(checkpoint, backbone=backbone).graphs()
        for done, (stage, source) in enumerate(sources.items()):
            on_progress(f"exporting {stage} in fp32", done, len(sources))
            graphs[stage] = Graph.parse(source.to_onnx(), store)
    return LargeGraphs(graphs, store)


def _compare(
    checkpoint: FamilyCheckpoint, questions: _Questions, graphs: LargeGraphs, on_progress: OnProgress
) -> dict[str, float]:
    """Return the cosine between the first logits of the fp32 graphs and of torch, for one picture.

    Raises BundleRefused if they differ by more than torch's own type explains.
    """
    on_progress("comparing with torch", 0, 1)
    real, manifest = checkpoint.backbone, questions.manifest
    words = goal_prompt(manifest, Goal("describe_scene"))
    image = random_patches(0, manifest.image.height, manifest.image.width)
    wanted = torch_answer(real, manifest, questions.tokenizer, image, words, count=1)[0].float().numpy()
    calls = walk(graphs.open, [questions.feed(image, words)], 0, lambda stage: None, ("vision", "prefill"))
    found = calls["prefill"][0][0].outputs["logits"][0]
    cosine = float(found @ wanted / max(float(np.linalg.norm(found) * np.linalg.norm(wanted)), 1e-12))
    least = _LEAST_COSINE[real.dtype]
    if not cosine >= least:
        raise BundleRefused(
            f"ONNX Runtime and torch disagree: cosine of the first logits {cosine:.5f} (limit {least})",
            "check the export with random inputs",
        )
    return {"logits_cosine": cosine}


def _calibration_file(calibration: CalibrationSet, change: LargeChange) -> bytes:
    """Return the content of calibration.json."""
    about = {
        "digest": calibration.digest,
        "source": calibration.source,
        "method": METHOD,
        "graphs": change.ranges,
    }
    return json.dumps(about).encode()


def _calibrated(calibration: CalibrationSet | None) -> dict[str, str]:
    if calibration is None:
        return {}
    return {"calibration_sha256": calibration.digest, "calibration_source": calibration.source}
