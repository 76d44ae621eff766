"""`vla-edge run --web`: a real run, its page, and what its button does to the base."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge import cli
from edge.replay.recording import RecordedRun
from edge.runs.live.client import listen
from tests.edge.commands.test_stop import check_stood, setpoints, summary
from tests.edge.runs.live.serving import Look
from tests.waiting import alive, until


def access(runs: Path) -> dict[str, Any]:
    return json.loads(next(runs.glob("*/web.json")).read_text())


def press(found: dict[str, Any]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", found["port"], timeout=10)
    connection.request("POST", "/stop", headers={"Authorization": f"Bearer {found['token']}"})
    code = connection.getresponse().status
    connection.close()
    return code


def start(runs: Path, bundle: Path, *more: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.edge.commands.turning_run", "--goal", "find_object", "--target"]
    command += ["red cup", "--runs-dir", str(runs), "--bundle", str(bundle), "--web", "0", *more]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
    )


def turning(runs: Path) -> Path:
    """Wait until the base of a run turns; return its folder."""
    until(lambda: list(runs.glob("*/web.json")), 60)
    folder = next(runs.iterdir())
    until(lambda: (folder / "firmware.jsonl").exists() and setpoints(folder)[-1]["angular_z"] > 0.5, 60)
    return folder


@pytest.mark.realtime
@pytest.mark.timeout(200)
def test_the_button_stops_a_run_whose_runtime_is_stopped(tmp_path: Path, tiny_bundle: Path):
    runs = tmp_path / "runs"
    child = start(runs, tiny_bundle)
    try:
        folder = turning(runs)
        pids, found = json.loads((folder / "pids.json").read_text()), access(runs)
        child.send_signal(signal.SIGSTOP)
        pressed_ns = time.monotonic_ns()
        assert press(found) == 200
    finally:
        child.send_signal(signal.SIGCONT)
        _, error = child.communicate(timeout=60)
    assert child.returncode == 4, error
    assert f"live page: http://127.0.0.1:{found['port']}/#{found['token']}\n" in error
    check_stood(folder, pressed_ns)
    end = summary(folder)
    assert (end["outcome"], end["cause"]) == ("stopped", "operator")
    assert end["reason"] == "stopped by the operator (live page)"
    assert not (folder / "web.json").exists() and not alive(pids["page"])
    assert found["token"] not in (folder / "run.log").read_text()


@pytest.mark.realtime
@pytest.mark.timeout(200)
def test_a_killed_page_stops_the_base_for_good(tmp_path: Path, tiny_bundle: Path):
    """Fault 54."""
    runs = tmp_path / "runs"
    child = start(runs, tiny_bundle)
    try:
        folder = turning(runs)
        killed_ns = time.monotonic_ns()
        os.kill(json.loads((folder / "pids.json").read_text())["page"], signal.SIGKILL)
    finally:
        child.communicate(timeout=60)
    check_stood(folder, killed_ns)
    assert (summary(folder)["cause"], child.returncode) == ("operator_lost", 4)


async def outcomes(runs: Path) -> tuple[set[str], dict[str, Any]]:
    """Follow a run's page to its end; return the states that it showed, and its last message."""
    until(lambda: list(runs.glob("*/web.json")), 60)
    found, seen = access(runs), set[str]()
    url = f"http://127.0.0.1:{found['port']}/live"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.send_json({"token": found["token"]})
        await socket.send_json({"record": True})
        look = Look(socket)
        while not (head := await look.next())["over"]:
            seen.add(head["state"].get("motor", ""))
        return seen, head


@pytest.mark.slow
@pytest.mark.realtime
@pytest.mark.timeout(200)
def test_the_page_goes_on_when_the_engine_is_started_again(tmp_path: Path):
    runs = tmp_path / "runs"
    command = [sys.executable, "-m", "sim.faults.run", "--goal", "find_object", "--target", "red cup"]
    command += [
        "--seed",
        "3",
        "--max-seconds",
        "12",
        "--restarts",
        "1",
        "--web",
        "0",
        "--runs-dir",
        str(runs),
    ]
    broken = {"VLA_EDGE_BREAKS": "fails", "VLA_EDGE_BREAK_S": "2", "VLA_EDGE_BROKE": str(tmp_path / "broke")}
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | broken)
    try:
        seen, last = asyncio.run(outcomes(runs))
    finally:
        _, error = child.communicate(timeout=90)
    end = summary(next(runs.iterdir()))
    assert len(end["restarts"]) == 1 and end["restarts"][0]["stood_s"] > 0, error
    assert {"following", "latched"} <= seen
    assert last["state"]["end"]["outcome"] == end["outcome"] and last["state"]["frame_ms"] > 0
    folder = next(runs.iterdir())
    first, second = (folder / f"{folder.name}{more}.mcap" for more in ("", "-2"))  # the wish is heeded anew
    assert RecordedRun(first).facts.went_on and RecordedRun(second).facts.outcome is not None
    assert end["recordings"] == [str(first), str(second)]


async def filmed(runs: Path) -> list[int]:
    """Watch a run by WebRTC; return the numbers of its pictures."""
    from tests.edge.runs.live.test_rtc import Client

    found = access(runs)
    url = f"http://127.0.0.1:{found['port']}/live"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.send_json({"token": found["token"]})
        viewer = Client(Look(socket))
        await viewer.connect()
        while len(viewer.numbers) < 30:
            await viewer.look.next()
        await viewer.close()
        return viewer.numbers


@pytest.mark.slow
@pytest.mark.realtime
@pytest.mark.timeout(200)
def test_a_run_is_seen_by_webrtc_and_ends_with_its_button(tmp_path: Path, tiny_bundle: Path):
    pytest.importorskip("aiortc")
    runs = tmp_path / "runs"
    child = start(runs, tiny_bundle)
    try:
        folder = turning(runs)
        numbers = asyncio.run(filmed(runs))
        pressed_ns = time.monotonic_ns()
        assert press(access(runs)) == 200
    finally:
        _, error = child.communicate(timeout=60)
    assert numbers == sorted(numbers) and numbers[-1] < 45, error
    check_stood(folder, pressed_ns)
    assert summary(folder)["cause"] == "operator" and child.returncode == 4


async def record(runs: Path) -> list[dict[str, Any]]:
    """Record twice, asking twice each time; return the states of the recording."""
    found, states = access(runs), list[dict[str, Any]]()
    url = f"http://127.0.0.1:{found['port']}/live"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.send_json({"token": found["token"]})
        look = Look(socket)
        for on in (True, False, True):
            for _ in range(2):
                await socket.send_json({"record": on})
            wish, since_s = 0, time.monotonic()
            while time.monotonic() - since_s < 2 or states[-1]["number"] != wish or states[-1]["on"] != on:
                head = await look.next()
                wish = head["wish"]
                states += [head["state"]["recording"]] if "recording" in head["state"] else []
        return states


@pytest.mark.slow
@pytest.mark.realtime
@pytest.mark.timeout(300)
@pytest.mark.parametrize("whole", [False, True])
def test_a_person_records_a_run_from_the_page(
    tmp_path: Path, whole: bool, capsys: pytest.CaptureFixture[str]
):
    runs, kept = tmp_path / "runs", tmp_path / "kept"
    command = [sys.executable, "-m", "edge.cli", "run", "--goal", "follow_object", "--target", "red cup"]
    command += ["--seed", "3", "--max-seconds", "14", "--runs-dir", str(runs), "--web", "0"]
    command += ["--record", str(kept)] if whole else []
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: list(runs.glob("*/web.json")), 60)
        folder = next(runs.iterdir())
        until(
            lambda: (folder / "run.log").exists() and "drive started" in (folder / "run.log").read_text(), 60
        )
        states = asyncio.run(record(runs))
    finally:
        out, error = child.communicate(timeout=120)
    assert max(each.get("bytes", 0) for each in states) > 100_000, error
    assert not any(each["trouble"] for each in states), error
    where = kept if whole else folder
    first, second = (str(where / f"{folder.name}{more}.mcap") for more in ("", "-2"))
    assert summary(folder)["recordings"] == [first, second] and f"recorded: {first}\n" in out
    assert (folder / "run.log").read_text().count('event="recording begins"') == (1 if whole else 2)
    capsys.readouterr()
    assert cli.main(["replay", first, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["missing_events"] == 0 and found["ended_by_a_person"] and found["different"] == 0
    assert found["begun_late"] is not whole and found.get("ticks_different", 0) == 0
    assert found["decisions"] > 10 and ("ticks" in found) is whole
    assert cli.main(["replay", second, "--layer", "decision"]) == 2
    assert "begins in the middle of the drive" in capsys.readouterr().err
    assert cli.main(["report", second, "--out", str(tmp_path / "report.html")]) == 0
    assert cli.main(["convert", second, "--to", "rosbag2", "--out", str(tmp_path / "bag")]) == 0


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["run", "--goal", "find_object", "--target", "cup", *arguments]) == 2
    return capsys.readouterr().err


def test_a_page_that_can_not_be_served_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    runs = ["--runs-dir", str(tmp_path / "runs")]
    assert "--web-host goes with --web" in refused(capsys, *runs, "--web-host", "0.0.0.0")
    assert "not a port" in refused(capsys, *runs, "--web", "99999")
    assert "can't listen" in refused(capsys, *runs, "--web", "0", "--web-host", "192.0.2.1")
    with listen("127.0.0.1", 0) as taken:
        error = refused(capsys, *runs, "--web", str(taken.getsockname()[1]))
    assert "Address already in use" in error and "--web 0 for any free port" in error
    assert not (tmp_path / "runs").exists()


def test_without_its_package_the_page_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    error = refused(capsys, "--runs-dir", str(tmp_path / "runs"), "--web", "0")
    assert "needs the Python package aiohttp" in error and "'.[web]'" in error
