"""The checkpoint of a published model of any family, to a bundle that answers prompts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from edge.bundle.bundle import Bundle, file_info
from edge.bundle.manifest import SCHEMA_VERSION, ImageSpec, Manifest, Target, Vocabulary
from edge.bundle.published import read_config
from edge.errors import UsageError
from edge.goals.goals import GOALS
from edge.goals.prompts import TEMPLATES, goal_prompt, may_move
from edge.model.generation import DecoderEngines, Generation
from edge.model.images import image_to_tensor
from edge.model.prompt_ids import ids_after_image, ids_before_image, image_token
from edge.model.token_rules import ruled
from edge.model.tokenizer import FamilyTokenizer
from edge.records import BASE_ACTION, Goal, Image
from export.graphs.family import GraphSource, family_sources
from export.sources.chat import chat_template, ends_utterances
from export.sources.checkpoint import Checkpoint
from export.sources.compare import MIN_EQUAL, Differences, TorchParity
from export.sources.generation import NOT_FOLLOWED, answer_spec
from export.sources.manifest import family_name, provenance
from vla.backbones.backbone import Backbone
from vla.backbones.loading import load_backbone
from vla.backbones.preprocessor import one_size, read_image_spec
from vla.sequence import IMAGE, Segment, assemble, extend, read

FREE = 24  # tokens for a target, beside the longest prompt
_COMPARED = 12  # tokens of each answer
_MAX_ERROR = 1e-3  # largest error of a logit, as a share of the largest logit


@dataclass(frozen=True)
class FamilyCheckpoint(Checkpoint):
    """A model that answers prompts; its family is one of `vla.backbones.families`."""

    random_images = 4

    backbone: Backbone
    prompt_tokens: int  # that may follow the image
    answer_tokens: int

    def graphs(self) -> dict[str, GraphSource]:
        image, tokenizer = self.manifest.image, Tokenizer.from_str(self.tokenizer.decode())
        before = tuple(ids_before_image(tokenizer, self.manifest.family, self.manifest.chat))
        return family_sources(
            self.backbone, image.height, image.width, before, self.prompt_tokens, self.answer_tokens
        )

    def compare(self, bundle: Bundle, images: Sequence[Image]) -> TorchParity:
        """Compare the answers of torch and the bundle about each image, token by token.

        Compared are the logits along torch's answer, and the token that the bundle's rules leave as the most
        probable.
        """
        kinds = bundle.manifest.goals
        differences = Differences()
        net = DecoderEngines(bundle, 1)
        try:
            for index, image in enumerate(images):
                kind = kinds[index % len(kinds)]
                words = goal_prompt(bundle.manifest, Goal(kind, "cup" if GOALS[kind].needs_target else ""))
                self._compare_answer(net, bundle, image, words, differences)
        finally:
            net.close()
        return TorchParity(
            {
                "images": float(len(images)),
                "equal_tokens": differences.share_equal,
                "max_logit_error": differences.max_error,
            },
            most={"max_logit_error": _MAX_ERROR},
            least={"equal_tokens": MIN_EQUAL},
        )

    def _compare_answer(
        self, net: DecoderEngines, bundle: Bundle, image: Image, words: str, differences: Differences
    ) -> None:
        manifest, tokenizer = bundle.manifest, bundle.read("tokenizer")
        expected = torch_answer(self.backbone, manifest, tokenizer, image, words)
        choose = TokenChooser(manifest, tokenizer, words, net.image_tokens)
        answer = Generation(net)
        logits = answer.prefill(image, words).copy()
        for index, wanted in enumerate(expected):
            differences.add_values(logits, wanted.numpy(), max(float(wanted.abs().max()), 1e-6))
            token = choose.best(wanted.numpy())
            differences.add_choices(token == choose.best(logits))
            choose.tokens.append(token)
            if index < len(expected) - 1:
                logits = answer.decode(token)


def read_family(
    folder: Path,
    name: str,
    camera: tuple[int, int],
    prompt_tokens: int | None,
    answer_tokens: int,
    dtype: torch.dtype = torch.float32,
) -> FamilyCheckpoint:
    """Read a checkpoint's config.json, tokenizer.json, preprocessor_config.json and *.safetensors.

    `name` is the bundle's; `camera` is the height and width in pixels of the images to come; `prompt_tokens`
    is the most that may follow the image, or None for the longest prompt and a target of a few words; `dtype`
    is the type of the weights in memory.

    Raises UsageError if the folder is incomplete, contradicts itself, or no family reads it.
    """
    backbone = load_backbone(folder, dtype=dtype)
    image = one_size(read_image_spec(folder), camera)
    tokenizer = (folder / "tokenizer.json").read_bytes()
    manifest = family_manifest(folder, name, backbone, image, tokenizer, answer_tokens)
    room = _room_for_prompts(tokenizer, manifest, prompt_tokens)
    return FamilyCheckpoint(manifest, tokenizer, backbone, room, answer_tokens)


def _room_for_prompts(tokenizer: bytes, manifest: Manifest, wanted: int | None) -> int:
    """Choose the most tokens behind the image: those wanted, or those of the longest prompt and FREE more.

    Raises UsageError if that prompt does not fit.
    """
    found = Tokenizer.from_str(tokenizer.decode())
    prompts = [goal_prompt(manifest, Goal(kind)) for kind in manifest.goals]
    least = max(len(ids_after_image(found, manifest.family, words, 1, manifest.chat)) for words in prompts)
    if wanted is not None and wanted < least:
        raise UsageError(
            f"--prompt-tokens {wanted}: the prompts of {manifest.family} take {least} without a target",
            f"give {least + FREE}, or leave it out",
        )
    return wanted or least + FREE


def goals_of(family: str) -> tuple[str, ...]:
    """List the goals of a family: those that only look, and those that its answers may move a robot by."""
    kinds = TEMPLATES[family]
    return tuple(kind for kind in kinds if not GOALS[kind].moves or may_move(family, kind))


def family_manifest(
    folder: Path,
    name: str,
    backbone: Backbone,
    image: ImageSpec,
    tokenizer: bytes,
    answer_tokens: int,
) -> Manifest:
    """Write the manifest of a bundle in fp32, still without graphs and parity.

    Raises UsageError if the folder's files contradict each other, or need what a bundle can't do.
    """
    config = backbone.model.config
    family = family_name(config.model_type)
    _check_ids(folder, backbone, tokenizer)
    start = (backbone.text_config.decoder_start_token_id,) if config.is_encoder_decoder else ()
    ends = {backbone.layout.end}
    if family == "flamingo" and (turn := ends_utterances(folder)) is not None:
        ends.add(turn)
    answer, not_followed = answer_spec(folder, answer_tokens, ends, start, backbone.vocabulary)
    origin = provenance(sorted(folder.glob("*.safetensors")))
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        family=family,
        policy="grounding",
        goals=goals_of(family),
        prompts={},
        vocabulary=Vocabulary(),
        image=image,
        action=BASE_ACTION,
        graphs={},
        files={"tokenizer": file_info("tokenizer.json", tokenizer)},
        target=Target(engine="onnxruntime"),
        provenance=origin | ({NOT_FOLLOWED: not_followed} if not_followed else {}),
        parity={},
        answer=answer,
        chat=chat_template(folder, family),
    )


def _check_ids(folder: Path, backbone: Backbone, tokenizer_json: bytes) -> None:
    """Check the ids of tokens. Raises UsageError if config.json and tokenizer.json contradict each other."""
    tokenizer = Tokenizer.from_str(tokenizer_json.decode())
    config, image = read_config(folder), image_token(family_name(backbone.model.config.model_type))
    there = tokenizer.token_to_id(image)
    for name in ("image_token_id", "image_token_index"):
        if config.get(name) not in (None, there):
            raise UsageError(
                f"{image} is {there} in tokenizer.json, and {name} is {config[name]} in config.json",
                "get the checkpoint again, all of its files",
            )
    most = max(tokenizer.get_vocab().values(), default=0)
    embedding: Any = backbone.model.get_input_embeddings()
    rows = embedding.weight.shape[0] + getattr(embedding, "num_additional_embeddings", 0)
    if most >= rows:
        raise UsageError(
            f"tokenizer.json has tokens up to {most}, and the net has {rows}",
            "get the checkpoint again, all of its files",
        )


class TokenChooser:
    """Chooses by the rules of a bundle the token that comes after those in `tokens`."""

    def __init__(self, manifest: Manifest, tokenizer_json: bytes, words: str, image_tokens: int) -> None:
        assert manifest.answer is not None  # it is the manifest of a model that answers
        text = FamilyTokenizer(tokenizer_json, manifest.family, manifest.answer, image_tokens, manifest.chat)
        self._spec, self._prompt = manifest.answer, text.context_ids(words)
        self.tokens: list[int] = []

    def best(self, logits: np.ndarray) -> int:
        """Choose the most probable token by logits (V,)."""
        seen = [*self._prompt, *self.tokens]
        return int(ruled(logits, seen, len(self._prompt), self._spec).argmax())


@torch.inference_mode()
def torch_answer(
    backbone: Backbone,
    manifest: Manifest,
    tokenizer_json: bytes,
    image: Image,
    words: str,
    count: int = _COMPARED,
) -> list[Tensor]:
    """Compute logits (V,) of `count` tokens by `vla`'s own sequence and cache, in the backbone's own type.

    Each token is the most probable one that the bundle's rules leave after those before. The function shares
    no code with the exported graphs.
    """
    tokenizer = Tokenizer.from_str(tokenizer_json.decode())
    pixels = torch.from_numpy(image_to_tensor(image, manifest.image))
    picture = backbone.encode(pixels.to(backbone.dtype))
    before = ids_before_image(tokenizer, manifest.family, manifest.chat)
    if picture.memory is not None:
        before = before[:-1]  # the image's own token is the picture's
    shown = picture.tokens.shape[1]
    after = ids_after_image(tokenizer, manifest.family, words, shown, manifest.chat)
    there = torch.ones(picture.tokens.shape[:2], dtype=torch.bool)
    segments = [
        *_segment(backbone, before),
        Segment(picture.tokens, there, IMAGE, 0, picture),
        *_segment(backbone, after),
    ]
    hidden, sequence, cache = backbone.prefill(assemble(segments))
    last = read(hidden, sequence.lengths[:, None] - 1)
    logits = [backbone.logits(last)[0, 0]]
    choose = TokenChooser(manifest, tokenizer_json, words, shown)
    while len(logits) < count:
        choose.tokens.append(choose.best(logits[-1].float().numpy()))
        sequence = extend(sequence, backbone.embed(torch.tensor([choose.tokens[-1:]])))
        logits.append(backbone.logits(backbone(sequence, cache))[0, -1])
    return logits


def _segment(backbone: Backbone, ids: list[int]) -> list[Segment]:
    if not ids:
        return []
    tokens = torch.tensor([ids])
    return [Segment(backbone.embed(tokens), torch.ones_like(tokens, dtype=torch.bool), block=0)]
