"""The way of a checkpoint's folder to an fp32 bundle, from top to bottom.

read     folder               -> a checkpoint of its kind
graphs   checkpoint           -> torch modules with static shapes, by stage
onnx     module               -> ONNX file
bundle   ONNX files, manifest -> bundle
compare  bundle, checkpoint   -> parity; a bundle that computes something else than torch is refused
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.bundle.bundle import Bundle, make_bundle
from edge.records import Image
from export.sources.checkpoint import Checkpoint
from export.sources.compare import random_patches
from export.sources.family import read_family
from export.sources.find import kind_at
from export.sources.manifest import check_floor_graph, graph_info
from export.sources.policy import read_policy
from export.sources.tiny import read_tiny


@dataclass(frozen=True)
class SourceOptions:
    """What a user chooses about an fp32 bundle."""

    name: str
    images: Sequence[Image] = ()  # RGB uint8, to compare with torch on
    random_images: int | None = None  # the same, random ones; None: as many as the kind of checkpoint needs
    floor: bytes | None = None  # the ONNX file that sees where the floor ends
    camera: tuple[int, int] = (480, 640)  # pixels of the images to come, for families that keep their shape
    prompt_tokens: int | None = None  # after the image, at most; None: the longest prompt and a few words
    answer_tokens: int = 96  # at most


def build_bundle(folder: Path, options: SourceOptions) -> Bundle:
    """Build the fp32 bundle of a checkpoint's folder, and compare it with torch.

    Without a floor graph the robot drives without seeing obstacles. Raises UsageError if the folder is
    incomplete or is nothing that a bundle can hold, and BundleRefused if ONNX Runtime and torch disagree or
    `floor` is another graph.
    """
    if options.floor is not None:
        check_floor_graph(options.floor)
    checkpoint = read_checkpoint(folder, options)
    graphs = {stage: source.to_onnx() for stage, source in checkpoint.graphs().items()}
    if options.floor is not None:
        graphs["floor"] = options.floor
    bundle = assemble(checkpoint, graphs)
    parity = checkpoint.compare(bundle, _images(checkpoint, options))
    parity.check()
    return make_bundle(bundle.manifest.model_copy(update={"parity": parity.figures}), bundle.contents)


def read_checkpoint(folder: Path, options: SourceOptions) -> Checkpoint:
    """Read the checkpoint in a folder, of whatever kind. Raises UsageError if it is incomplete or damaged."""
    kind = kind_at(folder)
    if kind == "policy":
        return read_policy(folder, options.name)
    if kind == "tiny":
        return read_tiny(folder, options.name)
    return read_family(folder, options.name, options.camera, options.prompt_tokens, options.answer_tokens)


def assemble(checkpoint: Checkpoint, graphs: Mapping[str, bytes]) -> Bundle:
    """Put a checkpoint's ONNX graphs, by stage, into a bundle that is not yet compared with torch."""
    infos = {stage: graph_info(stage, content) for stage, content in graphs.items()}
    manifest = checkpoint.manifest.model_copy(update={"graphs": infos})
    return make_bundle(manifest, {**graphs, "tokenizer": checkpoint.tokenizer})


def _images(checkpoint: Checkpoint, options: SourceOptions) -> list[Image]:
    count = checkpoint.random_images if options.random_images is None else options.random_images
    height, width = checkpoint.manifest.image.height, checkpoint.manifest.image.width
    return [*options.images, *(random_patches(seed, height, width) for seed in range(count))]
