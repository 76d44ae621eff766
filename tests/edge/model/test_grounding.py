import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from edge.bundle.bundle import Bundle, load_bundle, make_bundle
from edge.engines.onnx import OnnxEngine
from edge.errors import BundleRefused, UsageError
from edge.model.grounding import GroundingModel
from edge.model.tokenizer import GroundingTokenizer
from export.sources.compare import random_patches
from export.sources.tiny import torch_ground, torch_logits
from vla.backbones.paligemma import load
from vla.backbones.tokenizer import EOS, build_tokenizer

BOX = re.compile(r"(<loc(\d{4})>){4} red cup")


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return load_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> GroundingModel:
    model = GroundingModel(bundle)
    model.warm_up()
    return model


def test_answers_are_torchs(model: GroundingModel, tiny_checkpoint: Path):
    torch_model, config, _ = load(tiny_checkpoint)
    answers: set[str] = set()
    for seed in range(100, 112):
        image = random_patches(seed, config.image_height, config.image_width)
        expected = torch_ground(torch_model, config, image, "red cup")
        assert model.ground(image, "detect red cup", "red cup").text == expected
        answers.add(expected)
    assert len(answers) > 5, "the images must matter"


def test_captions_are_torchs(model: GroundingModel, tiny_checkpoint: Path, bundle: Bundle):
    torch_model, config, tokenizer = load(tiny_checkpoint)
    text = GroundingTokenizer(bundle.read("tokenizer"))
    allowed = [*text.word_ids.tolist(), EOS]
    image = random_patches(7, config.image_height, config.image_width)
    said: list[int] = []
    while len(said) < 6 and EOS not in said:
        logits = torch_logits(torch_model, config, image, "caption en", said)[-1]
        said.append(allowed[int(logits[allowed].argmax())])
    answer = model.caption(image, "caption en", 6)
    assert answer.text == tokenizer.decode(said)
    assert 0 <= answer.confidence <= 1


def test_text_follows_the_grammar(model: GroundingModel):
    image = np.zeros((240, 320, 3), np.uint8)
    answer = model.ground(image, "detect red cup", "red cup")
    assert answer.text == "none" or BOX.fullmatch(answer.text)
    assert 0 <= answer.confidence <= 1
    assert list(answer.stages_ms) == ["preprocess", "vision", "prefill", "decode"]
    assert model.ground(image, "Detect 빨간색 컵", "컵").text.endswith((" 컵", "none"))


def test_the_probability_decides_between_none_and_a_place(
    model: GroundingModel, monkeypatch: pytest.MonkeyPatch
):
    text = GroundingTokenizer(build_tokenizer().to_str().encode())
    logits = np.full((1, text.first_loc + 1024), -50, np.float32)
    logits[0, text.first_loc + 500 : text.first_loc + 510] = 0  # ten bins, each less probable than `none`
    prefill_run, decode_run = model._engines.prefill.run, model._engines.decode.run
    monkeypatch.setattr(model._engines.prefill, "run", lambda x: {**prefill_run(x), "logits": logits})
    monkeypatch.setattr(model._engines.decode, "run", lambda x: {**decode_run(x), "logits": logits})
    image = np.zeros((32, 48, 3), np.uint8)
    logits[0, text.none] = 1
    place = model.ground(image, "detect cup", "cup")
    assert place.text == "<loc0500>" * 4 + " cup"
    assert place.confidence == pytest.approx(10 / (10 + np.e), abs=1e-3)
    logits[0, text.none] = 5
    none = model.ground(image, "detect cup", "cup")
    assert none.text == "none"
    assert none.confidence == pytest.approx(np.exp(5) / (np.exp(5) + 10), abs=1e-3)


def test_bad_prompts_are_bad_usage(model: GroundingModel):
    image = np.zeros((32, 48, 3), np.uint8)
    with pytest.raises(UsageError, match="does not know"):
        model.ground(image, "detect unicorn", "unicorn")
    with pytest.raises(UsageError, match="at most 8"):
        model.ground(image, "detect " + "red " * 8 + "cup", "cup")


def test_captions_stop_where_the_cache_ends(model: GroundingModel):
    image = np.zeros((32, 48, 3), np.uint8)
    assert len(model.caption(image, "caption en", 1000).text.split()) < 30


def test_bundles_of_another_policy_are_refused(bundle: Bundle):
    other = make_bundle(bundle.manifest.model_copy(update={"policy": "head"}), bundle.contents)
    with pytest.raises(BundleRefused, match="head policy"):
        GroundingModel(other)


def test_graphs_that_are_not_what_the_manifest_says_are_refused(bundle: Bundle):
    graphs = dict(bundle.manifest.graphs)
    graphs["prefill"] = graphs["prefill"].model_copy(update={"inputs": ()})
    other = make_bundle(bundle.manifest.model_copy(update={"graphs": graphs}), bundle.contents)
    with pytest.raises(BundleRefused, match=r"prefill\.onnx"):
        GroundingModel(other)


def test_closing_frees_the_engines(bundle: Bundle):
    with GroundingModel(bundle) as model:
        engines: list[OnnxEngine] = [model._engines.vision, model._engines.prefill, model._engines.decode]
    assert all(engine._session is None for engine in engines)


@pytest.mark.parametrize("broken", [b"", b"{}", b"\xff"])
def test_a_broken_tokenizer_is_refused(broken: bytes):
    with pytest.raises(BundleRefused, match="tokenizer"):
        GroundingTokenizer(broken)


def test_a_tokenizer_without_places_is_refused():
    with pytest.raises(BundleRefused, match="<loc0000>"):
        GroundingTokenizer(build_tokenizer().to_str().replace("<loc0000>", "<gone000>").encode())


def test_a_copy_elsewhere_answers_the_same(model: GroundingModel, tiny_bundle: Path, tmp_path: Path):
    shutil.copytree(tiny_bundle, tmp_path / "b")
    image = np.random.default_rng(3).integers(0, 255, (240, 320, 3), np.uint8)
    with GroundingModel(load_bundle(tmp_path / "b")) as copy:
        said = copy.ground(image, "detect red cup", "red cup")
    assert said.text == model.ground(image, "detect red cup", "red cup").text
