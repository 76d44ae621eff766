"""The events on their way from the tap to its process: only what is one is taken, and within bounds."""

import io
import socket
import struct

import pytest

from edge.runs.tap.events import MOST_BYTES, NUMBERS, TOPICS, TapEvent, TapLine, read_events

HEAD = struct.Struct("<BQqII")


class Counted(io.BytesIO):
    """A stream that knows how much was asked of it."""

    asked = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.asked = max(self.asked, size or 0)
        return super().read(size)


def test_events_travel_as_they_are():
    sent = [TapEvent(topic, 3, -5, b"{}", b"pixels") for topic in TOPICS]
    stream = io.BytesIO(b"".join(each.head() + each.line + each.blob for each in sent))
    assert list(read_events(stream)) == sent
    assert TOPICS[0] == "options" and NUMBERS["image"] == 3  # a number is never another topic's


@pytest.mark.parametrize("number", [len(TOPICS), len(TOPICS) + 1, 255])
def test_a_topic_that_is_not_there_is_not_an_event(number: int):
    with pytest.raises(ValueError, match=f"topic {number} with 2 bytes"):
        list(read_events(io.BytesIO(HEAD.pack(number, 0, 0, 2, 0) + b"{}")))


@pytest.mark.parametrize(
    ("line", "blob"), [(MOST_BYTES + 1, 0), (0, MOST_BYTES + 1), (MOST_BYTES, 1), (1, MOST_BYTES)]
)
def test_nothing_larger_than_an_event_is_read_into_memory(line: int, blob: int):
    assert MOST_BYTES == 256 << 20
    stream = Counted(HEAD.pack(3, 0, 0, line, blob) + b"x" * 100)
    with pytest.raises(ValueError, match="is not an event"):
        list(read_events(stream))
    assert stream.asked == HEAD.size


def test_an_event_that_is_cut_off_ends_the_stream():
    whole = TapEvent("image", 1, 2, b"{}", b"pixels")
    data = whole.head() + whole.line + whole.blob
    for end in range(1, len(data)):
        assert list(read_events(io.BytesIO(data + data[:end]))) == [whole]


def test_an_event_weighs_at_least_what_it_holds():
    assert TapEvent("image", 1, 2, b"12", b"345").size >= 5 + 100


def test_words_count_that_came_just_before_the_process_ended():
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with here:
        there.sendall(b'{"log": "a"}\n{"lacks": "the port is taken"}\n')
        there.close()
        line = TapLine(here)
        assert line.heard() == [{"log": "a"}, {"lacks": "the port is taken"}]
        with pytest.raises(ConnectionError):
            line.heard()


def test_a_word_in_two_parts_is_taken_once_it_is_whole():
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with here, there:
        line = TapLine(here)
        there.sendall(b'{"lo')
        assert line.heard() == []
        there.sendall(b'g": 1}\n{"l')
        assert line.heard() == [{"log": 1}]
        there.sendall(b'acks": 2}\n')
        there.shutdown(socket.SHUT_WR)
        assert list(line.rest()) == [{"lacks": 2}]
