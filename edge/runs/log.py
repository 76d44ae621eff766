"""The log of a run: run.log, one event a line, as key=value fields that `grep` and a program can read.

Any module logs with Python's `logging`: `log.info("armed", extra=fields(state="holding"))`.
"""

import json
import logging
import re
import threading
import time
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any

LEVELS = ("debug", "info", "warning", "error")
QUEUED_LINES = 1000
CLOSE_S = 1.0  # for the lines that still wait
_PLAIN = re.compile(r"[^\s\"=\\]+")  # a value that needs no quotes


def fields(**values: object) -> dict[str, Any]:
    """Return the fields of one event, as the `extra` of a logging call."""
    return {"fields": values}


def format_line(record: logging.LogRecord) -> str:
    """Return one line: wall time, monotonic stamp, level, logger, event, fields."""
    stamp = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
    values: dict[str, object] = {
        "time": stamp,
        "stamp_ns": time.monotonic_ns(),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": record.getMessage(),
        **getattr(record, "fields", {}),
    }
    if record.exc_info:
        values["error"] = repr(record.exc_info[1])
        values["trace"] = logging.Formatter().formatException(record.exc_info)
    return " ".join(f"{key}={_quoted(value)}" for key, value in values.items())


def _quoted(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if _PLAIN.fullmatch(text) and text.isprintable() else json.dumps(text)


class RunLog(logging.Handler):
    """Writes what any module logs into a file, from a thread of its own. Use as a context manager.

    It never waits for the disk, never raises and never writes to a terminal: a line that can't be written is
    lost and counted.
    """

    def __init__(self, file: Path, level: str = "info") -> None:
        super().__init__(level.upper())
        self.lost = 0
        self.trouble = ""  # why lines were lost
        self._file = file
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._level_before = logging.root.level

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line."""
        try:
            line = format_line(record)
        except Exception as error:  # noqa: BLE001 - a value that can't be printed must not end a drive
            self._lose(f"a line can't be formatted: {type(error).__name__}")
            return
        if self._lines.qsize() < QUEUED_LINES:
            self._lines.put(line)
        else:
            self._lose("lines came faster than the disk takes them")

    def __enter__(self) -> "RunLog":
        self._thread.start()
        logging.root.addHandler(self)
        logging.root.setLevel(self.level)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.root.removeHandler(self)
        logging.root.setLevel(self._level_before)
        self._lines.put(None)
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():  # it writes a line that the disk does not take
            self.lost += self._lines.qsize()
            self.trouble = "the disk does not take them"
        self.close()

    def _lose(self, why: str) -> None:
        self.lost += 1
        self.trouble = why

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            content = (line + "\n").encode(errors="backslashreplace")
            try:
                # Opened anew for each line: what was lost to a full disk or a folder that went comes back.
                with self._file.open("ab", buffering=0) as file:
                    if file.write(content) != len(content):
                        self._lose("the disk is full")
            except OSError as error:
                self._lose(error.strerror or str(error))
