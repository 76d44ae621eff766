"""The space bar of the terminal that a drive was started from."""

import contextlib
import os
import select
import signal
import sys
import termios
import threading
from collections.abc import Callable

from edge.errors import MotorFault, PluginError
from edge.interfaces import Closing

KEY = b" "
MAX_READ_BYTES = 64


class Keyboard(Closing):
    """Calls `on_space` from a thread, each time that the space bar is pressed, until it is closed.

    The terminal hands over each key at once and shows none meanwhile. Ctrl-C stays a signal.
    """

    def __init__(self, fd: int, on_space: Callable[[], None]) -> None:
        """Begin to watch a terminal in whose foreground this process runs."""
        self._fd = fd
        self._on_space = on_space
        self._before = termios.tcgetattr(fd)
        changed = termios.tcgetattr(fd)
        changed[3] &= ~(termios.ICANON | termios.ECHO)
        termios.tcsetattr(fd, termios.TCSADRAIN, changed)
        self._wake_r, self._wake_w = os.pipe()
        self._thread = threading.Thread(target=self._work, name="keyboard", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and restore the terminal, unless that belongs to another program by now."""
        if self._wake_w < 0:
            return
        os.close(self._wake_w)
        self._wake_w = -1
        self._thread.join()
        os.close(self._wake_r)
        with contextlib.suppress(OSError, termios.error):  # the terminal is gone
            if _in_foreground(self._fd):
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def _work(self) -> None:
        # Blocked, the signal turns a read from the background into an error; it would suspend this process.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN})
        while True:
            ready = select.select([self._fd, self._wake_r], [], [])[0]
            if self._wake_r in ready:
                return
            try:
                keys = os.read(self._fd, MAX_READ_BYTES)
            except OSError:
                keys = b""
            if not keys:
                return  # the terminal is gone, which is a signal of its own
            if KEY in keys:
                self._on_space()


def watch_keyboard(on_space: Callable[[], None]) -> Keyboard | None:
    """Watch standard input if it is a terminal in whose foreground this process runs; None if not."""
    try:
        fd = sys.stdin.fileno() if sys.stdin is not None else -1
        return Keyboard(fd, on_space) if os.isatty(fd) and _in_foreground(fd) else None
    except (OSError, ValueError, termios.error):
        return None  # it is closed, or not a terminal that has a mode


def _in_foreground(fd: int) -> bool:
    return os.tcgetpgrp(fd) == os.getpgrp()


def heed_keyboard(stop: Callable[[str], None]) -> contextlib.AbstractContextManager[object]:
    """Stop by the space bar from now on, if there is a keyboard. `stop` gets how it was stopped."""

    def on_space() -> None:
        # If the process is gone, the loop ends the drive all the same.
        with contextlib.suppress(MotorFault, PluginError):
            stop("space")

    return watch_keyboard(on_space) or contextlib.nullcontext()
