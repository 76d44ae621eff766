"""The policy that drives as its model says, with a model that says what a test wants."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.base_spec import DEFAULT_BASE, BaseSpec, DriveKind
from edge.bundle.manifest import ActionHead, MeanStdScaling, MinMaxScaling, StateInput
from edge.errors import BundleRefused
from edge.interfaces import Inference, Paced
from edge.model.actions import STATE_COLUMNS, ActionPrediction, pipeline, state_of
from edge.motor.guard import Guard
from edge.motor.limits import MotorLimits
from edge.perception.floor_scan import COLUMNS, Scan
from edge.perception.geometry import View
from edge.policies.chunks import AGAIN, STEP_M_S, slowed, still
from edge.policies.driver import ARRIVED_NS, BEFORE_RAD, ActionPolicy, stands_before
from edge.policies.late.tempo import ON_THE_WAY_S
from edge.records import (
    ZERO,
    ActionChunk,
    CameraMount,
    Frame,
    Goal,
    Image,
    MotorState,
    Observation,
    Odometry,
    Velocity,
)

MOUNT = CameraMount(0.9, 0.3, 0.2, 0.1)
GOAL = Goal("find_object", "red cup")
STEP_NS = 100_000_000
MS = 1_000_000


def head(columns: tuple[str, ...] = ("linear_x", "angular_z"), horizon: int = 5, **changes) -> ActionHead:
    high = tuple({"linear_x": 0.5, "linear_y": 0.5, "angular_z": 1.0}.get(name, 1.0) for name in columns)
    low = tuple(-v for v in high)
    fields = {
        "kind": "fc",
        "history": "none",
        "window": 1,
        "horizon": horizon,
        "rate_hz": 10.0,
        "columns": columns,
        "scaling": MinMaxScaling(kind="min_max", low=low, high=high),
    }
    return ActionHead(**{**fields, **changes})


class Says:
    """A model that says `actions` (T, A), or each row of it for the whole horizon, in [-1, 1]."""

    def __init__(self, shape: ActionHead | None = None) -> None:
        self.head = shape or head()
        self.pipeline = pipeline(self.head)
        self.actions: Sequence[float] | np.ndarray = (1.0, 0.0)
        self.confidence = 1.0
        self.asked: list[str] = []
        self.resets = 0

    def step(self, image: Image, prompt: str, odometry: Odometry | None = None) -> ActionPrediction:
        self.asked.append(prompt)
        shape = (self.head.horizon, len(self.head.columns))
        return ActionPrediction(np.broadcast_to(self.actions, shape).copy(), self.confidence, {"vision": 1.0})

    def reset(self) -> None:
        self.resets += 1


def observe(stamp_ns: int, velocity: Velocity | None = ZERO) -> Observation:
    frame = Frame(np.zeros((24, 32, 3), np.uint8), stamp_ns, stamp_ns // MS)
    odometry = None if velocity is None else Odometry(stamp_ns, 0.0, 0.0, 0.0, velocity)
    return Observation({"front": frame}, GOAL, odometry)


def policy(model: Says, see_floor=None, base: BaseSpec = DEFAULT_BASE) -> ActionPolicy:
    made = ActionPolicy(model, "detect red cup", MOUNT, base, see_floor)
    made.reset(GOAL)
    return made


def wall(distance_m: float) -> Scan:
    bearings = np.radians(np.linspace(40, -40, COLUMNS))
    points = np.stack([np.full(COLUMNS, distance_m), distance_m * np.tan(bearings)], 1)
    ranges = distance_m / np.cos(bearings)
    return Scan(points, np.full(COLUMNS, True), bearings, ranges, np.full(COLUMNS, 0.1))


def test_what_is_said_becomes_the_bases_velocities_once():
    model = Says()
    model.actions = np.array([[0.4, 0.5], [0.2, 0.2], [0, 0], [0.04, 0.04], [3, -3]])
    driver = policy(model)
    answer = driver.infer(observe(7 * MS))
    chunk = driver.act(observe(40 * MS), answer)
    assert model.asked == ["detect red cup"]
    assert chunk is not None and chunk.values.dtype == np.float32
    wanted = [[0.2, 0, 0.5], [0.1, 0, 0.2], [0, 0, 0], [0, 0, 0], [0.5, 0, -1.0]]
    np.testing.assert_allclose(chunk.values, wanted, atol=1e-6)
    assert (chunk.t0_ns, chunk.dt_s, chunk.confidence) == (7 * MS, 0.1, 1.0)
    assert chunk.valid_until_ns == 507 * MS
    assert driver.act(observe(73 * MS), None) is None
    again = driver.act(observe(140 * MS), driver.infer(observe(107 * MS)))
    assert again is not None and again.decision > chunk.decision


def test_other_columns_and_short_horizons_are_filled():
    driver = policy(model := Says(head(("linear_y",), horizon=1)))
    model.actions = (-0.5,)
    chunk = driver.infer(observe(0)).chunk
    assert chunk is not None
    np.testing.assert_allclose(chunk.values, [[0, -0.25, 0]] * 3)
    assert chunk.valid_until_ns == 300 * MS


def test_the_guard_follows_the_chunks_between_answers():
    driver, guard = policy(Says()), Guard(MotorLimits())
    guard.arm(0)
    sent: list[float] = []
    answer = None
    for tick in range(1, 101):  # 20 ms each; an answer takes 60 ms
        now_ns = tick * 20 * MS
        if tick % 5 == 0:
            answer = driver.infer(observe(now_ns))
        if tick % 5 == 3:
            chunk = driver.act(observe(now_ns), answer)
            if chunk is not None:
                assert guard.follow(chunk, now_ns)
        sent.append(guard.step(now_ns).linear_x_m_s)
    assert max(sent) == sent[-1] == pytest.approx(0.5) and guard.counts.refused == 0


@pytest.mark.parametrize("columns", [("linear_x", "angular_z"), ("linear_x", "linear_y", "angular_z")])
@pytest.mark.parametrize("latency_ticks", [1, 2, 4])
def test_answers_that_contradict_each_other_neither_stop_the_base_nor_turn_it_at_once(columns, latency_ticks):
    """The answers are full speed one way and then the other, 10 times a second.

    The guard would set each aside until the next agrees, and the chunk before would grow too old.
    """
    driver, guard = policy(model := Says(head(columns))), Guard(MotorLimits())
    guard.arm(0)
    answer, turned = None, []
    for tick in range(1, 200):  # 20 ms each
        now_ns = tick * 20 * MS
        if tick % 5 == 0:
            model.actions = [(1.0 if tick // 5 % 12 in (0, 2, 3, 4, 5, 6) else -1.0)] * len(columns)
            answer = driver.infer(observe(now_ns))
        if answer is not None and tick % 5 == latency_ticks:
            chunk = driver.act(observe(now_ns), answer)
            if chunk is not None:
                assert guard.follow(chunk, now_ns), guard.reason
        turned.append(guard.step(now_ns).angular_z_rad_s)
    assert guard.state is MotorState.FOLLOWING and guard.counts.refused == 0
    assert max(turned) > 0.4 and min(turned) < 0.0, "it still turns as it is told"


@pytest.mark.parametrize("latency_ticks", [2, 6, 10, 17])
def test_answers_that_come_late_make_the_base_slower_instead_of_stopping_it(latency_ticks: int) -> None:
    """At full speed a plan is followed for 250 ms, and one that takes 120 ms must last 120 + 120 + 40 ms.

    Field case 34: with answers after 340 ms every plan was refused, and the base never moved.
    """
    driver, guard = policy(model := Says()), Guard(MotorLimits())
    guard.arm(0)
    model.actions = (1.0, 1.0)
    asked: Inference | None = None
    ready, due, sent = 0, 0, ZERO
    for tick in range(5, 300):  # 20 ms each, and a frame for each
        now_ns = tick * 20 * MS
        if asked is not None and tick >= ready:
            chunk, asked = driver.act(observe(now_ns - 40 * MS), asked), None
            assert chunk is not None and guard.follow(chunk, now_ns)
        if asked is None and tick >= due:
            asked, ready, due = driver.infer(observe(now_ns - 40 * MS)), tick + latency_ticks, tick + 5
        sent = guard.step(now_ns)
        assert tick < 40 or guard.state is MotorState.FOLLOWING
    slowest = {2: (0.5, 0.5), 6: (0.35, 0.45), 10: (0.33, 0.35), 17: (0.22, 0.24)}[latency_ticks]
    assert slowest[0] - 1e-6 <= sent.linear_x_m_s <= slowest[1] + 1e-6
    assert sent.angular_z_rad_s == pytest.approx(2 * sent.linear_x_m_s, rel=0.01), "the same curve"


def test_a_single_answer_the_other_way_is_never_followed_at_once():
    driver = policy(model := Says())
    first = driver.act(observe(40 * MS), driver.infer(observe(0)))
    model.actions = (-1.0, 0.0)
    second = driver.act(observe(140 * MS), driver.infer(observe(100 * MS)))
    assert first is not None and second is not None
    assert first.values[0, 0] == pytest.approx(0.5)
    slowly = AGAIN * STEP_M_S - 0.5
    np.testing.assert_allclose(second.values[:4, 0], slowly, atol=1e-6)  # still ahead
    for later_ms in (173, 206):
        assert driver.act(observe(later_ms * MS), None) is None, "not by being handed on again either"
    third = driver.act(observe(240 * MS), driver.infer(observe(200 * MS)))
    assert third is not None
    np.testing.assert_allclose(third.values[:, 0], -0.5)


def test_a_stop_is_never_slowed():
    driver = policy(model := Says())
    model.actions = (1.0, 1.0)
    driver.act(observe(40 * MS), driver.infer(observe(0)))
    model.actions = (0.0, 0.0)
    stop = driver.act(observe(140 * MS), driver.infer(observe(100 * MS)))
    assert stop is not None and not stop.values.any()


plan = st.lists(st.tuples(*[st.floats(-1, 1)] * 3), min_size=5, max_size=5)


@given(st.lists(st.tuples(plan, st.integers(1, 99), st.integers(60, 140)), min_size=2, max_size=6))
def test_what_the_policy_hands_on_never_jumps_for_the_guard(answers):
    """Whatever the model says, and whenever its answers come and arrive."""
    driver = policy(model := Says(head(("linear_x", "linear_y", "angular_z"))))
    guard, stamp_ns = Guard(MotorLimits()), 0
    guard.arm(0)
    for actions, latency_ms, gap_ms in answers:
        model.actions = np.array(actions)
        chunk = driver.act(observe(stamp_ns + latency_ms * MS), driver.infer(observe(stamp_ns)))
        if chunk is not None:
            guard.follow(chunk, stamp_ns + latency_ms * MS + 12_345)
        stamp_ns += max(gap_ms, latency_ms) * MS + 54_321
    assert guard.counts.jumps == 0


def test_each_row_is_slowed_by_what_is_most_of_full_speed_in_it():
    rows = np.array([[0.3, 0.4, 0.1], [0.0, 0.1, -1.0], [0.1, 0.0, 0.1], [0.0, 0.0, 0.0]])
    wanted = [[0.15, 0.2, 0.05], [0.0, 0.05, -0.5], [0.1, 0.0, 0.1], [0.0, 0.0, 0.0]]
    np.testing.assert_allclose(slowed(rows, 0.5, DEFAULT_BASE), wanted)
    np.testing.assert_allclose(slowed(rows, 1.0, DEFAULT_BASE), rows)


def test_one_late_answer_makes_the_next_ones_slow():
    driver, speeds = policy(Says()), []
    for step, late_ms in enumerate([40] * 4 + [200] + [40] * 4):
        stamp_ns = step * 3 * STEP_NS
        chunk = driver.act(observe(stamp_ns + late_ms * MS), driver.infer(observe(stamp_ns)))
        assert chunk is not None
        speeds.append(chunk.values[0, 0])
    slower = 0.5 * MotorLimits().share_by_way(0.2 + 0.2 + ON_THE_WAY_S)
    np.testing.assert_allclose(speeds, [0.5] * 4 + [slower] * 5, rtol=1e-6)


def test_less_than_5_cm_or_5_hundredths_of_a_radian_a_second_is_standing():
    rows = np.array([[0.03, 0.035, 0.045], [0.04, 0.04, 0.0], [0.0, 0.0, -0.055], [0.0, 0.055, 0.0]])
    np.testing.assert_allclose(still(rows), [[0, 0, 0], *rows[1:].tolist()])


def test_without_odometry_what_was_asked_for_tells_whether_it_moved():
    driver = policy(model := Says())
    for step in range(30):
        model.actions = (1.0, 0.0) if step in (5, 6) else (0.0, 0.0)
        driver.act(observe(step * STEP_NS, None), driver.infer(observe(step * STEP_NS, None)))
        assert driver.status.reached is (step >= 7 + ARRIVED_NS // STEP_NS)


def test_it_asks_at_the_rate_of_its_demonstrations():
    driver = policy(Says(head(rate_hz=5.0)))
    assert isinstance(driver, Paced) and driver.period_ns == 200 * MS


def test_standing_where_it_drove_to_is_arriving():
    driver, model = policy(model := Says()), model
    stamp_ns = 0

    def answers(seconds: float, actions: tuple[float, float], velocity: Velocity) -> str:
        nonlocal stamp_ns
        model.actions = actions
        for _ in range(round(seconds * 10)):
            driver.act(observe(stamp_ns, velocity), driver.infer(observe(stamp_ns, velocity)))
            stamp_ns += STEP_NS
        return driver.status.state

    assert answers(3.0, (0.05, 0.04), ZERO) == "drive", "it never moved"
    assert answers(1.0, (0.5, 0.0), Velocity(0.25)) == "drive"
    assert answers(2.0, (0.0, 0.0), Velocity(0.1)) == "drive", "the base still rolls"
    assert answers(0.8, (0.08, -0.04), ZERO) == "drive"
    assert answers(0.1, (0.0, 0.5), ZERO) == "drive", "it turns on"
    assert answers(ARRIVED_NS / 1e9, (0.0, 0.0), ZERO) == "drive"
    assert answers(0.1, (0.0, 0.0), ZERO) == "arrived" and driver.status.reached
    driver.reset(GOAL)
    assert not driver.status.reached and model.resets == 3
    assert answers(3.0, (0.0, 0.0), ZERO) == "drive"


@pytest.mark.parametrize("distance_m, arrives", [(0.6, True), (0.85, True), (0.95, False), (3.0, False)])
def test_where_the_floor_goes_on_ahead_it_has_not_arrived(distance_m: float, arrives: bool):
    driver = policy(model := Says(), lambda image, view: wall(distance_m))
    for step in range(20):
        model.actions = (0.5, 0.0) if step < 5 else (0.0, 0.0)
        seen = observe(step * STEP_NS, Velocity(0.25) if step < 5 else ZERO)
        driver.act(seen, driver.infer(seen))
    assert driver.status.reached == arrives


def test_what_hides_the_floor_from_where_the_camera_begins_to_see_it_stands_before_the_base():
    hidden = replace(wall(1.2), nearest=np.full(COLUMNS, 1.2))
    assert stands_before(hidden) and not stands_before(wall(1.2))
    aside = wall(0.5)
    aside.ranges[np.abs(aside.bearings) < BEFORE_RAD] = 3.0
    assert not stands_before(aside)


def test_what_is_followed_never_counts_as_reached():
    driver = policy(model := Says())
    driver.reset(Goal("follow_object", "red cup"))
    for step in range(30):
        model.actions = (1.0, 0.0) if step < 5 else (0.0, 0.0)
        velocity = Velocity(0.5) if step < 5 else ZERO
        driver.act(observe(step * STEP_NS, velocity), driver.infer(observe(step * STEP_NS, velocity)))
    assert driver.status.state == "drive"


def test_with_a_view_of_the_floor_the_rest_of_a_chunk_is_slowed_when_a_wall_comes():
    distance_m = 3.0

    def see(image: Image, view: View) -> Scan:
        return wall(distance_m)

    driver = policy(Says(), see)
    first = driver.act(observe(30 * MS), driver.infer(observe(0)))
    assert first is not None and first.values[0, 0] == pytest.approx(0.5)
    assert driver.act(observe(60 * MS), None) is None
    distance_m = 0.35
    slowed = driver.act(observe(93 * MS), None)
    assert slowed is not None and slowed.values[:, 0].max() < 0.35
    assert slowed.t0_ns == first.t0_ns and slowed.decision > first.decision, "the guard must take it"
    assert driver.act(observe(600 * MS), None) is None, "the chunk is over"


def drives_elsewhere(goal: Goal, with_odometry: bool = True, turn: float = 1.0) -> list[ActionChunk]:
    """Turn for 20 s before a wall; return the chunks of the way elsewhere. The guard takes them all."""
    driver, guard = policy(model := Says(), lambda image, view: wall(2.0)), Guard(MotorLimits())
    driver.reset(goal)
    guard.arm(0)
    model.actions = (0.0, turn)
    found: list[ActionChunk] = []
    for step in range(200):
        seen = observe(step * STEP_NS, ZERO if with_odometry else None)
        chunk = driver.act(seen, driver.infer(seen))
        assert chunk is not None and guard.follow(chunk, step * STEP_NS), guard.reason
        found += [chunk] if driver.status.state == "detour" else []
    return found


@pytest.mark.parametrize("turn", [1.0, -1.0])
def test_a_policy_that_turns_for_ever_is_driven_elsewhere_without_a_jump(turn: float):
    found = drives_elsewhere(GOAL, turn=turn)
    assert len(found) > 10 and all(chunk.values[0].any() for chunk in found[1:10])
    assert found[0].t0_ns > 2 * np.pi / DEFAULT_BASE.cruise_rad_s * 1e9


def test_what_follows_or_has_no_odometry_is_never_driven_elsewhere():
    assert not drives_elsewhere(Goal("follow_object", "red cup"))
    assert not drives_elsewhere(GOAL, with_odometry=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"scaling": MinMaxScaling(kind="min_max", low=(0.0, 0.0), high=(1.0, 0.0))},
        {"scaling": MinMaxScaling(kind="min_max", low=(0.0,), high=(1.0,))},
        {"scaling": MeanStdScaling(kind="mean_std", mean=(0.0, 0.0), std=(0.0, 1.0))},
        {"mu_law": -1.0},
        {"state": StateInput(columns=("height_m",), mean=(0.0,), std=(1.0,))},
    ],
)
def test_numbers_that_can_not_scale_are_refused(changes):
    with pytest.raises(BundleRefused, match="action numbers"):
        pipeline(head(**changes))


def test_mean_std_and_mu_law_are_undone():
    scaling = MeanStdScaling(kind="mean_std", mean=(0.1, 0.0), std=(0.2, 0.5))
    steps = pipeline(head(scaling=scaling, mu_law=255.0))
    values = np.array([[0.15, -0.2]])
    np.testing.assert_allclose(steps.decode(steps.encode(values)), values)


@pytest.mark.parametrize(
    "changes", [{"columns": ("linear_x", "gripper")}, {"kind": "discrete"}, {"window": 0}, {"rate_hz": 0.0}]
)
def test_a_manifest_says_nothing_that_can_not_be(changes):
    with pytest.raises(ValueError):
        head(**changes)


def test_the_state_is_the_odometrys_in_the_order_that_was_trained():
    wanted = StateInput(columns=("yaw_rad", "x_m"), mean=(0.0, 1.0), std=(1.0, 2.0))
    found = state_of(Odometry(0, 5.0, 6.0, 0.5, ZERO), wanted)
    np.testing.assert_allclose(found, [[0.5, 2.0]], atol=1e-5)


def test_every_number_of_the_odometry_stands_in_its_own_column():
    odometry = Odometry(0, 1.0, 2.0, 3.0, Velocity(4.0, 5.0, 6.0))
    wanted = StateInput(columns=STATE_COLUMNS, mean=(0.0,) * 6, std=(1.0,) * 6)
    assert STATE_COLUMNS == (
        "x_m", "y_m", "yaw_rad", "linear_x_m_s", "linear_y_m_s", "angular_z_rad_s",
    )  # fmt: skip
    np.testing.assert_allclose(state_of(odometry, wanted), [[1, 2, 3, 4, 5, 6]], rtol=1e-5)


TRACKS = BaseSpec(linear_m_s=0.25, angular_rad_s=0.5, drive=DriveKind.DIFFERENTIAL)
CAR = BaseSpec(drive=DriveKind.ACKERMANN, wheel_base_m=0.3, steering_rad=math.radians(45))


def test_a_slower_base_drives_the_same_curve_more_slowly():
    driver = policy(model := Says(), base=TRACKS)
    model.actions = (0.8, 0.4)  # 0.4 m/s and 0.4 rad/s
    inference = driver.infer(observe(0))
    chunk = driver.act(observe(40 * MS), inference)
    for each in (inference.chunk, chunk):
        assert each is not None
        np.testing.assert_allclose(each.values, [[0.25, 0.0, 0.25]] * 5, atol=1e-6)


@given(st.lists(st.tuples(plan, st.integers(1, 99)), min_size=2, max_size=5))
def test_no_chunk_asks_a_base_for_what_it_can_not_do(answers):
    for base in (TRACKS, CAR):
        driver = policy(model := Says(head(("linear_x", "linear_y", "angular_z"))), base=base)
        for step, (actions, latency_ms) in enumerate(answers):
            stamp_ns = step * STEP_NS
            model.actions = np.array(actions)
            chunk = driver.act(observe(stamp_ns + latency_ms * MS), driver.infer(observe(stamp_ns)))
            for x, y, turn in [] if chunk is None else chunk.values.tolist():
                assert y == 0 and abs(x) <= base.linear_m_s + 1e-6 and abs(turn) <= base.angular_rad_s + 1e-6
                assert abs(turn) * base.turn_radius_m <= abs(x) + 1e-6
