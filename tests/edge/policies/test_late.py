"""Policies whose models answer late: slower, or stop-look-move. Field case 34."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.base_spec import BaseSpec
from edge.interfaces import Inference
from edge.motor.guard import Guard
from edge.motor.limits import MotorLimits
from edge.policies.late.moves import Standstill, one_move, retimed, stand
from edge.policies.late.tempo import LEAST_SHARE, ON_THE_WAY_S, Lateness, Tempo
from edge.records import ZERO, ActionChunk, MotorState, Velocity
from tests.edge.policies.late_drive import Driven, drive
from tests.edge.policies.test_driver import GOAL, MS, Says, head, observe, policy

LIMITS = MotorLimits()
START = 1_000 * MS


def tempo(*late_s: float, limits: MotorLimits = LIMITS, chunk_s: float = 0.5) -> Tempo:
    lateness = Lateness(limits, 0.1, chunk_s)
    for each in late_s:
        lateness.add(each)
    return lateness.tempo


def test_answers_in_time_change_nothing() -> None:
    assert tempo() == tempo(*[0.04] * 50) == Tempo(1.0, by_way=False, looks=False, turning=1.0)


@pytest.mark.parametrize("late_s", [0.1, 0.2, 0.267, 0.3])
def test_later_ones_slow_the_base_until_the_next_answer_is_there_within_its_way(late_s: float) -> None:
    found = tempo(late_s)
    assert found.by_way and not found.looks and found.share == found.turning < 1
    assert found.share == pytest.approx(LIMITS.share_by_way(max(0.1, late_s) + late_s + ON_THE_WAY_S))


@pytest.mark.parametrize("late_s", [0.367, 0.8, 1.9])
def test_still_later_ones_make_it_stop_look_and_move(late_s: float) -> None:
    found = tempo(late_s)
    assert found.looks and found.by_way and found.share == 1.0
    assert found.turning == pytest.approx(0.375 / (late_s + 0.5 + 0.25))


def test_the_speed_is_chosen_for_nine_answers_in_ten_and_a_late_one_is_remembered_for_longer() -> None:
    assert tempo(*[0.04] * 9, 1.0) == Tempo(1.0, by_way=True)
    assert tempo(*[0.04] * 8, 1.0, 1.0).looks
    assert tempo(1.0, *[0.04] * 9) == Tempo(1.0, by_way=True)
    assert tempo(0.3, *[0.04] * 29).by_way
    assert tempo(0.3, *[0.04] * 30) == Tempo()


def test_chunks_shorter_than_the_answers_are_late_are_slowed_as_much_or_looked_for() -> None:
    assert tempo(0.2, chunk_s=0.3).share == pytest.approx(0.3 / 0.47)
    assert tempo(0.2, chunk_s=0.1).looks
    assert tempo(0.2, chunk_s=0.47 * LEAST_SHARE + 1e-9).share == pytest.approx(LEAST_SHARE)


def test_a_base_that_can_not_go_slowly_stops_looks_and_moves() -> None:
    limits = MotorLimits.of(BaseSpec(fixed_speed_m_s=0.4, fixed_turn_rad_s=0.8))
    assert tempo(0.2, limits=limits).looks


def planned(values: list[tuple[float, float, float]] | np.ndarray, row_s: float = 0.1) -> ActionChunk:
    rows = np.array(values, np.float32)
    return ActionChunk(rows, row_s, START, START + 500 * MS, 0.7, 3)


def test_a_slower_chunk_drives_the_same_path() -> None:
    chunk = planned([(0.4, 0.1, -0.5), (0.2, 0.0, 1.0)])
    slow = retimed(chunk, 0.25)
    np.testing.assert_allclose(slow.values * slow.dt_s, chunk.values * chunk.dt_s, rtol=1e-6)
    assert (slow.dt_s, slow.t0_ns, slow.valid_until_ns) == (0.4, START, START + 800 * MS)
    assert (slow.by_way, slow.confidence, slow.decision, slow.values.dtype) == (True, 0.7, 3, np.float32)
    same = retimed(chunk, 1.0)
    assert same.by_way and same.values is chunk.values and same.valid_until_ns == chunk.valid_until_ns


def moved(chunk: ActionChunk, limits: MotorLimits = LIMITS) -> tuple[Guard, list[Velocity]]:
    """Return a guard that stood, and what it makes of a chunk until 3 s later."""
    guard = Guard(limits)
    guard.step(START)
    guard.arm(START)
    assert guard.follow(chunk, START + 870 * MS), guard.reason
    return guard, [guard.step(START + 870 * MS + i * 20 * MS) for i in range(1, 150)]


def ways(velocities: list[Velocity]) -> tuple[float, float]:
    metres = sum(np.hypot(v.linear_x_m_s, v.linear_y_m_s) for v in velocities) * 0.02
    return float(metres), sum(abs(v.angular_z_rad_s) for v in velocities) * 0.02


@pytest.mark.parametrize(
    ("row", "metres", "radians"),
    [
        ((0.2, 0.0, 0.3), 0.1, 0.15),
        ((0.0, 0.1, -0.6), 0.05, 0.3),
        ((0.5, 0.0, 0.0), 0.1875, 0.0),
        ((0.0, 0.0, 1.0), 0.0, 0.375),
    ],
)
def test_a_move_from_a_standstill_goes_as_far_as_was_planned_or_as_a_frame_allows(
    row: tuple[float, float, float], metres: float, radians: float
) -> None:
    chunk = one_move(planned([row] * 5), START + 900 * MS, LIMITS)
    assert not chunk.values[:36].any() and chunk.values[36:].any(axis=1).all(), "nothing moves before 900 ms"
    guard, velocities = moved(chunk)
    assert guard.state is MotorState.HOLDING and velocities[0] == ZERO
    found = ways(velocities)
    assert found[0] == pytest.approx(metres, abs=0.02) and found[1] == pytest.approx(radians, abs=0.04)


def test_a_move_keeps_the_rows_and_does_not_wait_for_those_that_stand() -> None:
    values = [(0.1, 0.0, 0.0), (0.0, 0.0, 0.4), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)]
    chunk = one_move(planned(values), START, LIMITS)
    assert chunk.dt_s == 0.025
    np.testing.assert_allclose(chunk.values[:8], np.repeat(np.array(values[:2], np.float32), 4, axis=0))
    assert not chunk.values[8:, :2].any()
    standing = one_move(planned([(0.0, 0.0, 0.0)] * 5), START + 120 * MS, LIMITS)
    assert standing.values.shape == (5, 3) and not standing.values.any()
    assert standing.valid_until_ns == START + 125 * MS and standing.by_way


row = st.tuples(st.floats(0.0, 0.5), st.floats(-0.15, 0.15), st.floats(-0.7, 0.7))  # without jumps


@settings(deadline=None, max_examples=40)
@given(st.lists(row, min_size=1, max_size=12), st.sampled_from([0.05, 0.1, 0.2]), st.integers(0, 99))
@example([(0.0, 0.0, 0.0)] * 7 + [(0.5, 0.0, 0.0)] * 2 + [(0.0, 0.0625, 0.0)], 0.1, 81)  # over 3 s long
def test_the_guard_never_has_to_brake_a_move(rows: list[tuple[float, float, float]], row_s: float, ms: int):
    """What the policy foresees is what the guard does: where the rows end, most of a way may be left."""
    chunk = one_move(planned(np.array(rows), row_s), START + (870 + ms) * MS, LIMITS)
    loose = MotorLimits()
    object.__setattr__(loose, "blind_m", 10.0)
    object.__setattr__(loose, "blind_rad", 10.0)
    metres, radians = ways(moved(chunk, loose)[1])
    # Its ticks meet the rows up to one tick off.
    assert metres <= 0.1875 + 0.02 * 0.75 and radians <= 0.375 + 0.02 * 1.0
    assert moved(chunk)[0].state is MotorState.HOLDING


def test_a_frame_shows_where_the_base_stands_only_if_it_was_captured_standing() -> None:
    still = Standstill()
    assert still.shows(0) and still.shows(5)
    still.moves(900 * MS)
    assert not still.shows(10**12)
    still.update(observe(880 * MS, ZERO))
    assert not still.shows(880 * MS), "it has only not set out yet"
    still.update(observe(920 * MS, Velocity(0.1)))
    still.update(observe(940 * MS, Velocity(0.0, 0.0, 0.1)))
    assert not still.shows(940 * MS)
    still.update(observe(960 * MS, Velocity(0.01, 0.0, 0.02)))
    assert still.shows(960 * MS) and not still.shows(959 * MS)
    still.update(observe(980 * MS, ZERO))
    assert still.shows(960 * MS), "it has stood since"
    still.update(observe(1000 * MS, Velocity(0.0, 0.05)))
    assert not still.shows(1000 * MS), "somebody pushes it"


def test_without_odometry_a_base_stands_half_a_second_after_its_move() -> None:
    still = Standstill()
    still.moves(900 * MS)
    still.update(observe(1399 * MS, None))
    assert not still.shows(1399 * MS)
    still.update(observe(1400 * MS, None))
    assert still.shows(1400 * MS) and not still.shows(1399 * MS)


def driven(late_ms: list[int], seconds: float = 12.0, odometry: bool = True, turn: float = 0.4) -> Driven:
    made = policy(model := Says())
    model.actions = (0.8, turn)
    found = drive(made, GOAL, Guard(LIMITS), late_ms, seconds, odometry)
    assert found.guard.state in (MotorState.FOLLOWING, MotorState.HOLDING), found.guard.reason
    return found


@pytest.mark.parametrize(("late_ms", "speed_m_s"), [(180, 0.3), (240, 0.22)])
def test_a_slow_model_drives_slowly_and_without_a_break(late_ms: int, speed_m_s: float) -> None:
    found = driven([late_ms])
    assert found.guard.counts.refused == 0
    speeds = [each.linear_x_m_s for each in found.setpoints[150:]]
    assert min(speeds) > 0.75 * max(speeds) and max(speeds) > 0.9 * speed_m_s
    frames = [each.frame.stamp_ns for each in found.worker.submitted[5:]]
    for frame_ns, after_ns in pairwise(frames):
        metres, radians = found.ways(frame_ns, after_ns + (late_ms + 60) * MS)
        assert metres <= 0.1875 and radians <= 0.375


@pytest.mark.parametrize("odometry", [True, False])
@pytest.mark.parametrize("late_ms", [400, 1500])
def test_a_very_slow_model_moves_once_for_each_frame_of_a_base_that_stands(
    late_ms: int, odometry: bool
) -> None:
    found = driven([late_ms], 20.0, odometry)
    assert found.guard.counts.refused == 0 and found.worker.policy.status.slowed_to_m_s == 0.0
    frames = [each.frame.stamp_ns for each in found.worker.submitted]
    assert len(frames) >= 20.0 / (late_ms / 1e3 + 1.6)
    for frame_ns, next_ns in pairwise(frames[2:]):  # the second was submitted before anything was late
        assert found.ways(frame_ns - 20 * MS, frame_ns + late_ms * MS) == (0.0, 0.0), "it stands and looks"
        metres, radians = found.ways(frame_ns, next_ns)
        assert 0.1 < metres <= 0.1875 and 0.0 < radians <= 0.375
        between = [velocity == ZERO for velocity in found.between(frame_ns, next_ns)]
        assert sum(a != b for a, b in pairwise(between)) == 2, "one move"


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(10, 1900), min_size=1, max_size=12))
def test_however_late_answers_come_no_frame_is_driven_on_any_farther(late_ms: list[int]) -> None:
    """A model that was fast and hangs for a moment may still be stopped for good: that is by age."""
    made = policy(model := Says())
    model.actions = (0.8, 0.4)
    found = drive(made, GOAL, Guard(LIMITS), [*late_ms, 30], 8.0)
    known = [(0, 0)]  # from when on an answer about which frame was there
    for each, wait_ms in zip(found.worker.submitted, [*late_ms, *[30] * 999], strict=False):
        known.append((each.frame.stamp_ns + 20 * MS + wait_ms * MS, each.frame.stamp_ns))
    for (_, frame_ns), (until_ns, _) in pairwise(known):
        metres, radians = found.ways(frame_ns, until_ns)
        assert metres <= 0.1875 + 0.01 and radians <= 0.375 + 0.02


def test_a_memory_of_steps_begins_anew_for_each_look() -> None:
    made = policy(model := Says(head(kind="gpt", history="post", window=4)))
    resets = model.resets
    drive(made, GOAL, Guard(LIMITS), [900], 10.0)
    assert 3 <= model.resets - resets <= 6
    made = policy(model := Says())
    resets = model.resets
    drive(made, GOAL, Guard(LIMITS), [240], 10.0)
    assert model.resets == resets


def test_an_answer_about_a_moving_base_stops_it_and_is_not_driven() -> None:
    """From slowed to stop-look-move: the first late answer is about a frame of a base in motion."""
    found = driven([240] * 10 + [1000] * 30, 25.0)
    frames = [each.frame.stamp_ns for each in found.worker.submitted]
    assert found.worker.policy.status.slowed_to_m_s == 0.0 and len(frames) > 20
    for frame_ns in frames[-6:]:
        assert found.ways(frame_ns - 20 * MS, frame_ns + 1000 * MS) == (0.0, 0.0)


def test_a_chunk_that_stands_is_over_at_once_and_holds() -> None:
    guard, velocities = moved(stand(START + 860 * MS))
    assert set(velocities) == {ZERO} and guard.state is MotorState.HOLDING


def test_the_status_says_how_fast_it_is() -> None:
    made = policy(Says())
    assert made.status.slowed_to_m_s is None
    made.act(observe(240 * MS), made.infer(observe(0)))
    assert made.status.slowed_to_m_s == pytest.approx(0.5 * LIMITS.share_by_way(0.24 + 0.24 + ON_THE_WAY_S))
    made = policy(Says())
    answer: Inference = made.infer(observe(0))
    made.act(observe(900 * MS), answer)
    assert made.status.slowed_to_m_s == 0.0


@pytest.mark.parametrize("late_ms", [240, 500])
def test_a_turn_the_other_way_takes_two_answers_that_agree(late_ms: int) -> None:
    """A policy without memory turns to and fro between two views for ever, if each answer is driven."""
    made = policy(model := Says())
    turned: list[float] = []
    for step, turn in enumerate([0.9, -0.9, 0.9, -0.9, -0.9, -0.9]):
        model.actions = (0.0, turn)
        stamp_ns = step * 3000 * MS
        made.act(observe(stamp_ns), None)
        chunk = made.act(observe(stamp_ns + late_ms * MS), made.infer(observe(stamp_ns)))
        assert chunk is not None
        turned.append(float(np.sign(chunk.values[np.abs(chunk.values[:, 2]).argmax(), 2])))
        made.act(observe(stamp_ns + 2900 * MS), None)
    assert turned == [1.0, 1.0, 1.0, 1.0, -1.0, -1.0]


def test_an_answer_about_a_frame_in_motion_moves_nothing_in_stop_look_move() -> None:
    made = policy(model := Says())
    model.actions = (0.8, 0.4)
    made.act(observe(0, Velocity(0.2)), None)
    answer = made.infer(observe(0, Velocity(0.2)))
    chunk = made.act(observe(900 * MS, ZERO), answer)
    assert chunk is not None and chunk.by_way and not chunk.values.any()
    again = made.act(observe(1900 * MS, ZERO), made.infer(observe(940 * MS, ZERO)))
    assert again is not None and again.values.any()
