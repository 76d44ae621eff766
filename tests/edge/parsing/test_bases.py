"""A text moves a robot as fast as its base may go, and only in ways that its wheels can follow."""

import pytest

from edge.base_spec import BaseSpec, DriveKind
from edge.parsing import parse_action

TRACKS = BaseSpec(linear_m_s=0.25, angular_rad_s=0.5, drive=DriveKind.DIFFERENTIAL)


@pytest.mark.parametrize(
    ("text", "speeds"),
    [
        ("go forward", (0.15, 0.0, 0.0)),
        ("go forward fast", (0.225, 0.0, 0.0)),
        ("turn left", (0.0, 0.0, 0.25)),
        ("앞으로 가", (0.15, 0.0, 0.0)),
        ('{"action": "move", "linear_x": 0.5, "linear_y": 0.2, "angular_z": -1}', (0.25, 0.0, -0.5)),
        ("<loc0400><loc0480><loc0600><loc0560> cup", (0.1, 0.0, 0.0)),
    ],
)
def test_speeds_are_those_of_the_base(text: str, speeds: tuple[float, float, float]) -> None:
    action = parse_action(text, "paligemma", TRACKS, target="cup")
    assert (action.linear_x_m_s, action.linear_y_m_s, action.angular_z_rad_s) == pytest.approx(speeds)


def test_a_base_that_can_not_go_sideways_stands_when_told_to() -> None:
    assert parse_action("move left").linear_y_m_s == pytest.approx(0.3)
    assert parse_action("move left", base=TRACKS).linear_y_m_s == 0
