"""What goes on while the program is replaced, each part by itself, and when that may happen at all."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.cameras.shm import FrameRing, HandsOver, ShmCamera, keep_rings
from edge.child import KeptChild
from edge.clock import MonotonicClock
from edge.errors import MotorFault
from edge.motor.client import MotorProcess
from edge.perception.lens import BROWN, TERMS, Lens, StraightCamera
from edge.records import DriveEnd, MotorState, Outcome, StopCause
from edge.runtime.operator import Operator
from edge.runtime.robot import PlainRobot
from edge.runtime.signals import Interrupts
from edge.runtime.stop_server import StopServer
from edge.supervision.kept import KeptRun, Restart, kept_run
from edge.supervision.restarts import EngineRestarts, KeptParts
from tests.edge.motor.motor_runtime import arm
from tests.waiting import until

ENDED = DriveEnd(Outcome.FAULT, "the engine broke", 4, cause=StopCause.ENGINE_FAULT, seconds=2.0)


def test_what_is_handed_over_is_found_once_and_leaves_nothing_behind(tmp_path, monkeypatch):
    restarts = [Restart("engine_fault", "the engine broke", 1.5, 123, 2.5)]
    with socket.socket() as motor, socket.socket() as stop:
        kept = KeptRun(tmp_path, restarts, 1, motor.fileno(), stop.fileno(), "token", {"a": 5}, {"port": "p"})
        environment = kept.hand_over()
        assert os.get_inheritable(motor.fileno()) and os.get_inheritable(stop.fileno())
        (name,) = environment.keys() - os.environ.keys()
        monkeypatch.setenv(name, environment[name])
        assert kept_run() == kept
        assert kept.driven_s == 1.5
        assert kept_run() is None and name not in os.environ
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(int(environment[name]))


def test_a_stop_that_comes_while_nobody_listens_is_heard_by_the_program_that_goes_on(tmp_path):
    heard: list[str] = []
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    client.request("POST", "/stop", headers={"Authorization": "Bearer kept"})
    with StopServer(tmp_path, heard.append, (listening.detach(), "kept")) as server:
        assert client.getresponse().status == 200
        assert heard == ["vla-edge stop"]
        access = json.loads((tmp_path / "stop.json").read_text())
        assert (access["port"], access["token"]) == (port, "kept")
        assert not os.get_inheritable(server.fd)
    client.close()


@pytest.fixture
def ring_name() -> Iterator[str]:
    name = f"vla-edge-kept-{os.getpid()}"
    yield name
    FrameRing.unlink(name)


def test_a_ring_without_a_name_goes_on_behind_its_lens_too(ring_name):
    clock = MonotonicClock()
    with FrameRing.create(ring_name, 48, 64) as writer:
        writer.write(np.full((48, 64, 3), 7, np.uint8), clock.now_ns())
        lens = Lens(BROWN, (64, 48), (60.0, 60.0), (31.5, 23.5), (0.0,) * TERMS[BROWN])
        with StraightCamera(ShmCamera(ring_name, clock), lens) as camera:
            assert isinstance(camera, HandsOver)
            rings = camera.hand_over()
            assert all(map(os.get_inheritable, rings.values()))
        assert not (Path("/dev/shm") / ring_name).exists()
        keep_rings(rings)
        with ShmCamera(ring_name, clock) as camera:
            assert (camera.latest(5.0).image == 7).all()


@pytest.mark.parametrize(("sent", "code"), [(0, 3), (signal.SIGKILL, -9)])
def test_a_child_from_before_is_waited_for(sent, code):
    lines = "import sys, time; time.sleep(60 * int(sys.argv[1])); sys.exit(3)"
    started = subprocess.Popen([sys.executable, "-c", lines, str(int(bool(sent)))])
    started.returncode = 0  # this object is done with it: nobody else may wait for the process
    child = KeptChild(started.pid)
    if sent:
        assert child.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.02)
        child.kill()
    assert child.wait(30) == child.poll() == code
    child.kill()  # once more changes nothing


@pytest.fixture
def restarts(tmp_path) -> Iterator[EngineRestarts]:
    """Restarts of a run whose engine has just failed: the base stands, latched."""
    with MotorProcess.start("null://") as motor:
        operator = Operator(motor.stop)
        with StopServer(tmp_path, operator.stop) as stops:
            made = EngineRestarts(1, None, 60.0, sys.orig_argv[-1:])
            robot = PlainRobot({"front": "v4l2:///dev/video0"}, "mavlink:///dev/ttyACM0")
            made.parts = KeptParts(tmp_path, robot, {}, motor, stops, operator, Interrupts())
            arm(motor)
            motor.stop("the engine broke")
            until(lambda: motor.status().state is MotorState.LATCHED)
            yield made


def test_a_base_that_stands_after_a_fault_of_the_engine_may_go_on(restarts):
    assert restarts.may(ENDED)
    assert restarts.may(replace(ENDED, cause=StopCause.MODEL_SILENT))
    for cause in set(StopCause) - {StopCause.ENGINE_FAULT, StopCause.MODEL_SILENT}:
        assert not restarts.may(replace(ENDED, cause=cause)), cause
    assert not restarts.may(replace(ENDED, seconds=60.0))  # its time is over
    restarts.done.append(Restart("engine_fault", "", 1.0, 0))
    assert not restarts.may(ENDED)  # once was allowed


def test_a_run_that_a_person_stopped_never_goes_on(restarts):
    restarts.parts.operator.reason = "stopped by the operator (space)"
    assert not restarts.may(ENDED)
    restarts.parts.operator.reason = ""
    restarts.parts.interrupts.name = "SIGINT"
    assert not restarts.may(ENDED)
    restarts.parts.interrupts.name = ""
    restarts.parts.motor.stop("stopped by the operator (gamepad)", StopCause.OPERATOR)
    until(lambda: restarts.parts.motor.status().cause is StopCause.OPERATOR)
    assert not restarts.may(ENDED)  # the motor process alone has heard of it


def test_a_base_that_is_armed_or_gone_does_not_go_on(restarts):
    arm(restarts.parts.motor)
    assert not restarts.may(ENDED)
    restarts.parts.motor._child.kill()
    with pytest.raises(MotorFault):
        until(lambda: restarts.parts.motor.status() is None)
    assert not restarts.may(ENDED)


def test_recordings_foreign_robots_and_foreign_programs_do_not_go_on(restarts):
    parts = restarts.parts
    restarts.parts = replace(parts, robot=replace(parts.robot, motors_uri="null://"))
    assert not restarts.may(ENDED)

    class ForeignRobot:
        recorded = False

    restarts.parts = replace(parts, robot=ForeignRobot())
    assert not restarts.may(ENDED)
    restarts.parts = parts
    assert restarts.may(ENDED)
    other = EngineRestarts(1, None, 60.0, ["--goal", "another"])
    other.parts = parts
    assert not other.may(ENDED)


def test_a_run_that_was_not_mended_says_how_often_it_was_tried(restarts):
    assert restarts.told(ENDED) is ENDED
    restarts.done.append(Restart("engine_fault", "", 1.0, 0))
    assert restarts.told(ENDED).reason == "the engine broke (the engine had been started again once)"
    stopped = replace(ENDED, cause=StopCause.OPERATOR)
    assert restarts.told(stopped) is stopped
    assert restarts.to_json()[0]["stood_s"] is None
    restarts.on_start(2_500_000_000)
    assert restarts.to_json()[0]["stood_s"] == 2.5
