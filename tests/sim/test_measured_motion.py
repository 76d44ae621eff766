"""A base that makes something else of setpoints than it states: once measured, it drives as a true one."""

import math
from typing import Any

import numpy as np
import pytest

from edge.base_spec import BaseSpec
from edge.errors import UsageError
from edge.records import ActionChunk, Velocity
from sim.bases import WheelResponse, parse_response
from sim.lockstep import LockstepMotor
from sim.scene import sample_scene
from sim.world import TIMESTEP_NS, World

WEAK = "scale=0.8&dead_band=0.05&delay_ms=120"
MEASURED: dict[str, Any] = {"ahead_scale": 0.8, "sideways_scale": 0.8, "turn_scale": 0.8, "delay_s": 0.125}
MEASURED |= {"ahead_offset_m_s": 0.05, "sideways_offset_m_s": 0.05}


def room(response: str, stated: BaseSpec | None = None) -> World:
    base = BaseSpec() if stated is None else BaseSpec(linear_m_s=stated.linear_m_s)
    world = World(sample_scene(3, size_m=(9.0, 9.0)), base=base, response=parse_response(response))
    world.stated = stated or base
    return world


def fastest(world: World, row: tuple[float, float, float], seconds: float = 1.5) -> tuple[float, float]:
    """Follow a row through guard and correction; the highest true speed and turn rate."""
    motor, speed_m_s, turn_rad_s = LockstepMotor(world), 0.0, 0.0
    for step in range(round(seconds * 1e9 / TIMESTEP_NS)):
        now_ns = step * TIMESTEP_NS
        if motor.due(now_ns):
            rows = np.tile(np.array(row, np.float32), (5, 1))
            motor.guard.follow(ActionChunk(rows, 0.1, now_ns, now_ns + 10**9, 1.0, step), now_ns)
            motor.tick(world.odometry(now_ns))
        world.step()
        speed_m_s = max(speed_m_s, world.speed_m_s)
        turn_rad_s = max(turn_rad_s, abs(float(world.data.qvel[2])))
    return speed_m_s, turn_rad_s


def test_settings_make_a_response() -> None:
    assert parse_response("") == WheelResponse()
    assert parse_response(WEAK) == WheelResponse(0.8, 0.05, 0.8, 0.0, 120.0)
    assert parse_response("scale=0.8&turn_scale=-1").turn_scale == -1
    for query, said in (
        ("scale=3", "scale '3' is not a number"),
        ("wings=2", "no setting 'wings'"),
        ("scale", "not key"),
    ):
        with pytest.raises(UsageError, match=said):
            parse_response(query)


@pytest.mark.parametrize(
    ("told", "really"),
    [
        (Velocity(0.3), Velocity(0.2)),
        (Velocity(0.0, -0.3), Velocity(0.0, -0.2)),
        (Velocity(0.04, 0.0, 0.5), Velocity(0.0, 0.0, 0.4)),
    ],
)
def test_wheels_make_less_of_a_setpoint(told: Velocity, really: Velocity) -> None:
    given = parse_response(WEAK).given(told)
    parts = (given.linear_x_m_s, given.linear_y_m_s, given.angular_z_rad_s)
    assert parts == pytest.approx((really.linear_x_m_s, really.linear_y_m_s, really.angular_z_rad_s))


def test_wheels_begin_to_turn_once_their_delay_is_over() -> None:
    world = room("delay_ms=120")
    world.command(Velocity(0.3))
    for _ in range(31):
        assert world.odometry(0).velocity.linear_x_m_s == 0
        world.step()
    assert world.odometry(0).velocity.linear_x_m_s > 0


def test_a_measured_base_really_goes_as_fast_as_it_is_wanted_to() -> None:
    stated = BaseSpec(**MEASURED)
    assert fastest(room(WEAK), (0.25, 0, 0.5)) == pytest.approx((0.16, 0.4), rel=0.03)
    assert fastest(room(WEAK, stated), (0.25, 0, 0.5)) == pytest.approx((0.25, 0.5), rel=0.03)
    assert fastest(room(WEAK, stated), (0.02, 0, 0))[0] == pytest.approx(0.02, rel=0.1)


def test_limits_are_those_of_true_speeds() -> None:
    """A base that is faster than it is told keeps its limit once it was measured, and not before."""
    fast = "scale=1.3"
    assert fastest(room(fast), (0.5, 0, 1.0)) == pytest.approx((0.65, 1.3), rel=0.03)
    measured = BaseSpec(ahead_scale=1.3, sideways_scale=1.3, turn_scale=1.3)
    assert fastest(room(fast, measured), (0.5, 0, 1.0)) == pytest.approx((0.5, 1.0), rel=0.03)


def test_a_measured_base_is_told_no_more_than_the_highest_setpoint() -> None:
    stated = BaseSpec(**MEASURED)
    assert stated.linear_m_s == pytest.approx(0.8 * (0.5 - math.hypot(0.05, 0.05)))
    world = room(WEAK, stated)
    told: list[float] = []
    command = world.command
    world.command = lambda setpoint: told.append(abs(complex(setpoint.linear_x_m_s))) or command(setpoint)
    assert fastest(world, (0.5, 0, 0))[0] == pytest.approx(stated.linear_m_s, rel=0.03)
    assert max(told) <= 0.5
