"""What commands write besides words: JSON for machines, and how far a long command has come."""

import json
import math
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NoReturn, cast

from edge.errors import EdgeError

LINE_EVERY_S = 10.0  # without a terminal
_REDRAW_EVERY_S = 0.1  # on a terminal
_NO_ESTIMATE_S = 2.0  # before that, a rate means little


def run_program(main: Callable[[list[str]], int]) -> NoReturn:
    """Run the `main` of a program beside `vla-edge`, and exit as it does; a user's mistake is printed."""
    try:
        sys.exit(main(sys.argv[1:]))
    except EdgeError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)


def print_json(document: object) -> None:
    """Print one line of JSON. Raises ValueError for NaN and infinity, which JSON has not."""
    print(json.dumps(document, ensure_ascii=False, allow_nan=False), flush=True)


def plain_digits(document: Any) -> Any:
    """Return a document of JSON with the digits that mean something: four, and whole numbers from 1000 on."""
    if isinstance(document, float) and math.isfinite(document):
        return round(document) if abs(document) >= 1000 else float(f"{document:.4g}")
    if isinstance(document, dict):
        return {key: plain_digits(value) for key, value in cast("dict[str, Any]", document).items()}
    if isinstance(document, list):
        return [plain_digits(each) for each in cast("list[Any]", document)]
    return document


def duration(seconds: float) -> str:
    """Return a time for people, such as "40 s", "12 min" or "3.5 h"."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def share(values: Sequence[bool]) -> float | None:
    """Return the share of true values, [0, 1]; None if there are none: JSON has no NaN."""
    return sum(values) / len(values) if values else None


def counted(number: int, noun: str) -> str:
    """Return how many there are, such as "1 room" or "3 rooms"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def figure(value: float | None, digits: int = 3) -> str:
    """Return a number for people, and a dash for one that nothing was measured for."""
    return "-" if value is None else f"{value:.{digits}f}"


class ProgressLine:
    """Shows on standard error how far a command has come.

    A terminal has one line that is written over. Elsewhere, as in a pipe or a log, a line is written when
    another thing begins and then every LINE_EVERY_S.
    """

    def __init__(self) -> None:
        self._on_terminal = sys.stderr.isatty()
        self._what: str | None = None
        self._first = 0  # what was done when this thing began
        self._began_s = 0.0
        self._written_s = -math.inf

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._on_terminal and self._what is not None:
            self._write_over("")
            sys.stderr.write("\r")
            sys.stderr.flush()

    def show(self, what: str, done: int = 0, total: int = 1, more: str = "") -> None:
        """Show that `done` of `total` are done of `what`, such as "episodes"; one thing has no numbers."""
        now_s = time.monotonic()
        begins = what != self._what
        if begins:
            self._what, self._first, self._began_s = what, done, now_s
        if now_s - self._written_s < self._pause_s(begins):
            return
        self._written_s = now_s
        counts = f" {done}/{total}" if total > 1 else ""
        text = ", ".join(filter(None, [f"{what}{counts}", more, self._left(done, total, now_s)]))
        if self._on_terminal:
            self._write_over(text)
        else:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def _write_over(self, text: str) -> None:
        """Write the line from its start to its end: one that wraps could not be written over."""
        columns = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r{text[:columns]:<{columns}}")

    def _pause_s(self, begins: bool) -> float:
        if self._on_terminal:
            return 0.0 if begins else _REDRAW_EVERY_S
        return 1.0 if begins else LINE_EVERY_S

    def _left(self, done: int, total: int, now_s: float) -> str:
        taken_s, steps = now_s - self._began_s, done - self._first
        if steps <= 0 or done >= total or taken_s < _NO_ESTIMATE_S:
            return ""
        return f"about {duration(taken_s / steps * (total - done))} left"
