"""How an error becomes the end of a drive."""

import pytest

from edge.errors import BundleRefused, EngineFault, HardwareMissing, MotorFault, SafetyStop, StaleFrame
from edge.records import Outcome, StopCause
from edge.runtime.ending import DriveStop, ending_of


@pytest.mark.parametrize(
    ("error", "cause", "exit_code"),
    [
        (StaleFrame("old"), StopCause.STALE_FRAME, 4),
        (MotorFault("gone"), StopCause.MOTOR_FAULT, 4),
        (EngineFault("NaN"), StopCause.ENGINE_FAULT, 4),
        (HardwareMissing("no port"), StopCause.HARDWARE_MISSING, 5),
        (DriveStop(StopCause.LOW_BATTERY, "battery at 5%"), StopCause.LOW_BATTERY, 4),
        (SafetyStop("something"), StopCause.NONE, 4),
        (BundleRefused("cut short"), StopCause.NONE, 6),
    ],
)
def test_each_error_has_its_cause_and_exit_code(error: Exception, cause: StopCause, exit_code: int):
    end = ending_of(error)
    assert (end.outcome, end.cause, end.exit_code) == (Outcome.FAULT, cause, exit_code)
    assert end.reason == str(error)


def test_a_signal_stops_and_a_bug_is_a_fault():
    end = ending_of(KeyboardInterrupt("SIGTERM"))
    assert (end.outcome, end.cause, end.reason) == (Outcome.STOPPED, StopCause.INTERRUPTED, "SIGTERM")
    assert end.exit_code == 130
    bug = ending_of(ZeroDivisionError("division by zero"))
    assert (bug.outcome, bug.exit_code) == (Outcome.FAULT, 1)
    assert bug.reason == "unexpected ZeroDivisionError: division by zero"
