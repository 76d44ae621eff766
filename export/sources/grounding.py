"""A checkpoint of the tiny PaliGemma to a bundle.

The bundle is made only when ONNX Runtime says the same as torch.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch
import transformers
from torch import Tensor
from transformers import PaliGemmaForConditionalGeneration

from edge.bundle.bundle import Bundle, file_info, make_bundle, write_bundle
from edge.bundle.manifest import (
    SCHEMA_VERSION,
    GraphInfo,
    ImageSpec,
    Manifest,
    Target,
    TensorInfo,
    Vocabulary,
)
from edge.engines.onnx import OnnxEngine
from edge.errors import BundleRefused, UsageError
from edge.goals.words import COLOURS, KINDS, KOREAN
from edge.interfaces import TensorSpec
from edge.model.grounding import GroundingModel
from edge.model.images import image_to_tensor
from edge.perception.floor_scan import check_floor
from edge.records import BASE_ACTION, Image
from export.graphs.family import paligemma_sources
from export.graphs.weights import referred_bytes
from vla.backbones.paligemma import TinyConfig, load, prompt_ids
from vla.backbones.tokenizer import LOC_COUNT, build_tokenizer

GOALS = ("find_object", "follow_object", "describe_scene", "identify_main_object")
_MIN_EQUAL = 0.99  # share of answers that must be the same word for word; the rest are near-ties
_MAX_LOGIT_ERROR = 1e-3


def image_spec(config: TinyConfig) -> ImageSpec:
    """What the net wants of an image; training must prepare its images with this too."""
    half = (0.5, 0.5, 0.5)
    return ImageSpec(height=config.image_height, width=config.image_width, resize="area", mean=half, std=half)


def export_grounding(
    checkpoint: Path,
    out: Path,
    name: str = "default",
    images: Sequence[Image] = (),
    random_images: int = 8,
    floor: bytes | None = None,
) -> Bundle:
    """`build_grounding`, written to `out`; nothing is written where that raises."""
    bundle = build_grounding(checkpoint, name, images, random_images, floor)
    write_bundle(out, bundle)
    return bundle


def build_grounding(
    checkpoint: Path,
    name: str = "default",
    images: Sequence[Image] = (),
    random_images: int = 8,
    floor: bytes | None = None,
) -> Bundle:
    """Export what `vla.backbones.paligemma.save` wrote to an fp32 bundle, and compare it with torch on
    `images` (RGB uint8) and random ones. `floor` is the ONNX file that sees where the floor ends; without it
    the robot drives without seeing obstacles.

    Raises UsageError where there is no checkpoint, and BundleRefused when the two disagree or `floor` is
    something else.
    """
    if not (checkpoint / "tiny.json").is_file():
        raise UsageError(f"{checkpoint} is no checkpoint: it has no tiny.json", "train one first")
    model, config, tokenizer = load(checkpoint)
    sources = paligemma_sources(model, config.image_height, config.image_width)
    graphs = {role: source.to_onnx() for role, source in sources.items()}
    if floor is not None:
        graphs["floor"] = floor
        check_floor_graph(floor)
    contents = {**graphs, "tokenizer": tokenizer.to_str().encode()}
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        family="paligemma",
        policy="grounding",
        goals=GOALS,
        prompts={"identify_main_object": "main"},
        vocabulary=tiny_vocabulary(),
        image=image_spec(config),
        action=BASE_ACTION,
        graphs={role: graph_info(role, content) for role, content in graphs.items()},
        files={"tokenizer": file_info("tokenizer.json", contents["tokenizer"])},
        target=Target(engine="onnxruntime"),
        provenance=provenance(hashlib.sha256((checkpoint / "model.safetensors").read_bytes()).hexdigest()),
        parity={},
    )
    patches = [random_image(seed, config) for seed in range(random_images)]
    parity = compare(model, config, make_bundle(manifest, contents), [*images, *patches])
    return make_bundle(manifest.model_copy(update={"parity": parity}), contents)


def tiny_vocabulary() -> Vocabulary:
    """The targets that the tiny tokenizer knows, in English and Korean."""
    return Vocabulary(
        kinds=(*KINDS, *(KOREAN[kind] for kind in KINDS)),
        colours=(*COLOURS, *(KOREAN[colour] for colour in COLOURS)),
    )


def provenance(weights_sha256: str) -> dict[str, str]:
    """Where a bundle comes from: its weights, and what made it."""
    return {
        "weights_sha256": weights_sha256,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def compare(
    model: PaliGemmaForConditionalGeneration, config: TinyConfig, bundle: Bundle, images: Sequence[Image]
) -> dict[str, float]:
    """Ask torch and the bundle for one object per image, kinds and colours in turn. Raises BundleRefused when
    fewer than 99 % of the answers are equal, or a logit is more than 0.001 off."""
    generator = np.random.default_rng(1)
    equal = 0
    error = 0.0
    with GroundingModel(bundle) as grounding:
        for index, image in enumerate(images):
            label = f"{COLOURS[index % len(COLOURS)]} {KINDS[index // len(COLOURS) % len(KINDS)]}"
            prompt = f"detect {label}"
            equal += grounding.ground(image, prompt, label).text == torch_ground(model, config, image, label)
            # Answers can agree by chance; all logits after random tokens cannot.
            said = generator.integers(config.vocab_size - LOC_COUNT, config.vocab_size, 5).tolist()
            answer = grounding.generation()
            logits = [answer.prefill(image, prompt).copy(), *(answer.decode(token).copy() for token in said)]
            expected = torch_logits(model, config, image, prompt, said)
            error = max(error, float(np.abs(np.stack(logits) - expected.numpy()).max()))
    parity = {"answers": float(len(images)), "equal": equal / len(images), "max_logit_error": error}
    if parity["equal"] < _MIN_EQUAL or error > _MAX_LOGIT_ERROR:
        raise BundleRefused(
            f"ONNX Runtime and torch disagree: {parity}", "check the export with random inputs"
        )
    return parity


@torch.inference_mode()
def torch_logits(
    model: PaliGemmaForConditionalGeneration, config: TinyConfig, image: Image, prompt: str, said: list[int]
) -> Tensor:
    """Logits (len(said) + 1, V) after the prompt and after each token said, by transformers' own forward."""
    start = prompt_ids(build_tokenizer(), prompt, config.image_tokens)
    ids = torch.tensor([start + said])
    types = torch.tensor([[0] * len(start) + [1] * len(said)])
    pixels = torch.from_numpy(image_to_tensor(image, image_spec(config)))
    mask = torch.ones_like(ids)
    logits = model(input_ids=ids, pixel_values=pixels, token_type_ids=types, attention_mask=mask).logits
    return logits[0, len(start) - 1 :]


def torch_ground(
    model: PaliGemmaForConditionalGeneration, config: TinyConfig, image: Image, label: str
) -> str:
    """The answer to `detect label` in torch, under the grammar of `edge/model/decoding.py`.

    Slow: it has no cache, and shares no code with the exported graphs.
    """
    tokenizer = build_tokenizer()
    first, last = config.vocab_size - LOC_COUNT, config.vocab_size
    said: list[int] = []
    for _ in range(4):
        logits = torch_logits(model, config, image, f"detect {label}", said)[-1]
        if not said:
            allowed = torch.cat([logits[first:last], logits[tokenizer.encode("none").ids]])
            if allowed.softmax(0)[-1] > 0.5:
                return "none"
        said.append(first + int(logits[first:last].argmax()))
    return tokenizer.decode(said) + " " + label


def random_image(seed: int, config: TinyConfig) -> Image:
    """Coarse random patches, (H, W, 3): unlike fine noise, no two look the same to a net."""
    return random_patches(seed, config.image_height, config.image_width)


def random_patches(seed: int, height: int, width: int) -> Image:
    """The same for any image size in pixels."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def check_floor_graph(content: bytes) -> None:
    """Raises BundleRefused when an ONNX file is no floor graph."""
    engine = OnnxEngine(content)
    try:
        check_floor(engine)
    except ValueError as error:
        raise BundleRefused(str(error), "export it with python -m training.recipes.floor") from error
    finally:
        engine.close()


def graph_info(role: str, content: bytes, weights: Path | None = None) -> GraphInfo:
    """The manifest's entry for a graph in fp32, that may keep its weights in a file."""
    engine = OnnxEngine(content, weights=weights, prepack=weights is None)
    info = GraphInfo(
        **file_info(f"{role}.onnx", content).model_dump(),
        inputs=tuple(map(_tensor_info, engine.inputs)),
        outputs=tuple(map(_tensor_info, engine.outputs)),
        precision="fp32",
        weights_bytes=referred_bytes(content) if weights is not None else 0,
    )
    engine.close()
    return info


def _tensor_info(spec: TensorSpec) -> TensorInfo:
    return TensorInfo(name=spec.name, dtype=spec.dtype.name, shape=spec.shape)
