"""Words that drive: what each answer moves the robot by, at the guard's end, and what never moves it."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.base_spec import DEFAULT_BASE, BaseSpec, DriveKind
from edge.clock import VirtualClock
from edge.interfaces import Inference
from edge.motor.guard import Guard
from edge.motor.limits import MotorLimits
from edge.motor.pulses import Pulses
from edge.policies.chunks import ROW_S
from edge.policies.instructed import FRESH_S, TURN_RAD, WAY_M, InstructedDriver, MotionLeft, bounded_rows
from edge.records import Frame, Goal, MotorState, Observation, Odometry, Outcome, Velocity
from edge.runtime.loop import Loop
from sim.lockstep import LatencyWorker

GOAL = Goal("instruct", "go to the door")
IMAGE = np.zeros((4, 4, 3), np.uint8)
FRAME_NS, TICK_NS, ON_THE_WAY_NS = 33_000_000, 20_000_000, 25_000_000
DIFFERENTIAL = BaseSpec(drive=DriveKind.DIFFERENTIAL, linear_m_s=0.3)
ACKERMANN = BaseSpec(drive=DriveKind.ACKERMANN, wheel_base_m=0.3)
SOFT = BaseSpec(linear_m_s=0.25, linear_accel_m_s2=1.0, linear_decel_m_s2=1.0, angular_decel_rad_s2=4.0)


def says(text: str, confidence: float = 0.9, cut: bool = False) -> Callable[[Observation], Inference]:
    """Return a model that gives this answer to every frame."""
    return lambda seen: Inference(seen.frame, text, confidence, {}, cut=cut)


def one_after_the_other(texts: Iterable[str]) -> Callable[[Observation], Inference]:
    left = iter(texts)
    return lambda seen: Inference(seen.frame, next(left), 0.9, {})


@dataclass
class Bench:
    """A driver, the loop and the real guard on a virtual clock; the base goes exactly as the guard says."""

    driver: InstructedDriver
    latency_s: float = 0.1
    base: BaseSpec = DEFAULT_BASE
    way_m: float = 0.0
    turn_rad: float = 0.0
    x_m: float = 0.0
    y_m: float = 0.0
    yaw_rad: float = 0.0
    worst: tuple[float, float] = (0.0, 0.0)  # most way and turn since the frame of the newest answer
    state: MotorState = MotorState.HOLDING
    _totals: dict[int, tuple[float, float]] = field(default_factory=dict)

    def run(self, seconds: float, hangs_after: int | None = None) -> "Bench":
        """Drive for so long; the model never answers again after `hangs_after` answers."""
        clock = VirtualClock()
        clock.advance(1_000_000_000)
        worker = LatencyWorker(self.driver, clock, self.latency_s)
        loop = Loop(self.driver, worker, GOAL)
        guard = Guard(MotorLimits.of(self.base), period_ns=TICK_NS)
        pulses = Pulses(guard.limits)
        guard.arm(clock.now_ns())
        waiting, answers, answered_ns = [], 0, None
        for step in range(round(seconds * 1000)):
            now_ns = clock.now_ns()
            if step % (FRAME_NS // 1_000_000) == 0:
                self._totals[now_ns] = (self.way_m, self.turn_rad)
                odometry = Odometry(now_ns, self.x_m, self.y_m, self.yaw_rad, self._velocity(guard))
                done = loop.on_frame({"front": Frame(IMAGE, now_ns, step)}, odometry)
                if done.inference is not None:
                    answers, answered_ns = answers + 1, done.inference.frame.stamp_ns
                if hangs_after is not None and answers >= hangs_after:
                    worker._latency_ns = 10**12
                assert done.chunk is not None
                waiting.append((now_ns + ON_THE_WAY_NS, done.chunk))
            while waiting and waiting[0][0] <= now_ns:
                guard.follow(waiting.pop(0)[1], now_ns)
            if step % (TICK_NS // 1_000_000) == 0:
                self._move(pulses.step(guard.step(now_ns), now_ns))
                if answered_ns is not None:
                    way_m, turn_rad = self._totals[answered_ns]
                    self.worst = (
                        max(self.worst[0], self.way_m - way_m),
                        max(self.worst[1], self.turn_rad - turn_rad),
                    )
            clock.advance(1_000_000)
        self.state = guard.state
        assert guard.counts.jumps == guard.counts.malformed == guard.counts.unsure == 0
        return self

    def _velocity(self, guard: Guard) -> Velocity:
        return Velocity(guard._linear.real, guard._linear.imag, guard._angular.real)

    def _move(self, velocity: Velocity) -> None:
        period_s = TICK_NS / 1e9
        x, y, turn = velocity.linear_x_m_s, velocity.linear_y_m_s, velocity.angular_z_rad_s
        self.way_m += math.hypot(x, y) * period_s
        self.turn_rad += abs(turn) * period_s
        cos, sin = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        self.x_m += (cos * x - sin * y) * period_s
        self.y_m += (sin * x + cos * y) * period_s
        self.yaw_rad += turn * period_s


def bench(text: str, base: BaseSpec = DEFAULT_BASE, **settings: float) -> Bench:
    return Bench(InstructedDriver(says(text), base), base=base, **settings)


@pytest.mark.parametrize(
    ("text", "x_m", "y_m", "yaw_rad"),
    [
        ("Go forward.", 1, 0, 0),
        ("Drive forward quickly.", 1, 0, 0),
        ("Go back.", -1, 0, 0),
        ("Move left.", 0, 1, 0),
        ("Turn left.", 0, 0, 1),
        ("Turn right.", 0, 0, -1),
        ("앞으로 가세요.", 1, 0, 0),
        ("왼쪽으로 도세요.", 0, 0, 1),
        ("뒤로 가세요.", -1, 0, 0),
    ],
)
def test_one_answer_moves_half_a_metre_or_45_degrees_and_no_more(
    text: str, x_m: float, y_m: float, yaw_rad: float
):
    driven = bench(text).run(4.0, hangs_after=1)
    assert driven.way_m <= WAY_M and driven.turn_rad <= TURN_RAD
    moved = (driven.x_m / WAY_M, driven.y_m / WAY_M, driven.yaw_rad / TURN_RAD)
    assert moved == pytest.approx((x_m, y_m, yaw_rad), abs=0.25)
    assert driven.state is MotorState.FOLLOWING, "it stands, and is not latched"


@pytest.mark.parametrize("text", ["Go forward.", "Drive forward quickly.", "Turn left.", "Turn left fast."])
@pytest.mark.parametrize("base", [DEFAULT_BASE, SOFT])
def test_when_the_model_hangs_at_speed_it_goes_no_farther_braking_included(text: str, base: BaseSpec):
    driven = bench(text, base).run(5.0, hangs_after=12)
    assert driven.worst[0] <= WAY_M and driven.worst[1] <= TURN_RAD
    assert max(driven.worst[0] / WAY_M, driven.worst[1] / TURN_RAD) > 0.9


@pytest.mark.parametrize("text", ["Go forward.", "Turn left fast."])
@pytest.mark.parametrize("speed_m_s", [0.2, 0.5])
def test_a_base_of_fixed_speed_goes_no_farther_on_one_answer_either(text: str, speed_m_s: float):
    """Field case 30."""
    base = BaseSpec(fixed_speed_m_s=speed_m_s, fixed_turn_rad_s=0.8)
    driven = bench(text, base).run(5.0, hangs_after=12)
    way_m = driven.worst[0] + speed_m_s**2 / (2 * base.linear_decel_m_s2)  # the bench stops it at once
    turn_rad = driven.worst[1] + 0.8**2 / (2 * base.angular_decel_rad_s2)
    assert way_m <= WAY_M or driven.way_m == 0
    assert turn_rad <= TURN_RAD or driven.turn_rad == 0
    assert max(driven.worst[0] / WAY_M, driven.worst[1] / TURN_RAD) > 0.7


@pytest.mark.parametrize(
    ("text", "way_m", "turn_rad"),
    [
        ("Go forward 0.3 meters.", 0.3, 0.0),
        ("앞으로 30cm 가세요.", 0.3, 0.0),
        ("Go forward for 1 second.", 0.3, 0.0),
        ("Turn left 30 degrees.", 0.0, math.radians(30)),
        ("Move forward 2 m.", WAY_M, 0.0),
        ("Turn right by 90 degrees.", 0.0, TURN_RAD),
    ],
)
def test_an_amount_that_the_answer_gives_is_a_limit_too(text: str, way_m: float, turn_rad: float):
    driven = bench(text).run(4.0, hangs_after=1)
    assert driven.way_m <= way_m and driven.turn_rad <= turn_rad
    assert (driven.way_m, driven.turn_rad) == pytest.approx((way_m, turn_rad), abs=0.1)


def test_slowly_is_slower_and_ends_when_the_answer_is_no_longer_fresh():
    driven = bench("Go forward slowly.").run(4.0, hangs_after=1)
    assert 0.6 * FRESH_S * 0.15 < driven.way_m <= FRESH_S * 0.15


@pytest.mark.parametrize("base", [DEFAULT_BASE, SOFT])
@pytest.mark.parametrize("latency_s", [0.03, 0.4, 1.2, 1.9])
@pytest.mark.parametrize("text", ["Drive forward quickly.", "Turn left."])
def test_since_the_frame_of_an_answer_the_base_never_goes_farther(
    text: str, latency_s: float, base: BaseSpec
):
    driven = bench(text, base, latency_s=latency_s).run(6.0)
    assert driven.worst[0] <= WAY_M and driven.worst[1] <= TURN_RAD
    assert max(driven.way_m, driven.turn_rad) > 0.3, "answers that keep coming keep it going"


def test_an_answer_about_a_frame_that_is_too_old_moves_nothing():
    assert bench("Go forward.", latency_s=3.0).run(10.0).way_m == 0.0
    assert bench("Go forward.", latency_s=2.5).run(10.0).way_m > 0.05


@pytest.mark.parametrize(
    "text",
    [
        "",
        "none",
        "I see a door.",
        "Stop.",
        "멈추세요.",
        "Do not move.",
        "Stop, do not move forward.",
        "Maybe turn left.",
        "Turn left and right.",
        "Should I turn left?",
        "Go to the door.",
        "Grab the cup.",
        "문으로 가세요.",
        "Don't drive straight to the door, go to the cup.",
        "Do not move forward towards the door.",
        "'Go forward.' is what the sign says.",
        "I am not sure which way to go.",
        "Moving forward would cause a collision.",
        "In 40 meters, turn left.",
        'The sign says "turn left".',
        '[{"bbox_2d": [300, 200, 420, 640], "label": "door"}]',
        "<loc0256><loc0256><loc0768><loc0768> door",
        "[0.2, 0.2, 0.4, 0.4]",
    ],
)
def test_what_is_not_surely_a_motion_in_a_direction_moves_nothing(text: str):
    driven = bench(text).run(1.5)
    assert (driven.way_m, driven.turn_rad) == (0.0, 0.0)


@pytest.mark.parametrize(
    "text",
    [
        "Move forward towards the door.",
        "Go straight ahead slowly to the red cup.",
        "문을 향해 앞으로 가세요.",
        "'Go forward.'",
        "“Go forward slowly.”",
    ],
)
def test_a_direction_to_a_place_and_an_answer_in_quotes_are_driven(text: str):
    driven = bench(text).run(1.0)
    assert driven.x_m > 0.02 and abs(driven.y_m) < 0.01 and driven.turn_rad == 0.0


def test_doubt_after_a_motion_stops_it():
    answers = one_after_the_other(["Go forward.", *["I am not sure."] * 100])
    driven = Bench(InstructedDriver(answers, DEFAULT_BASE)).run(3.0)
    assert 0 < driven.way_m < 0.1


@pytest.mark.parametrize(("confidence", "cut"), [(0.29, False), (0.9, True), (math.nan, False)])
def test_a_model_that_is_unsure_or_was_cut_off_moves_nothing(confidence: float, cut: bool):
    driver = InstructedDriver(says("Go forward.", confidence, cut), DEFAULT_BASE)
    assert Bench(driver).run(1.0).way_m == 0.0
    assert driver.status.state == "unsure"


@pytest.mark.parametrize(("base", "text"), [(DIFFERENTIAL, "Move left."), (ACKERMANN, "Turn left.")])
def test_what_the_wheels_can_not_do_is_not_done(base: BaseSpec, text: str):
    driven = bench(text, base).run(1.5)
    assert (driven.way_m, driven.turn_rad) == (0.0, 0.0)


def test_it_is_done_when_the_model_says_stop_for_three_seconds():
    answers = one_after_the_other(["Go forward."] * 4 + ["Stop. The door is here."] * 100)
    driver = InstructedDriver(answers, DEFAULT_BASE)
    driven = Bench(driver).run(3.0)
    assert driver.status.ending is None, "a stop may be for somebody on the way"
    Bench(driver).run(4.0)
    ending = driver.status.ending
    assert ending is not None and ending.outcome is Outcome.FOLLOWED and driven.way_m > 0
    assert ending.reason.startswith('the model says "Stop. The door is here."; 4 of ')


def test_a_model_that_only_ever_says_stop_has_not_followed_an_instruction():
    driver = InstructedDriver(says("Stop."), DEFAULT_BASE)
    Bench(driver).run(4.0)
    assert driver.status.ending is not None and driver.status.ending.outcome is Outcome.NOTHING


def test_a_motion_between_stops_begins_the_count_anew():
    driver = InstructedDriver(one_after_the_other(["Stop.", "Stop.", "Turn left."] * 100), DEFAULT_BASE)
    Bench(driver, latency_s=1.0).run(12.0)
    assert driver.status.ending is None
    limit = driver.status.at_limit
    assert (
        limit is not None and limit.outcome is Outcome.TIMEOUT and "answers moved the robot" in limit.reason
    )


def test_a_new_goal_forgets_the_answer():
    driver = InstructedDriver(says("Go forward."), DEFAULT_BASE)
    Bench(driver).run(1.0)
    driver.reset(GOAL)
    frame = Frame(IMAGE, 10_000_000_000, 1)
    chunk = driver.act(Observation({"front": frame}, GOAL), None)
    assert not chunk.values.any() and driver.status.state == "wait"


SPEEDS = st.floats(-2.0, 2.0)
BASES = st.sampled_from([DEFAULT_BASE, DIFFERENTIAL, ACKERMANN, SOFT])
LEFT = st.builds(MotionLeft, *[st.floats(-1.0, bound) for bound in (WAY_M, TURN_RAD, FRESH_S)])


@given(st.builds(Velocity, SPEEDS, SPEEDS, SPEEDS), LEFT, BASES)
def test_rows_add_up_to_what_is_left_and_are_within_the_base(
    velocity: Velocity, left: MotionLeft, base: BaseSpec
):
    rows = bounded_rows(velocity, left, base)
    speeds = np.hypot(rows[:, 0], rows[:, 1])
    assert ROW_S * speeds.sum() <= max(0.0, left.way_m) + 1e-9
    assert ROW_S * np.abs(rows[:, 2]).sum() <= max(0.0, left.turn_rad) + 1e-9
    assert speeds.max() <= base.linear_m_s + 1e-9 and np.abs(rows[:, 2]).max() <= base.angular_rad_s + 1e-9
    assert not rows[-1].any(), "a chunk that nothing follows ends in standing"
    if not base.sideways:
        assert not rows[:, 1].any()
    if not base.turns_in_place:
        assert (np.abs(rows[:, 2]) * base.turn_radius_m <= np.abs(rows[:, 0]) + 1e-9).all()
    moving_s = ROW_S * int(rows.any(axis=1).sum())
    assert moving_s <= (left.time_s + ROW_S if left.time_s > 0 else 0.0)


@given(
    st.lists(st.sampled_from(["forward", "left", "back", "turn", "quickly", "2 m", "왼쪽으로", "가", "."]))
)
@settings(max_examples=100)
def test_no_answer_makes_a_chunk_that_goes_farther(words: list[str]):
    driver = InstructedDriver(says(" ".join(words)), DEFAULT_BASE)
    seen = Observation({"front": Frame(IMAGE, 1_000_000_000, 1)}, GOAL)
    chunk = driver.act(seen, driver.infer(seen))
    assert ROW_S * np.hypot(chunk.values[:, 0], chunk.values[:, 1]).sum() <= WAY_M
    assert ROW_S * np.abs(chunk.values[:, 2]).sum() <= TURN_RAD
    assert 0.3 <= chunk.confidence <= 1.0 and chunk.t0_ns == 1_000_000_000
