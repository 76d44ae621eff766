"""The checkpoint of a tiny PaliGemma, such as the default model, to its bundle."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers.models.paligemma.modeling_paligemma import PaliGemmaForConditionalGeneration

from edge.bundle.bundle import Bundle, file_info
from edge.bundle.manifest import SCHEMA_VERSION, ImageSpec, Manifest, Target
from edge.errors import UsageError
from edge.goals.words import COLOURS, KINDS
from edge.model.grounding import GroundingModel
from edge.model.images import image_to_tensor
from edge.records import BASE_ACTION, Image
from export.graphs.family import GraphSource, paligemma_sources
from export.sources.checkpoint import Checkpoint
from export.sources.compare import MIN_EQUAL, Differences, TorchParity
from export.sources.find import TINY
from export.sources.manifest import provenance, tiny_vocabulary
from vla.backbones.paligemma import TinyConfig, load, prompt_ids
from vla.backbones.tokenizer import LOC_COUNT, build_tokenizer

GOALS = ("find_object", "follow_object", "describe_scene", "identify_main_object")
_MAX_LOGIT_ERROR = 1e-3


@dataclass(frozen=True)
class TinyCheckpoint(Checkpoint):
    """A checkpoint that `vla.backbones.paligemma.save` wrote."""

    model: PaliGemmaForConditionalGeneration
    config: TinyConfig

    def graphs(self) -> dict[str, GraphSource]:
        return paligemma_sources(self.model, self.config.image_height, self.config.image_width)

    def compare(self, bundle: Bundle, images: Sequence[Image]) -> TorchParity:
        """Prompt torch and the bundle for one object in each image, kinds and colours in turn."""
        generator = np.random.default_rng(1)
        differences = Differences()
        with GroundingModel(bundle) as grounding:
            for index, image in enumerate(images):
                label = f"{COLOURS[index % len(COLOURS)]} {KINDS[index // len(COLOURS) % len(KINDS)]}"
                prompt = f"detect {label}"
                found = grounding.ground(image, prompt, label).text
                differences.add_choices(found == torch_ground(self.model, self.config, image, label))
                # Answers can agree by chance; all logits after random tokens cannot.
                size = self.config.vocab_size
                tokens = generator.integers(size - LOC_COUNT, size, 5).tolist()
                answer = grounding.generation()
                logits = [answer.prefill(image, prompt).copy(), *(answer.decode(t).copy() for t in tokens)]
                expected = torch_logits(self.model, self.config, image, prompt, tokens)
                differences.add_values(np.stack(logits), expected.numpy())
        return TorchParity(
            {
                "answers": float(len(images)),
                "equal": differences.share_equal,
                "max_logit_error": differences.max_error,
            },
            most={"max_logit_error": _MAX_LOGIT_ERROR},
            least={"equal": MIN_EQUAL},
        )


def read_tiny(folder: Path, name: str) -> TinyCheckpoint:
    """Read the checkpoint of a bundle that will have this name. Raises UsageError if there is none."""
    if not (folder / TINY).is_file():
        raise UsageError(f"{folder} is not a checkpoint: it has no {TINY}", "train one first")
    model, config, tokenizer_net = load(folder)
    tokenizer = tokenizer_net.to_str().encode()
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
        graphs={},
        files={"tokenizer": file_info("tokenizer.json", tokenizer)},
        target=Target(engine="onnxruntime"),
        provenance=provenance([folder / "model.safetensors"]),
        parity={},
    )
    return TinyCheckpoint(manifest, tokenizer, model, config)


def image_spec(config: TinyConfig) -> ImageSpec:
    """Describe how an image becomes the net's input; training must prepare its images in the same way."""
    half = (0.5, 0.5, 0.5)
    return ImageSpec(height=config.image_height, width=config.image_width, resize="area", mean=half, std=half)


@torch.inference_mode()
def torch_logits(
    model: PaliGemmaForConditionalGeneration, config: TinyConfig, image: Image, prompt: str, answer: list[int]
) -> Tensor:
    """Compute logits after the prompt and after each token of the answer, by transformers' own forward.

    Their shape is (len(answer) + 1, V).
    """
    start = prompt_ids(build_tokenizer(), prompt, config.image_tokens)
    ids = torch.tensor([start + answer])
    types = torch.tensor([[0] * len(start) + [1] * len(answer)])
    pixels = torch.from_numpy(image_to_tensor(image, image_spec(config)))
    mask = torch.ones_like(ids)
    logits = model(input_ids=ids, pixel_values=pixels, token_type_ids=types, attention_mask=mask).logits
    return logits[0, len(start) - 1 :]


def torch_ground(
    model: PaliGemmaForConditionalGeneration, config: TinyConfig, image: Image, label: str
) -> str:
    """Answer `detect label` in torch, under the grammar of `edge/model/grounding.py`.

    It is slow: it has no cache, and shares no code with the exported graphs.
    """
    tokenizer = build_tokenizer()
    first, last = config.vocab_size - LOC_COUNT, config.vocab_size
    answer: list[int] = []
    for _ in range(4):
        logits = torch_logits(model, config, image, f"detect {label}", answer)[-1]
        if not answer:
            allowed = torch.cat([logits[first:last], logits[tokenizer.encode("none").ids]])
            if allowed.softmax(0)[-1] > 0.5:
                return "none"
        answer.append(first + int(logits[first:last].argmax()))
    return tokenizer.decode(answer) + " " + label
