"""What generation_config.json says: followed as transformers' greedy `generate` does, named, or refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig

from edge.bundle.bundle import load_bundle
from edge.bundle.manifest import Manifest, TokenRules
from edge.errors import UsageError
from edge.goals.prompts import family_prompt
from edge.model.grounding import GroundingModel
from edge.model.images import image_to_tensor
from edge.model.prompt_ids import prompt_ids, tokens_of_image
from edge.records import Goal, Image
from export.commands.export import main
from export.sources.compare import random_patches
from export.sources.family import TokenChooser, family_manifest, torch_answer
from export.sources.generation import answer_spec
from tests.edge.model.family_processors import LLAVA_CHAT
from tests.export.hf_folders import write_folder
from vla.backbones.backbone import Backbone
from vla.backbones.loading import load_backbone
from vla.backbones.preprocessor import one_size, read_image_spec

SAID = 32
RULES: dict[str, Any] = {
    "repetition_penalty": 1.3,
    "no_repeat_ngram_size": 2,
    "bad_words_ids": [[5], [9, 10]],
    "min_new_tokens": 6,
    "suppress_tokens": [11, 12],
    "begin_suppress_tokens": [13],
}


def say(folder: Path, said: dict[str, Any]) -> Path:
    """The folder with such a generation_config.json."""
    (folder / "generation_config.json").write_text(json.dumps(said))
    return folder


def generated(backbone: Backbone, folder: Path, manifest: Manifest, image: Image, words: str) -> list[int]:
    """Ids that transformers' own `generate` says greedily, by the folder's configuration."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    pixels = torch.from_numpy(image_to_tensor(image, manifest.image))
    tokens = backbone.encode(pixels).tokens.shape[1]
    picture = tokens_of_image(manifest.family, tokens)
    ids = torch.tensor([prompt_ids(tokenizer, manifest.family, words, picture, manifest.chat)])
    given: dict[str, Any] = {"pixel_values": pixels, "attention_mask": torch.ones_like(ids)}
    if manifest.family == "smolvlm":
        given["pixel_values"] = pixels[:, None]
        given["pixel_attention_mask"] = torch.ones_like(pixels[:, :1])
    if manifest.family == "paligemma":
        given["token_type_ids"] = torch.zeros_like(ids)
    if manifest.family == "kosmos-2":
        places = torch.zeros_like(ids)
        places[:, 2 : 2 + tokens] = 1
        given["image_embeds_position_mask"] = places
    limits = GenerationConfig.from_pretrained(folder)  # the text model of Kosmos-2 would have another
    limits.do_sample, limits.num_beams, limits.max_new_tokens = False, 1, SAID
    out = backbone.model.generate(input_ids=ids, generation_config=limits, **given)
    start = 1 if manifest.family == "florence-2" else ids.shape[1]
    return out[0, start:].tolist()


@pytest.mark.parametrize("name", ["llava", "paligemma", "smolvlm", "kosmos-2", "florence2"])
def test_tokens_by_rules_are_those_of_generate(name: str, tmp_path: Path) -> None:
    folder = write_folder(name, tmp_path / "model")
    tokenizer = (folder / "tokenizer.json").read_bytes()
    end = load_backbone(folder).layout.end
    rules = RULES | {"eos_token_id": [end, 30]}
    if name == "florence2":
        rules |= {"forced_bos_token_id": 7, "decoder_start_token_id": 1}
    backbone = load_backbone(say(folder, rules))
    spec = one_size(read_image_spec(folder), (24, 32))
    manifest = family_manifest(folder, "m", backbone, spec, tokenizer, SAID)
    image, words = random_patches(7, 24, 32), family_prompt(manifest.family, Goal("describe_scene"))
    wanted = generated(backbone, folder, manifest, image, words)
    tokens = backbone.encode(torch.from_numpy(image_to_tensor(image, spec))).tokens.shape[1]
    choose = TokenChooser(manifest, tokenizer, words, tokens)
    raw = torch_answer(backbone, manifest, tokenizer, image, words, SAID)
    for logits in raw:
        choose.tokens.append(choose.best(logits.numpy()))
    assert choose.tokens[: len(wanted)] == wanted and len(wanted) > 6
    assert choose.tokens != [int(logits.argmax()) for logits in raw], "the rules change nothing here"


def test_a_bundle_asks_by_its_template_and_says_what_generate_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = say(write_folder("llava", tmp_path / "model"), RULES | {"num_beams": 3})
    template = "Be brief. " + LLAVA_CHAT.replace("'ASSISTANT:'", "' ROBOT:'")
    (folder / "chat_template.jinja").write_text(template)
    arguments = ["--prompt-tokens", "240", "--answer-tokens", str(SAID)]
    assert main(["--model", str(folder), "--out", str(tmp_path / "out"), *arguments]) == 0
    told = capsys.readouterr().out
    assert "not the usual one of llava, and is followed: 'Be brief. USER: '" in told
    assert "the checkpoint also asks for num_beams 3" in told
    bundle = load_bundle(tmp_path / "out")
    assert bundle.manifest.provenance["not_followed"] == "num_beams 3"
    image, words = random_patches(7, 16, 16), family_prompt("llava", Goal("describe_scene"))
    wanted = generated(load_backbone(folder), folder, bundle.manifest, image, words)
    with GroundingModel(bundle) as model:
        found = model.caption(image, words)
        plain = Tokenizer.from_file(str(folder / "tokenizer.json")).decode(wanted).strip()
        assert found.text == plain and found.cut == (len(wanted) == SAID)
        assert 0 < found.confidence <= 1


def folder_of(tmp_path: Path, said: dict[str, Any], config: dict[str, Any]) -> Path:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava", **config}))
    return say(tmp_path, said) if said else tmp_path


@pytest.mark.parametrize("inside", [False, True])
def test_without_the_file_the_configuration_of_the_net_is_taken_as_transformers_takes_it(
    inside: bool, tmp_path: Path
) -> None:
    said = RULES | {"eos_token_id": 9, "forced_bos_token_id": None}
    outer = {"no_repeat_ngram_size": 3}
    folder = folder_of(tmp_path, {}, {"text_config": said, **outer} if inside else said)
    spec, left = answer_spec(folder, 8, {2}, (), 64)
    theirs = GenerationConfig.from_pretrained(folder, config_file_name="config.json", _from_model_config=True)
    assert spec.rules is not None and not left
    for name in RULES:
        ours = json.loads(spec.rules.model_dump_json())[name]
        assert ours == getattr(theirs, name), name
    assert spec.end_ids == (2, theirs.eos_token_id)


def test_the_file_is_taken_alone_where_there_is_one(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"eos_token_id": [4, 3]}, RULES | {"eos_token_id": 9, "num_beams": 3})
    spec, left = answer_spec(folder, 8, {2}, (), 64)
    assert spec.rules is None and spec.end_ids == (2, 3, 4) and not left


def test_defaults_that_are_written_down_are_no_rules(tmp_path: Path) -> None:
    """Old files hold every field."""
    neutral = {
        "repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "bad_words_ids": None, "min_length": 0,
        "forced_bos_token_id": None, "suppress_tokens": None, "begin_suppress_tokens": None, "num_beams": 1,
        "do_sample": False, "temperature": 1.0, "top_k": 50, "top_p": 1.0, "encoder_no_repeat_ngram_size": 0,
        "exponential_decay_length_penalty": None, "guidance_scale": 1.0, "encoder_repetition_penalty": 1.0,
        "forced_eos_token_id": None, "eos_token_id": None, "length_penalty": 1.0, "max_length": 20,
    }  # fmt: skip
    spec, left = answer_spec(folder_of(tmp_path, neutral, {}), 8, {2}, (), 64)
    assert spec.rules is None and spec.end_ids == (2,) and not left


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"num_beams": 4, "early_stopping": True}, "num_beams 4"),
        ({"do_sample": True, "temperature": 0.2, "top_k": None}, "do_sample, temperature 0.2"),
        ({"do_sample": False, "temperature": 0.2}, ""),
        ({"forced_eos_token_id": 2}, "forced_eos_token_id (an answer at its limit counts as cut off)"),
    ],
)
def test_what_greedy_answers_do_not_know_is_named(said: dict[str, Any], named: str, tmp_path: Path) -> None:
    assert answer_spec(folder_of(tmp_path, said, {}), 8, {2}, (), 64)[1] == named


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"sequence_bias": [[[1], -9.0]]}, "asks for sequence_bias"),
        ({"exponential_decay_length_penalty": [5, 1.1]}, "asks for exponential_decay_length_penalty"),
        ({"guidance_scale": 1.5}, "asks for guidance_scale 1.5"),
        ({"encoder_repetition_penalty": 1.2}, "asks for encoder_repetition_penalty"),
        ({"encoder_no_repeat_ngram_size": 3}, "asks for encoder_no_repeat_ngram_size 3"),
        ({"penalty_alpha": 0.6}, "asks for penalty_alpha"),
        ({"dola_layers": "high"}, "asks for dola_layers"),
        ({"constraints": [1]}, "asks for constraints"),
        ({"force_words_ids": [[4]]}, "asks for force_words_ids"),
        ({"watermarking_config": {}}, "asks for watermarking_config"),
        ({"token_healing": True}, "asks for token_healing"),
        ({"stop_strings": ["."]}, "asks for stop_strings"),
        ({"repetition_penalty": 0}, "repetition_penalty: Input should be greater than 0"),
        ({"repetition_penalty": "high"}, "repetition_penalty: "),
        ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size: "),
        ({"bad_words_ids": [[]]}, "bad_words_ids.0: "),
        ({"suppress_tokens": 7}, "suppress_tokens: "),
        ({"eos_token_id": "</s>"}, "eos_token_id '</s>' is not a token"),
        ({"eos_token_id": [True]}, "is not a token"),
        ({"forced_bos_token_id": 64}, "begins or ends answers with token 64, and the net has 64"),
        ({"eos_token_id": [2, 64]}, "begins or ends answers with token 64, and the net has 64"),
        ({"decoder_start_token_id": 5}, "starts answers with token 5, the net with 1"),
    ],
)
def test_what_can_not_be_followed_is_refused_by_name(
    said: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        answer_spec(folder_of(tmp_path, said, {}), 8, {2}, (1,), 64)
    assert message in str(caught.value) and "generation_config.json" in str(caught.value)


def test_every_rule_of_a_manifest_is_read(tmp_path: Path) -> None:
    spec, _ = answer_spec(
        folder_of(tmp_path, RULES | {"forced_bos_token_id": 7, "min_length": 4}, {}), 8, {2}, (1,), 64
    )
    assert spec.rules is not None and spec.rules.model_fields_set == set(TokenRules.model_fields)


def test_an_idefics_that_was_taught_to_chat_ends_with_its_turn(tmp_path: Path) -> None:
    folder = write_folder("idefics", tmp_path / "model")
    backbone, spec, file = load_backbone(folder), read_image_spec(folder), folder / "tokenizer.json"
    base = family_manifest(folder, "base", backbone, spec, file.read_bytes(), SAID)
    file.write_text(file.read_text().replace("<unk>", "<end_of_utterance>"))
    told = family_manifest(folder, "instructed", backbone, spec, file.read_bytes(), SAID)
    assert base.answer is not None and told.answer is not None
    turn = Tokenizer.from_file(str(file)).token_to_id("<end_of_utterance>")
    assert {*told.answer.end_ids} - {*base.answer.end_ids} == {turn}
    assert base.chat is None and told.chat is not None and "<end_of_utterance>" in told.chat.after


@pytest.mark.parametrize("name", ["llava", "smolvlm"])
def test_ids_that_two_files_say_differently_are_refused(name: str, tmp_path: Path) -> None:
    folder = write_folder(name, tmp_path / "model")
    file = folder / "config.json"
    config = json.loads(file.read_text())
    place = "image_token_id" if "image_token_id" in config else "image_token_index"
    file.write_text(json.dumps(config | {place: config[place] - 1}))
    with pytest.raises(UsageError, match=f"{place} is {config[place] - 1} in config.json"):
        main([str(folder), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["llava", "idefics"])
def test_a_tokenizer_with_more_tokens_than_the_net_is_refused(name: str, tmp_path: Path) -> None:
    folder = write_folder(name, tmp_path / "model")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    last = tokenizer.get_vocab_size() - 1
    tokenizer.add_tokens(["<new>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    with pytest.raises(UsageError, match=f"tokens up to {last + 1}, and the net has {last + 1}"):
        main([str(folder), "--out", str(tmp_path / "out")])
