"""The operator's stop: the space bar at a real terminal, and HTTP with its token (faults 53, 66, 67)."""

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import cli
from edge.commands import stop as stop_command
from edge.errors import MotorFault, UsageError
from edge.records import Outcome, StopCause
from edge.runtime.ending import DriveStop, ending_of
from edge.runtime.operator import Operator
from edge.runtime.stop_server import STOP_FILE, StopServer
from tests.edge.runtime.terminal_child import REPO, at_terminal


def test_the_first_way_of_stopping_is_the_reason_and_each_one_reaches_the_motors():
    told: list[tuple[str, StopCause]] = []
    operator = Operator(lambda reason, cause: told.append((reason, cause)))
    operator.check()
    operator.stop("space")
    operator.stop("vla-edge stop")
    assert told == [("stopped by the operator (space)", StopCause.OPERATOR)] * 2
    with pytest.raises(DriveStop) as caught:
        operator.check()
    end = ending_of(caught.value)
    assert (end.outcome, end.exit_code, end.cause) == (Outcome.STOPPED, 4, StopCause.OPERATOR)
    assert end.reason == "stopped by the operator (space)"


def test_a_lost_operator_is_a_fault():
    end = ending_of(DriveStop(StopCause.OPERATOR_LOST, "the gamepad is gone"))
    assert (end.outcome, end.exit_code, end.cause) == (Outcome.FAULT, 4, StopCause.OPERATOR_LOST)


def test_the_space_bar_is_heard_at_once_and_no_other_key():
    with at_terminal() as terminal:
        assert terminal.process.stdout is not None
        assert terminal.process.stdout.readline() == "watching\n"
        assert terminal.raw
        terminal.press(b"stop\n")
        terminal.press(b" ")
        assert terminal.process.stdout.readline() == "space\n"
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.process.communicate()[0] == "ended by SIGTERM\n"
        assert terminal.mode == terminal.first_mode


def test_ctrl_c_stays_a_signal_and_the_terminal_is_restored():
    with at_terminal() as terminal:
        assert terminal.process.stdout is not None
        assert terminal.process.stdout.readline() == "watching\n"
        terminal.press(b"\x03")
        assert terminal.process.communicate()[0] == "ended by SIGINT\n"
        assert terminal.mode == terminal.first_mode


def test_without_a_terminal_nothing_is_watched():
    code = "from edge.runtime.keyboard import watch_keyboard; print(watch_keyboard(print))"
    for given in ({"stdin": subprocess.DEVNULL}, {"input": " "}):
        child = subprocess.run(
            [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True, **given
        )
        assert child.stdout == "None\n"


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def server(tmp_path: Path, told: list[str]) -> Iterator[StopServer]:
    with StopServer(tmp_path, told.append) as started:
        yield started


def access(folder: Path) -> dict[str, Any]:
    return json.loads((folder / STOP_FILE).read_text())


def post(folder: Path, token: str, path: str = "/stop", method: str = "POST", **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", access(folder)["port"], timeout=5)
    connection.request(method, path, headers={"Authorization": f"Bearer {token}", **headers})
    status = connection.getresponse().status
    connection.close()
    return status


def test_its_file_is_for_this_user_alone_and_goes_with_it(tmp_path: Path):
    with StopServer(tmp_path, print):
        assert stat.S_IMODE((tmp_path / STOP_FILE).stat().st_mode) == 0o600
        assert access(tmp_path)["pid"] == os.getpid()
    assert not list(tmp_path.iterdir())


def test_a_file_that_can_not_be_written_or_has_gone_is_no_bug(tmp_path: Path):
    with pytest.raises(UsageError, match=r"can't write .*stop.json: No such file"):
        StopServer(tmp_path / "gone", print)
    with StopServer(tmp_path, print):
        (tmp_path / STOP_FILE).unlink()


def test_only_the_token_stops(server: StopServer, tmp_path: Path, told: list[str]):
    token = access(tmp_path)["token"]
    assert [post(tmp_path, wrong) for wrong in ("", "x", token[:-1], "é" * 40)] == [401] * 4
    assert post(tmp_path, token, "/") == 404 and post(tmp_path, token, method="GET") == 501
    assert told == []
    assert post(tmp_path, token) == 200 and told == ["vla-edge stop"]


def test_what_is_too_large_is_refused(server: StopServer, tmp_path: Path, told: list[str]):
    token = access(tmp_path)["token"]
    for length in ("1025", "9" * 4000, "-1", "many"):
        assert post(tmp_path, token, **{"Content-Length": length}) == 413
    assert post(tmp_path, token, "/" + "x" * 70_000) == 414
    assert post(tmp_path, token, **{f"X-{i}": "y" for i in range(120)}) == 431
    assert told == []


def test_a_client_that_says_nothing_holds_up_no_other(server: StopServer, tmp_path: Path, told: list[str]):
    silent = [socket.create_connection(("127.0.0.1", access(tmp_path)["port"])) for _ in range(8)]
    assert post(tmp_path, access(tmp_path)["token"]) == 200 and told
    for each in silent:
        each.close()


def test_a_stop_that_does_not_reach_the_motors_is_not_reported_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    def fail(how: str) -> None:
        raise MotorFault("motor process 7 is gone")

    run = tmp_path / "2026-01-01T00-00-00"
    run.mkdir()
    with StopServer(run, fail):
        assert cli.main(["stop", "--runs-dir", str(tmp_path)]) == 4
    assert "was not stopped" in (error := capsys.readouterr().err) and "motor process 7 is gone" in error


def test_vla_edge_stop_stops_every_run_and_waits_for_its_end(tmp_path: Path, capsys: pytest.CaptureFixture):
    servers: list[StopServer] = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        file = tmp_path / name / STOP_FILE
        servers.append(StopServer(tmp_path / name, lambda _how, file=file: file.unlink()))
    assert cli.main(["stop", "--runs-dir", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"stopped": [str(tmp_path / "a"), str(tmp_path / "b")]}
    for each in servers:
        each.close()


def test_a_run_that_does_not_end_is_not_reported_as_stopped(
    server: StopServer, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stop_command, "END_LIMIT_S", 0.1)
    assert cli.main(["stop", str(tmp_path)]) == 4
    assert "has not ended" in capsys.readouterr().err


def test_a_run_that_does_not_answer_was_told_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """One that is started again listens before it answers, and one that hangs does, too."""
    monkeypatch.setattr(stop_command, "ANSWER_LIMIT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        (tmp_path / STOP_FILE).write_text(json.dumps({"port": port, "token": "x", "pid": 1}))
        assert cli.main(["stop", str(tmp_path)]) == 4
        with silent.accept()[0] as told:
            assert told.recv(4096).startswith(b"POST /stop")
    assert "was told to stop, and has not answered within" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "{", '{"port": 1}', "[]"])
def test_where_nothing_runs_stop_fails(content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture):
    if content is not None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / STOP_FILE).write_text(content)
    assert cli.main(["stop", "--runs-dir", str(tmp_path)]) == 2
    assert ("no drive runs in" if content is None else "can't read") in capsys.readouterr().err


def test_the_file_that_a_killed_run_left_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "killed").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "killed" / STOP_FILE).write_text(json.dumps({"port": port, "token": "x", "pid": 1}))
    assert cli.main(["stop", "--runs-dir", str(tmp_path)]) == 2
    (tmp_path / "runs").mkdir()
    with StopServer(tmp_path / "runs", print):  # it listens where another killed run did
        left = tmp_path / "killed" / STOP_FILE
        left.write_text(json.dumps({**access(tmp_path / "runs"), "token": "x"}))
        (tmp_path / "runs" / STOP_FILE).unlink()
        assert cli.main(["stop", "--runs-dir", str(tmp_path)]) == 2
    assert "no drive runs" in capsys.readouterr().err
