"""decisions.jsonl: what was asked, said, read, sent and driven, and why; one line a decision."""

import errno
import os
from pathlib import Path
from typing import Any

from edge.runs.tap.events import TapEvent
from edge.runs.tap.plain import to_line

MOST_BYTES = 256 << 20  # a day of ten answers a second


class DecisionList:
    """A consumer that writes a line when the next decision comes, or the end."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._asked = ""
        self._start_ns: int | None = None
        self._line: dict[str, Any] | None = None
        self._state = self._doubt = ""
        self._by_hand_ns: int | None = None  # stamp of the newest report, if it said that a person drove
        self._awaited: int | None = None  # decision of the chunk whose first setpoint is not known yet
        self._written = self._lost = 0
        self._trouble = ""

    def take(self, event: TapEvent) -> None:
        """Take what belongs to a decision."""
        data = event.data if event.topic in ("header", "start", "tick", "inference", "chunk", "motor") else {}
        if event.topic == "header":
            self._asked = data["prompt"]
        elif event.topic == "start":
            self._start_ns = data["stamp_ns"]
        elif event.topic == "tick":
            self._state, self._doubt = data["policy"]["state"], data["doubt"]
        elif event.topic == "inference":
            self._write()
            self._line = self._of(data)
        elif event.topic == "chunk" and self._line is not None and self._line["sent"] is None:
            self._awaited = data["decision"]
            first = data["values"][0] if data["values"] else None
            self._line["sent"] = {"decision": self._awaited, "first_row": first, "rows": len(data["values"])}
        elif event.topic == "motor" and self._line is not None:
            self._note_hand(data, self._line)
            if self._awaited is not None:
                self._driven(data, self._line)

    def finish(self, whole: bool) -> list[str]:
        """Write the last line."""
        self._write()
        if self._lost:
            return [f"{self._path.name} lacks {self._lost} lines: {self._trouble}"]
        return (
            []
            if self._written <= MOST_BYTES
            else [f"{self.name} ends at its limit of {MOST_BYTES >> 20} MiB"]
        )

    def _driven(self, status: dict[str, Any], line: dict[str, Any]) -> None:
        """Take the report of the first setpoint of the awaited decision, or of why there is none."""
        if status["decision"] == self._awaited or status["reason"]:
            self._awaited = None
            line["driven"] = {"state": status["state"], **status["sent"]}
            line["why"] = status["reason"] or line["why"]

    def _note_hand(self, status: dict[str, Any], line: dict[str, Any]) -> None:
        """Add the time since the report before, if a person drove then."""
        stamp_ns = status["stamp_ns"]
        if self._by_hand_ns is not None:
            line["by_hand_s"] = round(line["by_hand_s"] + (stamp_ns - self._by_hand_ns) / 1e9, 3)
        self._by_hand_ns = stamp_ns if status["by_hand"] else None

    def _of(self, data: dict[str, Any]) -> dict[str, Any]:
        inference = data["inference"]
        frame = inference["frame"]
        start_ns = frame["stamp_ns"] if self._start_ns is None else self._start_ns
        return {
            "number": data["number"],
            "at_s": round((frame["stamp_ns"] - start_ns) / 1e9, 3),
            "frame": {key: frame[key] for key in ("camera", "seq", "source") if frame[key] != ""},
            "asked": self._asked,
            "said": inference["text"],
            "cut": inference["cut"],
            "confidence": inference["confidence"],
            "read": data["read"],
            "state": self._state,
            "ms": round(sum(inference["stages_ms"].values()), 2),
            "sent": None,
            "driven": None,
            "by_hand_s": 0.0,
            "why": self._doubt,
        }

    def _write(self) -> None:
        if self._line is None or self._written > MOST_BYTES:
            return
        content = to_line(self._line) + b"\n"
        self._line = self._awaited = None
        try:
            # Opened anew for each line: what was lost to a full disk or a folder that went comes back.
            with self._path.open("ab", buffering=0) as file:
                if file.write(content) != len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._lost, self._trouble = self._lost + 1, error.strerror or str(error)
        else:
            self._written += len(content)
