"""What every driver must do, whatever it moves. A new one is a `DriverCase` in `test_contract.py`."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from edge.errors import EdgeError, HardwareMissing, MotorFault, UsageError
from edge.interfaces import Closing, Motors
from edge.motor.drivers.open import open_motors
from edge.records import ZERO, Velocity
from tests.waiting import until

PATIENCE_S = 5.0
FORWARD = Velocity(0.2, 0.0, -0.3)


class FarEnd(Protocol):
    """The base at the other end of the line."""

    address: str

    def velocity(self) -> Velocity:
        """Return what the base was last told to do."""
        ...

    def unplug(self) -> None:
        """Pull the cable."""
        ...


@dataclass(frozen=True)
class DriverCase:
    """A driver as the contract sees it."""

    scheme: str
    far_end: Callable[[Path], AbstractContextManager[FarEnd]]
    malformed: tuple[str, ...]
    missing: tuple[str, ...]  # well-formed addresses of what is not there
    moves: bool = True  # False: there is no base that could move or vanish
    exclusive: bool = True  # False: nothing keeps a second driver from opening the address
    press: Callable[[Any, bool], None] | None = (
        None  # presses the far end's bumper, or lets it go; None: none
    )


def armed(motors: Motors) -> None:
    """Ask until the base says that it is armed, as the motor process does."""

    def ask() -> bool:
        motors.write(ZERO)
        motors.arm()
        feedback = motors.read()
        return feedback.armed and not feedback.fault

    until(ask)


class DriverContract:
    """The tests. A subclass gives them `case` by a parameter."""

    @pytest.fixture
    def base(self, case: DriverCase, tmp_path: Path):
        with case.far_end(tmp_path) as base:
            yield base

    @pytest.fixture
    def motors(self, base: FarEnd):
        opened = open_motors(base.address)
        yield opened
        opened.stop()
        opened.close()

    def test_a_malformed_address_is_bad_usage(self, case: DriverCase):
        for address in case.malformed:
            with pytest.raises(UsageError, match="motors address"):
                open_motors(address)

    def test_what_is_not_there_is_missing_hardware(self, case: DriverCase):
        for address in case.missing:
            with pytest.raises(HardwareMissing, match="motors") as caught:
                open_motors(address)
            assert caught.value.hint

    def test_it_says_how_many_setpoints_its_line_carries(self, motors: Motors):
        assert motors.max_rate_hz >= 50  # what the motor process sends if nobody says otherwise

    def test_it_starts_disarmed_and_standing(self, motors: Motors, base: FarEnd):
        assert not motors.read().armed
        assert base.velocity() == ZERO

    def test_it_arms_when_asked(self, motors: Motors):
        armed(motors)
        assert motors.read().armed

    def test_a_setpoint_reaches_the_base_and_what_was_sent_is_returned(
        self, case: DriverCase, motors: Motors, base: FarEnd
    ):
        armed(motors)
        sent = motors.write(FORWARD)
        assert all(abs(a) <= abs(b) for a, b in zip(astuple(sent), astuple(FORWARD), strict=True))

        def arrived() -> bool:
            motors.write(FORWARD)
            return astuple(base.velocity()) == pytest.approx(astuple(sent), abs=1e-3)

        if case.moves:
            until(arrived)
        assert base.velocity() == ZERO or case.moves

    def test_stop_sends_zero_and_disarms(self, motors: Motors, base: FarEnd):
        armed(motors)
        motors.write(FORWARD)
        motors.stop()

        def disarmed() -> bool:
            motors.write(ZERO)  # some bases only answer, and one with a fault may be only silent
            feedback = motors.read()
            return not feedback.armed and not feedback.fault

        until(lambda: base.velocity() == ZERO)
        until(disarmed)
        motors.stop()  # a second time harms nothing
        until(lambda: base.velocity() == ZERO)

    def test_a_disarmed_base_does_not_move(self, motors: Motors, base: FarEnd):
        for _ in range(10):
            motors.write(FORWARD)
            time.sleep(0.005)
            assert base.velocity() == ZERO

    def test_what_the_base_measures_is_finite_and_only_grows_in_time(self, motors: Motors):
        found = []
        for _ in range(20):
            motors.write(ZERO)
            if (odometry := motors.read().odometry) is not None:
                found.append(odometry)
            time.sleep(0.01)
        stamps = [each.stamp_ns for each in found]
        assert stamps == sorted(stamps)
        assert all(math.isfinite(each.x_m + each.y_m + each.yaw_rad) for each in found)
        battery = motors.read().battery_fraction
        assert battery is None or 0 <= battery <= 1

    def test_a_bumper_is_told_of_while_it_is_pressed(self, case: DriverCase, motors: Motors, base: FarEnd):
        armed(motors)
        if case.press is None:
            assert motors.read().bumper is None
            return
        for pressed in (False, True, False):
            case.press(base, pressed)
            until(lambda pressed=pressed: motors.write(ZERO) == ZERO and motors.read().bumper is pressed)

    def test_a_line_that_is_gone_raises_on_use_and_never_on_stop(
        self, case: DriverCase, motors: Motors, base: FarEnd
    ):
        armed(motors)
        base.unplug()
        if case.moves:
            with pytest.raises((HardwareMissing, MotorFault)) as caught:
                until(lambda: motors.write(ZERO) is None)
            assert caught.value.hint
            with pytest.raises((HardwareMissing, MotorFault)):
                until(lambda: bool(motors.read().fault) and motors.write(ZERO) is None)
        motors.stop()
        motors.stop()

    def test_an_actuator_belongs_to_one_driver_and_is_free_once_that_is_closed(
        self, case: DriverCase, base: FarEnd
    ):
        with open_motors(base.address) as first:
            if case.exclusive:
                with pytest.raises(HardwareMissing, match="taken"):
                    open_motors(base.address)
            assert not first.read().armed
        open_motors(base.address).close()

    def test_it_can_be_closed_twice_and_stopped_after_that(self, base: FarEnd):
        with open_motors(base.address) as motors:
            assert isinstance(motors, Closing)
            motors.close()
            motors.close()
            motors.stop()

    def test_what_a_failed_opening_held_is_free_again(self, case: DriverCase, base: FarEnd):
        for address in case.missing:
            for _ in range(2):
                with pytest.raises(EdgeError) as caught:
                    open_motors(address)
                assert "taken" not in caught.value.message
