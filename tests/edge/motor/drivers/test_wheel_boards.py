"""Both boards with two wheels in trouble: restarts, silence, noise, wrong firmware, a runtime that dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.errors import HardwareMissing, MotorFault, UsageError
from edge.interfaces import Motors
from edge.motor.client import MotorProcess
from edge.motor.drivers.open import open_motors
from edge.motor.limits import MotorLimits
from edge.records import ZERO, MotorState, Odometry, StopCause, Velocity
from tests.board_process import REPO
from tests.edge.motor.drivers.driver_contract import FORWARD, armed
from tests.edge.motor.drivers.wheel_boards import WheelBoard
from tests.edge.motor.motor_runtime import arm, fresh_chunk
from tests.waiting import alive, until

KINDS = ("arduino", "waveshare")
TWO_WHEELS = MotorLimits(sideways=False)
SLACK_MS = 40


@pytest.fixture(params=KINDS)
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WheelBoard]:
    with WheelBoard(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def motors(board: WheelBoard) -> Iterator[Motors]:
    with open_motors(board.address) as opened:  # type: ignore[attr-defined]
        yield opened


def drive(motors: Motors, seconds: float, velocity: Velocity = FORWARD) -> None:
    for _ in range(round(seconds * 50)):
        motors.write(velocity)
        motors.read()
        time.sleep(0.02)


def test_the_base_moves_as_told_and_says_so(board: WheelBoard, motors: Motors):
    found: list[Odometry] = []

    def moves_as_told() -> bool:
        armed(motors)  # also where a busy machine has kept the board silent for too long
        drive(motors, 0.2)
        odometry = motors.read().odometry
        assert odometry is not None
        found.append(odometry)
        told, measured = FORWARD, odometry.velocity
        return measured.linear_x_m_s == pytest.approx(
            told.linear_x_m_s, abs=0.03
        ) and measured.angular_z_rad_s == pytest.approx(told.angular_z_rad_s, abs=0.1)

    until(lambda: moves_as_told() and found[-1].x_m > 0.1)
    assert found[-1].yaw_rad == pytest.approx(-1.5 * found[-1].x_m, abs=0.13)  # 1 cm of a wheel is 0.06 rad


def test_a_board_that_restarts_stays_disarmed_until_told_to_stand(board: WheelBoard, motors: Motors):
    """Fault 41."""
    armed(motors)
    drive(motors, 0.5)
    assert board.velocity() != ZERO
    board.tell("reboot")
    until(lambda: motors.write(FORWARD) is not None and not motors.read().armed)
    until(lambda: motors.write(FORWARD) == ZERO == board.velocity())
    for _ in range(60):  # asked again and again, and told to move all the while
        motors.arm()
        motors.write(FORWARD)
        assert not motors.read().armed and board.velocity() == ZERO
        time.sleep(0.02)
    armed(motors)
    drive(motors, 0.1)
    assert board.velocity() != ZERO
    found = motors.read().odometry
    assert found is not None and found.x_m > 0.06  # it goes on from where it was


def test_a_restart_that_is_quicker_than_any_silence_is_noticed(board: WheelBoard, motors: Motors):
    """Fault 41: by what the board says, or by counters that begin anew."""
    armed(motors)
    drive(motors, 1.0, Velocity(0.4))
    board.tell("reboot 0.02")
    until(lambda: motors.write(FORWARD) is not None and not motors.read().armed)
    until(lambda: motors.write(FORWARD) == ZERO == board.velocity())


def test_a_board_that_falls_silent_is_a_fault(board: WheelBoard, motors: Motors):
    armed(motors)
    board.tell("muted 1")
    until(lambda: motors.write(FORWARD) is not None and bool(motors.read().fault))
    feedback = motors.read()
    assert "no answer from the base for 0." in feedback.fault and "limit 0.5 s" in feedback.fault
    assert not feedback.armed
    board.tell("muted 0")
    until(lambda: motors.write(FORWARD) is not None and not motors.read().fault)
    motors.arm()
    assert not motors.read().armed


def test_noise_on_the_line_neither_stops_nor_misleads(board: WheelBoard, motors: Motors):
    """Fault 38."""
    armed(motors)
    for _ in range(5):
        board.tell("noise")
        drive(motors, 0.1)
        feedback = motors.read()
        assert feedback.armed and not feedback.fault
    found = motors.read().odometry
    assert found is not None and 0 < found.x_m < 0.5


def test_sideways_never_reaches_the_wheels(board: WheelBoard, motors: Motors):
    armed(motors)
    with pytest.raises(MotorFault, match="sideways"):
        motors.write(Velocity(0.0, 0.2, 0.0))


def test_a_wrong_baud_rate_is_named(board: WheelBoard):
    board.tell("garbage 1")
    board.tell("reporting 1" if board.address.startswith("wave") else "motors 1")
    with pytest.raises(HardwareMissing, match=r"no answer from the base within 0\.8 s; .*not text") as caught:
        open_motors(board.address.replace("timeout_s=9", "timeout_s=0.8"))
    assert "baud" in caught.value.hint


def test_a_dead_board_is_named(board: WheelBoard):
    board.tell("muted 1")
    with pytest.raises(HardwareMissing, match=r"within 0\.3 s; nothing came") as caught:
        open_motors(board.address.replace("timeout_s=9", "timeout_s=0.3"))
    assert "powered" in caught.value.hint


def test_another_firmware_is_quoted(board: WheelBoard):
    board.tell("muted 1")
    address = board.address.replace("timeout_s=9", "timeout_s=1")
    command = [
        sys.executable,
        "-c",
        f"from edge.motor.drivers.open import open_motors; open_motors({address!r})",
    ]
    child = subprocess.Popen(command, cwd=REPO, stderr=subprocess.PIPE, text=True)
    while child.poll() is None:
        board.tell("say Grbl 1.1h")
        time.sleep(0.05)
    assert child.stderr is not None
    with child.stderr:
        assert "it says 'Grbl 1.1h'" in child.stderr.read()


def test_a_board_that_is_still_starting_is_waited_for(board: WheelBoard):
    board.tell("reboot 0.6")
    with open_motors(board.address) as motors:  # type: ignore[attr-defined]
        assert not motors.read().fault


def test_firmware_without_motors_is_named(tmp_path: Path):
    with WheelBoard("arduino", tmp_path, "timeout_s=0.8") as board:
        board.tell("motors 0")
        with pytest.raises(HardwareMissing, match="Invalid Command") as caught:
            open_motors(board.address)
    assert "USE_BASE" in caught.value.hint


@pytest.mark.parametrize(("volts", "fraction"), [(12.6, 1.0), (11.1, 0.5), (9.6, 0.0), (0.0, None)])
def test_volts_are_a_battery_only_with_the_number_of_cells(
    tmp_path: Path, volts: float, fraction: float | None
):
    with WheelBoard("waveshare", tmp_path) as board:
        board.tell(f"volts {volts}")
        with open_motors(board.address) as motors:  # type: ignore[attr-defined]
            assert motors.read().battery_fraction is None
        with open_motors(f"{board.address}&cells=3") as motors:  # type: ignore[attr-defined]
            assert motors.read().battery_fraction == (fraction and pytest.approx(fraction, abs=0.01))


def test_a_number_of_cells_that_the_voltage_denies_is_refused(tmp_path: Path):
    with WheelBoard("waveshare", tmp_path) as board:
        for _ in range(2):  # and the port is free again
            with pytest.raises(UsageError, match=r"11\.8 V are not those of 2 cells: 5\.9 V each"):
                open_motors(f"{board.address}&cells=2")


def test_a_board_without_encoders_measures_no_motion(tmp_path: Path):
    with WheelBoard("waveshare", tmp_path) as board:
        board.tell("encoders 0")
        with open_motors(f"{board.address}&cells=3") as motors:  # type: ignore[attr-defined]
            armed(motors)
            drive(motors, 0.2)
            feedback = motors.read()
            assert feedback.odometry is None and feedback.battery_fraction == pytest.approx(0.73, abs=0.01)
            assert feedback.armed and board.velocity() != ZERO


def test_an_echo_is_not_taken_for_an_answer(tmp_path: Path):
    with WheelBoard("waveshare", tmp_path) as board:
        board.tell("echo 1")
        with open_motors(board.address) as motors:  # type: ignore[attr-defined]
            board.tell("echo 1")
            armed(motors)
            drive(motors, 0.2)
            assert motors.read().armed


@pytest.mark.realtime
@pytest.mark.parametrize("trouble", ["stuck 1", "drift_m_s -0.3"])
def test_a_base_that_moves_otherwise_is_stopped(board: WheelBoard, trouble: str):
    """Fault 42."""
    with MotorProcess.start(board.address, TWO_WHEELS) as motor:
        arm(motor)
        board.tell(trouble)
        for i in range(250):
            motor.send(fresh_chunk(i))
            time.sleep(0.02)
            if motor.status().state is MotorState.LATCHED:
                break
        assert motor.status().cause is StopCause.BASE_DISAGREES
        assert board.velocity() == ZERO


def test_a_robot_that_is_stated_to_go_sideways_is_refused_before_anything_moves(board: WheelBoard):
    with pytest.raises(UsageError, match="can't go sideways") as caught:
        MotorProcess.start(board.address)
    assert "differential" in caught.value.hint and board.velocity() == ZERO


@pytest.mark.realtime
def test_the_guard_cuts_sideways_for_these_wheels(board: WheelBoard):
    with MotorProcess.start(board.address, TWO_WHEELS) as motor:
        arm(motor)
        for i in range(30):
            motor.send(fresh_chunk(i, (0.2, 0.3, 0.0)))
            time.sleep(0.02)
        status = motor.status()
        assert status.state is MotorState.FOLLOWING and "limited" in status.reason
        assert status.sent.linear_y_m_s == 0 and board.velocity().linear_x_m_s > 0.1


@pytest.mark.realtime
def test_a_runtime_that_is_killed_leaves_a_base_that_stands(board: WheelBoard):
    """Fault 35: zero within 50 ms and the 250 ms of braking."""
    command = [sys.executable, "-m", "tests.edge.motor.motor_runtime", board.address, TWO_WHEELS.to_json()]
    child = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert child.stdout is not None
    with child.stdout:
        motor_pid = int(child.stdout.readline())
        until(lambda: board.velocity().linear_x_m_s > 0.4)
        killed_ns = time.monotonic_ns()
        child.kill()
        child.wait()
        until(lambda: not alive(motor_pid) and board.velocity() == ZERO)
    after = [line for line in board.lines() if line["stamp_ns"] > killed_ns]
    stood = next(line for line in after if line["left_m_s"] == line["right_m_s"] == 0)
    took_ms = (stood["stamp_ns"] - killed_ns) / 1e6
    print(f"zero after {took_ms:.0f} ms")
    assert took_ms <= 300 + SLACK_MS
    assert after[-1]["left_m_s"] == after[-1]["right_m_s"] == 0


@pytest.mark.realtime
@pytest.mark.parametrize(("kind", "limit_ms"), [("waveshare", 300), ("arduino", 2000)])
def test_the_board_stops_by_itself_when_the_motor_process_is_killed(kind: str, limit_ms: int, tmp_path: Path):
    with WheelBoard(kind, tmp_path) as board:
        motor = MotorProcess.start(board.address, TWO_WHEELS)
        arm(motor)
        for i in range(40):
            motor.send(fresh_chunk(i))
            time.sleep(0.02)
        os.kill(motor.pid, signal.SIGKILL)
        killed_ns = time.monotonic_ns()
        until(lambda: board.velocity() == ZERO)
        took_ms = (board.lines()[-1]["stamp_ns"] - killed_ns) / 1e6
        print(f"the board stood after {took_ms:.0f} ms")
        assert took_ms <= limit_ms + SLACK_MS
        motor.close()
