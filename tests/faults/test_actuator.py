"""Faults 34 to 45: the runtime, the motor process, the line, and the base itself."""

import contextlib
import signal
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from edge.motor.way import BACK_RAD
from tests.faults.conftest import FaultRecord
from tests.faults.rig import AGE_MS, FIRMWARE_MS, RAMP_MS, SLACK_MS, AtRover, Rig, moving
from tests.waiting import alive, until

pytestmark = [pytest.mark.realtime, pytest.mark.timeout(400)]
HEARD_MS = 100  # from the base's word to the motor process


@contextlib.contextmanager
def turning(rig: Rig, *arguments: str, wired: str = "") -> Iterator[AtRover]:
    """Yield a run whose base turns."""
    with rig.rover(*arguments, wired=wired) as run:
        run.drive.until_it_turns()
        yield run


def check_what_the_base_says(
    rig: Rig, fault: FaultRecord, command: str, cause: str, said: str, bound_ms: float
) -> None:
    """Check that what the base reports stops it, latched, and ends the run."""
    with turning(rig) as run:
        told_ns = time.monotonic_ns()
        run.rover.tell(command)
        end = run.drive.end()
    end.check(cause, 4, said, "hint: ")
    fault.said(end)
    fault.zero(run.drive.zero_after_ms(told_ns), bound_ms)


@pytest.mark.slow
@pytest.mark.fault(34, "no fresh command")
def test_without_fresh_commands_the_base_stands_by_500_ms(rig: Rig, fault: FaultRecord):
    with rig.rover(mode="silent") as run:
        silent_ns = run.drive.broke_ns()
        end = run.drive.end()
    end.check("stale_chunk", 4)
    fault.said(end)
    fault.zero(run.drive.zero_after_ms(silent_ns), AGE_MS + SLACK_MS)


@pytest.mark.fault(35, "runtime SIGKILLed")
def test_the_motor_process_stops_a_base_whose_runtime_was_killed(rig: Rig, fault: FaultRecord):
    with rig.sim() as run:
        run.until_it_turns()
        pids = run.pids
        killed_ns = time.monotonic_ns()
        run.child.kill()
        fault.zero(run.zero_after_ms(killed_ns), 50 + RAMP_MS)
        until(lambda: not any(alive(pid) for pid in (pids["motor"], pids["sim"])))
        assert not run.setpoints()[-1]["armed"]
    fault.said("nothing: it is gone, and its folder has no summary.json")
    assert not (run.folder / "summary.json").exists()


@pytest.mark.slow
@pytest.mark.fault(36, "runtime SIGSTOPped")
def test_the_motor_process_stops_a_base_whose_runtime_stands_still(rig: Rig, fault: FaultRecord):
    with rig.sim() as run:
        run.until_it_turns()
        stopped_ns = time.monotonic_ns()
        run.child.send_signal(signal.SIGSTOP)
        fault.zero(run.zero_after_ms(stopped_ns), AGE_MS + SLACK_MS)
        run.child.send_signal(signal.SIGCONT)
        end = run.end()
    assert (end.code, end.summary["outcome"]) == (4, "fault"), end.err
    fault.said(end)
    run.zero_after_ms(stopped_ns)  # it stayed so


@pytest.mark.slow
@pytest.mark.fault(37, "cable out")
def test_a_cable_that_is_pulled_ends_the_run_and_the_base_stops_by_itself(rig: Rig, fault: FaultRecord):
    """The line is cut at a distance, so that the board lives on and tells what it did."""
    with turning(rig, wired="pty") as run:
        assert run.wire is not None
        cut_ns = time.monotonic_ns()
        run.wire.cut = True
        end = run.drive.end()
    assert (end.code, end.summary["outcome"]) == (4, "fault") and "hint: " in end.err, end.err
    fault.said(end)
    fault.zero(run.drive.zero_after_ms(cut_ns), FIRMWARE_MS + SLACK_MS)
    with turning(rig) as run:
        run.rover.tell("pull")  # the port itself goes
        gone = run.drive.end()
    assert gone.code in (4, 5) and "the port is gone" in gone.err, gone.err


@pytest.mark.slow
@pytest.mark.fault(38, "corrupted bytes")
def test_damaged_packets_move_nothing_else(rig: Rig, fault: FaultRecord):
    """Every fifth packet has a flipped byte; none of the others suffers, none of these counts."""
    with turning(rig, "--max-seconds", "4", wired="pty") as run:
        assert run.wire is not None
        damaged: list[bytes] = []

        def damage(packet: bytes) -> list[bytes]:
            if len(packet) < 12 or len(damaged) % 5 != 4:
                damaged.append(packet)
                return [packet]
            damaged.append(packet)
            at = 8 + len(damaged) % (len(packet) - 8)
            return [packet[:at] + bytes([packet[at] ^ 0x55]) + packet[at + 1 :]]

        run.wire.to_board = damage
        end = run.drive.end()
    end.check_went_on()
    fault.said("goes on; damaged packets are not obeyed")
    turns = [line["angular_z"] for line in run.drive.setpoints()]
    assert len(damaged) > 50 and min(turns) >= 0 and max(turns) < 0.601
    assert not any(line["linear_x"] or line["linear_y"] for line in run.drive.setpoints())


@pytest.mark.slow
@pytest.mark.fault(39, "packets repeated and replayed")
def test_packets_that_come_again_move_nothing(rig: Rig, fault: FaultRecord):
    """Each packet comes twice; and once it brakes, those from before are played again, a second long."""
    with turning(rig, wired="pty") as run:
        assert run.wire is not None
        run.wire.to_board = lambda packet: [packet, packet]
        time.sleep(0.5)
        assert run.drive.turns
        before = list(run.wire.sent)[-40:]
        stopped_ns = time.monotonic_ns()
        run.drive.child.send_signal(signal.SIGINT)
        until(lambda: not moving(run.drive.setpoints()[-1]))
        for packet in before:
            run.wire.tell_board(packet)
            time.sleep(0.02)
        end = run.drive.end()
    assert (end.code, end.cause) == (130, "interrupted"), end.err
    fault.said("nothing: they are not obeyed")
    fault.zero(run.drive.zero_after_ms(stopped_ns), 100 + RAMP_MS + SLACK_MS)


@pytest.mark.slow
@pytest.mark.fault(40, "write blocked")
def test_a_board_that_reads_no_more_ends_the_run(rig: Rig, fault: FaultRecord):
    """The board is dead, so nothing tells its speed: what counts is that nobody waits for it."""
    with turning(rig) as run:
        run.rover.tell("mute")
        muted_ns = time.monotonic_ns()
        end = run.drive.end()
        took_s = (time.monotonic_ns() - muted_ns) / 1e9
    assert end.code == 4 and "hint: " in end.err, end.err
    fault.said(end)
    assert took_s < 12


@pytest.mark.slow
@pytest.mark.fault(41, "board reboots")
def test_a_board_that_reboots_stays_disarmed(rig: Rig, fault: FaultRecord):
    check_what_the_base_says(rig, fault, "reboot", "base_disarmed", "the base disarmed itself", SLACK_MS)


@pytest.mark.slow
@pytest.mark.fault(42, "feedback disagrees with the command")
def test_a_base_that_does_not_follow_is_stopped(rig: Rig, fault: FaultRecord):
    """Something may hold it: so it stands, then turns back a little, and does not follow that either."""
    with turning(rig) as run:
        told_ns = time.monotonic_ns()
        run.rover.tell("stuck 1")
        end = run.drive.end()
    end.check("base_disagrees", 4, "does not follow its setpoints, neither on nor back", "hint: ")
    fault.said(end)
    lines = run.drive.setpoints(told_ns)
    stood = next(i for i, line in enumerate(lines) if not moving(line))
    fault.zero((lines[stood]["stamp_ns"] - told_ns) / 1e6, 300 + HEARD_MS + RAMP_MS + SLACK_MS)
    turns = [line["angular_z"] for line in lines[stood:]]
    seconds = [(b["stamp_ns"] - a["stamp_ns"]) / 1e9 for a, b in pairwise(lines[stood:])]
    turned_rad = sum(turn * each_s for turn, each_s in zip(turns, seconds, strict=False))
    assert max(turns) <= 0.0 and turns[-1] == 0.0
    assert -BACK_RAD - 0.02 <= turned_rad <= -BACK_RAD / 2
    assert not any(line["linear_x"] or line["linear_y"] for line in lines[stood:])


@pytest.mark.slow
@pytest.mark.fault(43, "heartbeat alive, decisions stale")
def test_chunks_about_an_old_frame_stop_the_base(rig: Rig, fault: FaultRecord):
    """New decisions keep coming, and all of them are about the frame of 1.5 s."""
    with rig.rover(mode="stale") as run:
        stale_ns = run.drive.broke_ns()
        end = run.drive.end()
    end.check("stale_chunk", 4, "newest frame is")
    fault.said(end)
    fault.zero(run.drive.zero_after_ms(stale_ns), AGE_MS + SLACK_MS)


@pytest.mark.slow
@pytest.mark.fault(44, "two owners of one port")
def test_a_second_run_at_the_same_port_is_refused(rig: Rig, fault: FaultRecord):
    with turning(rig, "--max-seconds", "20") as run:
        second = rig.refused("--motors", run.rover.uri)
        fault.said(second.check(5, "taken by another process"))
        assert moving(run.drive.setpoints()[-1]) or run.drive.child.poll() is not None
        run.drive.child.send_signal(signal.SIGINT)
        end = run.drive.end()
    end.check("interrupted", 130)


@pytest.mark.slow
@pytest.mark.fault(45, "battery low")
def test_a_low_battery_stops_the_base(rig: Rig, fault: FaultRecord):
    bound_ms = 1000 + HEARD_MS + RAMP_MS + SLACK_MS  # it is reported once a second
    check_what_the_base_says(rig, fault, "battery 0.05", "low_battery", "battery at 5% (limit 10%)", bound_ms)
