"""Who drives, as a run counts it."""

import pytest

from edge.motor.operator.interventions import MOST_STRETCHES, HandStretch, InterventionCount
from edge.records import MotorState, MotorStatus, Velocity

START_NS = 5_000_000_000


def counted(*by_hand: bool) -> InterventionCount:
    """Return the count of reports that come every 20 ms from the start on."""
    count = InterventionCount()
    for tick, hand in enumerate(by_hand):
        count.add(MotorStatus(START_NS + tick * 20_000_000, MotorState.FOLLOWING, Velocity(), by_hand=hand))
    return count


def test_takeovers_are_counted_with_their_times():
    told = counted(*[False] * 50, *[True] * 25, *[False] * 25, *[True] * 10, False).result(START_NS)
    assert (told.number, told.seconds) == (2, 0.7)
    assert told.stretches == (HandStretch(1.0, 0.5), HandStretch(2.0, 0.2))


def test_a_person_who_drives_to_the_end_is_counted_up_to_the_last_report():
    assert counted(False, True, True, True).result(START_NS).stretches == (HandStretch(0.02, 0.04),)


@pytest.mark.parametrize("reports", [0, 3])
def test_nobody_took_over(reports: int):
    told = counted(*[False] * reports).result(START_NS)
    assert (told.number, told.seconds, told.stretches) == (0, 0.0, ())


def test_a_stick_that_flickers_for_hours_keeps_no_more():
    told = counted(*[True, False] * (MOST_STRETCHES + 5)).result(START_NS)
    assert told.number == MOST_STRETCHES + 5 and len(told.stretches) == MOST_STRETCHES
    assert told.seconds == pytest.approx(0.02 * told.number)
