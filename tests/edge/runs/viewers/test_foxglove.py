"""Foxglove's app at a drive: what it gets, and what an app that hangs or is killed does to the recording."""

import asyncio
import json
import multiprocessing
import os
import signal
import socket
import threading
from base64 import b64decode
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest

from edge.records import DriveEnd, Outcome
from edge.runs.recording.images import as_jpeg
from edge.runs.recording.mcap_file import McapFile
from edge.runs.recording.torn import McapReader
from edge.runs.viewers import foxglove_server
from edge.runs.viewers.foxglove_server import FoxgloveServer
from tests.edge.recording.events import HEADER, drive, frame, kept, start
from tests.edge.runs.viewers.apps import Seen, connected, free_port, look, viewer_pids
from tests.waiting import alive, until

pytestmark = pytest.mark.skipif(
    find_spec("foxglove") is None, reason="this Python has no foxglove-sdk; pip install '.[foxglove]'"
)
REACHED = DriveEnd(Outcome.REACHED, "", 0)


def shown(tmp_path: Path, early: int, late: int) -> Seen:
    """Show a drive to an app that comes after its first frames; return what that got."""
    port, seen = free_port(), Seen()
    server = FoxgloveServer(port, tmp_path)
    events = kept(early + late)
    for event in events[: 1 + 3 * early]:
        server.take(event)
    app = threading.Thread(target=lambda: asyncio.run(look(port, seen)))
    app.start()
    until(lambda: seen.bodies("/vla_edge/header"))
    until(lambda: server.watched("/camera/front/boxes"))
    for event in events[1 + 3 * early :]:
        server.take(event)
    assert server.finish(True) == []
    app.join(10)
    assert not app.is_alive()
    return seen


def decoded(seen: Seen, topic: str) -> list[Any]:
    """The messages of a topic, decoded by the schema that the server told."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    channel = seen.channels[topic]
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(b64decode(channel["schema"])).file:
        pool.Add(file)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName(channel["schemaName"]))
    return [kind.FromString(body) for body in seen.bodies(topic)]


def test_an_app_gets_pictures_and_boxes_in_words(tmp_path: Path):
    seen = shown(tmp_path, 2, 6)
    pictures = decoded(seen, "/camera/front")
    assert len(pictures) == 6 and pictures[0].format == "jpeg"
    bgr = cv2.imdecode(np.frombuffer(pictures[0].data, np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None and bgr.shape == (48, 64, 3)
    first = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(int) - frame(2).image
    assert np.abs(first).mean() < 60  # noise in a JPEG, and not another frame's: those differ by 85
    boxes = [json.loads(body) for body in seen.bodies("/camera/front/boxes")]
    assert len(boxes) == 6 and boxes[0]["texts"][0]["text"] == "cup 0.96"
    assert boxes[0]["points"][0]["points"][0] == {"x": 16.0, "y": 12.0}  # in pixels of the picture
    assert len(seen.bodies("/vla_edge/tick")) == 6 and len(seen.bodies("/vla_edge/motor")) == 6


def test_who_comes_late_gets_what_is_said_once(tmp_path: Path):
    header = json.loads(shown(tmp_path, 2, 0).bodies("/vla_edge/header")[0])
    assert header["prompt"] == "detect cup"


def test_topics_schemas_and_bodies_are_those_of_a_recording(tmp_path: Path):
    seen = shown(tmp_path, 1, 5)
    file = McapFile(tmp_path / "run.mcap")
    for event in kept(6):
        file.write(as_jpeg(event) if event.topic == "image" else event)
    file.close()
    recorded = list(McapReader(tmp_path / "run.mcap").messages())
    assert {each.topic for each in recorded} <= set(seen.channels)
    for topic in ("/vla_edge/motor", "/camera/front", "/camera/front/boxes"):
        assert seen.bodies(topic) == [each.body for each in recorded if each.topic == topic][-5:], topic


def test_an_app_that_is_too_slow_is_said_to_lack_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(foxglove_server, "BACKLOG", 8)
    port, blocked, subscribed = free_port(), threading.Event(), threading.Event()
    server = FoxgloveServer(port, tmp_path)
    events = kept(60, size=(480, 640))
    server.take(events[0])

    async def look_and_block() -> None:
        url = f"ws://127.0.0.1:{port}/"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, protocols=["foxglove.sdk.v1"], max_msg_size=0) as link,
        ):
            channels = []
            while not any(each["topic"] == "/camera/front" for each in channels):
                channels += (await link.receive_json()).get("channels", [])
            wanted = [{"id": each["id"], "channelId": each["id"]} for each in channels]
            await link.send_json({"op": "subscribe", "subscriptions": wanted})
            subscribed.set()
            blocked.wait(30)

    app = threading.Thread(target=lambda: asyncio.run(look_and_block()))
    for event in events[1:4]:
        server.take(event)
    app.start()
    assert subscribed.wait(10)
    until(lambda: server.watched("/camera/front"))
    for event in events[4:]:
        server.take(event)
    (note,) = server.finish(True)
    blocked.set()
    app.join(10)
    assert note == "an app took them too slowly: it lacks messages, the oldest whenever 8 waited"


def _freeze_once_looking(port: int) -> None:
    """Look, and hang in the middle of it."""
    seen = Seen()

    def freeze() -> None:
        until(lambda: seen.bodies("/camera/front"), 30)
        os.kill(os.getpid(), signal.SIGSTOP)

    threading.Thread(target=freeze, daemon=True).start()
    asyncio.run(look(port, seen))


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True], ids=["frozen", "killed"])
def test_an_app_that_hangs_or_is_killed_costs_the_recording_nothing(tmp_path: Path, killed: bool):
    port = free_port()
    with start(tmp_path, foxglove_port=port) as tap:
        until(lambda: viewer_pids(tap.pid))
        viewer = viewer_pids(tap.pid)[0]
        tap.on_header(HEADER)
        until(lambda: connected(port, "0A"), 30)
        app = multiprocessing.get_context("spawn").Process(target=_freeze_once_looking, args=(port,))
        app.start()
        assert app.pid is not None
        drive(tap, 300, size=(240, 320))
        if killed:
            app.kill()
        report = tap.finish(REACHED)
        assert all("an app took them too slowly" in note for note in report.notes)
        app.kill()
        app.join()
    recorded = [each.topic for each in McapReader(tmp_path / "run.mcap").messages()]
    assert recorded.count("/camera/front") == recorded.count("/vla_edge/tick") == 300
    assert recorded[-1] == "/vla_edge/outcome" and not alive(viewer)


@pytest.mark.slow
def test_a_port_taken_meanwhile_is_said_and_costs_nothing_else(tmp_path: Path):
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, start(tmp_path, foxglove_port=taken.getsockname()[1]) as tap:
        drive(tap, 10)
        report = tap.finish(REACHED)
    assert len(report.notes) == 1 and "nothing can listen at 127.0.0.1" in report.notes[0]
    assert [each.topic for each in McapReader(tmp_path / "run.mcap").messages()].count("/vla_edge/tick") == 10
