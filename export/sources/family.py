"""A checkpoint's folder of any family to a bundle that answers prompts.

The bundle is made only when ONNX Runtime says the same as torch.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from edge.bundle.bundle import Bundle, file_info, make_bundle
from edge.bundle.manifest import SCHEMA_VERSION, ImageSpec, Manifest, Target, Vocabulary
from edge.errors import BundleRefused, UsageError
from edge.goals.goals import GOALS
from edge.goals.prompts import TEMPLATES, asks_for_boxes, goal_prompt
from edge.model.generation import DecoderEngines, Generation
from edge.model.images import image_to_tensor
from edge.model.prompt_ids import ids_after_image, ids_before_image, image_token
from edge.model.token_rules import ruled
from edge.model.tokenizer import FamilyTokenizer
from edge.records import BASE_ACTION, Goal, Image
from export.graphs.family import Source, family_sources
from export.sources.chat import chat_template, ends_utterances
from export.sources.generation import answer_spec
from export.sources.grounding import check_floor_graph, graph_info, provenance, random_patches
from export.sources.notes import NOT_FOLLOWED
from vla.backbones.backbone import Backbone
from vla.backbones.loading import family_of, load_backbone
from vla.backbones.preprocessor import one_size, read_image_spec
from vla.published import read_config
from vla.sequence import IMAGE, Segment, assemble, extend, read

FREE = 24  # tokens that a target gets, where nobody says how many
_SAID = 12  # tokens that are compared for each image
_MAX_ERROR = 1e-3  # of a logit, as a share of the largest
_MIN_EQUAL = 0.99  # share of tokens that must be the same; the rest are near-ties
_MANIFEST_FAMILY = {"qwen2_5_vl": "qwen2.5-vl", "qwen3_vl": "qwen3-vl"}  # whose prompts differ


def build_family_bundle(
    folder: Path,
    name: str,
    images: Sequence[Image] = (),
    floor: bytes | None = None,
    camera: tuple[int, int] = (480, 640),
    prompt_tokens: int | None = None,
    answer_tokens: int = 96,
) -> Bundle:
    """Export a checkpoint's folder (config.json, tokenizer.json, preprocessor_config.json, *.safetensors) to
    an fp32 bundle, and compare it with torch on `images` (RGB uint8) and random ones. `camera` is the height
    and width in pixels of the images to come, for families that keep their shape; `prompt_tokens` is the most
    that may follow the image; None: what the longest prompt takes, and a target of a few words.

    Raises UsageError where the folder is incomplete or no family reads it, and BundleRefused when the two
    disagree or `floor` is something else.
    """
    backbone = load_backbone(folder)
    image = one_size(read_image_spec(folder), camera)
    tokenizer = (folder / "tokenizer.json").read_bytes()
    manifest = family_manifest(folder, name, backbone, image, tokenizer, answer_tokens)
    prompt_tokens = room_for_prompts(tokenizer, manifest, prompt_tokens)
    sources = answering_sources(backbone, manifest, tokenizer, prompt_tokens, answer_tokens)
    contents = {role: source.to_onnx() for role, source in sources.items()}
    if floor is not None:
        check_floor_graph(floor)
        contents["floor"] = floor
    graphs = {role: graph_info(role, content) for role, content in contents.items()}
    contents["tokenizer"] = tokenizer
    manifest = manifest.model_copy(update={"graphs": graphs})
    size = image.height, image.width
    pictures = [*images, *(random_patches(seed, *size) for seed in range(4))]
    parity = compare(backbone, make_bundle(manifest, contents), pictures)
    return make_bundle(manifest.model_copy(update={"parity": parity}), contents)


def answering_sources(
    backbone: Backbone, manifest: Manifest, tokenizer: bytes, prompt_tokens: int, answer_tokens: int
) -> dict[str, Source]:
    """The graphs of a model that answers prompts, by role."""
    image = manifest.image
    found = Tokenizer.from_str(tokenizer.decode())
    before = ids_before_image(found, manifest.family, manifest.chat)
    return family_sources(backbone, image.height, image.width, tuple(before), prompt_tokens, answer_tokens)


def room_for_prompts(tokenizer: bytes, manifest: Manifest, wanted: int | None) -> int:
    """Tokens behind the image: what is wanted, or what the longest prompt of a goal takes and a few words for
    its target. Raises UsageError where that prompt does not fit."""
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
    """Goals that such a model can have: those that only look, and where it says boxes those that move."""
    kinds = TEMPLATES[family]
    return tuple(kind for kind in kinds if not GOALS[kind].moves or asks_for_boxes(family, kind))


def manifest_family(backbone: Backbone) -> str:
    """As prompts and parsers call it."""
    return family_name(backbone.model.config.model_type)


def family_name(model_type: str) -> str:
    """The same of config.json's "model_type". Raises UsageError for one that no family reads."""
    return _MANIFEST_FAMILY.get(model_type, family_of(model_type).family)


def family_manifest(
    folder: Path,
    name: str,
    backbone: Backbone,
    image: ImageSpec,
    tokenizer: bytes,
    answer_tokens: int,
) -> Manifest:
    """Of a bundle in fp32, still without graphs, and not yet compared with torch. Raises UsageError if the
    folder's files contradict each other, or ask for what a bundle can't do."""
    family = manifest_family(backbone)
    _check_ids(folder, backbone, tokenizer)
    config = backbone.model.config
    start = (backbone.text_config.decoder_start_token_id,) if config.is_encoder_decoder else ()
    ends = {backbone.layout.end}
    if family == "flamingo" and (turn := ends_utterances(folder)) is not None:
        ends.add(turn)
    answer, left = answer_spec(folder, answer_tokens, ends, start, backbone.vocabulary)
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
        provenance=provenance(weights_digest(folder)) | ({NOT_FOLLOWED: left} if left else {}),
        parity={},
        answer=answer,
        chat=chat_template(folder, family),
    )


def weights_digest(folder: Path) -> str:
    """SHA-256 of a checkpoint's weights, file by file in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def _check_ids(folder: Path, backbone: Backbone, tokenizer_json: bytes) -> None:
    """Raises UsageError if config.json and tokenizer.json tell different things of the same tokens."""
    tokenizer = Tokenizer.from_str(tokenizer_json.decode())
    config, image = read_config(folder), image_token(manifest_family(backbone))
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


def compare(backbone: Backbone, bundle: Bundle, images: Sequence[Image]) -> dict[str, float]:
    """Ask torch and the bundle about each image, and compare token by token the logits along what torch says,
    and which token the bundle's rules leave as the most probable. Raises BundleRefused when a logit is 0.001
    off, or fewer than 99 % of the tokens are the same."""
    kinds = bundle.manifest.goals
    error, equal = 0.0, []
    net = DecoderEngines(bundle, 1)
    try:
        for index, image in enumerate(images):
            kind = kinds[index % len(kinds)]
            words = goal_prompt(bundle.manifest, Goal(kind, "cup" if GOALS[kind].needs_target else ""))
            wanted = torch_answer(backbone, bundle.manifest, bundle.read("tokenizer"), image, words)
            choose = Chooser(bundle.manifest, bundle.read("tokenizer"), words, net.image_tokens)
            answer = Generation(net)
            logits = answer.prefill(image, words).copy()
            for place, one in enumerate(wanted):
                scale = max(float(one.abs().max()), 1e-6)
                error = max(error, float(np.abs(logits - one.numpy()).max()) / scale)
                token = choose.best(one.numpy())
                equal.append(token == choose.best(logits))
                choose.said.append(token)
                if place < len(wanted) - 1:
                    logits = answer.decode(token)
    finally:
        net.close()
    parity = {"images": float(len(images)), "equal_tokens": sum(equal) / len(equal), "max_logit_error": error}
    if parity["equal_tokens"] < _MIN_EQUAL or error > _MAX_ERROR:
        raise BundleRefused(
            f"ONNX Runtime and torch disagree: {parity}", "check the export with random inputs"
        )
    return parity


class Chooser:
    """Which token comes next by the rules of a bundle, after those in `said`."""

    def __init__(self, manifest: Manifest, tokenizer_json: bytes, words: str, image_tokens: int) -> None:
        assert manifest.answer is not None  # of a model that answers
        text = FamilyTokenizer(tokenizer_json, manifest.family, manifest.answer, image_tokens, manifest.chat)
        self._spec, self._asked = manifest.answer, text.context_ids(words)
        self.said: list[int] = []

    def best(self, logits: np.ndarray) -> int:
        """The most probable of logits (V,)."""
        return int(ruled(logits, [*self._asked, *self.said], len(self._asked), self._spec).argmax())


@torch.inference_mode()
def torch_answer(
    backbone: Backbone, manifest: Manifest, tokenizer_json: bytes, image: Image, words: str, said: int = _SAID
) -> list[Tensor]:
    """Logits (V,) of `said` tokens, each the most probable after those before that the bundle's rules leave,
    by `vla`'s own sequence and cache, in the backbone's own type. It shares no code with the exported graphs.
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
    choose = Chooser(manifest, tokenizer_json, words, shown)
    while len(logits) < said:
        choose.said.append(choose.best(logits[-1].float().numpy()))
        sequence = extend(sequence, backbone.embed(torch.tensor([choose.said[-1:]])))
        logits.append(backbone.logits(backbone(sequence, cache))[0, -1])
    return logits


def _segment(backbone: Backbone, ids: list[int]) -> list[Segment]:
    if not ids:
        return []
    tokens = torch.tensor([ids])
    return [Segment(backbone.embed(tokens), torch.ones_like(tokens, dtype=torch.bool), block=0)]
