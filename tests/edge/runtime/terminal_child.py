"""A process at a terminal of its own: `python -m tests.edge.runtime.terminal_child MODULE ARGUMENTS`.

Its standard input becomes its controlling terminal, then MODULE runs in its place. Without MODULE it watches
the keyboard itself, as a run does, and prints what happens: `space`, then how it ends.
"""

import contextlib
import fcntl
import os
import pty
import subprocess
import sys
import termios
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from edge.runtime.keyboard import watch_keyboard
from edge.runtime.signals import Interrupts

REPO = Path(__file__).parents[3]


@dataclass
class Terminal:
    """The parent's end: what a person would type into, and the process."""

    fd: int
    line: int  # the process's end, whose mode is the terminal's
    first_mode: list[object]  # before the process had it
    process: "subprocess.Popen[str]"

    def press(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    @property
    def mode(self) -> list[object]:
        return termios.tcgetattr(self.line)

    @property
    def raw(self) -> bool:
        return not termios.tcgetattr(self.line)[3] & termios.ICANON


@contextlib.contextmanager
def at_terminal(*arguments: str, env: dict[str, str] | None = None) -> Generator[Terminal]:
    """Yield a process at a pseudo-terminal; its output comes through pipes."""
    fd, line = pty.openpty()
    first_mode = termios.tcgetattr(line)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.edge.runtime.terminal_child", *arguments],
        cwd=REPO,
        env={**os.environ, **(env or {})},
        stdin=line,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield Terminal(fd, line, first_mode, process)
    finally:
        process.kill()
        process.communicate()
        os.close(fd)
        os.close(line)


def main() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    if len(sys.argv) > 1:
        os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])
    interrupts = Interrupts()
    with interrupts.caught(), contextlib.ExitStack() as stack:
        if keyboard := watch_keyboard(lambda: print("space", flush=True)):
            stack.enter_context(keyboard)
        try:
            print("watching" if keyboard else "not watching", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            print(f"ended by {interrupts.name}", flush=True)


if __name__ == "__main__":
    main()
