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

from edge.bundle import Bundle, file_info, make_bundle
from edge.errors import BundleRefused, UsageError
from edge.goals import GOALS
from edge.grounding import Answer, Net
from edge.manifest import SCHEMA_VERSION, AnswerSpec, GraphInfo, ImageSpec, Manifest, Target, Vocabulary
from edge.preprocess import image_to_tensor
from edge.prompt_ids import ids_after_picture, ids_before_picture
from edge.prompts import TEMPLATES, asks_for_boxes, prompt
from edge.published import read_json
from edge.records import BASE_ACTION, Goal, Image
from export.family_graphs import Source, family_sources
from export.grounding import check_floor_graph, graph_info, provenance, random_patches
from vla.backbone import Backbone
from vla.loading import family_of, load_backbone
from vla.preprocessor import one_size, read_image_spec
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
    prompt_tokens = room_for_prompts(tokenizer, manifest_family(backbone), prompt_tokens)
    sources = answering_sources(backbone, image, tokenizer, prompt_tokens, answer_tokens)
    contents = {role: source.to_onnx() for role, source in sources.items()}
    if floor is not None:
        check_floor_graph(floor)
        contents["floor"] = floor
    graphs = {role: graph_info(role, content) for role, content in contents.items()}
    contents["tokenizer"] = tokenizer
    manifest = family_manifest(folder, name, backbone, image, graphs, contents["tokenizer"], answer_tokens)
    size = image.height, image.width
    pictures = [*images, *(random_patches(seed, *size) for seed in range(4))]
    parity = compare(backbone, make_bundle(manifest, contents), pictures)
    return make_bundle(manifest.model_copy(update={"parity": parity}), contents)


def answering_sources(
    backbone: Backbone, image: ImageSpec, tokenizer: bytes, prompt_tokens: int, answer_tokens: int
) -> dict[str, Source]:
    """The graphs of a model that answers prompts, by role."""
    before = ids_before_picture(Tokenizer.from_str(tokenizer.decode()), manifest_family(backbone))
    return family_sources(backbone, image.height, image.width, tuple(before), prompt_tokens, answer_tokens)


def room_for_prompts(tokenizer: bytes, family: str, wanted: int | None) -> int:
    """Tokens behind the image: what is wanted, or what the longest prompt of a goal takes and a few words for
    its target. Raises UsageError where that prompt does not fit."""
    found = Tokenizer.from_str(tokenizer.decode())
    prompts = [prompt(family, Goal(kind)) for kind in goals_of(family)]
    least = max(len(ids_after_picture(found, family, words, 1)) for words in prompts)
    if wanted is not None and wanted < least:
        raise UsageError(
            f"--prompt-tokens {wanted}: the prompts of {family} take {least} without a target",
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
    graphs: dict[str, GraphInfo],
    tokenizer: bytes,
    answer_tokens: int,
) -> Manifest:
    """Of a bundle with these graphs, in fp32, not yet compared with torch."""
    family = manifest_family(backbone)
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
        graphs=graphs,
        files={"tokenizer": file_info("tokenizer.json", tokenizer)},
        target=Target(engine="onnxruntime"),
        provenance=provenance(weights_digest(folder)),
        parity={},
        answer=AnswerSpec(max_tokens=answer_tokens, end_ids=_end_ids(folder, backbone)),
    )


def weights_digest(folder: Path) -> str:
    """SHA-256 of a checkpoint's weights, file by file in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def _end_ids(folder: Path, backbone: Backbone) -> tuple[int, ...]:
    """The family's, and those that the checkpoint names itself."""
    found: Any = None
    file = folder / "generation_config.json"
    if file.is_file():
        found = read_json(file).get("eos_token_id")
    own = found if isinstance(found, list) else [found]
    return tuple(sorted({backbone.layout.end, *(index for index in own if isinstance(index, int))}))


def compare(backbone: Backbone, bundle: Bundle, images: Sequence[Image]) -> dict[str, float]:
    """Ask torch and the bundle about each image, and compare the logits of what torch says greedily, token by
    token. Raises BundleRefused when a logit is 0.001 off, or fewer than 99 % of the tokens are the same."""
    family = bundle.manifest.family
    kinds = bundle.manifest.goals
    error, equal = 0.0, []
    net = Net(bundle, 1)
    try:
        for index, image in enumerate(images):
            kind = kinds[index % len(kinds)]
            words = prompt(family, Goal(kind, "cup" if GOALS[kind].needs_target else ""))
            wanted = torch_answer(backbone, bundle.manifest, bundle.read("tokenizer"), image, words)
            answer = Answer(net)
            logits = answer.start(image, words).copy()
            for place, one in enumerate(wanted):
                scale = max(float(one.abs().max()), 1e-6)
                error = max(error, float(np.abs(logits - one.numpy()).max()) / scale)
                token = int(one.argmax())
                equal.append(token == int(logits.argmax()))
                if place < len(wanted) - 1:
                    logits = answer.step(token)
    finally:
        net.close()
    parity = {"images": float(len(images)), "equal_tokens": sum(equal) / len(equal), "max_logit_error": error}
    if parity["equal_tokens"] < _MIN_EQUAL or error > _MAX_ERROR:
        raise BundleRefused(
            f"ONNX Runtime and torch disagree: {parity}", "check the export with random inputs"
        )
    return parity


@torch.inference_mode()
def torch_answer(
    backbone: Backbone, manifest: Manifest, tokenizer_json: bytes, image: Image, words: str, said: int = _SAID
) -> list[Tensor]:
    """Logits (V,) of `said` tokens, each the most probable after those before, by `vla`'s own sequence and
    cache, in the backbone's own type. It shares no code with the exported graphs."""
    tokenizer = Tokenizer.from_str(tokenizer_json.decode())
    pixels = torch.from_numpy(image_to_tensor(image, manifest.image))
    picture = backbone.encode(pixels.to(backbone.dtype))
    before = ids_before_picture(tokenizer, manifest.family)
    if picture.memory is not None:
        before = before[:-1]  # the image's own token is the picture's
    after = ids_after_picture(tokenizer, manifest.family, words, picture.tokens.shape[1])
    there = torch.ones(picture.tokens.shape[:2], dtype=torch.bool)
    segments = [
        *_segment(backbone, before),
        Segment(picture.tokens, there, IMAGE, 0, picture),
        *_segment(backbone, after),
    ]
    hidden, sequence, cache = backbone.prefill(assemble(segments))
    last = read(hidden, sequence.lengths[:, None] - 1)
    logits = [backbone.logits(last)[0, 0]]
    while len(logits) < said:
        token = logits[-1].argmax()[None, None]
        sequence = extend(sequence, backbone.embed(token))
        logits.append(backbone.logits(backbone(sequence, cache))[0, -1])
    return logits


def _segment(backbone: Backbone, ids: list[int]) -> list[Segment]:
    if not ids:
        return []
    tokens = torch.tensor([ids])
    return [Segment(backbone.embed(tokens), torch.ones_like(tokens, dtype=torch.bool), block=0)]
