"""The live page of `vla-edge run --web`."""

import argparse
import contextlib
import sys
from collections.abc import Generator
from pathlib import Path

from edge.errors import UsageError
from edge.interfaces import Closing
from edge.records import Goal
from edge.runs.live.client import DEFAULT_PORT, LOOPBACK, KeptPage, LivePage


def add_page(parser: argparse.ArgumentParser) -> None:
    """Add the options of the live page."""
    parser.add_argument(
        "--web",
        type=port,
        nargs="?",
        const=DEFAULT_PORT,
        metavar="PORT",
        help=f"show the drive in a browser, with a stop button (port {DEFAULT_PORT}; 0: any; "
        "docs/live-page.md)",
    )
    parser.add_argument(
        "--web-host",
        metavar="ADDRESS",
        help=f"where the page listens: {LOOPBACK}, this machine alone, if not told otherwise; 0.0.0.0: all",
    )


def port(text: str) -> int:
    """Return a port's number."""
    if not (text.isascii() and text.isdigit() and int(text[:6]) <= 65535):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a port: 0 to 65535")
    return int(text)


def check_page(options: argparse.Namespace) -> None:
    """Raise UsageError for --web-host without --web."""
    if options.web_host is not None and options.web is None:
        raise UsageError("--web-host goes with --web", f"--web {DEFAULT_PORT} --web-host {options.web_host}")


class RunPage(Closing):
    """The live page of one run, or none where nobody asked for it."""

    def __init__(self, options: argparse.Namespace, goal: Goal, kept: KeptPage | None) -> None:
        check_page(options)
        self._options, self._kept = options, kept
        self._title = f"{goal.kind} {goal.target}".strip()
        self.page: LivePage | None = None

    def open(self) -> None:
        """Start its process, or go on with one. Raises UsageError if nothing can listen."""
        options = self._options
        if self._kept is not None:
            self.page = LivePage.kept(self._kept)
        elif options.web is not None:
            self.page = LivePage.start(self._title, options.web, options.web_host or LOOPBACK)

    @contextlib.contextmanager
    def line(self) -> Generator[tuple[list[str], list[int]]]:
        """Yield what the motor process gets to hear of the page by: addresses, and the sockets in them."""
        if self.page is None:
            yield [], []
        else:
            yield [self.page.operator], [self.page.motor_fd]
            self.page.handed_over()

    @property
    def feed_fd(self) -> int:
        """The socket that the tap feeds it by; -1 without a page."""
        return self.page.feed_fd if self.page else -1

    @property
    def pids(self) -> dict[str, int]:
        """Its process, by role."""
        return {"page": self.page.pid} if self.page else {}

    def announce(self, folder: Path) -> None:
        """Say where it is, on the terminal and in a file of the run's folder."""
        if self.page is not None:
            self.page.write_file(folder)
            print(*(f"live page: {url}" for url in self.page.urls), sep="\n", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End it."""
        if self.page is not None:
            with contextlib.suppress(OSError):
                self.page.close()
