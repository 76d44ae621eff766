"""Signals that end a run: the first one interrupts, the later ones must not disturb the braking."""

import contextlib
import signal
from collections.abc import Generator
from types import FrameType

INTERRUPTED = 130  # exit code: 128 + SIGINT
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Turns SIGINT, SIGTERM and SIGHUP into one KeyboardInterrupt; what comes after it is only noted."""

    def __init__(self) -> None:
        self.name = ""  # the name of the first signal

    def check(self) -> None:
        """Raise again what a callback may have swallowed."""
        if self.name:
            raise KeyboardInterrupt(self.name)

    def let_in(self) -> None:
        """Let in what came while the signals were blocked. Raises KeyboardInterrupt if something did."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self.check()

    @staticmethod
    def keep_out() -> None:
        """Block the signals, for a program that replaces this one to let in. For the main thread."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        # Another thread could still take one, which the new program would not hear of: it ends this process.
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    @contextlib.contextmanager
    def caught(self) -> Generator[None]:
        """Catch the signals within this context. For the main thread."""
        before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        first, self.name = not self.name, self.name or signal.Signals(number).name
        if first:
            raise KeyboardInterrupt(self.name)
