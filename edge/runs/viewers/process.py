"""The process of one viewer: `python -m edge.runs.viewers.process --fd N`; N is a socket to the recorder.

It takes the events of one run, as the recorder's own process does, and ends when they end or nothing can be
shown any more. It says words as the recorder's process does: for the run's log, and as the last one, `lacks`,
why the viewer lacks something; empty if it lacks nothing.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from edge.runs.tap.consumers import Consumer
from edge.runs.tap.events import TapEvent, read_events
from edge.runs.tap.options import TapOptions
from edge.runs.tap.plain import from_plain
from edge.runs.tap.switch import Tell
from edge.runs.viewers.foxglove_server import FoxgloveServer
from edge.runs.viewers.rerun_log import RerunLog


def main(argv: list[str]) -> NoReturn:
    """Show one run, and end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    control = socket.socket(fileno=parser.parse_args(argv).fd)
    events = read_events(control.makefile("rb", buffering=1 << 20))

    def say(word: object) -> None:
        with contextlib.suppress(OSError):  # a recorder that has gone does not hear it
            control.sendall(json.dumps(word).encode() + b"\n")

    say({"lacks": show(events, _viewer(from_plain(TapOptions, next(events).data), say))})
    # An orderly end would let go of the viewer, and wait for one that hangs.
    os._exit(0)


def show(events: Iterable[TapEvent], viewer: Consumer) -> str:
    """Hand all events to the viewer; return why it lacks something."""
    try:
        for event in events:
            viewer.take(event)
        return "; ".join(viewer.finish(whole=True))
    except OSError as error:
        return error.strerror or str(error)


def _viewer(options: TapOptions, tell: Tell) -> Consumer:
    folder = Path(options.folder)
    if options.foxglove_port:
        return FoxgloveServer(options.foxglove_port, folder)
    return RerunLog(options.rerun, folder, tell)


if __name__ == "__main__":
    main(sys.argv[1:])
