"""Which policies drive a base without odometry, and what a person is told."""

import time
from types import SimpleNamespace

import pytest

from edge.errors import UsageError
from edge.policies import odometry
from edge.policies.describer import Surveyor
from edge.policies.instructed import InstructedDriver
from edge.policies.odometry import odometry_cautions
from edge.policies.seeker import Seeker
from edge.records import ZERO, Goal, Odometry

FIND = Goal("find_object", "cup")


class Reports:
    """A motor process whose base has odometry from its `after`th report on; never if None."""

    def __init__(self, after: int | None = None) -> None:
        self.after, self.reports = after, 0

    def status(self) -> SimpleNamespace:
        self.reports += 1
        measures = self.after is not None and self.reports > self.after
        return SimpleNamespace(odometry=Odometry(1, 0.0, 0.0, 0.0, ZERO) if measures else None)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(odometry, "WAIT_S", 0.05)


def asked(policy: object, goal: Goal, motor: Reports) -> tuple[str, ...]:
    return odometry_cautions(policy, goal, motor, lambda: None)  # type: ignore[arg-type]


def plain(**facts: object) -> SimpleNamespace:
    return SimpleNamespace(**facts)


def test_a_seeker_is_refused_and_says_what_it_needs_odometry_for():
    seeker = object.__new__(Seeker)
    with pytest.raises(
        UsageError, match=r"no odometry: .* can't drive without: it counts its turns"
    ) as caught:
        asked(seeker, FIND, Reports())
    assert caught.value.exit_code == 2 and "--bundle head" in caught.value.hint


def test_odometry_may_take_a_moment():
    motor = Reports(after=3)
    assert asked(object.__new__(Seeker), FIND, motor) == () and motor.reports == 4


def test_what_needs_none_goes_on_with_a_caution():
    (caution,) = asked(plain(needs_odometry=False, without_odometry="slower"), FIND, Reports())
    assert caution == "no odometry: nothing checks that the base moves as told; slower"
    (caution,) = asked(object.__new__(InstructedDriver), Goal("instruct", "go"), Reports())
    assert caution == "no odometry: nothing checks that the base moves as told"


def test_a_look_round_does_not_turn_without_odometry_and_says_so():
    surveyor = object.__new__(Surveyor)
    surveyor.looks_round = True
    (caution,) = asked(surveyor, Goal("describe_scene"), Reports())
    assert "the base does not turn" in caution


def test_a_goal_that_moves_nothing_needs_nothing_and_waits_for_nothing():
    motor = Reports()
    assert asked(plain(), Goal("identify_main_object"), motor) == () and motor.reports == 0


def test_ctrl_c_ends_the_wait(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(odometry, "WAIT_S", 60.0)

    def interrupted() -> None:
        raise KeyboardInterrupt

    began_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        odometry_cautions(plain(), FIND, Reports(), interrupted)  # type: ignore[arg-type]
    assert time.monotonic() - began_s < 30
