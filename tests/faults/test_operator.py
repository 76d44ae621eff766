"""Faults 53 to 57: the operator. Gamepads are named pipes, with what the kernel would send."""

import os
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from sim.faults.gamepad import PRETENDED, Pad
from tests.faults.conftest import FaultRecord
from tests.faults.rig import RAMP_MS, SLACK_MS, Rig
from tests.waiting import until

pytestmark = [pytest.mark.realtime, pytest.mark.timeout(400)]
HEARD_MS = 100


@pytest.fixture
def pad(tmp_path: Path) -> Iterator[Pad]:
    with Pad(tmp_path) as made:
        yield made


@pytest.mark.slow
@pytest.mark.fault(53, "emergency stop, and its reset")
def test_an_emergency_stop_stays_when_it_is_released(rig: Rig, fault: FaultRecord):
    with rig.rover() as run:
        run.drive.until_it_turns()
        pressed_ns = time.monotonic_ns()
        run.rover.tell("emergency 1")
        time.sleep(0.5)
        run.rover.tell("emergency 0")
        end = run.drive.end()
    end.check("base_fault", 4, "emergency stop", "hint: ")
    fault.said(end)
    fault.zero(run.drive.zero_after_ms(pressed_ns), HEARD_MS + RAMP_MS + SLACK_MS)


@pytest.mark.slow
@pytest.mark.fault(54, "emergency stop's link lost")
def test_a_gamepad_that_is_gone_stops_the_base_for_good(rig: Rig, fault: FaultRecord, pad: Pad):
    with rig.rover("--gamepad", str(pad.path), **PRETENDED) as run:
        run.drive.until_it_turns()
        lost_ns = time.monotonic_ns()
        pad.close()
        end = run.drive.end()
    end.check("operator_lost", 4, "gamepad is gone")
    fault.said(end)
    fault.zero(run.drive.zero_after_ms(lost_ns), HEARD_MS + RAMP_MS + SLACK_MS)


@pytest.mark.slow
@pytest.mark.fault(55, "Ctrl-C, SIGTERM, terminal closed")
def test_signals_stop_the_base_first(rig: Rig, fault: FaultRecord):
    """To the whole group, twice, as a terminal and an impatient person send them."""
    worst_ms = 0.0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with rig.rover() as run:
            run.drive.until_it_turns()
            asked_ns = time.monotonic_ns()
            for _ in range(2):
                os.killpg(run.drive.child.pid, number)
            end = run.drive.end()
        end.check("interrupted", 130, number.name)
        assert not end.err
        fault.said(end)
        worst_ms = max(worst_ms, run.drive.zero_after_ms(asked_ns))
        fault.zero(worst_ms, HEARD_MS + RAMP_MS + SLACK_MS)


@pytest.mark.slow
@pytest.mark.fault(56, "manual takeover")
def test_a_stick_drives_ahead_of_the_policy(rig: Rig, fault: FaultRecord, pad: Pad):
    """The policy turns to the left all the time; the stick turns to the right."""
    with rig.rover("--gamepad", str(pad.path), "--max-seconds", "5", **PRETENDED) as run:
        run.drive.until_it_turns()
        taken_ns = time.monotonic_ns()
        pad.turn(0.6)
        until(lambda: any(line["angular_z"] < -0.3 for line in run.drive.setpoints(taken_ns)))
        pad.turn(0.0)
        returned_ns = time.monotonic_ns()
        end = run.drive.end()
    end.check_went_on()
    fault.said("drives as the stick says, and by the policy again 0.5 s after it")
    turns = [line["angular_z"] for line in run.drive.setpoints(taken_ns)]
    assert any(line["angular_z"] > 0.59 for line in run.drive.setpoints(returned_ns))
    assert all(abs(after - before) < 0.35 for before, after in pairwise(turns))


@pytest.mark.slow
@pytest.mark.fault(57, "start with a command that is not zero")
def test_a_stick_that_is_off_its_centre_at_the_start_moves_nothing(rig: Rig, fault: FaultRecord, pad: Pad):
    """It asks for full turns to the right; the policy turns to the left, from zero on."""
    env = {**PRETENDED, "VLA_EDGE_STICK": "1"}
    with rig.rover("--gamepad", str(pad.path), "--max-seconds", "3", **env) as run:
        end = run.drive.end()
    end.check_went_on()
    fault.said("the stick counts once it has been at its centre")
    turns = [line["angular_z"] for line in run.drive.setpoints() if line["armed"]]
    first = next(turn for turn in turns if turn)
    assert turns[0] == 0 and min(turns) >= 0 and first < 0.2 and max(turns) > 0.59
