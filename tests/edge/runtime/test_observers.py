"""Observers in threads of their own: order, bounds, and what one that fails or hangs can't do."""

import logging
import threading
import time

import numpy as np
import pytest

from edge.interfaces import PolicyStatus
from edge.records import DriveEnd, Frame, Goal, MotorState, MotorStatus, Observation, Outcome, Velocity
from edge.runtime import observers as module
from edge.runtime.observers import QUEUED_EVENTS, Observers
from tests.waiting import until

END = DriveEnd(Outcome.REACHED, "arrived", 0)
FRAME = Frame(np.zeros((2, 2, 3), np.uint8), 0, 0)
SEEN = Observation({"front": FRAME}, Goal("find_object", "red cup"))
STATUS = PolicyStatus("search")
PATIENCE_S = 10


class Notes:
    """An observer that notes what it was called with."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def on_start(self, stamp_ns: int) -> None:
        self.events.append(f"start {stamp_ns}")

    def on_frame(self, observation: Observation, policy: PolicyStatus) -> None:
        self.events.append("frame")

    def on_inference(self, inference: object) -> None:
        self.events.append("inference")

    def on_chunk(self, chunk: object) -> None:
        self.events.append("chunk")

    def on_status(self, status: MotorStatus) -> None:
        self.events.append(f"status {status.stamp_ns}")

    def on_end(self, end: DriveEnd) -> None:
        self.events.append(end.outcome.value)


class Gated(Notes):
    """An observer that does nothing before its gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def on_frame(self, observation: Observation, policy: PolicyStatus) -> None:
        self.gate.wait(PATIENCE_S)
        super().on_frame(observation, policy)


class Failing(Notes):
    def on_frame(self, observation: Observation, policy: PolicyStatus) -> None:
        super().on_frame(observation, policy)
        raise ZeroDivisionError("a bug of somebody else")


def report(stamp_ns: int) -> MotorStatus:
    return MotorStatus(stamp_ns, MotorState.HOLDING, Velocity())


def test_every_observer_gets_every_event_in_order_and_a_report_once():
    inline, other = Notes(), Notes()
    observers = Observers([inline], [other])
    observers.on_status(report(1))
    observers.on_start(5)
    for stamp_ns in (2, 2, 3):
        observers.on_frame(SEEN, STATUS)
        observers.on_status(report(stamp_ns))
    assert observers.on_end(END) is True
    expected = ["status 1", "start 5", "frame", "status 2", "frame", "frame", "status 3", "reached"]
    assert inline.events == other.events == expected


def test_one_that_fails_is_left_out_with_one_line_and_the_others_go_on(caplog):
    failing, other = Failing(), Notes()
    observers = Observers([], [failing, other])
    observers.on_frame(SEEN, STATUS)
    until(lambda: bool(caplog.records))
    for stamp_ns in range(1, QUEUED_EVENTS + 20):
        observers.on_status(report(stamp_ns))
        until(lambda stamp_ns=stamp_ns: other.events[-1] == f"status {stamp_ns}")
    assert observers.on_end(END) is True
    assert failing.events == ["frame"] and len(other.events) == QUEUED_EVENTS + 21
    (record,) = caplog.records
    assert record.levelno == logging.ERROR and record.fields == {"observer": "Failing"}
    assert "a bug of somebody else" in caplog.text


def test_one_that_is_slow_misses_events_counted_and_still_gets_the_end(caplog):
    slow = Gated()
    observers = Observers([], [slow])
    began_s = time.monotonic()
    for _ in range(QUEUED_EVENTS + 50):
        observers.on_frame(SEEN, STATUS)
    assert time.monotonic() - began_s < 1.0, "nobody waited for it"
    slow.gate.set()
    assert observers.on_end(END) is True
    # One event was under way, or waited like the others.
    assert len(slow.events) - 1 in (QUEUED_EVENTS, QUEUED_EVENTS + 1) and slow.events[-1] == "reached"
    begin, total = (record for record in caplog.records)
    assert begin.fields == {"observer": "Gated"}
    assert total.fields["dropped"] == QUEUED_EVENTS + 50 - (len(slow.events) - 1) and total.fields["ended"]


def test_one_that_hangs_is_left_behind(monkeypatch, caplog):
    monkeypatch.setattr(module, "END_S", 0.1)
    hung, other = Gated(), Notes()
    observers = Observers([], [hung, other])
    observers.on_frame(SEEN, STATUS)
    began_s = time.monotonic()
    assert observers.on_end(END) is False
    assert time.monotonic() - began_s < 1.0
    assert other.events == ["frame", "reached"]
    assert caplog.records[-1].fields["ended"] is False
    hung.gate.set()


def test_who_works_while_the_drive_waits_is_told_of_it():
    class Working(Notes):
        def on_wait(self) -> None:
            self.events.append("wait")

    working, plain = Working(), Notes()
    observers = Observers([working, plain], [])
    observers.on_frame(SEEN, STATUS)
    observers.on_wait()
    assert working.events == ["frame", "wait"] and plain.events == ["frame"]


def test_what_an_inline_observer_raises_is_a_bug_of_the_run():
    with pytest.raises(ZeroDivisionError):
        Observers([Failing()], []).on_frame(SEEN, STATUS)
