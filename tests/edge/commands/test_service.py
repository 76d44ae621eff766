"""A run as a service: the unit by systemd's own checker, and what a run tells systemd."""

import os
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import cli
from edge.commands.service import NAME, _quoted, unit
from edge.errors import BundleRefused, UsageError
from edge.records import DriveEnd, MotorState, MotorStatus, Outcome, StopCause, Velocity
from edge.runtime.service import ServiceNotifier

RUN = ["--goal", "find_object", "--target"]


@pytest.fixture
def systemd(tmp_path: Path):
    """A socket as systemd has it for a service."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.settimeout(0.0)
        yield server


def heard(server: socket.socket) -> list[str]:
    messages: list[str] = []
    while True:
        try:
            messages.append(server.recv(4096).decode())
        except BlockingIOError:
            return messages


@pytest.mark.parametrize("target", ["red cup", "빨간 컵", 'a "cup"', "cup 50% off", "$HOME", "it's\\a cup"])
def test_systemd_reads_the_unit_and_its_words_as_they_were_given(target, tmp_path, capsys):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here: apt-get install systemd")
    assert cli.main(["service", "install", "--units", str(tmp_path), "--at-boot", "--", *RUN, target]) == 0
    path = tmp_path / f"{NAME}.service"
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0 and f"{NAME}.service" not in checked.stderr
    assert str(path) in capsys.readouterr().out


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), min_size=1))
def test_a_quoted_word_is_one_word_and_unquotes_to_itself(word):
    quoted = _quoted(word).replace("%%", "%").replace("$$", "$")
    lexer = shlex.shlex(quoted, posix=True, punctuation_chars=False)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " ", True, ""
    assert list(lexer) == [word]


def test_nothing_but_missing_hardware_starts_it_again_and_a_stop_reaches_the_motor_process():
    text = unit([*RUN, "cup"], "robot", at_boot=False)
    assert "Restart=no\nRestartForceExitStatus=5\n" in text
    assert "KillMode=control-group" in text and "WatchdogSec=5" in text
    assert "[Install]" not in text and "User=robot" in text


@pytest.mark.parametrize(
    "run",
    [[], ["--goal", "fly"], ["--goal", "find_object"], [*RUN, "cup", "--camera", "file://a"], [*RUN, "a\nb"]],
)
def test_what_run_would_refuse_is_refused_before_anything_is_written(run, tmp_path):
    assert cli.main(["service", "install", "--units", str(tmp_path), "--", *run]) == UsageError.exit_code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["install", "show"])
def test_a_bundle_that_is_not_there_is_refused_before_anything_is_written(command, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    units = tmp_path / "units"
    units.mkdir()
    for bundle, says in (("reel", "no bundle 'reel'"), (str(empty), "is not a bundle")):
        argv = ["service", command, "--units", str(units), "--", *RUN, "cup", "--bundle", bundle]
        assert cli.main(argv) == BundleRefused.exit_code
        assert says in capsys.readouterr().err
    assert list(units.iterdir()) == []


def test_while_the_engine_is_started_again_the_watchdog_waits_as_long_as_for_loading(
    systemd, tmp_path, monkeypatch
):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    notifier = ServiceNotifier(lambda end: end.cause is StopCause.ENGINE_FAULT)
    notifier.on_end(DriveEnd(Outcome.FAULT, "the engine broke", 4, cause=StopCause.ENGINE_FAULT))
    assert heard(systemd) == ["WATCHDOG_USEC=600000000\nSTATUS=starting the engine again: the engine broke"]
    notifier.on_start(0)
    assert heard(systemd) == ["READY=1\nSTATUS=driving", "WATCHDOG_USEC=3000000"]
    notifier.on_end(DriveEnd(Outcome.FAULT, "stopped", 4, cause=StopCause.OPERATOR))
    assert heard(systemd) == ["STOPPING=1\nSTATUS=fault: stopped"]


def test_a_folder_that_is_not_there_or_not_ours_is_told(tmp_path, capsys):
    argv = ["service", "install", "--units", str(tmp_path / "none"), "--", *RUN, "cup"]
    assert cli.main(argv) == 2 and "run by systemd" in capsys.readouterr().err
    assert cli.main(["service", "uninstall", "--units", str(tmp_path)]) == 2


def test_uninstall_removes_what_install_wrote(tmp_path):
    assert cli.main(["service", "install", "--units", str(tmp_path), "--", *RUN, "cup"]) == 0
    assert cli.main(["service", "uninstall", "--units", str(tmp_path)]) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_run_tells_systemd_that_it_drives_and_how_it_ended(systemd, tmp_path):
    import cv2
    import numpy as np

    cv2.imwrite(str(tmp_path / "a.png"), np.full((48, 64, 3), 90, np.uint8))
    argv = ["run", *RUN, "cup", "--camera", f"file://{tmp_path}/a.png", "--motors", "null://"]
    argv += ["--runs-dir", str(tmp_path / "runs")]
    # Nobody reads meanwhile, and a full socket drops what comes last.
    environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "900000"}
    done = subprocess.run(
        [sys.executable, "-m", "edge.cli", *argv],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    messages = heard(systemd)
    assert done.returncode in (0, 3), done.stderr
    ready = messages.index("READY=1\nSTATUS=driving")
    assert "WATCHDOG=1" in messages[:ready] + messages[ready:]
    assert messages[-1].startswith("STOPPING=1\nSTATUS=")


def test_the_watchdog_hears_three_times_within_its_limit_and_no_more(systemd, tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    notifier = ServiceNotifier()
    for tick in range(150):  # three seconds at 50 Hz
        notifier.on_status(MotorStatus(tick * 20_000_000, MotorState.HOLDING, Velocity()))
    assert heard(systemd) == ["WATCHDOG=1"] * 3


def test_outside_of_a_service_and_without_a_listener_nothing_is_said(systemd, tmp_path, monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    ServiceNotifier().on_start(0)
    assert heard(systemd) == []
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    ServiceNotifier().on_end(DriveEnd(Outcome.REACHED, "arrived", 0))
    assert heard(systemd) == []
