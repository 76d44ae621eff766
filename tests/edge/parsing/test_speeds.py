"""A speed that a text names limits the motion, and never makes it faster."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.base_spec import DEFAULT_BASE
from edge.parsing.freetext import parse_free_text


def speeds(text: str) -> tuple[float, float]:
    found = parse_free_text(text, DEFAULT_BASE)
    return math.hypot(found.linear_x_m_s, found.linear_y_m_s), found.angular_z_rad_s


@pytest.mark.parametrize(
    ("text", "linear_m_s"),
    [
        ("go forward at 0.2 m/s", 0.2),
        ("drive ahead at 20 cm/s", 0.2),
        ("Move forward 1 meter at 0.1 meters per second.", 0.1),
        ("go forward at 0.36 km/h", 0.1),
        ("move back at 5 centimeters a second", 0.05),
        ("초속 0.1미터로 앞으로 가", 0.1),
        ("시속 0.36킬로미터로 앞으로 가세요", 0.1),
        ("go forward at 2 m/s", 0.3),
        ("go forward at 0 m/s", 0.0),
        ("go forward at -0.2 m/s", 0.0),
        ("go forward 2 meters", 0.3),
    ],
)
def test_a_stated_speed_is_kept_to(text, linear_m_s):
    assert speeds(text)[0] == pytest.approx(linear_m_s, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "angular_rad_s"),
    [
        ("turn left at 10 degrees per second", math.radians(10)),
        ("turn right at 0.2 rad/s", -0.2),
        ("초당 10도로 왼쪽으로 돌아", math.radians(10)),
        ("turn left at 90 deg/s", 0.5),
        ("turn left 30 degrees", 0.5),
    ],
)
def test_a_stated_turn_rate_is_kept_to(text, angular_rad_s):
    assert speeds(text)[1] == pytest.approx(angular_rad_s, abs=1e-6)


@given(st.floats(0.001, 9.0).map(lambda value: round(value, 3)))
def test_no_stated_speed_is_exceeded(speed_m_s):
    assert speeds(f"go forward at {speed_m_s} m/s")[0] <= min(speed_m_s, 0.3) + 1e-9
