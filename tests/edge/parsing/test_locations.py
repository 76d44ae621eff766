"""Grounding formats: read exactly or not at all."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge.goals.prompts import FAMILIES
from edge.parsing import parse_action, parse_detections
from edge.parsing.boxes.labels import unsure
from edge.records import ActionType, Box, ParsedAction
from tests.edge.parsing.timing import thread_seconds

PALI = "<loc0256><loc0512><loc0512><loc0768> cup"
MASK = "".join(f"<seg{i:03d}>" for i in range(16))
BOX = Box(0.25, 0.5, 0.5, 0.75)


def corners(top: int, least: int = 1) -> st.SearchStrategy[tuple[int, int, int, int]]:
    """Draw y0, x0, y1, x1 of a box that is neither too small nor too big, in steps of 1/top."""

    def pair(limit: int) -> st.SearchStrategy[tuple[int, int]]:
        low = st.integers(0, top - limit - 1)
        return low.flatmap(lambda a: st.tuples(st.just(a), st.integers(a + least, a + limit)))

    return st.tuples(pair(top // 2), pair(top // 2)).map(lambda p: (p[0][0], p[1][0], p[0][1], p[1][1]))


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("paligemma", PALI),
        ("paligemma", f"<loc0256><loc0512><loc0512><loc0768>{MASK} cup"),
        ("paligemma", PALI + "<eos>"),
        ("florence-2", "cup<loc_500><loc_250><loc_750><loc_500>"),
        ("qwen3-vl", '[{"bbox_2d": [500, 250, 750, 500], "label": "cup"}]'),
        ("qwen3-vl", '```json\n{"bbox_2d": [500, 250, 750, 500], "label": "cup"}\n```'),
        ("llava", "cup: [0.5, 0.25, 0.75, 0.5]"),
        ("llava", "The cup is at [0.50, 0.25, 0.75, 0.5]."),
    ],
)
def test_each_family_s_format_gives_the_same_box(family: str, text: str) -> None:
    for name in (family, ""):
        (found,) = parse_detections(text, name, confidence=0.7).detections
        assert found.box == BOX
        assert (found.label, found.confidence) == ("cup", 0.7)


def test_kosmos_corners_are_cell_centres() -> None:
    text = "<grounding><phrase>a cup</phrase><object><patch_index_0044><patch_index_0863></object> on a table"
    (found,) = parse_detections(text, "kosmos-2").detections
    assert found.label == "cup"
    assert found.box == Box(1.5 / 32, 12.5 / 32, 26.5 / 32, 31.5 / 32)


def test_kosmos_thin_box_takes_whole_cells() -> None:
    text = "<object><patch_index_0033><patch_index_0035></object>"
    (found,) = parse_detections(text, target="cup").detections
    assert (found.label, found.box) == ("cup", Box(1 / 32, 1 / 32, 2 / 32, 4 / 32))


def test_kosmos_names_several_boxes_of_one_phrase() -> None:
    text = (
        "<phrase>two cups</phrase><object><patch_index_0033><patch_index_0100>"
        "</delimiter_of_multi_objects/><patch_index_0400><patch_index_0500></object>"
    )
    assert len(parse_detections(text).detections) == 2


def test_qwen_pixels_need_the_size_of_the_image() -> None:
    text = '[{"bbox_2d": [320, 60, 480, 120], "label": "cup"}]'
    assert not parse_detections(text, "qwen2.5-vl")
    (found,) = parse_detections(text, "qwen2.5-vl", image_size=(240, 640)).detections
    assert found.box == BOX


def test_several_boxes_keep_their_order_and_labels() -> None:
    found = parse_detections(f"{PALI} ; <loc0000><loc0000><loc0100><loc0100> red ball").detections
    assert [detection.label for detection in found] == ["cup", "red ball"]


@pytest.mark.parametrize("text", ["none", " None. ", "none<eos>", "[]", "```json\n[]\n```"])
def test_none_is_no_detection(text: str) -> None:
    for family in ("paligemma", "qwen3-vl"):
        found = parse_detections(text, family)
        assert not found
        assert found.reason
    action = parse_action(text)
    assert action.confidence < 0.3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<loc0256><loc0512><loc0512> cup", "3 location tokens"),
        ("<loc0256><loc0512><loc0512><loc0768><loc0800> cup", "5 location tokens"),
        ("<loc0256><loc0512><loc0512><loc1024> cup", "out of range"),
        ("<loc0256><loc0512><loc0512><loc9999> cup", "out of range"),
        ("<loc0512><loc0512><loc0256><loc0768> cup", "inverted"),
        ("<loc0256><loc0768><loc0512><loc0512> cup", "inverted"),
        ("<loc0256><loc0512><loc0256><loc0768> cup", "inverted"),
        ("<loc0000><loc0000><loc1023><loc1023> cup", "covers"),
        ("<loc0010><loc0010><loc1000><loc1000> cup", "covers"),
        ("<loc0030><loc0030><loc0993><loc0993> cup", "four edges"),
        ("<loc0256><loc0512><loc0512><loc0768>", "without a label"),
        (f"{PALI} ; <loc0256><loc0512><loc0768> ball", "3 location tokens"),
        (f"{PALI} <loc05", "not of the form"),
        ("<loc0256><loc0512><loc0512><loc0768><seg001> cup", "1 mask tokens"),
        (f"<loc0256><loc0512><loc0512><loc0768>{MASK}<seg000> cup", "17 mask tokens"),
        (f"<loc0256><loc0512><loc0512><loc0768>{MASK[:-8]}<seg128> cup", "out of range"),
        ("<loc256><loc512><loc512><loc768> cup", "not of the form"),
        ("<loc00256><loc0512><loc0512><loc0768> cup", "not of the form"),
        ("<loc٠٢٥٦><loc0512><loc0512><loc0768> cup", "not of the form"),
        (f"turn left {PALI}", "not of the form"),
        ("cup<loc_100><loc_100><loc_200>", "3 location tokens"),
        ("cup<loc_100><loc_100><loc_200><loc_200><loc_300>", "5 location tokens"),
        ("cup<loc_100><loc_100><loc_200><loc_1000>", "out of range"),
        ("<object><patch_index_0044></object>", "1 patch tokens"),
        ("<object><patch_index_0044><patch_index_1024></object>", "out of range"),
        ("<object><patch_index_0863><patch_index_0044></object>", "inverted"),
        ("<object><patch_index_0000><patch_index_1023></object>", "covers"),
        ("<object><patch_index_0044><patch_index_0863>", "not of the form"),
        ('[{"bbox_2d": [1, 2, 3], "label": "cup"}]', "3 numbers"),
        ('[{"bbox_2d": [1, 2, 3, 4, 5], "label": "cup"}]', "5 numbers"),
        ('[{"bbox_2d": [1, 2, 3, NaN], "label": "cup"}]', "NaN"),
        ('[{"bbox_2d": [1, 2, 3, 1e999], "label": "cup"}]', "plain number"),
        ('[{"bbox_2d": [1, 2, 3, true], "label": "cup"}]', "not a number"),
        ('[{"bbox_2d": [1, 2, 3, "4"], "label": "cup"}]', "not a number"),
        ('[{"bbox_2d": [1, 2, 3, 1_000], "label": "cup"}]', "not JSON"),
        ('[{"bbox_2d": [1, 2, 3, ' + "9" * 3000 + '], "label": "cup"}]', "plain number"),
        ('[{"bbox_2d": [1, 2, 3, 1001], "label": "cup"}]', "outside"),
        ('[{"bbox_2d": [1, 2, 3, 4], "label": "cu', "not JSON"),
        ('[{"bbox_2d": [0.1, 0.2, 0.3, 0.4], "label": "cup"}]', "between 0 and 1, not in thousandths"),
        ('[{"point_2d": [100, 200], "label": "cup"}]', "a point, not a box"),
        ('[{"bbox_2d": [1, 2, 3, 4], "label": "cup"}, {"bbox_2d": [1, 2, 1e3, 4]}]', "plain number"),
        ("mug<poly><loc_1><loc_2><loc_3><loc_4></poly>", "4 location tokens for a polygon"),
        ("mug<poly><loc_1><loc_2><loc_3><loc_4><loc_5><loc_6>", "not of the form <poly>"),
        ("<ref>cup</ref><box>(1,2),(3</box>", "not of the form <ref>"),
        ('[{"bbox_2d": [-1, 2, 3, 4], "label": "cup"}]', "outside"),
        ('[{"bbox_2d": [1, 2, 3, 4], "bbox_2d": [1, 2, 3, 4], "label": "cup"}]', "twice"),
        ('{"bbox_2d": [0, 0, 1000, 1000], "label": "cup"}', "covers"),
        ('{"bbox_2d": ' + "[" * 2000, "nested"),
        ("[0.1, 0.2, 0.3]", "3 numbers"),
        ("[0.1, 0.2, 0.3, 1.4]", "outside"),
        ("[0.5, 0.5, 0.4, 0.6]", "inverted"),
        ("[0.1, 0.2, nan, 0.4]", "plain number"),
        ("[0.1, 0.2, 1e-1, 0.4]", "plain number"),
        ("no cup at [0.1, 0.2, 0.3, 0.4]", "not of the form"),
        ("cup <loc", "not of the form"),
        (";".join([PALI] * 17), "68 location tokens"),
        ("[" + ",".join(['{"bbox_2d": [1, 2, 3, 4], "label": "cup"}'] * 17) + "]", "17 boxes"),
        (PALI * 200, "limit 4096"),
    ],
)
def test_what_is_not_exactly_in_the_format_is_refused_with_its_reason(text: str, reason: str) -> None:
    found = parse_detections(text)
    assert found.detections == ()
    assert reason in found.reason
    action = parse_action(text)
    assert (action.type, action.confidence) == (ActionType.UNKNOWN, 0.0)
    assert (action.linear_x_m_s, action.linear_y_m_s, action.angular_z_rad_s) == (0, 0, 0)


def test_an_action_with_more_behind_it_is_refused() -> None:
    action = parse_action('{"action": "turn", "angular_z": 0.3} {"action": "move"}')
    assert (action.type, action.reason) == (ActionType.UNKNOWN, "not JSON: more text at character 36")


def test_a_refused_box_does_not_take_a_good_one_with_it() -> None:
    found = parse_detections(f"<loc0000><loc0000><loc1023><loc1023> wall ; {PALI}")
    assert [detection.label for detection in found.detections] == ["cup"]
    assert "box 1" in found.reason


@pytest.mark.parametrize("family", ["moondream", "flamingo", "uform", "no-such-family"])
def test_a_family_without_a_format_grounds_nothing(family: str) -> None:
    assert family in parse_detections(PALI, family).reason


def test_a_box_of_the_target_is_approached_when_centred_and_turned_to_otherwise() -> None:
    def act(x0: int, x1: int) -> ParsedAction:
        text = f"<loc0400><loc{x0:04d}><loc0600><loc{x1:04d}> cup"
        return parse_action(text, "paligemma", target="cup")

    centred, left, right = act(480, 560), act(0, 200), act(800, 1000)
    assert (centred.type, centred.target) == (ActionType.NAVIGATE, "cup")
    assert (centred.linear_x_m_s, centred.angular_z_rad_s) == (0.2, 0.0)
    assert left.linear_x_m_s == right.linear_x_m_s == 0
    assert left.angular_z_rad_s > 0 > right.angular_z_rad_s
    assert left.detections


@pytest.mark.parametrize(("family", "target"), [("", "cup"), ("paligemma", ""), ("", "")])
def test_a_box_moves_nothing_without_a_family_and_a_target(family: str, target: str) -> None:
    action = parse_action("<loc0400><loc0000><loc0600><loc0200> cup", family, target=target)
    assert (action.type, action.confidence) == (ActionType.UNKNOWN, 0.0)
    assert (action.linear_x_m_s, action.linear_y_m_s, action.angular_z_rad_s) == (0, 0, 0)
    assert "without a" in action.reason
    assert [detection.label for detection in action.detections] == ["cup"]


def test_a_label_that_gives_orders_is_a_label() -> None:
    text = "<loc0400><loc0000><loc0600><loc0200> STOP turn left"
    (found,) = parse_action(text, "paligemma").detections
    assert found.label == "STOP turn left"
    assert parse_action(text, "paligemma").type is ActionType.UNKNOWN


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The mug is at [0.1, 0.2, 0.3, 0.4]. Turn left.", ActionType.TURN),
        ('Stop! [{"bbox_2d": [100, 200, 300, 400], "label": "turn left"}]', ActionType.STOP),
        (
            'Stop!\n```json\n[\n {"bbox_2d": [100, 200, 300, 400],\n "label": "turn left"}\n]\n```',
            ActionType.STOP,
        ),
        ("Turn left towards [0.1, 0.2, 0.3, 0.4].", ActionType.UNKNOWN),
        (
            '[{"bbox_2d": [100, 200, 300, 400],\n"label": "cup"},\n{"label": "\nturn left\n',
            ActionType.UNKNOWN,
        ),
        ("turn left\n<loc0400><loc0000><loc0600><loc0200> cup", ActionType.UNKNOWN),
    ],
)
def test_only_sentences_without_a_box_are_read_as_words(text: str, kind: ActionType) -> None:
    assert parse_action(text).type is kind


def test_words_beside_a_box_that_say_to_stop_are_followed() -> None:
    box = '[{"bbox_2d": [100, 200, 300, 400], "label": "cup"}]'
    act = [parse_action(words + box, "qwen3-vl", target="cup").type for words in ("Found it! ", "Stop! ")]
    assert act == [ActionType.NAVIGATE, ActionType.STOP]


@given(corners(1023))
def test_paligemma_boxes_come_back(box: tuple[int, int, int, int]) -> None:
    text = "".join(f"<loc{value:04d}>" for value in box) + " cup"
    (found,) = parse_detections(text, "paligemma").detections
    assert found.box == Box(*(value / 1024 for value in box))


@given(corners(999))
def test_florence_boxes_come_back(box: tuple[int, int, int, int]) -> None:
    y0, x0, y1, x1 = box
    text = "cup" + "".join(f"<loc_{value}>" for value in (x0, y0, x1, y1))
    (found,) = parse_detections(text, "florence-2").detections
    assert found.box == Box(*(value / 1000 for value in box))


@given(corners(31))
def test_kosmos_boxes_come_back(box: tuple[int, int, int, int]) -> None:
    y0, x0, y1, x1 = box
    text = f"<object><patch_index_{y0 * 32 + x0:04d}><patch_index_{y1 * 32 + x1:04d}></object>"
    (found,) = parse_detections(text, "kosmos-2").detections
    assert found.box == Box(*((value + 0.5) / 32 for value in box))


@given(corners(1000), st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20))
def test_qwen_boxes_and_labels_come_back(box: tuple[int, int, int, int], label: str) -> None:
    y0, x0, y1, x1 = box
    assume(x1 > 1 or y1 > 1)  # smaller ones are in other units
    assume(not unsure(label) and "<" not in label)  # such as "<box>", a mark of a box in itself
    text = json.dumps([{"bbox_2d": [x0, y0, x1, y1], "label": label}])
    (found,) = parse_detections(text, "qwen3-vl").detections
    assert found.box == Box(*(value / 1000 for value in box))
    assert found.label == label


PIECES = st.sampled_from(
    "<loc0001> <loc1023> <seg001> <loc_5> <patch_index_0007> <object> </object> ; cup [ ] { } : ,"
    ' "bbox_2d" 0.5 1e999 nan \u0661 \x00 \ud800 < > \n'.split(" ")
)


@given(
    st.one_of(st.text(), st.binary(), st.lists(PIECES, max_size=80).map("".join)), st.sampled_from(FAMILIES)
)
def test_no_text_raises_and_every_box_is_inside(text: str | bytes, family: str) -> None:
    for name in (family, ""):
        found = parse_detections(text, name)
        assert found or found.reason
        for detection in found.detections:
            box = detection.box
            assert 0 <= box.y0 < box.y1 <= 1
            assert 0 <= box.x0 < box.x1 <= 1
            assert box.area <= 0.9


@pytest.mark.parametrize(
    "piece", ["<loc0001>", "<", "[", " ", "<phrase>", "a;", "cup<loc_1>", "</s>", "\\", '"']
)
def test_time_does_not_grow_with_what_is_repeated(piece: str) -> None:
    text = (piece * 4096)[:4090]
    texts = (text, text + "<")
    assert thread_seconds(lambda: [parse_detections(t, family) for family in FAMILIES for t in texts]) < 0.5


def test_endless_text_is_refused_without_being_read() -> None:
    text = "x" * 50_000_000
    assert "limit" in parse_detections(text).reason
    assert thread_seconds(lambda: parse_detections(text)) < 0.2
