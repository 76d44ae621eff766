import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.field.sheet import parse_sheet, read_sheet
from tests.edge.field.field_sheet import SHEET, sheet_of


def test_what_a_setting_does_not_say_the_sheet_says():
    sheet = sheet_of("robot: robots/rover.yaml\n")
    hall, yard = sheet.settings
    assert sheet.targets_in(hall) == ["cup", "box"] and sheet.targets_in(yard) == ["ball"]
    assert sheet.trials_in(yard) == 5 and sheet.robot_in(hall) == "robots/rover.yaml"
    assert not sheet.simulated and sheet_of().simulated and not sheet.recorded


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("seen: true, ", "", "settings.0.seen is missing"),
        ("seen: true", "sene: true", "unknown key settings.0.sene"),
        ("seen: true", "seen: yes", "line 7"),
        ("trials: 5", "trials: 0", "trials: 0"),
        ("trials: 5", "trials: 5.5", "trials: 5.5"),
        ("trials: 5", "trials: 1000\norder: sorted", "order"),
        ("trials: 5", "trails: 5", "unknown key trails"),
        ("trials: 5", "trials: 5\nmax_seconds: .nan", "max_seconds"),
        ("[default, head]", "[head, head]", "'head' stands there twice"),
        ("[default, head]", "[]", "bundles"),
        ("name: yard", "name: hall", "'hall' stands there twice"),
        ("[ball]", '["<loc0001>"]', "<loc0001>"),
        ("trials: 5", "trials: 5\ngoal: find_objct", "find_objct"),
        ("trials: 5", "trials: 5\ngoal: describe_scene", "takes no target"),
        ("name: hall, ", "name: hall, from: [runs], ", "'yard' has no `from`"),
    ],
)
def test_a_mistake_is_named_with_its_line(before: str, after: str, says: str):
    assert before in SHEET
    with pytest.raises(UsageError) as error:
        parse_sheet(SHEET.replace(before, after), "sheet.yaml")
    assert says in error.value.message and "sheet.yaml" in error.value.message and error.value.hint


def test_a_goal_that_needs_a_target_is_not_taken_without_one():
    with pytest.raises(UsageError, match="needs a target"):
        parse_sheet(SHEET.replace("targets: [cup, box]\n", ""), "sheet.yaml")


def test_a_sheet_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"can't read .*none.yaml"):
        read_sheet(tmp_path / "none.yaml")


@given(st.text(max_size=300))
@settings(max_examples=40)
def test_any_text_is_read_or_refused(text: str):
    for each in (text, SHEET + text, SHEET[: len(text)] + text):
        with contextlib.suppress(UsageError):
            parse_sheet(each, "sheet.yaml")
