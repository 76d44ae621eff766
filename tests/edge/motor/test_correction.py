"""What is sent to a base that was measured: the inverse of what it makes of commands, within the ceilings."""

import math
from dataclasses import astuple, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.base_spec import BaseSpec, DriveKind
from edge.errors import UsageError
from edge.motor.limits import CEILINGS, MotorLimits
from edge.motor.pulses import Correction, InEffect
from edge.records import ZERO, Velocity

MS = 1_000_000
WEAK = BaseSpec(
    ahead_scale=0.8,
    sideways_scale=0.5,
    turn_scale=1.25,
    ahead_offset_m_s=0.05,
    sideways_offset_m_s=0.02,
    turn_offset_rad_s=0.1,
)
CAR = BaseSpec(
    drive=DriveKind.ACKERMANN, wheel_base_m=0.3, steering_rad=1.0, ahead_scale=0.8, ahead_offset_m_s=0.05
)

scales, offsets = st.floats(0.2, 5.0), st.floats(0.0, 0.3)
bases = st.builds(
    BaseSpec,
    drive=st.sampled_from([DriveKind.HOLONOMIC, DriveKind.DIFFERENTIAL]),
    ahead_scale=scales,
    sideways_scale=scales,
    turn_scale=scales,
    ahead_offset_m_s=offsets,
    sideways_offset_m_s=offsets,
    turn_offset_rad_s=offsets,
)
any_velocity = st.builds(Velocity, *[st.floats(-2.0, 2.0)] * 3)


def correction_of(base: BaseSpec) -> Correction:
    return Correction(MotorLimits.of(base))


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        (Velocity(0.2), Velocity(0.3)),
        (Velocity(-0.2), Velocity(-0.3)),
        (Velocity(0.0, 0.1), Velocity(0.0, 0.22)),
        (Velocity(0.0, 0.0, -0.5), Velocity(0.0, 0.0, -0.5)),
        (Velocity(0.008), Velocity(0.06)),  # the dead band is jumped over
        (ZERO, ZERO),
    ],
)
def test_the_inverse_of_scale_and_dead_band_is_sent(wanted: Velocity, sent: Velocity) -> None:
    correction = correction_of(WEAK)
    assert astuple(correction.command(wanted)) == pytest.approx(astuple(sent))
    assert astuple(correction.effect(sent)) == pytest.approx(astuple(wanted))


def test_a_base_that_was_not_measured_is_sent_what_is_wanted() -> None:
    correction, wanted = correction_of(BaseSpec()), Velocity(0.3, -0.2, 0.7)
    assert correction.command(wanted) == wanted == correction.effect(wanted)


@given(bases, any_velocity)
def test_no_command_is_above_the_ceilings_and_what_they_leave_is_known(
    base: BaseSpec, wanted: Velocity
) -> None:
    correction = correction_of(base)
    sent = correction.command(wanted)
    assert math.hypot(sent.linear_x_m_s, sent.linear_y_m_s) <= CEILINGS["linear_m_s"] * (1 + 1e-9)
    assert abs(sent.angular_z_rad_s) <= CEILINGS["angular_rad_s"]
    for given_part, wanted_part in zip(astuple(correction.effect(sent)), astuple(wanted), strict=True):
        assert abs(given_part) <= abs(wanted_part) + 1e-9 and given_part * wanted_part >= 0


@given(bases, st.floats(-math.pi, math.pi), st.floats(0.0, 1.0), st.floats(-1.0, 1.0))
def test_within_the_limits_of_its_base_a_velocity_is_really_driven(
    base: BaseSpec, way_rad: float, share: float, turn: float
) -> None:
    """The limits of a base are true speeds, lowered to what the highest setpoint gives."""
    speed = share * base.linear_m_s
    y_m_s = speed * math.sin(way_rad) if base.sideways else 0.0
    wanted = Velocity(speed * math.cos(way_rad), y_m_s, turn * base.angular_rad_s)
    correction = correction_of(base)
    assert astuple(correction.effect(correction.command(wanted))) == pytest.approx(astuple(wanted), abs=1e-9)


def test_the_limits_are_lowered_to_what_the_highest_setpoint_gives() -> None:
    assert WEAK.linear_m_s == pytest.approx(0.5 * (0.5 - math.hypot(0.05, 0.02)))
    assert WEAK.angular_rad_s == 1.0
    assert replace(WEAK, drive=DriveKind.DIFFERENTIAL, linear_m_s=0.5).linear_m_s == pytest.approx(0.8 * 0.45)
    assert BaseSpec(linear_m_s=0.3, ahead_scale=0.8).linear_m_s == 0.3
    assert BaseSpec(turn_scale=0.5, turn_offset_rad_s=0.2).angular_rad_s == pytest.approx(0.4)
    assert BaseSpec(ahead_scale=2.0).linear_m_s == 0.5  # never raised


@given(st.floats(-0.36, 0.36), st.floats(-1.0, 1.0))
def test_steered_wheels_keep_their_curve(speed_m_s: float, share: float) -> None:
    turn_rad_s = share * speed_m_s / CAR.turn_radius_m
    correction = correction_of(CAR)
    sent = correction.command(Velocity(speed_m_s, 0.0, turn_rad_s))
    if speed_m_s and abs(sent.angular_z_rad_s) < 0.999:
        assert sent.angular_z_rad_s / sent.linear_x_m_s == pytest.approx(turn_rad_s / speed_m_s)
    driven = correction.effect(sent)
    assert driven.linear_x_m_s == pytest.approx(speed_m_s)
    if abs(sent.angular_z_rad_s) < 0.999:
        assert driven.angular_z_rad_s == pytest.approx(turn_rad_s)


def test_steered_wheels_that_stand_never_turn() -> None:
    correction, turn = correction_of(CAR), Velocity(0.0, 0.0, 0.5)
    assert correction.command(turn) == ZERO == correction.effect(turn)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ahead_scale": 0.1}, "a scale of 0.1 is not from 0.2 to 5"),
        ({"turn_scale": 6.0}, "a scale of 6 is not from 0.2 to 5"),
        ({"sideways_scale": -0.8}, "sideways_scale -0.8 is not a number above zero"),
        ({"turn_scale": 0}, "turn_scale 0 is not a number above zero"),
        ({"delay_s": 0.51}, "delay_s 0.51 is above 0.5"),
        ({"ahead_offset_m_s": 0.5}, "no setpoint up to 0.5 m/s"),
        ({"turn_offset_rad_s": 1.0}, "no setpoint up to 0.5 m/s and 1 rad/s"),
        ({"ahead_scale": 0.8, "fixed_speed_m_s": 0.2, "fixed_turn_rad_s": 0.8}, "with a fixed speed"),
        ({"turn_offset_rad_s": 0.1, "fixed_speed_m_s": 0.2, "fixed_turn_rad_s": 0.8}, "with a fixed speed"),
        ({"ahead_scale": 0.2, "min_speed_m_s": 0.11}, "lowest speed 0.11 m/s is not below its highest, 0.1 "),
    ],
)
def test_what_no_base_is_like_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        BaseSpec(**fields)


def test_a_base_that_answers_late_follows_what_was_sent_before() -> None:
    in_effect, first, second = InEffect(0.12), Velocity(0.1), Velocity(0.2)
    assert in_effect.at(0) == ZERO
    in_effect.add(first, 100 * MS)
    in_effect.add(second, 120 * MS)
    assert in_effect.at(219 * MS) == ZERO
    assert in_effect.at(220 * MS) == first
    assert in_effect.at(239 * MS) == first
    assert in_effect.at(240 * MS) == second
    assert in_effect.at(900 * MS) == second


def test_a_base_that_answers_at_once_follows_the_newest() -> None:
    in_effect = InEffect(0.0)
    in_effect.add(Velocity(0.1), 5)
    in_effect.add(Velocity(0.2), 5)
    assert in_effect.at(5) == Velocity(0.2)
