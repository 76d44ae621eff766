"""A start after a crash or a reboot: what the base was doing, and what a dead run left behind."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import cli
from edge.cameras.shm import FrameRing, ShmCamera
from edge.clock import MonotonicClock
from edge.errors import StaleFrame
from edge.motor.client import MotorProcess
from edge.motor.drivers.mavlink.stream import MavMessage, mav
from edge.motor.limits import MotorLimits
from edge.records import MotorState, Velocity
from tests.edge.motor.drivers.ardurover import on_serial
from tests.waiting import until

GOAL = ["--goal", "find_object", "--target", "red cup"]
DEAD = 2**22 + 1  # no process has this id: the kernel's own limit lies below


def test_a_base_that_moves_when_the_motor_process_starts_is_told_zero_before_anything_else():
    heard: list[MavMessage] = []
    with on_serial("?timeout_s=10") as base:
        obey = base.rover._obey

        def obey_and_note(message: MavMessage, now_ns: int) -> None:
            heard.append(message)
            obey(message, now_ns)

        base.rover._obey = obey_and_note
        base.switches.armed = True
        base.rover._setpoint_ns = 2**62  # it never stops by itself
        base.rover.velocity = Velocity(0.5, 0.0, 0.3)
        with MotorProcess.start(base.address, MotorLimits(sideways=False)) as motor:
            until(lambda: base.velocity() == Velocity())
            assert motor.status().state is MotorState.DISARMED
    said = [each for each in heard if not isinstance(each, mav.MAVLink_heartbeat_message)]
    setpoints = [each for each in said if isinstance(each, mav.MAVLink_set_position_target_local_ned_message)]
    assert said[0] is setpoints[0]
    assert all((each.vx, each.vy, each.yaw_rate) == (0, 0, 0) for each in setpoints)


def drive(folder: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    """Run on one picture, which moves nothing."""
    cv2.imwrite(str(folder / "a.png"), np.full((48, 64, 3), 90, np.uint8))
    argv = ["run", *GOAL, "--camera", f"file://{folder}/a.png", "--motors", "null://", "--json", *more]
    command = [sys.executable, "-m", "edge.cli", *argv, "--runs-dir", str(folder / "runs")]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.slow
def test_what_a_dead_run_left_neither_hinders_nor_misleads_a_new_one(tmp_path, tiny_bundle):
    """A stop.json whose port is free, a summary that is half written, ids of processes that are gone."""
    left = tmp_path / "runs" / "2026-01-02T03-04-05"
    left.mkdir(parents=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    files = {
        "stop.json": json.dumps({"port": port, "token": "old", "pid": DEAD}),
        "pids.json": json.dumps({"runtime": DEAD, "motor": DEAD}),
        "summary.json": '{"outcome": "rea',
        ".summary.json.tmp": "{",
        "run.log": "2026-01-02 half a li",
    }
    for name, text in files.items():
        (left / name).write_text(text)
    done = drive(tmp_path, "--bundle", str(tiny_bundle))
    assert done.returncode == 3, done.stderr
    summary = json.loads(done.stdout)
    assert Path(summary["folder"]).parent == left.parent and Path(summary["folder"]) != left
    assert json.loads((Path(summary["folder"]) / "summary.json").read_text()) == summary
    assert {path.name: path.read_text() for path in left.iterdir()} == files


def test_a_stop_passes_a_dead_runs_file_and_says_that_nothing_runs(tmp_path, capsys):
    """Its port is another program's by now, which is not told anything but a wrong token."""
    left = tmp_path / "2026-01-02T03-04-05"
    left.mkdir()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        heard: list[bytes] = []

        def refuse() -> None:
            client, _ = other.accept()
            with client:
                heard.append(client.recv(4096))
                client.sendall(answer)

        thread = threading.Thread(target=refuse)
        thread.start()
        content = {"port": other.getsockname()[1], "token": "old", "pid": DEAD}
        (left / "stop.json").write_text(json.dumps(content))
        assert cli.main(["stop", "--runs-dir", str(tmp_path)]) == 2
        thread.join()
    assert b"POST /stop" in heard[0]
    assert "no drive runs in" in capsys.readouterr().err


def test_frames_of_a_writer_that_died_are_refused_and_its_name_is_free_again():
    """A segment of shared memory outlives its writer: its frames are old, and a new writer takes its name."""
    name = f"boot-{os.getpid()}"
    dead = FrameRing.create(name, 4, 6)
    dead.write(np.zeros((4, 6, 3), np.uint8), 1)  # stamped long ago
    try:
        with ShmCamera(name, MonotonicClock()) as camera, pytest.raises(StaleFrame):
            camera.latest(0.25)
        left = FrameRing.create(name, 4, 6)  # this one is left behind, with its name
        left.write(np.zeros((4, 6, 3), np.uint8), 1)
        with FrameRing.create(name, 8, 8) as new:
            new.write(np.full((8, 8, 3), 7, np.uint8), MonotonicClock().now_ns())
            with ShmCamera(name, MonotonicClock()) as camera:
                assert camera.latest(5.0).image.shape == (8, 8, 3)
    finally:
        FrameRing.unlink(name)
