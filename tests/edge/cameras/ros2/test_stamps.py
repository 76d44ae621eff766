"""Header stamps on CLOCK_MONOTONIC."""

import pytest

from edge.cameras.ros2.stamps import MOST_DROPPED, RosStamps, WrongClock

MS = 1_000_000
WALL_NS, NOW_NS = 1_800_000_000_000_000_000, 5_000_000_000


def drop_all(stamps: RosStamps, header_ns: int, step_ns: int = 33 * MS) -> str:
    for count in range(MOST_DROPPED - 1):
        assert (
            stamps.capture_ns(header_ns + count * step_ns, WALL_NS + count * 33 * MS, NOW_NS + count) is None
        )
    with pytest.raises(WrongClock) as caught:
        stamps.capture_ns(header_ns + 9 * step_ns, WALL_NS + 9 * 33 * MS, NOW_NS + 9)
    assert stamps.dropped == MOST_DROPPED
    return str(caught.value)


def test_a_stamp_is_as_old_here_as_it_is_by_the_wall_clock():
    assert RosStamps(True).capture_ns(WALL_NS - 40 * MS, WALL_NS, NOW_NS) == NOW_NS - 40 * MS


def test_the_wall_clock_may_be_set_meanwhile():
    stamps = RosStamps(True)
    assert stamps.capture_ns(WALL_NS, WALL_NS, NOW_NS) == NOW_NS
    later = WALL_NS + 3600 * 1000 * MS
    assert stamps.capture_ns(later - MS, later, NOW_NS + 33 * MS) == NOW_NS + 32 * MS


def test_a_clock_that_is_a_little_ahead_makes_no_frame_from_the_future():
    assert RosStamps(True).capture_ns(WALL_NS + 5 * MS, WALL_NS, NOW_NS) == NOW_NS


@pytest.mark.parametrize(
    ("header_ns", "said"),
    [
        (WALL_NS + 100 * MS, "100 ms ahead of"),
        (WALL_NS - 18_000 * MS, "18 s behind"),
        (0, "no stamps"),
    ],
)
def test_another_clock_is_named_2(header_ns: int, said: str):
    assert said in drop_all(RosStamps(True), header_ns, 33 * MS if header_ns else 0)


def test_a_stamp_that_goes_back_now_and_then_is_dropped_and_one_that_stays_is_named_3():
    stamps = RosStamps(True)
    assert stamps.capture_ns(WALL_NS, WALL_NS, NOW_NS) is not None
    assert stamps.capture_ns(WALL_NS - MS, WALL_NS + 33 * MS, NOW_NS + 33 * MS) is None
    assert stamps.capture_ns(WALL_NS + 66 * MS, WALL_NS + 66 * MS, NOW_NS + 66 * MS) is not None
    assert stamps.dropped == 1
    for count in range(3, 2 + MOST_DROPPED):
        at = count * 33 * MS
        assert stamps.capture_ns(WALL_NS + 66 * MS, WALL_NS + at, NOW_NS + at) is None
    with pytest.raises(WrongClock, match="stand still"):
        stamps.capture_ns(WALL_NS + 66 * MS, WALL_NS + 500 * MS, NOW_NS + 500 * MS)


def test_by_arrival_the_header_does_not_count():
    stamps = RosStamps(False)
    assert stamps.capture_ns(0, WALL_NS, NOW_NS) == NOW_NS
    assert stamps.capture_ns(0, WALL_NS, NOW_NS + 1) == NOW_NS + 1
