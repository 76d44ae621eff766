"""`vla-edge watch`: a recorded run on the live page, at the pace at which it went."""

import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from edge.commands.arguments import ArgumentParser
from edge.errors import UsageError
from edge.replay.recording import IMAGE_DATA, find_recording, stored_pixels
from edge.runs.live.client import DEFAULT_PORT, LOOPBACK, LivePage
from edge.runs.live.feed import PageFeed
from edge.runs.live.run_page import port
from edge.runs.recording.torn import McapReader, Stored
from edge.runs.tap.events import NUMBERS, TapEvent
from edge.runs.tap.messages import OWN
from edge.runs.tap.parts import part_of
from edge.runs.tap.plain import to_line


def main(argv: list[str]) -> int:
    """Show one recording; returns 0 once it is over, or by Ctrl-C."""
    parser = ArgumentParser("watch", "Show a recorded run in a browser. Nothing moves, and nothing computes.")
    parser.add_argument("run", type=Path, metavar="RUN", help="a recording (.mcap), or a folder with one")
    parser.add_argument(
        "--port", type=port, default=DEFAULT_PORT, help="the page's port (%(default)s; 0: any)"
    )
    parser.add_argument("--host", default=LOOPBACK, help="where the page listens (%(default)s; 0.0.0.0: all)")
    options = parser.parse_args(argv)
    path = find_recording(options.run)
    title, part = _about(path)
    if part:
        print(f"this is {part}")
    with LivePage.start(title, options.port, options.host, controls=False) as page:
        print(
            *(f"page: {url}" for url in page.urls), "it plays once somebody looks; Ctrl-C ends it", sep="\n"
        )
        sys.stdout.flush()
        feed = PageFeed(socket.socket(fileno=socket.dup(page.feed_fd)))
        try:
            _play(path, feed)
        except KeyboardInterrupt:
            pass
        finally:
            feed.finish(True)
    return 0


def _about(path: Path) -> tuple[str, str]:
    """Return what a run was about, and which part of it the file is; empty if it is all.

    Raises UsageError if the file is not a recording of a run.
    """
    for event in recorded_events(path):
        if event.topic == "header":
            goal = event.data["goal"]
            part = part_of(path, event.data, went_on=False)
            return f"{goal['kind']} {goal['target']}".strip(), part.words
    raise UsageError(
        f"{path} has no header of a run", "`vla-edge recover FILE` tells what is in it, if it is torn"
    )


def _play(path: Path, feed: PageFeed) -> None:
    while not feed.watched:
        time.sleep(0.1)
    begun: tuple[float, int] | None = None  # now, and the stamp that is played now
    for event in recorded_events(path):
        if event.topic != "header":
            begun = begun or (time.monotonic(), event.stamp_ns)
            time.sleep(max(0.0, begun[0] + (event.stamp_ns - begun[1]) / 1e9 - time.monotonic()))
        feed.take(event)


def recorded_events(path: Path) -> Iterator[TapEvent]:
    """Yield the events of a recording as the tap has sent them; images come with their tick."""
    newest: dict[str, Stored] = {}
    behind_ns = 0
    for message in McapReader(path).messages():
        if message.schema in IMAGE_DATA:
            newest[message.topic.removeprefix("/camera/")] = message
            continue
        topic = message.topic.removeprefix(OWN)
        if topic == message.topic or topic not in NUMBERS:
            continue
        if topic == "header":
            behind_ns = json.loads(message.body)["wall_minus_monotonic_ns"]
        event = TapEvent(topic, message.sequence, message.stamp_ns - behind_ns, message.body)
        for camera, told in event.data["frames"].items() if topic == "tick" else ():
            if (stored := newest.pop(camera, None)) is not None:
                yield _image(camera, stored, told["height"], told["width"], behind_ns)
        yield event


def _image(camera: str, stored: Stored, height: int, width: int, behind_ns: int) -> TapEvent:
    """Return the event of an image, which may have been recorded smaller than it was."""
    pixels = stored_pixels(stored, height, width)
    height, width = pixels.shape[:2]
    line = to_line({"camera": camera, "height": height, "width": width})
    return TapEvent("image", stored.sequence, stored.stamp_ns - behind_ns, line, pixels.data.cast("B"))
