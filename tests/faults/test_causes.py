"""What was late is named, in whole runs: the machine and the model; faults 6 and 8 name stamps and camera."""

import contextlib
import os
import re
import signal
import time

import pytest

from tests.faults.rig import SLACK_MS, MissedBound, Rig

pytestmark = [pytest.mark.realtime, pytest.mark.slow, pytest.mark.timeout(400)]
HALT_S, BETWEEN_S = 0.25, 0.4


def test_row_35_a_machine_that_halts_again_and_again_is_named(rig: Rig):
    """Its processes are stopped all at once; the camera, in the process of the test, goes on."""
    with rig.rover("--max-seconds", "20", mode="quick") as run:
        run.drive.broke_ns()
        pids = [run.drive.child.pid, run.drive.pids["motor"]]
        while run.drive.child.poll() is None:
            for number, wait_s in ((signal.SIGSTOP, HALT_S), (signal.SIGCONT, BETWEEN_S)):
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):  # it has ended by now
                        os.kill(pid, number)
                time.sleep(wait_s)
        end = run.drive.end()
    if end.cause in ("camera_slow", "motor_fault", None):
        raise MissedBound(f"the machine was busy: {end.told}")
    assert (end.cause, end.code) == ("machine_slow", 4), end.err
    halted = re.match(r"this machine halted for (\d+) ms \(limit 125 ms\), (once|\d+ times) in", end.told)
    # The thread's wake-up is due up to 20 ms after the halt began, and a busy machine obeys SIGSTOP later.
    assert halted is not None and int(halted[1]) >= 1e3 * HALT_S - 20 - SLACK_MS, end.told
    assert "hint: not the model and not the camera: close what else uses this machine" in end.err


def test_a_model_that_gets_slow_is_named_with_its_time(rig: Rig):
    with rig.rover("--max-seconds", "20", mode="slow") as run:
        run.drive.broke_ns()
        end = run.drive.end()
    end.check("model_silent", 4, "the model's answer takes ", "(limit 125 ms, usually ", "bench latency")
