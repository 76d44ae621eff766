"""The parts of an fp32 bundle's manifest that all kinds of checkpoints share."""

import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import onnxruntime
import torch

from edge.bundle.bundle import file_info
from edge.bundle.manifest import GraphInfo, TensorInfo, Vocabulary
from edge.engines.onnx import OnnxEngine
from edge.errors import BundleRefused
from edge.goals.words import COLOURS, KINDS, KOREAN
from edge.interfaces import TensorSpec
from edge.perception.floor_scan import check_floor
from export.graphs.weights import referred_bytes
from vla.backbones.loading import family_of

_MANIFEST_FAMILY = {"qwen2_5_vl": "qwen2.5-vl", "qwen3_vl": "qwen3-vl"}  # their prompts differ


def family_name(model_type: str) -> str:
    """Name the family of a config.json's "model_type", as prompts and parsers call it.

    Raises UsageError if no family reads it.
    """
    return _MANIFEST_FAMILY.get(model_type, family_of(model_type).family)


def tiny_vocabulary() -> Vocabulary:
    """List the targets that the tiny tokenizer knows, in English and Korean."""
    return Vocabulary(
        kinds=(*KINDS, *(KOREAN[kind] for kind in KINDS)),
        colours=(*COLOURS, *(KOREAN[colour] for colour in COLOURS)),
    )


def provenance(weights: Iterable[Path]) -> dict[str, str]:
    """Note a bundle's origin: the SHA-256 of its weights, file by file, and the versions that made it."""
    digest = hashlib.sha256()
    for path in weights:
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return {
        "weights_sha256": digest.hexdigest(),
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "onnxruntime": onnxruntime.__version__,
    }


def check_floor_graph(content: bytes) -> None:
    """Check an ONNX file. Raises BundleRefused if it is not a floor graph."""
    engine = OnnxEngine(content)
    try:
        check_floor(engine)
    except ValueError as error:
        raise BundleRefused(str(error), "export it with python -m training.recipes.floor") from error
    finally:
        engine.close()


def graph_info(stage: str, content: bytes, weights: Path | None = None) -> GraphInfo:
    """Write the manifest's entry for a graph in fp32.

    `weights` is the file that its weights lie in, or None if they are inside.
    """
    engine = OnnxEngine(content, weights=weights, prepack=weights is None)
    info = GraphInfo(
        **file_info(f"{stage}.onnx", content).model_dump(),
        inputs=tuple(map(_tensor_info, engine.inputs)),
        outputs=tuple(map(_tensor_info, engine.outputs)),
        precision="fp32",
        weights_bytes=referred_bytes(content) if weights is not None else 0,
    )
    engine.close()
    return info


def _tensor_info(spec: TensorSpec) -> TensorInfo:
    return TensorInfo(name=spec.name, dtype=spec.dtype.name, shape=spec.shape)
