"""The prompts of each model family, and of bundles with their own."""

from pathlib import Path

import pytest

from edge.bundle.bundle import load_bundle
from edge.errors import UsageError
from edge.goals.prompts import FAMILIES, TEMPLATES, asks_for_boxes, family_prompt, goal_prompt, may_move
from edge.records import Goal

CUP = Goal("find_object", "red cup")


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("paligemma", "detect red cup"),
        ("kosmos-2", "<grounding><phrase>a red cup</phrase>"),
        ("florence-2", "<OPEN_VOCABULARY_DETECTION>red cup"),
        ("moondream", "Is there a red cup in this image? Answer only 'yes' or 'no'."),
    ],
)
def test_find_is_asked_in_the_family_s_own_words(family: str, expected: str) -> None:
    assert family_prompt(family, CUP) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_describe_identify_and_find(family: str) -> None:
    for goal in (Goal("describe_scene"), Goal("identify_main_object"), CUP):
        assert family_prompt(family, goal)
    assert "red cup" in family_prompt(family, CUP)


@pytest.mark.parametrize("family", ["llava", "flamingo", "moondream", "uform", "smolvlm", "qwen-vl"])
def test_chat_families_get_plain_questions(family: str) -> None:
    assert family_prompt(family, Goal("describe_scene")) == "Describe this image in detail."
    identify = family_prompt(family, Goal("identify_main_object"))
    assert identify.startswith("What is the main object in this image?")


@pytest.mark.parametrize("family", FAMILIES)
def test_only_families_that_ground_can_follow(family: str) -> None:
    follow = Goal("follow_object", "cup")
    if asks_for_boxes(family, "find_object"):
        assert family_prompt(family, follow) == family_prompt(family, Goal("find_object", "cup"))
    else:
        with pytest.raises(UsageError, match="follow_object") as caught:
            family_prompt(family, follow)
        assert family in caught.value.message
        assert "paligemma" in caught.value.hint


def test_a_yes_or_no_answer_is_known_to_carry_no_box() -> None:
    assert not asks_for_boxes("moondream", "find_object")
    assert not asks_for_boxes("paligemma", "describe_scene")
    assert asks_for_boxes("paligemma", "find_object")


@pytest.mark.parametrize("family", FAMILIES)
def test_only_families_that_chat_are_asked_for_motions(family: str) -> None:
    instruction = Goal("instruct", "go to the {door}")
    chats = family not in ("paligemma", "kosmos-2", "florence-2")
    assert may_move(family, "instruct") == chats
    if chats:
        prompt = family_prompt(family, instruction)
        assert "Its instruction: go to the {door}." in prompt and "not an instruction" in prompt
    else:
        with pytest.raises(UsageError, match="can't do goal 'instruct'") as caught:
            family_prompt(family, instruction)
        assert "llava" in caught.value.hint


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_to_a_look_or_without_boxes_never_move_a_robot(family: str) -> None:
    assert not any(may_move(family, kind) for kind in ("describe_scene", "identify_main_object"))
    assert (
        may_move(family, "find_object")
        == may_move(family, "follow_object")
        == asks_for_boxes(family, "find_object")
    )


def test_unknown_family_lists_the_known() -> None:
    with pytest.raises(UsageError, match="blip") as caught:
        family_prompt("blip", CUP)
    assert "paligemma" in caught.value.hint


@pytest.mark.parametrize("kind", ["find_object", "describe_scene"])
def test_a_bundle_s_own_template_comes_before_its_family_s(tiny_bundle: Path, kind: str) -> None:
    manifest = load_bundle(tiny_bundle).manifest
    own = manifest.model_copy(update={"prompts": {"find_object": "seek {target}"}})
    goal = Goal(kind, "red cup" if kind == "find_object" else "")
    expected = "seek red cup" if kind == "find_object" else family_prompt("paligemma", goal)
    assert goal_prompt(own, goal) == expected


def test_braces_in_a_bundle_s_own_template_stand_as_they_are(tiny_bundle: Path) -> None:
    template = 'answer {"box": [...]} or {} for {target}, {0}, the {target}'
    manifest = load_bundle(tiny_bundle).manifest.model_copy(update={"prompts": {"find_object": template}})
    expected = 'answer {"box": [...]} or {} for {cup}, {0}, the {cup}'
    assert goal_prompt(manifest, Goal("find_object", "{cup}")) == expected


def test_a_target_with_braces_stands_as_it_is() -> None:
    assert family_prompt("paligemma", Goal("find_object", "{target} {0}")) == "detect {target} {0}"


def test_templates_with_a_target_are_those_of_goals_with_one() -> None:
    for templates in TEMPLATES.values():
        for kind, template in templates.items():
            needs = kind in ("find_object", "follow_object", "instruct")
            assert ("{target}" in template) == needs
