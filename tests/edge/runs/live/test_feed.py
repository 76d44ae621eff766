"""What the page is fed: events of a drive to a state and pictures, and a page that does not keep up."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from edge.interfaces import Inference, PolicyStatus
from edge.outcomes import Outcome, StopCause
from edge.records import Box, Detection, DriveEnd, Frame, MotorState, MotorStatus, Odometry, Velocity
from edge.runs.live.feed import PageFeed
from edge.runs.live.packets import MAX_BYTES, WATCHED, Picture, Settings, pack, unpack
from edge.runs.tap.events import TapEvent
from edge.runs.tap.plain import to_line

MS = 1_000_000
CUP = Detection(Box(0.1, 0.2, 0.3, 0.4), "cup", 0.96)
FRAME = Frame(np.zeros((60, 80, 3), np.uint8), 5 * MS, 3)


def event(topic: str, at_ms: float, what: Any, blob: bytes = b"") -> TapEvent:
    return TapEvent(topic, 1, round(at_ms * MS), to_line(what), blob)


def tick(at_ms: float, policy: PolicyStatus) -> TapEvent:
    frames = {"front": {"stamp_ns": round(at_ms * MS), "seq": 1}}
    return event("tick", at_ms, {"camera": "", "frames": frames, "policy": policy})


def image(at_ms: float, width: int = 80, height: int = 60) -> TapEvent:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (height, width, 3), np.uint8).tobytes()
    return event("image", at_ms, {"camera": "front", "width": width, "height": height}, pixels)


class Fed:
    """A feed and the page's end of its socket."""

    def __init__(self) -> None:
        here, self.page = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.page.setblocking(False)
        self.feed = PageFeed(here)

    def packets(self) -> list[Any]:
        found: list[Any] = []
        try:
            while data := self.page.recv(MAX_BYTES):
                found.append(unpack(data))
        except BlockingIOError:
            pass
        return found


@pytest.fixture
def fed() -> Iterator[Fed]:
    made = Fed()
    yield made
    made.feed.finish(True)
    made.page.close()


def test_a_drive_becomes_a_state(fed: Fed):
    odometry = Odometry(9 * MS, 1.0, 2.0, 0.5, Velocity())
    status = MotorStatus(
        7 * MS, MotorState.FOLLOWING, Velocity(0.3, 0.4, -0.1), "driven by hand", frame_to_motor_ns=40 * MS,
        odometry=odometry, battery_fraction=0.8, contacts=1, by_hand=True,
    )  # fmt: skip
    inference = Inference(FRAME, "<loc0001> cup", 0.9, {"vision": 3.0, "decode": 1.0})
    events = [
        event("start", 0, {"stamp_ns": 0}),
        event("inference", 6, {"number": 1, "inference": inference, "read": {"detections": [CUP]}}),
        event("motor", 7, status),
        event("machine", 8, {"temperatures_c": {"cpu": 61.5}, "throttled": []}),
        tick(200, PolicyStatus("approach", answer="")),
    ]
    for each in events:
        fed.feed.take(each)
    state = fed.packets()[-1]
    expected = {
        "policy": "approach", "motor": "following", "by_hand": True, "speed_m_s": 0.5, "turn_rad_s": -0.1,
        "frame_ms": 200.0, "answer_ms": 5.0, "report_ms": 7.0, "frame_to_motor_ms": 40.0, "battery": 0.8,
        "contacts": 1, "heat": {"cpu": 61.5}, "boxes": [[0.1, 0.2, 0.3, 0.4, "cup 0.96"]],
        "pose": [1.0, 2.0, 0.5], "text": "<loc0001> cup", "start_ms": 0.0,
        "stages_ms": {"vision": 3.0, "decode": 1.0, "total": 4.0},
    }  # fmt: skip
    assert expected.items() <= state.items()
    assert json.loads(json.dumps(state)) == state


def test_a_tracked_box_is_shown_first_and_an_old_answer_shows_none(fed: Fed):
    inference = Inference(FRAME, "cup", 0.9, {}, detections=(CUP,))
    fed.feed.take(event("inference", 6, {"number": 1, "inference": inference, "read": {}}))
    other = Detection(Box(0.5, 0.5, 0.6, 0.6), "cup", 0.5)
    fed.feed.take(tick(150, PolicyStatus("approach", detection=other)))
    assert fed.packets()[-1]["boxes"] == [[0.5, 0.5, 0.6, 0.6, "cup 0.50"]]
    fed.feed.take(tick(300, PolicyStatus("approach")))
    assert fed.packets()[-1]["boxes"] == [[0.1, 0.2, 0.3, 0.4, "cup 0.96"]]
    fed.feed.take(tick(600, PolicyStatus("lost")))
    assert fed.packets()[-1]["boxes"] == []


def test_states_come_ten_times_a_second_and_the_path_once(fed: Fed):
    for at_ms in range(0, 2000, 20):
        odometry = Odometry(at_ms * MS, at_ms / 1000, 0.0, 0.0, Velocity())
        fed.feed.take(
            event(
                "motor", at_ms, MotorStatus(at_ms * MS, MotorState.FOLLOWING, Velocity(), odometry=odometry)
            )
        )
    states = fed.packets()
    assert len(states) == 20 and sum("path" in each for each in states) == 2
    (_, newest) = (each["path"] for each in states if "path" in each)
    assert newest[-1][0] >= 0.98


def test_the_end_is_told_at_once(fed: Fed):
    fed.feed.take(event("start", 0, {"stamp_ns": 0}))
    end = DriveEnd(Outcome.FAULT, "too old", 4, StopCause.STALE_FRAME, "look")
    fed.feed.take(event("end", 1, end))
    told = {"outcome": "fault", "reason": "too old", "hint": "look", "exit_code": 4}
    assert fed.packets()[-1]["end"] == told
    judged = {"end": {**json.loads(to_line(end)), "outcome": "false_arrival"}, "lost": 0}
    fed.feed.take(event("outcome", 2, judged))
    assert fed.packets()[-1]["end"]["outcome"] == "false_arrival"
    fed.feed.take(event("outcome", 3, {"end": None, "lost": 0}))
    assert fed.packets()[-1]["end"]["outcome"] == "false_arrival"


def test_pictures_are_made_while_somebody_looks_and_ten_a_second(fed: Fed):
    fed.feed.take(image(0))
    fed.feed.take(tick(0, PolicyStatus("approach")))
    assert not [each for each in fed.packets() if isinstance(each, Picture)]
    fed.page.send(WATCHED)
    for at_ms in range(0, 1000, 33):
        fed.feed.take(image(at_ms))
        fed.feed.take(tick(at_ms, PolicyStatus("approach", detection=CUP)))
    pictures = [each for each in fed.packets() if isinstance(each, Picture)]
    assert len(pictures) == 11  # at 0, 99, ... 990 ms
    assert cv2.imdecode(np.frombuffer(pictures[0].jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (60, 80, 3)
    assert pictures[0].boxes == [[0.1, 0.2, 0.3, 0.4, "cup 0.96"]]  # those of its own frame


def test_a_picture_that_is_too_large_for_a_packet_is_made_smaller(fed: Fed):
    fed.page.send(WATCHED)
    fed.feed.take(image(0, 1920, 1440))  # noise hardly shrinks
    fed.feed.take(tick(0, PolicyStatus("approach")))
    (picture,) = [each for each in fed.packets() if isinstance(each, Picture)]
    width = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR).shape[1]
    assert width in (640, 320)


def test_a_page_that_reads_nothing_holds_nothing_up(fed: Fed):
    fed.page.send(WATCHED)
    for at_ms in range(0, 200_000, 100):
        fed.feed.take(tick(at_ms, PolicyStatus("approach")))
    read = fed.packets()
    assert 0 < len(read) < 2000
    fed.feed.take(tick(200_000, PolicyStatus("arrived")))
    assert fed.packets()[-1]["policy"] == "arrived"


@pytest.mark.parametrize(
    "packet",
    [
        Settings("t", "find_object 컵", True),
        Picture("앞", 12.5, b"\xff\xd8x", [[0.5, "cup"]]),
        {"a": [1, None]},
    ],
)
def test_a_packet_comes_back_as_it_was(packet: Any):
    assert unpack(pack(packet)) == packet


@pytest.mark.parametrize("data", [b"", b"P", b"Z123", b"S{", b"A[]"])
def test_other_bytes_are_not_a_packet(data: bytes):
    with pytest.raises((ValueError, TypeError)):
        unpack(data)
