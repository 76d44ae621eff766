"""How well a target is followed: a share of the time, and how the drive would end."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.policies.seeker_states import KeptDistance, SeekerParams
from edge.records import Outcome
from tests.edge.policies.test_stopping import Base

PERIOD_NS = 100_000_000
NEAR, FAR, ASIDE = (1.1, 0.0), (1.6, 0.0), (1.0, 0.4)


def kept(*targets: tuple[float, float] | None) -> KeptDistance:
    """Return what was measured when each of them held for a period."""
    measured = KeptDistance(SeekerParams())
    for index, target in enumerate((*targets, targets[-1])):
        measured.update(index * PERIOD_NS, target)
    return measured


@pytest.mark.parametrize(
    ("targets", "fraction", "outcome", "says"),
    [
        ((NEAR, NEAR), 1.0, Outcome.FOLLOWED, "100 % of the time"),
        ((None, FAR, NEAR, NEAR), 0.5, Outcome.FOLLOWED, "50 % of the time"),
        ((NEAR, None), 0.5, Outcome.TIMEOUT, "has lost it"),
        ((FAR, FAR), 0.0, Outcome.TIMEOUT, "still on the way"),
        ((ASIDE, ASIDE), 0.0, Outcome.TIMEOUT, "still on the way"),
        ((None, None), 0.0, Outcome.TIMEOUT, "was not found"),
    ],
)
def test_only_who_keeps_its_distance_to_the_end_has_followed(
    targets: tuple[tuple[float, float] | None, ...], fraction: float, outcome: Outcome, says: str
):
    measured = kept(*targets)
    end = measured.ending("cup")
    assert (measured.fraction, end.outcome) == (fraction, outcome)
    assert end.reason.startswith("cup") and says in end.reason


POSITIONS = st.one_of(st.none(), st.tuples(st.floats(0, 5), st.floats(-math.pi, math.pi)))


@given(st.lists(POSITIONS, min_size=1, max_size=20))
def test_the_share_is_that_of_the_periods_that_count(targets: list[tuple[float, float] | None]):
    params = SeekerParams()
    counted = sum(
        each is not None and abs(each[0] - 1.0) <= params.kept_m and abs(each[1]) <= params.kept_bearing_rad
        for each in targets
    )
    assert kept(*targets).fraction == round(counted / len(targets), 3)


def test_a_seeker_that_follows_says_how_well_and_one_that_finds_does_not():
    following = Base("follow_object")
    following.drive(400)
    status = following.seeker.status
    assert status.kept_fraction is not None and status.kept_fraction > 0.5
    assert status.at_limit is not None and status.at_limit.outcome is Outcome.FOLLOWED
    finding = Base()
    finding.drive(30)
    assert (finding.seeker.status.at_limit, finding.seeker.status.kept_fraction) == (None, None)
