"""The guard alone: chunks that are bounded by the way since their frame, for models that answer late.

Field case 34: every chunk of a model of 342 ms was refused as too old, and the base never moved.
"""

import math
from dataclasses import astuple, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.base_spec import BaseSpec
from edge.motor.guard import Guard
from edge.motor.limits import MotorLimits
from edge.motor.pulses import Pulses
from edge.records import ZERO, ActionChunk, MotorState, StopCause, Velocity
from tests.edge.motor.guard.driven import AXES, LIMITS, MS, START, TICK, armed, chunk, chunk_of, coast, speed

LONG = {"rows": 100, "valid_ms": 10_000}
FULL = [((0.5, 0.0, 0.0), 0.1875), ((0.0, -0.5, 0.0), 0.1875), ((0.0, 0.0, 1.0), 0.375)]


def late(t0_ns: int, **fields: object) -> ActionChunk:
    return replace(chunk(t0_ns, **(LONG | fields)), by_way=True)  # type: ignore[arg-type]


def ways(velocities: list[Velocity], period_s: float = 0.02) -> tuple[float, float]:
    """Return the metres and the radians of setpoints that hold for a period each."""
    turned = sum(abs(each.angular_z_rad_s) for each in velocities)
    return sum(map(speed, velocities)) * period_s, turned * period_s


def steady(row: tuple[float, float, float]) -> tuple[Guard, int]:
    """Return a guard that has reached the row's speed, and the time of its last tick and frame."""
    guard, now_ns = armed(), START
    for _ in range(80):
        now_ns += TICK
        assert guard.follow(late(now_ns, row=row), now_ns)
        guard.step(now_ns)
    return guard, now_ns


@pytest.mark.parametrize(("row", "way"), FULL)
def test_at_full_speed_it_is_braked_as_early_as_by_age(row: tuple[float, float, float], way: float) -> None:
    guard, frame_ns = steady(row)
    velocities = coast(guard, frame_ns, 40)
    # 250 ms less the two periods for which the last two setpoints hold.
    assert [astuple(each) for each in velocities[:10]] == [row] * 10
    assert sum(map(abs, astuple(velocities[12]))) < sum(map(abs, row))
    assert sum(ways([Velocity(*row), *velocities])) == pytest.approx(way, abs=0.012)
    assert velocities[-1] == ZERO


@pytest.mark.parametrize("share", [0.8, 0.4, 0.2])
@pytest.mark.parametrize(("row", "way"), FULL)
def test_a_slow_chunk_is_followed_for_longer_over_the_same_way(
    row: tuple[float, float, float], way: float, share: float
) -> None:
    slow = tuple(share * each for each in row)
    guard, frame_ns = steady(slow)  # type: ignore[arg-type]
    velocities = coast(guard, frame_ns, 150)
    until_s = frame_ns / 1e9 + brake_age_s(share)
    kept = sum(sum(map(abs, astuple(each))) == pytest.approx(sum(map(abs, slow))) for each in velocities)
    assert kept * 0.02 == pytest.approx(until_s - frame_ns / 1e9, abs=0.045)
    assert LIMITS.share_by_way(brake_age_s(share)) == pytest.approx(share)
    assert way - 0.02 < sum(ways([Velocity(*slow), *velocities])) <= way + 1e-9
    assert guard.state is MotorState.FOLLOWING and guard.cause is StopCause.NONE


def brake_age_s(share: float) -> float:
    """Return by the formula of docs/safety.md for how long a share of full speed is followed."""
    return (0.1875 - (share * 0.5) ** 2 / 4) / (share * 0.5)


@pytest.mark.parametrize("row", AXES)
def test_a_base_that_stood_for_the_frame_moves_once_and_holds_until_the_next(
    row: tuple[float, float, float],
) -> None:
    """Stop-look-move: the answer comes 1.2 s after its frame, and is driven over its way and no farther."""
    guard, now_ns = armed(), START
    for look in range(3):
        frame_ns = now_ns
        assert set(coast(guard, now_ns, 60)) == {ZERO}
        now_ns += 60 * TICK
        assert guard.follow(late(frame_ns, row=row, rows=24, decision=look), now_ns), guard.reason
        velocities = coast(guard, now_ns, 90)
        metres, radians = ways(velocities)
        assert 0.94 < max(metres / 0.1875, radians / 0.375) <= 1.0
        moved = [each != ZERO for each in velocities]
        assert sum(a != b for a, b in pairwise(moved)) == 1, "one move, then it stands"
        now_ns += 90 * TICK
        assert guard.state is MotorState.HOLDING
    assert guard.counts.accepted == 3


def test_once_its_rows_are_over_the_base_holds_and_the_next_chunk_moves_it_again() -> None:
    guard = armed()
    assert guard.follow(late(START, rows=4), START)
    coast(guard, START, 19)
    assert (guard.state, guard.moving) == (MotorState.FOLLOWING, True)
    coast(guard, START + 19 * TICK, 20)
    assert (guard.state, guard.reason, guard.decision) == (MotorState.HOLDING, "chunk is used up", -1)
    assert set(coast(guard, START + 39 * TICK, 500)) == {ZERO}
    assert guard.state is MotorState.HOLDING
    now_ns = START + 539 * TICK
    assert guard.follow(late(now_ns - 2000 * MS, rows=30, decision=1), now_ns)
    assert coast(guard, now_ns, 3)[-1] != ZERO


def test_it_brakes_to_a_stand_before_it_holds() -> None:
    guard = armed()
    guard.follow(late(START, row=(0.3, 0.0, 0.6), rows=4), START)
    coast(guard, START, 20)
    assert guard.state is MotorState.FOLLOWING and guard.moving
    braking = coast(guard, START + 20 * TICK, 8)
    assert all(abs(a.linear_x_m_s - b.linear_x_m_s) <= 0.04 + 1e-9 for a, b in pairwise(braking))


def test_a_newer_frame_gives_a_new_way_and_the_same_frame_does_not() -> None:
    guard, now_ns = steady((0.5, 0.0, 0.0))
    frame_ns = now_ns
    coast(guard, now_ns, 40)
    now_ns += 40 * TICK
    assert guard.follow(late(frame_ns, row=(0.5, 0.0, 0.0), decision=1), now_ns)
    assert ways(coast(guard, now_ns, 20))[0] < 0.002
    now_ns += 20 * TICK
    assert guard.follow(late(now_ns, row=(0.5, 0.0, 0.0), decision=2), now_ns)
    assert ways(coast(guard, now_ns, 60))[0] == pytest.approx(0.18, abs=0.008)


def test_a_frame_of_three_seconds_is_followed_and_an_older_one_is_not() -> None:
    assert armed().follow(late(START), START + 3000 * MS)
    guard = armed()
    assert not guard.follow(late(START), START + 3000 * MS + 1)
    assert guard.counts.old == 1 and guard.reason == "newest frame is 3001 ms old (limit 3000 ms)"


def test_one_that_goes_on_for_too_long_is_latched_by_its_age() -> None:
    guard = armed()
    guard.follow(late(START, row=(0.01, 0.0, 0.0)), START)
    coast(guard, START, 150)
    assert guard.state is MotorState.FOLLOWING and guard.moving
    coast(guard, START + 150 * TICK, 10)
    assert (guard.state, guard.cause) == (MotorState.LATCHED, StopCause.STALE_CHUNK)
    assert guard.reason == "newest frame is 3020 ms old (limit 3000 ms)"


def test_a_chunk_by_age_after_one_by_way_is_bounded_by_age_again_and_the_other_way_round() -> None:
    guard, now_ns = steady((0.2, 0.0, 0.0))
    guard.follow(chunk(now_ns + 1, row=(0.2, 0.0, 0.0)), now_ns + 1)
    coast(guard, now_ns, 30)
    assert guard.state is MotorState.LATCHED
    guard = armed()
    guard.follow(chunk(START, row=(0.1, 0.0, 0.0)), START)
    coast(guard, START, 5)
    guard.follow(late(START + 1, row=(0.1, 0.0, 0.0)), START + 5 * TICK)
    coast(guard, START + 5 * TICK, 40)
    assert guard.state is MotorState.FOLLOWING and guard.moving


def test_used_up_by_age_never_holds_like_one_by_way() -> None:
    guard = armed()
    guard.follow(chunk(START, rows=1), START)
    coast(guard, START, 12)
    assert guard.state is MotorState.FOLLOWING and not guard.moving


@pytest.mark.parametrize("what", ["stop", "hold"])
def test_a_stop_brakes_it_at_once(what: str) -> None:
    guard, now_ns = steady((0.3, 0.0, 0.6))
    guard.stop("test") if what == "stop" else guard.hold("test")
    velocities = coast(guard, now_ns, 8)
    assert velocities[0].linear_x_m_s == pytest.approx(0.26) and velocities[7] == ZERO
    assert guard.state is (MotorState.LATCHED if what == "stop" else MotorState.HOLDING)


def test_a_stall_of_the_motor_process_costs_way_too() -> None:
    guard, now_ns = steady((0.5, 0.0, 0.0))
    assert guard.step(now_ns + 400 * MS) == ZERO


events = st.one_of(
    st.tuples(st.just("ticks"), st.integers(1, 40)),
    st.tuples(st.just("tick"), st.sampled_from([MS, 7 * MS, TICK])),
    st.tuples(
        st.just("chunk"),
        st.lists(st.tuples(*[st.floats(-1.0, 1.0, width=32)] * 3), min_size=1, max_size=3),
        st.sampled_from([0.02, 0.1, 0.7, 5.0]),
        st.integers(0, 3200).map(lambda ms: ms * MS),
        st.booleans(),
    ),
    st.just(("hold",)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(events, max_size=40))
def test_whatever_comes_by_way_the_base_goes_no_farther_from_where_its_frame_was_captured(
    sequence: list[tuple],  # type: ignore[type-arg]
) -> None:
    """At every tick: the way of all setpoints since the newest followed frame, and braking."""
    guard, now_ns, frame_ns, by_way = Guard(LIMITS), START, START, False
    guard.step(now_ns)
    guard.arm(now_ns)
    held: list[tuple[int, Velocity]] = [(START - 10**9, ZERO)]  # setpoints, each from its time on

    def tick(delta_ns: int) -> None:
        nonlocal now_ns
        now_ns += delta_ns
        held.append((now_ns, velocity := guard.step(now_ns)))
        spans = pairwise([*held, (now_ns + TICK, velocity)])
        cut = [(max(0, b - max(a, frame_ns)) / 1e9, each) for (a, each), (b, _) in spans]
        metres = sum(seconds * speed(each) for seconds, each in cut)
        radians = sum(seconds * abs(each.angular_z_rad_s) for seconds, each in cut)
        if by_way:
            assert metres + speed(velocity) ** 2 / 4 <= 0.1875 + 1e-9
            assert radians + velocity.angular_z_rad_s**2 / 8 <= 0.375 + 1e-9
            assert velocity == ZERO or now_ns - frame_ns <= 3_260 * MS

    for number, (kind, *details) in enumerate(sequence):
        if kind == "ticks":
            for _ in range(details[0]):
                tick(TICK)
        elif kind == "tick":
            tick(details[0])
        elif kind == "hold":
            guard.hold("test")
        else:
            rows, dt_s, age_ns, by = details
            planned = replace(chunk_of(*rows, t0_ns=now_ns - age_ns, dt_s=dt_s), decision=number, by_way=by)
            if guard.follow(replace(planned, valid_until_ns=now_ns + 10**10), now_ns):
                frame_ns, by_way = planned.t0_ns, by
    for _ in range(20):
        tick(TICK)


@given(st.floats(0.05, 0.5), st.floats(0.2, 1.0), st.floats(-1.0, 1.0), st.floats(-1.0, 1.0))
def test_a_base_of_fixed_speed_really_goes_no_farther(
    fixed: float, turn: float, share: float, turn_share: float
) -> None:
    """Field case 30 with 34: pulses go at one speed, whatever part of it a chunk asks for."""
    limits = MotorLimits.of(BaseSpec(fixed_speed_m_s=fixed, fixed_turn_rad_s=turn))
    guard, pulses = armed(limits), Pulses(limits)
    now_ns = START + 1000 * MS
    assert guard.follow(late(START, row=(share * fixed, 0.0, turn_share * turn)), now_ns)
    sent: list[Velocity] = []
    for _ in range(110):
        now_ns += TICK
        sent.append(pulses.step(guard.step(now_ns), now_ns))
    metres, radians = ways(sent)
    assert metres + fixed**2 / 4 <= 0.1875 + 0.02 * fixed + 1e-9 or metres == 0
    assert radians + turn**2 / 8 <= 0.375 + 0.02 * turn + 1e-9 or radians == 0
    assert math.isfinite(metres) and np.isfinite(radians)
