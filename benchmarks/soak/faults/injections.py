"""What is done to a run under way. Each returns None if it took effect as it began, else when it did."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from signal import SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGSTOP, SIGTERM
from typing import Any

from benchmarks.soak.faults.trial import BrokenRun
from sim.faults.machine import set_celsius
from sim.faults.wire import Wire

MS = 1_000_000
STALL_S = 0.2
HTTP_LIMIT_S = 5


def _wire(trial: BrokenRun) -> Wire:
    assert trial.wire is not None
    return trial.wire


# The line and the base.


def cut(trial: BrokenRun) -> None:
    """Cut the line."""
    _wire(trial).cut = True


def damage_packets(trial: BrokenRun) -> None:
    """Flip a byte of every fifth packet to the base."""
    packets = count()

    def damaged(packet: bytes) -> list[bytes]:
        number = next(packets)
        if len(packet) < 12 or number % 5 != 4:
            return [packet]
        at = 8 + number % (len(packet) - 8)
        return [packet[:at] + bytes([packet[at] ^ 0x55]) + packet[at + 1 :]]

    _wire(trial).to_board = damaged


def repeat_packets(trial: BrokenRun) -> None:
    """Send each packet twice, and those of the last second again."""
    wire = _wire(trial)
    before = list(wire.sent)[-40:]
    wire.to_board = lambda packet: [packet, packet]
    for packet in before:
        wire.tell_board(packet)
        time.sleep(0.02)


def befall(what: str) -> "Any":
    """Return what lets a mishap happen to the base."""

    def inject(trial: BrokenRun) -> None:
        trial.befall(what)

    return inject


def press_and_release(trial: BrokenRun) -> None:
    """Press the base's emergency stop, and release it."""
    trial.befall("emergency 1")
    time.sleep(0.5)
    trial.befall("emergency 0")


def second_run(trial: BrokenRun) -> None:
    """Start another run at the same port, which must be refused."""
    assert trial.robot is not None
    uri = trial.robot.motors_uri if trial.wire is None else trial.wire.uri
    command = [sys.executable, "-m", "edge.cli", "run", "--goal", "find_object", "--target", "red cup"]
    command += ["--camera", "file:///dev/null", "--motors", uri, "--runs-dir", str(trial.folder / "second")]
    command += ["--mount", "fov=55,height=0.35,pitch=0,forward=0.1", "--allow-domain"]
    command[command.index("file:///dev/null")] = "gst://videotestsrc is-live=true"
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 5 or "taken by another process" not in done.stderr:
        (trial.folder / "wrong").write_text(f"the second run: {done.returncode} {done.stderr[:200]}")


# Processes and the machine.


def stop_runtime(trial: BrokenRun) -> None:
    """Let the runtime stand still for a while."""
    trial.send(SIGSTOP, "runtime")
    time.sleep(trial.chance.uniform(0.8, 2.0))
    trial.send(SIGCONT, "runtime")


def kill_runtime(trial: BrokenRun) -> None:
    """Kill the runtime."""
    trial.send(SIGKILL, "runtime")


def cut_power(trial: BrokenRun) -> None:
    """Kill all processes of the computer at once."""
    trial.send(SIGKILL, "runtime", "motor")


def sleep(trial: BrokenRun) -> None:
    """Let all processes of the computer stand still."""
    trial.send(SIGSTOP, "runtime", "motor")
    time.sleep(2.0)
    trial.send(SIGCONT, "runtime", "motor")


def stall(trial: BrokenRun, seconds: float = STALL_S) -> None:
    """Let the motor process and the runtime stall, one after the other."""
    for role in ("motor", "runtime"):
        trial.send(SIGSTOP, role)
        time.sleep(seconds)
        trial.send(SIGCONT, role)
        time.sleep(0.5)


def heat_up(trial: BrokenRun) -> int:
    """Let the machine get hot, and then too hot."""
    assert trial.machine is not None
    set_celsius(trial.machine, 0, 96)
    time.sleep(3.5)
    hot_ns = time.monotonic_ns()
    set_celsius(trial.machine, 0, 101.5)
    return hot_ns


def lose_telemetry(trial: BrokenRun) -> None:
    """Take the readings of temperature away."""
    assert trial.machine is not None
    for zone in (0, 1):
        (trial.machine / f"sys/class/thermal/thermal_zone{zone}/temp").unlink()


def step_clock(trial: BrokenRun) -> None:
    """Step the wall clock a day ahead, then two back."""
    assert trial.clock is not None
    for seconds in (86_400, -86_400):
        draft = trial.clock.with_name("draft")
        draft.write_text(str(seconds))
        draft.replace(trial.clock)
        time.sleep(1.0)


# The operator.


def interrupt(trial: BrokenRun) -> None:
    """Send Ctrl-C, SIGTERM or SIGHUP twice, to the whole group."""
    number = trial.chance.choice((SIGINT, SIGTERM, SIGHUP))
    for _ in range(2):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(trial.child.pid, number)


def unplug_pad(trial: BrokenRun) -> None:
    """Unplug the gamepad."""
    assert trial.pad is not None
    trial.pad.close()


def take_over(trial: BrokenRun) -> None:
    """Drive by the stick for a while."""
    assert trial.pad is not None
    trial.pad.turn(trial.chance.choice((-0.6, 0.6)))
    time.sleep(1.0)
    trial.pad.turn(0.0)


# What a run writes, and who talks to it.


def _folder(trial: BrokenRun) -> Path:
    assert trial.run_folder is not None
    return trial.run_folder


def take_folder_away(trial: BrokenRun) -> None:
    """Move the run's folder out of its runs."""
    _folder(trial).rename(trial.folder / "away")


def stall_log(trial: BrokenRun) -> None:
    """Let writing run.log never come back."""
    log = _folder(trial) / "run.log"
    os.mkfifo(log.with_name("fifo"))
    log.with_name("fifo").replace(log)


def fill_disk(trial: BrokenRun) -> None:
    """Leave no byte of the runs' disk free."""
    with (trial.runs / "ballast").open("ab", buffering=0) as ballast, contextlib.suppress(OSError):
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while ballast.write(bytes(size)) == size:
                    pass


def _ask(trial: BrokenRun, path: str = "/stop", **headers: str) -> int:
    """Ask the run's HTTP server; return the status."""
    port = json.loads((_folder(trial) / "stop.json").read_text())["port"]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HTTP_LIMIT_S)
    with contextlib.closing(connection):
        connection.request("POST", path, "", headers)
        return connection.getresponse().status


def _token(trial: BrokenRun) -> str:
    return f"Bearer {json.loads((_folder(trial) / 'stop.json').read_text())['token']}"


def send_too_much(trial: BrokenRun) -> None:
    """Send messages that are too large to the run's HTTP server."""
    token = _token(trial)
    answers = [
        _ask(trial, **{"Authorization": token, "Content-Length": "999999999999"}),
        _ask(trial, "/" + "x" * 70_000, Authorization=token),
        _ask(trial, Authorization=token, **{f"X-{i}": "y" for i in range(120)}),
    ]
    if answers != [413, 414, 431]:
        (trial.folder / "wrong").write_text(f"HTTP {answers}, not 413, 414, 431")


def ask_without_token(trial: BrokenRun) -> None:
    """Ask for a stop without the token, which must be refused."""
    answers = {_ask(trial, Authorization=wrong) for wrong in ("", "Bearer ", "Bearer x")}
    if answers != {401}:
        (trial.folder / "wrong").write_text(f"HTTP {answers}, not 401")


def ask_to_stop(trial: BrokenRun) -> int:
    """Ask without the token, then stop the run with it, as `vla-edge stop` does."""
    ask_without_token(trial)
    asked_ns = time.monotonic_ns()
    _ask(trial, Authorization=_token(trial))
    return asked_ns


def kill_inference(trial: BrokenRun) -> int:
    """Kill the runtime in the middle of an inference."""
    killed_ns = time.monotonic_ns()
    trial.child.send_signal(signal.SIGKILL)
    return killed_ns
