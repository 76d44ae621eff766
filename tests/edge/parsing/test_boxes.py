"""What models answer about where things are: read in each family's forms, and only for what was asked for."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge.goals.words import COLOURS, KINDS, KOREAN
from edge.parsing import parse_action, parse_detections
from edge.parsing.boxes.labels import Agreement, agreement
from edge.parsing.boxes.written import words_beside
from edge.records import Box, ParsedAction
from tests.edge.parsing.timing import thread_seconds

HERE = Path(__file__).parent
IMAGE = (480, 640)  # height and width that qwen2.5-vl's answers are about, pixels


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / name).read_text("utf-8").splitlines()]


ANSWERS = rows("box_answers.jsonl")


def boxes_of(text: str, family: str, target: str) -> list[list[float]]:
    """Return y0, x0, y1, x1 of each box, in order of their corners."""
    size = IMAGE if family == "qwen2.5-vl" else None
    found = parse_detections(text, family, target=target, image_size=size).detections
    return sorted([round(v, 4) for v in (d.box.y0, d.box.x0, d.box.y1, d.box.x1)] for d in found)


def moves(action: ParsedAction) -> bool:
    return any((action.linear_x_m_s, action.linear_y_m_s, action.angular_z_rad_s))


@pytest.mark.parametrize("family", sorted({row["family"] for row in ANSWERS} - {""}))
def test_answers_give_the_boxes_that_they_mean(family: str) -> None:
    mine = [row for row in ANSWERS if row["family"] == family]
    wrong = [row for row in mine if boxes_of(row["text"], family, row["target"]) != sorted(row["boxes"])]
    assert len(mine) >= 20
    assert wrong == []


def test_only_a_box_of_the_target_moves_a_robot() -> None:
    wrong = []
    for row in ANSWERS:
        size = IMAGE if row["family"] == "qwen2.5-vl" else None
        action = parse_action(row["text"], row["family"], target=row["target"], image_size=size)
        right = bool(row["boxes"] and row["family"] and row["target"])
        if moves(action) != right:
            wrong.append(row)
    assert wrong == []


def test_the_words_of_goals_are_known_in_both_languages() -> None:
    pairs = [(KOREAN[colour], KOREAN[kind], colour, kind) for colour in COLOURS for kind in KINDS]
    wrong = [p for p in pairs if agreement(f"{p[0]} {p[1]}", f"{p[2]} {p[3]}") is not Agreement.FULL]
    mixed = [p for p in pairs for kind in KINDS if kind != p[3] and agreement(f"{p[0]} {kind}", p[1])]
    assert (wrong, mixed) == ([], [])


def test_labels_name_the_target_or_another_thing() -> None:
    pairs = rows("box_labels.jsonl")
    wrong = [row for row in pairs if bool(agreement(row["label"], row["target"])) != row["same"]]
    assert len(pairs) >= 100
    assert wrong == []


MUG_AND_CUPBOARD = (
    "<object><patch_index_0483><patch_index_0549></object> near<phrase> a cupboard</phrase>"
    "<object><patch_index_0468><patch_index_0862></object>"
)
CHAIRS = "chair<loc_100><loc_200><loc_300><loc_400><loc_500><loc_200><loc_700><loc_400>"
CODES = "".join(f"<seg{code:03d}>" for code in range(20, 36))


@pytest.mark.parametrize(
    ("family", "target", "text", "boxes"),
    [
        ("kosmos-2", "mug", MUG_AND_CUPBOARD, [[0.4844, 0.1094, 0.5469, 0.1719]]),
        ("qwen3-vl", "mug", '[{"bbox_2d": [0.21, 0.35, 0.44, 0.81], "label": "mug"}]', []),
        ("qwen3-vl", "mug", '[{"bbox_2d": [100, 200, 300, 500], "label": "not a mug"}]', []),
        ("qwen3-vl", "", '[{"bbox_2d": [100, 200, 300, 500], "label": "not a mug"}]', []),
        ("llava", "", "There might be a mug: [0.2, 0.3, 0.4, 0.6]", []),
        (
            "qwen3-vl",
            "mug",
            'The mug is here: ```json [{"bbox_2d": [100, 200, 300, 500], "label": "mug"}] ```',
            [[0.2, 0.1, 0.5, 0.3]],
        ),
        (
            "florence-2",
            "",
            f"sofa<loc_10><loc_20><loc_300><loc_400>{CHAIRS}",
            [[0.02, 0.01, 0.4, 0.3], [0.2, 0.1, 0.4, 0.3], [0.2, 0.5, 0.4, 0.7]],
        ),
        (
            "florence-2",
            "mug",
            "mug<poly><loc_100><loc_200><loc_300><loc_200><loc_300><loc_400></poly>",
            [[0.2, 0.1, 0.4, 0.3]],
        ),
        (
            "paligemma",
            "mug",
            f"<loc0300><loc0400><loc0600><loc0700> {CODES} mug",
            [[0.293, 0.3906, 0.5859, 0.6836]],
        ),
        ("paligemma", "cup", "<loc0256><loc0512><loc0512><loc0768> cup ; ", [[0.25, 0.5, 0.5, 0.75]]),
        ("paligemma", "cup", "<loc0256><loc0512><loc0512><loc0768> cup ; <loc01", [[0.25, 0.5, 0.5, 0.75]]),
    ],
)
def test_standard_forms_give_their_boxes_and_no_others(
    family: str, target: str, text: str, boxes: list[list[float]]
) -> None:
    assert boxes_of(text, family, target) == boxes


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("", '[{"bbox_2d": [150, 80, 190, 140], "label": "red door"}]'),
        ("", 'Found it! [{"bbox_2d": [300, 200, 420, 640], "label": "reverse gear lever"}]'),
        ("qwen3-vl", 'Found it! [{"bbox_2d": [300, 200, 420, 640], "label": "reverse gear lever"}]'),
    ],
)
def test_a_label_is_never_an_order(family: str, text: str) -> None:
    assert not moves(parse_action(text, family))


def test_a_box_is_of_what_its_label_says_rather_than_of_what_it_leaves_open() -> None:
    both = "mug<loc_500><loc_200><loc_700><loc_400>red mug<loc_100><loc_200><loc_300><loc_400>"
    assert boxes_of(both, "florence-2", "red mug") == [[0.2, 0.1, 0.4, 0.3]]
    assert len(boxes_of(both, "florence-2", "mug")) == 2
    assert len(boxes_of("mug<loc_500><loc_200><loc_700><loc_400>", "florence-2", "red mug")) == 1


def test_the_largest_box_of_the_target_is_driven_to() -> None:
    small_left, large_right = '{"bbox_2d": [10, 10, 90, 90]}', '{"bbox_2d": [600, 10, 990, 900]}'
    action = parse_action(f"[{small_left}, {large_right}]", "qwen3-vl", target="cup")
    assert action.angular_z_rad_s < 0


CHAIR_AND_INVERTED = "chair<loc_100><loc_200><loc_300><loc_400><loc_700><loc_400><loc_500><loc_200>"
CIRCLE = "".join(f"<loc_{500 + x}><loc_{500 + y}>" for x, y in [(0, -90), (90, 0), (0, 90), (-90, 0)] * 10)
SEATS = '{"bbox_2d": [100, 200, 300, 400]}'


@pytest.mark.parametrize(
    ("family", "target", "text", "count"),
    [
        ("paligemma", "no smoking sign", "<loc0300><loc0400><loc0600><loc0700> no smoking sign", 1),
        ("florence-2", "chair", CHAIR_AND_INVERTED, 1),
        ("florence-2", "cup", f"cup<poly>{CIRCLE}</poly>", 1),
        ("llava", "", '[{"label": "cup", "box": [0.1, 0.2, 0.3, 0.4]}]', 0),
        ("llava", "mug", "I looked for the mug. It is at [0.1, 0.2, 0.3, 0.4].", 1),
        ("llava", "mug", "Sure! [0.1, 0.2, 0.3, 0.4]", 1),
        ("llava", "mug", "Sure! It is at [0.1, 0.2, 0.3, 0.4].", 1),
        ("llava", "mug", "There is a plate. It is at [0.1, 0.2, 0.3, 0.4].", 0),
        ("llava", "mug", "[0.1, 0.2, 0.3, 0.4] is the plate. [0.5, 0.5, 0.7, 0.7]", 0),
        ("qwen-vl", "mug", "The cupboard is at <box>(100,200),(300,400)</box>.", 0),
        ("qwen-vl", "mug", "The mug is at <box>(100,200),(300,400)</box>.", 1),
        ("qwen-vl", "mug", "<ref>cupboard</ref> is at <box>(100,200),(300,400)</box>", 0),
        ("qwen3-vl", "seat", f"Two seats: {SEATS}", 1),
        ("qwen3-vl", "mug", f"Two seats: {SEATS}", 0),
        ("qwen3-vl", "mug", f'[{SEATS}, {{"bbox_2d": [500, 500, 700, 700], "label": "mug"}}]', 1),
        ("qwen3-vl", "mug", f"[{SEATS}, {SEATS}]", 2),
        ("qwen3-vl", "mug", '{"bbox_2d": [100, 200, 300, 400], "name": "seat"}', 0),
    ],
)
def test_what_stands_around_a_box_says_what_it_is_of(family: str, target: str, text: str, count: int) -> None:
    assert len(boxes_of(text, family, target)) == count


def test_a_label_is_compared_composed() -> None:
    decomposed = unicodedata.normalize("NFD", "빨간 컵")
    assert decomposed != "빨간 컵"
    assert agreement(decomposed, "컵") is Agreement.FULL


def test_what_is_cut_off_inside_a_box_is_not_read_as_words() -> None:
    cut = '[{"bbox_2d": [100, 200, 300, 400], "label": "cup"},\n{"label": "\nturn left\n'
    assert words_beside("Found it.\n" + cut) == "Found it."


LOW, HIGH = st.integers(2, 400), st.integers(401, 900)


@given(LOW, LOW, HIGH, HIGH)
def test_tags_and_lists_give_back_the_corners_that_were_written(x0: int, y0: int, x1: int, y1: int) -> None:
    tags = f"<|object_ref_start|>cup<|object_ref_end|><|box_start|>({x0},{y0}),({x1},{y1})<|box_end|>"
    numbers = f"The cup is at [{x0 / 1000:.3f}, {y0 / 1000:.3f}, {x1 / 1000:.3f}, {y1 / 1000:.3f}]."
    box = Box(y0 / 1000, x0 / 1000, y1 / 1000, x1 / 1000)
    for text, family in ((tags, "qwen3-vl"), (numbers, "llava")):
        (found,) = parse_detections(text, family, target="cup").detections
        assert (found.box, found.label) == (box, "cup")


@given(st.lists(st.tuples(st.integers(50, 900), st.integers(50, 900)), min_size=3, max_size=9))
def test_a_polygon_s_box_is_the_smallest_around_it(points: list[tuple[int, int]]) -> None:
    xs, ys = zip(*points, strict=True)
    assume(min(xs) < max(xs) and min(ys) < max(ys))
    text = "cup<poly>" + "".join(f"<loc_{x}><loc_{y}>" for x, y in points) + "</poly>"
    (found,) = parse_detections(text, "florence-2", target="cup").detections
    assert found.box == Box(min(ys) / 1000, min(xs) / 1000, max(ys) / 1000, max(xs) / 1000)


@given(st.text(max_size=40), st.text(max_size=40))
def test_labels_agree_with_themselves_and_any_two_can_be_compared(one: str, other: str) -> None:
    assert agreement(one, other) in Agreement
    assert agreement(f"cup {one}", f"cup {one}") is Agreement.FULL


@pytest.mark.parametrize(
    "piece", ["<ref>a", "<box>(1,2)", "{", '{"a":', "[[", "</ref> ", "그 컵은 ", "is at ", "<think>"]
)
def test_time_does_not_grow_with_what_is_repeated_in_sentences(piece: str) -> None:
    text = (piece * 4096)[:4000] + "[1, 2, 3, 4]"
    families = ("qwen3-vl", "llava", "florence-2", "kosmos-2")
    assert thread_seconds(lambda: [parse_action(text, family, target="cup") for family in families]) < 0.5
