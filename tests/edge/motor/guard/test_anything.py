"""The guard alone: whatever comes, its limits hold."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.motor.guard import Guard
from edge.records import ActionChunk, MotorState, Velocity
from tests.edge.motor.guard.driven import (
    LIMITS,
    MS,
    START,
    TICK,
)

wild = st.floats(allow_nan=True, allow_infinity=True, width=32)
tame = st.floats(-0.625, 0.625, width=32)
rows = st.lists(st.tuples(*[tame | wild] * 3) | st.tuples(tame, tame, tame), min_size=0, max_size=4)
events = st.one_of(
    st.tuples(st.just("tick"), st.sampled_from([TICK] * 6 + [0, MS, 7 * MS, 35 * MS, 300 * MS])),
    st.tuples(st.just("ticks"), st.integers(1, 40)),
    st.tuples(
        st.just("chunk"),
        rows,
        st.sampled_from([0, 0, 0, -10 * MS, -100 * MS, -400 * MS, 10 * MS, 100 * MS]),
        st.sampled_from([0.1, 0.1, 0.02, 0.0, -1.0, math.nan, 1e-300]),
        st.sampled_from([0.9, 0.9, 0.9, 0.1, math.nan]),
        st.sampled_from([0, 1, 1, -3]),
    ),
    st.tuples(st.just("arm")),
    st.tuples(st.just("stop")),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(events, max_size=60))
def test_nothing_gets_past_the_limits(sequence: list[tuple]) -> None:  # type: ignore[type-arg]
    """Whatever is sent, whenever: value, acceleration, deceleration, age and latch hold at every tick."""
    guard, now_ns, decision, newest_ns = Guard(LIMITS), START, 0, -(10**12)
    last, last_ns = guard.step(now_ns), now_ns
    guard.arm(now_ns)

    def tick(delta_ns: int) -> None:
        nonlocal last, last_ns, now_ns
        now_ns += delta_ns
        state_before = guard.state
        velocity = guard.step(now_ns)
        elapsed_s = (now_ns - last_ns) / 1e9
        old, new = (
            complex(last.linear_x_m_s, last.linear_y_m_s),
            complex(velocity.linear_x_m_s, velocity.linear_y_m_s),
        )
        turn = velocity.angular_z_rad_s
        assert math.isfinite(abs(new)) and math.isfinite(turn)
        assert abs(new) <= 0.5 + 1e-9 and abs(turn) <= 1.0 + 1e-9
        assert abs(new - old) <= 2.0 * elapsed_s + 1e-9
        assert abs(turn - last.angular_z_rad_s) <= 4.0 * elapsed_s + 1e-9
        assert abs(new) - abs(old) <= 1.0 * min(elapsed_s, 0.04) + 1e-9
        assert abs(turn) - abs(last.angular_z_rad_s) <= 3.0 * min(elapsed_s, 0.04) + 1e-9
        # The setpoint holds for one more period: also then it must be able to brake in time.
        left_s = max(0.0, 0.5 - 0.02 - (now_ns - newest_ns) / 1e9)
        assert abs(new) <= 2.0 * left_s + 1e-9
        if state_before in (MotorState.DISARMED, MotorState.LATCHED):
            assert velocity == Velocity()
            assert guard.state is state_before
        last, last_ns = velocity, now_ns

    for kind, *details in sequence:
        if kind == "tick":
            tick(details[0])
        elif kind == "ticks":
            for _ in range(details[0]):
                tick(TICK)
        elif kind == "chunk":
            values, offset_ns, dt_s, confidence, step = details
            decision += step
            t0_ns = now_ns + offset_ns
            array = np.array(values, np.float32).reshape(-1, 3)
            if guard.follow(ActionChunk(array, dt_s, t0_ns, t0_ns + 400 * MS, confidence, decision), now_ns):
                assert np.isfinite(array).all()
                newest_ns = max(newest_ns, t0_ns)
        elif kind == "arm":
            guard.arm(now_ns)
        else:
            guard.stop("test")
            assert guard.state in (MotorState.RAMPING, MotorState.LATCHED)
    for _ in range(30):
        tick(TICK)
    assert last == Velocity()
