"""What a thread with a steady wake-up notices, by a clock that jumps."""

import time

from edge.clock import MonotonicClock
from edge.runtime.causes.halts import HALT_NS, HaltWatch
from tests.waiting import until

MS = 1_000_000


class JumpingClock(MonotonicClock):
    """A clock that can jump ahead, as the time does for a process that did not run."""

    ahead_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.ahead_ns


def test_a_jump_of_the_time_is_a_halt_with_its_length():
    clock = JumpingClock()
    with HaltWatch(clock) as watch:
        began_ns = clock.now_ns()
        clock.ahead_ns = 5_000 * MS
        until(lambda: any(end - since > 4_900 * MS for since, end in watch.halts(began_ns)))
        until(lambda: clock.now_ns() - watch.halts(began_ns)[0][1] > 2 * HALT_NS)
        assert not any(end - since > 4_900 * MS for since, end in watch.halts(clock.now_ns()))


def test_a_halt_under_way_counts_already():
    clock = JumpingClock()
    watch = HaltWatch(clock)
    watch.close()  # as its thread does not run
    began_ns = clock.now_ns()
    clock.ahead_ns = 300 * MS
    ((since_ns, until_ns),) = watch.halts(began_ns)
    assert until_ns - since_ns > 250 * MS


def test_waits_are_those_since_a_time_and_never_below_zero():
    with HaltWatch(MonotonicClock()) as watch:
        until(lambda: watch._waits)
        time.sleep(0.02)
        assert 0 <= watch.waited_ns(time.monotonic_ns()) <= watch.waited_ns(0)
