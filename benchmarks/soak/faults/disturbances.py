"""What a long run must survive: each passes by itself, and the run goes on."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from types import MappingProxyType

from benchmarks.soak.faults import cameras
from benchmarks.soak.faults import injections as do
from benchmarks.soak.faults.trial import BrokenRun
from sim.faults.feed import unspoilt
from sim.faults.machine import set_celsius

AWAY_S = (0.4, 1.5)
SPELL_S = 2.0


def _lose_camera(trial: BrokenRun) -> None:
    """Let the camera's reads block for a while: the base holds."""
    assert trial.stream is not None
    trial.stream.hang()
    time.sleep(trial.chance.uniform(*AWAY_S))
    trial.stream.go_on()


def _restart_camera(trial: BrokenRun) -> None:
    """End the camera, and bring it back: it is reconnected."""
    assert trial.stream is not None
    trial.stream.die()
    time.sleep(trial.chance.uniform(*AWAY_S))
    trial.stream.come_back()


def _lose_frames(trial: BrokenRun) -> None:
    assert trial.stream is not None
    turn = iter(range(1_000_000))
    trial.stream.spoil = lambda image, stamp_ns: (image, stamp_ns) if next(turn) % 2 else None
    time.sleep(SPELL_S)
    trial.stream.spoil = unspoilt


def _stall_robot(trial: BrokenRun) -> None:
    """Let the base's board and the camera's source stall for 200 ms."""
    trial.send(SIGSTOP, "sim")
    time.sleep(do.STALL_S)
    trial.send(SIGCONT, "sim")


def _stall_computer(trial: BrokenRun) -> None:
    """Let it stall for as long as frames that come through GStreamer leave room for."""
    do.stall(trial, do.STALL_S / 2)


def _for_a_spell(inject: Callable[[BrokenRun], object]) -> Callable[[BrokenRun], None]:
    """Return what spoils the line for a while."""

    def spoil(trial: BrokenRun) -> None:
        inject(trial)
        time.sleep(SPELL_S)
        assert trial.wire is not None
        trial.wire.to_board = lambda packet: [packet]

    return spoil


def _stall_log(trial: BrokenRun) -> None:
    """Let writing run.log block for a while."""
    assert trial.run_folder is not None
    log = trial.run_folder / "run.log"
    kept = log.with_name("kept.log")
    log.rename(kept)
    os.mkfifo(log)
    time.sleep(SPELL_S)
    log.rename(fifo := log.with_name("fifo"))
    kept.rename(log)
    _release(fifo)


def _release(fifo: Path) -> None:
    """Read what a writer that waits at a pipe has for us, and remove the pipe."""
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    time.sleep(0.2)
    os.close(reader)
    fifo.unlink()


def _lose_telemetry(trial: BrokenRun) -> None:
    """Take the temperatures away, until the run has noticed."""
    do.lose_telemetry(trial)
    time.sleep(7.0)
    assert trial.machine is not None
    for zone in (0, 1):
        set_celsius(trial.machine, zone, 50.0)


DISTURBANCES: Mapping[str, Callable[[BrokenRun], int | None]] = MappingProxyType(
    {
        "camera away": _lose_camera,
        "camera restarted": _restart_camera,
        "camera process hangs": cameras.hang_camera_process,
        "frames lost": _lose_frames,
        "runtime and motor process stall": _stall_computer,
        "robot stalls": _stall_robot,
        "packets repeated": _for_a_spell(do.repeat_packets),
        "packets damaged": _for_a_spell(do.damage_packets),
        "messages too large": do.send_too_much,
        "peer without the token": do.ask_without_token,
        "log stalls": _stall_log,
        "telemetry lost": _lose_telemetry,
        "wall clock steps": do.step_clock,
        "manual takeover": do.take_over,
        "second run at the port": do.second_run,
    }
)
