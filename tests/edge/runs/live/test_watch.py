"""`vla-edge watch` shows what a recording holds, at its pace, and ends with it."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge import cli
from edge.interfaces import PolicyStatus
from edge.outcomes import Outcome
from edge.records import DriveEnd, MotorState, MotorStatus, Velocity
from edge.runs.recording.mcap_file import McapFile
from edge.runs.tap.events import TapEvent
from edge.runs.tap.messages import wall_minus_monotonic_ns
from tests.edge.runs.live.serving import Look
from tests.edge.runs.live.test_feed import MS, event, image

START_MS = 5_000_000.0  # another boot's clock


def recording(file: Path) -> Path:
    """Write a second of a drive."""
    mcap = McapFile(file)
    goal = {"kind": "find_object", "target": "컵"}
    header = {"goal": goal, "prompt": "", "wall_minus_monotonic_ns": wall_minus_monotonic_ns()}
    mcap.write(event("header", START_MS, header))
    for number in range(10):
        at_ms = START_MS + 100 * number
        picture = image(at_ms)
        facts = {**picture.data, "encoding": "rgb8", "seq": number}
        mcap.write(TapEvent("image", number, picture.stamp_ns, json.dumps(facts).encode(), picture.blob))
        frame = {"seq": number, "stamp_ns": round(at_ms * MS), "width": 80, "height": 60}
        policy = PolicyStatus("approach")
        mcap.write(event("tick", at_ms, {"camera": "", "frames": {"front": frame}, "policy": policy}))
        mcap.write(event("motor", at_ms, MotorStatus(round(at_ms * MS), MotorState.FOLLOWING, Velocity(0.1))))
    mcap.write(event("end", at_ms, DriveEnd(Outcome.REACHED, "arrived", 0)))
    mcap.close()
    return file


async def watched(url: str) -> tuple[list[dict[str, Any]], list[bytes]]:
    address, token = url.split("/#")
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{address}/stop", headers={"Authorization": f"Bearer {token}"}) as answer:
            assert answer.status == 404
        async with session.ws_connect(f"{address}/live") as socket:
            await socket.send_json({"token": token})
            look, heads = Look(socket), list[dict[str, Any]]()
            while not heads or not heads[-1]["over"]:
                heads.append(await look.next())
            return heads, look.jpegs


def test_a_recording_is_shown_at_its_pace_and_nobody_stops_it(tmp_path: Path):
    file = recording(tmp_path / "run.mcap")
    command = [sys.executable, "-m", "edge.cli", "watch", str(file), "--port", "0"]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(Path.cwd())}
    )
    assert child.stdout is not None
    found = re.fullmatch(r"page: (\S+)\n", child.stdout.readline())
    assert found is not None
    heads, jpegs = asyncio.run(watched(found[1]))
    child.stdout.close()
    assert child.wait(20) == 0
    assert heads[-1]["title"] == "find_object 컵" and not heads[-1]["controls"]
    assert heads[-1]["state"]["end"]["outcome"] == "reached" and len(jpegs) >= 5
    drives = [each for each in heads if each["state"].get("policy") == "approach"]
    ages_ms = [each["now_ms"] - each["state"]["frame_ms"] for each in drives]
    assert len(drives) >= 5 and -1 <= min(ages_ms) < 150


def test_what_is_not_a_recording_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "a.mcap").write_bytes(b"no")
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "a.mcap", tmp_path / "gone.mcap", tmp_path / "empty"):
        assert cli.main(["watch", str(path), "--port", "0"]) == 2
        assert "hint" in capsys.readouterr().err or path.name == "gone.mcap"
    assert cli.main(["watch", str(recording(tmp_path / "b.mcap")), "--port", "99999"]) == 2
