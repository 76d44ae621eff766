"""The guard keeps the limits and the kinematics of the base that it drives."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.base_spec import DEFAULT_BASE, BaseSpec, DriveKind
from edge.errors import UsageError
from edge.motor.guard import Guard
from edge.motor.limits import CEILINGS, MotorLimits
from edge.records import ActionChunk, Velocity

TICK_NS = 20_000_000
TRACKS = BaseSpec(linear_m_s=0.25, angular_rad_s=0.5, drive=DriveKind.DIFFERENTIAL)
CAR = BaseSpec(drive=DriveKind.ACKERMANN, wheel_base_m=0.3, steering_rad=math.radians(45))


def setpoints(base: BaseSpec, rows: list[tuple[float, float, float]], coast: int = 0) -> Iterator[Velocity]:
    """Yield the setpoints for one fresh chunk a tick, a row each, and for `coast` ticks without any."""
    guard, now_ns = Guard(MotorLimits.of(base)), 1_000_000_000
    guard.arm(now_ns)
    for decision, row in enumerate([*rows, *[None] * coast]):
        now_ns += TICK_NS
        if row is not None:
            values = np.tile(np.array(row, np.float32), (5, 1))
            guard.follow(ActionChunk(values, 0.1, now_ns, now_ns + 500_000_000, 0.9, decision), now_ns)
        yield guard.step(now_ns)


def test_the_limits_of_the_default_base_are_the_defaults_and_within_the_ceilings() -> None:
    assert MotorLimits.of(DEFAULT_BASE) == MotorLimits()
    assert all(getattr(MotorLimits(), name) <= ceiling for name, ceiling in CEILINGS.items())


@pytest.mark.parametrize(
    "fields",
    [{"linear_m_s": 0.6}, {"angular_rad_s": 1.1}, {"linear_accel_m_s2": 1.5}, {"linear_decel_m_s2": 3}],
)
def test_no_base_raises_a_safety_ceiling(fields: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="safety ceiling"):
        MotorLimits.of(BaseSpec(**fields))  # type: ignore[arg-type]


def test_a_base_that_brakes_too_slowly_for_its_speed_is_refused() -> None:
    with pytest.raises(UsageError, match="braking from full speed takes 500 ms"):
        MotorLimits.of(BaseSpec(linear_decel_m_s2=1.0))
    assert MotorLimits.of(BaseSpec(linear_m_s=0.25, linear_decel_m_s2=1.0)).linear_decel_m_s2 == 1.0


@pytest.mark.parametrize(
    ("speed_m_s", "turn_rad_s", "message"),
    [(0.51, 0.8, "lowest_m_s: 0.51 is above"), (0.2, 1.01, "lowest_rad_s: 1.01 is above")],
)
def test_a_base_that_really_goes_too_fast_is_refused(
    speed_m_s: float, turn_rad_s: float, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        MotorLimits.of(
            BaseSpec(
                linear_m_s=0.1, angular_rad_s=0.1, fixed_speed_m_s=speed_m_s, fixed_turn_rad_s=turn_rad_s
            )
        )


def test_all_that_pulses_need_comes_from_the_base() -> None:
    base = BaseSpec(
        fixed_speed_m_s=0.2,
        fixed_turn_rad_s=0.8,
        pulse_on_s=0.2,
        pulse_off_s=0.3,
        turns_while_driving=False,
    )
    limits = MotorLimits.of(base)
    assert (limits.linear_m_s, limits.lowest_m_s, limits.lowest_rad_s) == (0.2, 0.2, 0.8)
    assert (limits.pulse_on_s, limits.pulse_off_s, limits.turns_while_driving) == (0.2, 0.3, False)


def test_limits_of_a_base_travel_as_json() -> None:
    limits = MotorLimits.of(CAR)
    assert MotorLimits.from_json(limits.to_json()) == limits
    assert not limits.sideways and limits.turn_radius_m == pytest.approx(0.3)


row = st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-2, 2))


@given(st.lists(row, max_size=30))
def test_a_base_without_sideways_motion_never_gets_any(rows: list[tuple[float, float, float]]) -> None:
    for sent in setpoints(TRACKS, rows, coast=40):
        assert sent.linear_y_m_s == 0
        assert abs(sent.linear_x_m_s) <= 0.25 and abs(sent.angular_z_rad_s) <= 0.5


@given(st.lists(row, max_size=30))
def test_a_base_with_steered_wheels_never_turns_tighter_than_it_can(
    rows: list[tuple[float, float, float]],
) -> None:
    for sent in setpoints(CAR, rows, coast=40):
        assert sent.linear_y_m_s == 0
        assert abs(sent.angular_z_rad_s) <= abs(sent.linear_x_m_s) / CAR.turn_radius_m + 1e-9


def test_a_cut_counts_as_a_limit() -> None:
    guard = Guard(MotorLimits.of(TRACKS))
    guard.arm(0)
    values = np.tile(np.array((0.1, 0.1, 0.0), np.float32), (5, 1))
    assert guard.follow(ActionChunk(values, 0.1, 1, 500_000_000, 0.9, 0), 1)
    assert guard.counts.clamped == 1 and guard.reason == "limited to what the base may drive"


def test_a_turn_in_place_leaves_steered_wheels_standing() -> None:
    assert list(setpoints(CAR, [(0.0, 0.0, 1.0)] * 10))[-1] == Velocity()
    assert list(setpoints(TRACKS, [(0.0, 0.0, 1.0)] * 20))[-1] == Velocity(0.0, 0.0, 0.5)
