"""The process at the far end of the tap: reads the events of one run and hands them to what keeps them.

`python -m edge.runs.tap.process --fd N`; N is a socket to the runtime. It ends when that socket does, and
only then: no signal of a terminal or a service stops it before the run has ended.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge.board.tree import Tree
from edge.errors import EdgeError
from edge.runs.live.feed import PageFeed
from edge.runs.recording.decisions import DecisionList
from edge.runs.recording.machine import MachineWatch
from edge.runs.recording.recorder import completed_header
from edge.runs.recording.ring import Ring
from edge.runs.recording.video import VideoWriter
from edge.runs.tap.consumers import Consumer, Spooled
from edge.runs.tap.events import Readable, TapEvent, read_events
from edge.runs.tap.options import TapOptions
from edge.runs.tap.plain import from_plain
from edge.runs.tap.switch import RecordingSwitch, Tell
from edge.runs.viewers.sender import PATIENCE_S, ViewerSender

NICE = 5  # where processors are short, the drive goes first


def main(argv: list[str]) -> int:
    """Keep one run; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    os.nice(NICE)
    control = socket.socket(fileno=parser.parse_args(argv).fd)
    with contextlib.closing(control), control.makefile("rb", buffering=1 << 20) as stream:

        def tell(word: Mapping[str, Any]) -> None:
            with contextlib.suppress(OSError):  # a runtime that has gone, or hangs, does not hear it
                control.send(json.dumps(word).encode() + b"\n", socket.MSG_DONTWAIT)

        notes, files = keep(stream, tell)
        with contextlib.suppress(OSError):  # a runtime that has gone does not ask
            control.sendall(json.dumps({"notes": notes, "files": files}).encode() + b"\n")
    return 0


def keep(stream: Readable, tell: Tell) -> tuple[list[str], list[str]]:
    """Keep the run whose events the stream holds; return notes for people, and the files written.

    `tell` takes words for the runtime meanwhile.
    """
    events = read_events(stream)
    first = next(events, None)
    if first is None or first.topic != "options":
        return [], []
    options = from_plain(TapOptions, first.data)
    ring = Ring(Path(options.folder) / "last30s.mcap") if options.ring else None
    switch = RecordingSwitch(options, tell)
    spools = [Spooled(DecisionList(Path(options.folder) / "decisions.jsonl"), images=False)]
    spools += [Spooled(each) for each in _consumers(options, switch)]
    spools += [Spooled(each, patience_s=PATIENCE_S) for each in _viewers(options, tell)]
    tell({"listens": True})
    whole = False
    for event in _with_machine(events, Tree(Path(options.root))):
        if event.topic == "outcome":
            whole = True
        if ring is not None:
            ring.take(event)
        switch.take(event)
        for spool in spools:
            spool.take(event)
    switch.finish(whole)
    for spool in spools:
        spool.end(whole)
    notes = ring.finish(whole) if ring is not None else []
    notes += [*switch.notes(), *(note for spool in spools for note in spool.notes())]
    return notes, switch.files()


def _consumers(options: TapOptions, switch: RecordingSwitch) -> list[Consumer]:
    found: list[Consumer] = []
    if options.video:
        found.append(VideoWriter(Path(options.video)))
    if options.page_fd >= 0:
        found.append(PageFeed(socket.socket(fileno=options.page_fd), switch))
    return found


def _viewers(options: TapOptions, tell: Tell) -> list[Consumer]:
    """Return what feeds the viewers; each has a process of its own."""
    found: list[Consumer] = []
    if options.foxglove_port:
        found.append(ViewerSender("Foxglove", replace(options, rerun=""), tell))
    if options.rerun:
        found.append(ViewerSender("Rerun", replace(options, foxglove_port=0), tell))
    return found


def _with_machine(events: Iterator[TapEvent], tree: Tree) -> Iterator[TapEvent]:
    """Yield the events, and once a second what the machine says about itself."""
    watch = MachineWatch(tree)
    with contextlib.suppress(ValueError):  # a torn event is the end of a runtime that was killed
        for event in events:
            yield completed_header(event) if event.topic == "header" else event
            if (about := watch.due(event.stamp_ns)) is not None:
                yield about


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except EdgeError as error:
        sys.exit(f"recorder: {error.message}")
