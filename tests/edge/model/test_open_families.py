"""Bundles of every family, in open words: their answers, and the policies that use them."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from pydantic import ValidationError

from edge.base_spec import DEFAULT_BASE
from edge.bundle.bundle import make_bundle
from edge.bundle.manifest import AnswerSpec, ChatTemplate, Manifest, TokenRules
from edge.errors import BundleRefused, UsageError
from edge.goals.prompts import goal_prompt
from edge.goals.vocabulary import check_target
from edge.interfaces import Inference
from edge.model.boxes import BoxReader
from edge.model.grounding import GroundingModel
from edge.model.images import image_to_tensor
from edge.model.prompt_ids import PromptImage, ids_after_image, prompt_ids
from edge.model.token_rules import ruled
from edge.model.tokenizer import FamilyTokenizer, model_tokenizer
from edge.policies.open import make_policy
from edge.records import ZERO, CameraMount, Frame, Goal, Observation, Odometry
from tests.edge.model.open_bundles import BOXED, FAMILIES, graph_info, open_bundle

GOAL = Goal("find_object", "red cup")
LOOK = Goal("describe_scene")
MOUNT = CameraMount(math.radians(55), 0.35, math.radians(12), 0.12)
IMAGE = np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)


def prompt_of(name: str, goal: Goal = GOAL) -> str:
    return goal_prompt(open_bundle(name)[0].manifest, goal)


def observation(goal: Goal = GOAL, seq: int = 0) -> Observation:
    frame = Frame(IMAGE, seq * 33_000_000, seq)
    return Observation({"front": frame}, goal, Odometry(frame.stamp_ns, 0.0, 0.0, 0.0, ZERO))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_it_says_comes_from_all_that_the_graphs_hand_on(name: str, seed: int) -> None:
    bundle, net, tokenizer = open_bundle(name, max_tokens=12)
    image = np.random.default_rng(seed).integers(0, 256, (60, 80, 3), np.uint8)
    prompt = goal_prompt(bundle.manifest, replace(GOAL, target="red cup" if seed < 3 else "box on the left"))
    ids = ids_after_image(tokenizer, name, prompt, net.family.tokens)
    said, sure = net.say(image_to_tensor(image, bundle.manifest.image), ids, 12)
    with GroundingModel(bundle) as model:
        model.warm_up()
        for _ in range(2):  # nothing of the answer before is left
            found = model.ground(image, prompt, "red cup")
            assert found.text == tokenizer.decode(said, skip_special_tokens=False)
            assert found.confidence == pytest.approx(math.prod(sure) ** (1 / 12), rel=1e-3)
            assert found.cut
            assert list(found.stages_ms) == ["preprocess", "vision", "prefill", "decode"]


@pytest.mark.parametrize("name", BOXED)
def test_a_robot_turns_to_the_box_that_it_says(name: str) -> None:
    says = FAMILIES[name].box
    bundle, _, _ = open_bundle(name, says, prompt_of(name))
    with make_policy(bundle, GOAL, MOUNT, DEFAULT_BASE) as policy:
        first = policy.infer(observation())
        assert (first.text, first.cut) == (says, False)
        assert first.confidence > 0.99
        policy.act(observation(), None)
        policy.act(observation(seq=1), first)
        assert policy.status.state == "confirm"
        box = policy.status.detection.box
    # The middle of what the model sees: of a crop, less than the middle half of the image's width.
    across = 0.25 if bundle.manifest.image.fit == "stretch" else 0.25 * 60 / 80
    assert (box.x0, box.x1) == pytest.approx((0.5 - across, 0.5 + across), abs=0.04)
    assert (box.y0, box.y1) == pytest.approx((0.25, 0.75), abs=0.04)


@pytest.mark.parametrize("name", FAMILIES)
def test_it_describes_a_scene_in_words_and_never_moves(name: str) -> None:
    said = "detect the red cup"
    bundle, _, _ = open_bundle(name, said, prompt_of(name, LOOK))
    with make_policy(bundle, LOOK, MOUNT, DEFAULT_BASE) as policy:
        inference = policy.infer(observation(LOOK))
        assert policy.act(observation(LOOK), inference) is None
        assert policy.status.reached
        assert policy.status.answer.replace("\u2581", " ") == said


@pytest.mark.parametrize("name", ["qwen2.5-vl", "llava", "smolvlm", "flamingo"])
@pytest.mark.parametrize(
    ("said", "velocity"),
    [
        ("go forward slowly", (0.15, 0.0, 0.0)),
        ("turn left", (0.0, 0.0, 0.5)),
        ("왼쪽으로 도세요", (0.0, 0.0, 0.5)),
        ("stop , do not go forward", (0.0, 0.0, 0.0)),
        ("a red door", (0.0, 0.0, 0.0)),
    ],
)
def test_it_drives_as_the_words_of_its_answer_say(
    name: str, said: str, velocity: tuple[float, float, float]
) -> None:
    instruction = Goal("instruct", "Go to the door")
    own = {"prompts": {"instruct": "{target}"}, "goals": ("describe_scene", "instruct")}
    bundle, _, _ = open_bundle(name, said, instruction.target, **own)
    assert check_target(bundle, instruction) == instruction
    with make_policy(bundle, instruction, MOUNT, DEFAULT_BASE) as policy:
        inference = policy.infer(observation(instruction))
        assert inference.words.replace("\u2581", " ") == said and inference.confidence > 0.99
        chunk = policy.act(observation(instruction), inference)
    assert chunk is not None and chunk.values[0] == pytest.approx(velocity)


@pytest.mark.parametrize("name", ["smolvlm", "flamingo"])
@pytest.mark.parametrize("kind", ["find_object", "follow_object"])
def test_a_family_that_says_no_boxes_never_moves_a_robot(name: str, kind: str) -> None:
    bundle, _, _ = open_bundle(name)
    goal = Goal(kind, "red cup")
    for refuse in (
        lambda: check_target(bundle, goal),
        lambda: make_policy(bundle, goal, MOUNT, DEFAULT_BASE),
    ):
        with pytest.raises(UsageError, match=f"a {name} does not say where things are") as refusal:
            refuse()
        assert refusal.value.hint == "it can do: describe_scene"
    assert check_target(bundle, LOOK) == LOOK


@pytest.mark.parametrize("name", BOXED)
@pytest.mark.parametrize("limit", ["max_tokens", "slots"])
def test_an_answer_that_is_cut_off_says_so_and_is_no_box(name: str, limit: str) -> None:
    says, prompt = FAMILIES[name].box, prompt_of(name)
    whole, net, tokenizer = open_bundle(name, says, prompt)
    tokens = len(tokenizer.encode(says, add_special_tokens=False).ids) + net.family.begins
    # The last token before the end is a part of the box, or a word behind it.
    few = tokens - 2 if name == "florence-2" else tokens // 2
    room = {"max_tokens": few} if limit == "max_tokens" else {"slots": net.first + few - 1}
    bundle, _, _ = open_bundle(name, says, prompt, **room)
    with GroundingModel(bundle) as model, GroundingModel(whole) as free:
        found = model.ground(IMAGE, prompt, "red cup")
        assert not free.ground(IMAGE, prompt, "red cup").cut
    assert found.cut
    assert says.startswith(found.text)
    frame = observation().frame
    inference = Inference(frame, found.text, found.confidence, found.stages_ms, cut=found.cut)
    assert not BoxReader(name, bundle.manifest.image).read(found.text, 1.0, "red cup", IMAGE)
    assert inference.words.endswith("(cut off)")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_prompt_that_does_not_fit_is_bad_usage_that_names_its_last_words(name: str) -> None:
    bundle, _, _ = open_bundle(name)
    with (
        GroundingModel(bundle) as model,
        pytest.raises(UsageError, match=r"has \d+ tokens, at most 160 fit") as refusal,
    ):
        model.ground(IMAGE, "the red cup " * 300, "cup")
    assert "cup' is too many" in refusal.value.hint


@pytest.mark.parametrize("name", ["llava", "florence-2"])
def test_what_it_says_keeps_the_rules_of_its_bundle(name: str) -> None:
    """A model that repeats one token is forced to begin otherwise, held from its end, and then cut."""
    said, words = "cup", prompt_of(name)
    _, net, tokenizer = open_bundle(name, said, words)
    end = tokenizer.token_to_id(net.family.end)
    rules: dict[str, Any] = {"no_repeat_ngram_size": 1, "min_new_tokens": 8}
    start = (end,) if name == "florence-2" else ()
    if start:
        rules["forced_bos_token_id"] = 9
    spec = AnswerSpec(max_tokens=8, end_ids=(end,), rules=TokenRules(start=start, **rules))
    bundle, _, _ = open_bundle(name, said, words, answer=spec)
    with GroundingModel(bundle) as model:
        answer = model.generation()
        text = FamilyTokenizer(bundle.read("tokenizer"), name, spec, net.family.tokens)
        seen = text.context_ids(words)
        assert (
            seen == list(start) or prompt_ids(tokenizer, name, words, PromptImage(net.family.tokens)) == seen
        )
        logits, ids = answer.prefill(IMAGE, words).copy(), []
        while len(ids) < 8:
            ids.append(int(ruled(logits, [*seen, *ids], len(seen), spec).argmax()))
            logits = answer.decode(ids[-1]).copy()
        assert len(set(ids) - {end}) == 8
        assert not start or ids[0] == 9
        found = model.caption(IMAGE, words)
        assert found.text == text.plain(ids) and found.cut and 0 < found.confidence <= 1


def test_a_bundle_s_own_chat_template_is_what_it_asks_with() -> None:
    chat = ChatTemplate(before="USER: ", between=" red ", after=" cup", special=False)
    bundle, net, tokenizer = open_bundle("llava", chat=chat)
    text = model_tokenizer(bundle.manifest, bundle.read("tokenizer"), net.family.tokens)
    ids = prompt_ids(tokenizer, "llava", "box", PromptImage(net.family.tokens), chat)
    assert text.prompt_ids("box") == ids[-len(text.prompt_ids("box")) :]
    assert tokenizer.decode(text.prompt_ids("box")).strip() == "red box cup"
    with pytest.raises(ValidationError, match="a section chat without a section answer"):
        Manifest.model_validate_json(bundle.manifest.model_copy(update={"answer": None}).model_dump_json())


def test_what_the_parser_wants_ahead_is_put_there() -> None:
    bundle, _, _ = open_bundle("llava", "0.25, 0.25, 0.75, 0.75]", prompt_of("llava"))
    answer = bundle.manifest.answer.model_copy(update={"prefix": "["})
    bundle = replace(bundle, manifest=bundle.manifest.model_copy(update={"answer": answer}))
    with GroundingModel(bundle) as model:
        assert model.ground(IMAGE, prompt_of("llava"), "cup").text == "[0.25, 0.25, 0.75, 0.75]"


def test_graphs_that_do_not_fit_together_are_refused() -> None:
    bundle, _, _ = open_bundle("florence-2")
    other, _, _ = open_bundle("qwen2.5-vl")
    manifest = bundle.manifest
    for role, said in (("vision", "'memory', which nothing gives"), ("decode", "'past' float32")):
        graphs = {**manifest.graphs, role: other.manifest.graphs[role]}
        if role == "decode":
            other, _, _ = open_bundle("paligemma", slots=100)
            graphs = {**manifest.graphs, role: other.manifest.graphs[role]}
        mixed = replace(
            bundle,
            manifest=manifest.model_copy(update={"graphs": graphs}),
            contents={**bundle.contents, role: other.contents[role]},
        )
        with pytest.raises(BundleRefused, match=said):
            GroundingModel(mixed)


def test_a_prefill_graph_that_gives_no_slot_for_the_answer_is_refused() -> None:
    bundle, _, _ = open_bundle("paligemma")
    model = onnx.load_from_string(bundle.read("prefill"))
    kept = [output for output in model.graph.output if output.name != "position"]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    content = model.SerializeToString()
    older = make_bundle(
        bundle.manifest.model_copy(
            update={"graphs": {**bundle.manifest.graphs, "prefill": graph_info("prefill", content)}}
        ),
        {**bundle.contents, "prefill": content},
    )
    with pytest.raises(BundleRefused, match="no 'position'") as refusal:
        GroundingModel(older)
    assert "export" in refusal.value.hint


def test_an_open_answer_belongs_to_grounding_and_ends() -> None:
    document = open_bundle("llava")[0].manifest.model_dump(mode="json")
    assert Manifest.model_validate_json(open_bundle("llava")[0].manifest.model_dump_json()).answer is not None
    for wrong in ({"max_tokens": 0, "end_ids": [1]}, {"max_tokens": 4, "end_ids": []}, {"max_tokens": 4}):
        with pytest.raises(ValueError, match="answer"):
            Manifest.model_validate({**document, "answer": wrong}, strict=False)
