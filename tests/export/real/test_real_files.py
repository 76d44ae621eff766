"""Published files around tiny nets: prompts, pixels and answers are those of transformers, id for id."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from tokenizers import Tokenizer
from transformers import GenerationConfig

from edge.bundle.bundle import load_bundle
from edge.goals.prompts import TEMPLATES, family_prompt
from edge.model.generation import DecoderEngines, Generation
from edge.model.images import image_to_tensor
from edge.model.patches import vision_input
from edge.model.prompt_ids import PromptImage, image_token, prompt_ids
from edge.records import Goal, Image
from export.commands.export import main
from export.sources.chat import chat_template
from export.sources.family import TokenChooser
from export.sources.manifest import family_name
from tests.export.real.folders import PUBLISHED, asked, processor_of, write_files, write_folder
from vla.backbones.loading import family_of
from vla.backbones.preprocessor import read_image_spec

SAID = 32
MAX_ERROR = 1 / 255
TARGETS = ["cup", "Red Cup", "the box on the left, 12 cm wide", "빨간 컵", "파란 상자", "Café {picture} 1/2"]
SIZES = [(480, 640), (333, 517), (97, 240)]
# The others take 10 s each, most of it a vocabulary of 128,000 words and more.
QUICK = {"kosmos-2-patch14-224", "llava-1.5-7b", "idefics-9b-instruct", "smolvlm-256m", "florence-2-base"}


def some(quick: set[str]) -> list[Any]:
    return [pytest.param(name, marks=[pytest.mark.slow] * (name not in quick)) for name in PUBLISHED]


def family_at(name: str) -> str:
    return family_name(PUBLISHED[name].config["model_type"])


def picture(height: int, width: int, seed: int = 0) -> Image:
    """Coloured clouds, RGB."""
    spots = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), np.uint8)
    return np.asarray(Pillow.fromarray(spots).resize((width, height), Pillow.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    """A checkpoint's files without weights, and their processor."""
    root, made = tmp_path_factory.mktemp("files"), dict[str, tuple[Path, Any]]()

    def make(name: str) -> tuple[Path, Any]:
        if name not in made:
            folder = write_files(name, root / name)
            made[name] = folder, processor_of(name, folder)
        return made[name]

    return make


@pytest.mark.parametrize("name", some(QUICK))
def test_prompts_are_the_ids_of_the_checkpoint_s_processor(
    name: str, files: Callable[[str], tuple[Path, Any]]
) -> None:
    folder, processor = files(name)
    family, image = family_at(name), picture(16, 128)  # so that it has few tiles
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    chat = chat_template(folder, family)
    kinds = TEMPLATES[family]
    goals = {family_prompt(family, Goal(kind, target)) for kind in kinds for target in TARGETS}
    for words in sorted(goals):
        ids = asked(name, processor, Pillow.fromarray(image), words)["input_ids"][0].tolist()
        shown = shown_as(family, processor, ids, tokenizer, image, folder)
        assert prompt_ids(tokenizer, family, words, shown, chat) == ids, words


def shown_as(
    family: str, processor: Any, ids: list[int], tokenizer: Tokenizer, image: Image, folder: Path
) -> PromptImage:
    """How many tokens the processor shows an image by; those of tiles are its setting."""
    if family == "smolvlm":
        taken = vision_input(image, read_image_spec(folder))
        return PromptImage(processor.image_seq_len, taken.rows, taken.columns)
    if family == "kosmos-2":
        return PromptImage(64)  # by default; newer processors have no attribute for it
    return PromptImage(ids.count(tokenizer.token_to_id(image_token(family))))


@pytest.mark.parametrize("name", some(QUICK | {"qwen2.5-vl-7b"}))
def test_pixels_are_those_of_the_checkpoint_s_processor(
    name: str, files: Callable[[str], tuple[Path, Any]]
) -> None:
    folder, processor = files(name)
    spec = read_image_spec(folder)
    for height, width in SIZES:
        image = picture(height, width)
        wanted = asked(name, processor, Pillow.fromarray(image), "cup")["pixel_values"].numpy()
        found = vision_input(image, spec).arrays["pixel_values"]
        assert found.size == wanted.size
        error = np.abs(found.ravel() - wanted.ravel()).max() * max(spec.std)
        print(f"{name} {width}x{height}: {error * 255:.5f}/255")
        assert error <= MAX_ERROR, (height, width)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", some(set()))
def test_a_bundle_says_what_transformers_generates_from_the_same_folder(name: str, tmp_path: Path) -> None:
    folder, out = write_folder(name, tmp_path / "model"), tmp_path / "out"
    camera = PUBLISHED[name].camera
    sizes = ["--camera", camera, "--answer-tokens", str(SAID + 1)]
    assert main(["--model", str(folder), "--out", str(out), *sizes, "--json"]) == 0
    bundle, family, net = load_bundle(out), family_at(name), own_net(folder)
    processor = processor_of(name, folder)
    if family == "smolvlm":
        processor.image_processor.do_image_splitting = False  # a bundle sees the whole image as one tile
    width, height = map(int, camera.split("x"))
    ours = DecoderEngines(bundle, 1)
    first = next(iter(TEMPLATES[family]))
    answers: list[list[int]] = []
    for seed, goal in enumerate([Goal(first, "Red Cup"), Goal("describe_scene"), Goal(first, "빨간 컵")]):
        image, words = picture(height, width, seed), family_prompt(family, goal)
        given = asked(name, processor, Pillow.fromarray(image), words)
        pixels = image_to_tensor(image, bundle.manifest.image)
        theirs = given["pixel_values"].numpy()
        if pixels.size == theirs.size:  # Qwen's come as patches, each for two frames
            assert np.abs(pixels.ravel() - theirs.ravel()).max() * max(bundle.manifest.image.std) <= MAX_ERROR
        asks = given["input_ids"][0].tolist()
        after = ours.tokenizer.prompt_ids(words)
        assert asks[len(asks) - len(after) :] == after
        choose = TokenChooser(bundle.manifest, bundle.read("tokenizer"), words, ours.image_tokens)
        answer = Generation(ours)
        logits = answer.prefill(image, words)
        wanted = generated(net, folder, given)
        while len(choose.tokens) < len(wanted):
            choose.tokens.append(choose.best(logits))
            logits = answer.decode(choose.tokens[-1])
        assert choose.tokens == wanted
        answers.append(wanted)
    ours.close()
    assert len(answers[0]) > SAID // 2 and answers[0] != answers[1] != answers[2]


def own_net(folder: Path) -> Any:
    model_type = json.loads((folder / "config.json").read_text())["model_type"]
    model_class: Any = family_of(model_type).classes[model_type]
    return model_class.from_pretrained(folder, local_files_only=True).eval()


@torch.inference_mode()
def generated(net: Any, folder: Path, given: dict[str, Any]) -> list[int]:
    """Ids that transformers says by the folder's own generation_config.json, but for sampling and beams."""
    limits = GenerationConfig.from_pretrained(folder)  # Kosmos-2's text model would take another
    limits.do_sample, limits.num_beams = False, 1
    limits.max_new_tokens = SAID + 1  # one more than wanted: Florence-2 ends at the limit, whatever it says
    said = net.generate(**given, generation_config=limits)[0].tolist()
    start = 1 if net.config.is_encoder_decoder else given["input_ids"].shape[1]
    return said[start : start + SAID]
