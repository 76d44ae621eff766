"""The driver of a package, held to the contract of motors: what it returns, what it raises."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from edge.errors import HardwareMissing, PluginError
from edge.interfaces import Feedback, KnowsSideways
from edge.motor.drivers.packaged import PackagedMotors
from edge.records import ZERO, Odometry, Velocity

SENT = Velocity(0.1, 0.0, 0.2)
MEASURED = Odometry(1, 0.0, 0.0, 0.0, ZERO)
FEEDBACK = Feedback(True, MEASURED, 0.5, about="a base")


@dataclass
class VendorMotors:
    """Returns what it is given, and raises what it is given as an error."""

    sent: Any = SENT
    feedback: Any = FEEDBACK
    max_rate_hz: Any = 50.0
    error: BaseException | None = None

    def _raise(self) -> None:
        if self.error is not None:
            raise self.error

    def arm(self) -> None:
        self._raise()

    def write(self, command: Velocity) -> Any:
        self._raise()
        return self.sent

    def stop(self) -> None:
        self._raise()

    def read(self) -> Any:
        self._raise()
        return self.feedback

    def close(self) -> None:
        self._raise()


def test_what_keeps_the_contract_comes_through_as_it_is():
    vendor = VendorMotors()
    motors = PackagedMotors(vendor, "vendor://1")
    assert motors.write(ZERO) is vendor.sent and motors.read() is vendor.feedback
    assert motors.max_rate_hz == 50.0 and not isinstance(motors, KnowsSideways)
    vendor.feedback = replace(vendor.feedback, odometry=replace(MEASURED, x_m=float("nan")))
    assert motors.read() is vendor.feedback, "a value that is not finite is the watch's to judge"


@pytest.mark.parametrize("sideways", [True, False])
def test_what_it_knows_of_going_sideways_comes_through(sideways: bool):
    vendor = VendorMotors()
    vendor.sideways = sideways  # type: ignore[attr-defined]
    motors = PackagedMotors(vendor, "vendor://1")
    assert isinstance(motors, KnowsSideways) and motors.sideways is sideways


@pytest.mark.parametrize("error", [ValueError("no register 7"), SystemExit("no register 7")])
def test_what_it_raises_names_address_class_and_message(error: BaseException):
    motors = PackagedMotors(VendorMotors(error=error), "vendor://me:secret@bus")
    for call in (motors.arm, lambda: motors.write(ZERO), motors.read, motors.stop, motors.close):
        with pytest.raises(PluginError, match=f"{type(error).__name__}: no register 7") as caught:
            call()
        assert "motors 'vendor://…@bus'" in caught.value.message and "secret" not in caught.value.message
        assert ".VendorMotors) fails" in caught.value.message


def test_an_error_of_ours_stays_what_it_is():
    gone = HardwareMissing("the line is gone")
    with pytest.raises(HardwareMissing) as caught:
        PackagedMotors(VendorMotors(error=gone), "vendor://1").read()
    assert caught.value is gone


@pytest.mark.parametrize("sent", [None, (0.1, 0.0, 0.2), Velocity(float("nan")), Velocity("0.1")])  # type: ignore[arg-type]
def test_a_write_that_does_not_return_what_was_sent_is_a_breach(sent: Any):
    with pytest.raises(PluginError, match=r"its write returned .*, not the Velocity that was sent"):
        PackagedMotors(VendorMotors(sent=sent), "vendor://1").write(ZERO)


@pytest.mark.parametrize("rate_hz", [None, "50", 0.0, float("nan"), True])
def test_a_rate_that_is_none_is_a_breach(rate_hz: Any):
    with pytest.raises(PluginError, match="max_rate_hz"):
        PackagedMotors(VendorMotors(max_rate_hz=rate_hz), "vendor://1")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("armed", 1),
        ("battery_fraction", 87),
        ("battery_fraction", -0.1),
        ("battery_fraction", float("nan")),
        ("battery_fraction", "0.5"),
        ("battery_fraction", True),
        ("odometry", (0.0, 0.0, 0.0)),
        ("odometry", replace(MEASURED, stamp_ns=0.5)),  # type: ignore[arg-type]
        ("odometry", replace(MEASURED, x_m=None)),  # type: ignore[arg-type]
        ("odometry", replace(MEASURED, velocity=None)),  # type: ignore[arg-type]
        ("odometry", replace(MEASURED, velocity=Velocity("0"))),  # type: ignore[arg-type]
        ("fault", None),
        ("about", b"a base"),
        ("warning", 3),
    ],
)
def test_feedback_of_another_type_or_range_is_a_breach_that_names_the_field(field: str, value: Any):
    vendor = VendorMotors()
    vendor.feedback = replace(vendor.feedback, **{field: value})
    with pytest.raises(PluginError, match=f"the Feedback of its read has {field} = "):
        PackagedMotors(vendor, "vendor://1").read()


def test_anything_but_feedback_is_a_breach():
    with pytest.raises(PluginError, match=r"its read returned \{'armed': True\}, not an"):
        PackagedMotors(VendorMotors(feedback={"armed": True}), "vendor://1").read()
