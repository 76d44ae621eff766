"""What a run hands over to itself when its program is replaced: open sockets, processes, what has happened.

It travels as JSON in an anonymous file whose number is in the environment, so nothing of it is left behind.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge.runs.live.client import KeptPage
from edge.runs.tap.ending import KeptTap

_VARIABLE = "VLA_EDGE_KEPT"


@dataclass(frozen=True, slots=True)
class Restart:
    """One start of the engine afresh."""

    cause: str  # a value of StopCause
    reason: str
    after_s: float  # driven before, in all
    stopped_ns: int  # when the base stood, CLOCK_MONOTONIC
    stood_s: float | None = None  # until it drove on; None if it never did

    def to_json(self) -> dict[str, Any]:
        """Return what summary.json says of it."""
        facts = asdict(self)
        del facts["stopped_ns"]
        return facts


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A run under way whose program has been replaced. The numbers are of processes and of open sockets."""

    folder: Path
    restarts: Sequence[Restart]  # the newest last
    motor_pid: int
    motor_fd: int
    stop_fd: int
    stop_token: str
    rings: Mapping[str, int]  # cameras in shared memory, by name
    robot: Mapping[str, Any]  # what it needs to go on; empty for a robot without processes of its own
    page: KeptPage | None = None  # the live page
    taps: Sequence[KeptTap] = field(default_factory=list[KeptTap])  # those of the drives before, in order

    @property
    def driven_s(self) -> float:
        """Seconds that it has driven so far."""
        return self.restarts[-1].after_s

    def hand_over(self) -> dict[str, str]:
        """Return the environment for the program that goes on; its sockets stay open across an exec."""
        for fd in (self.motor_fd, self.stop_fd, *(tap.fd for tap in self.taps)):
            os.set_inheritable(fd, True)
        file = os.memfd_create("vla-edge-kept", 0)
        os.write(file, json.dumps({**asdict(self), "folder": str(self.folder)}).encode())
        return {**os.environ, _VARIABLE: str(file)}


def kept_run() -> KeptRun | None:
    """Return the run that this process goes on with; None if it begins one. Only the first call finds it."""
    number = os.environ.pop(_VARIABLE, "")
    if not number:
        return None
    with os.fdopen(int(number), "rb") as file:
        file.seek(0)
        facts = json.load(file)
    facts["folder"] = Path(facts["folder"])
    facts["page"] = KeptPage(**facts["page"]) if facts["page"] else None
    facts["taps"] = [KeptTap(**each) for each in facts["taps"]]
    facts["restarts"] = [Restart(**each) for each in facts["restarts"]]
    return KeptRun(**facts)
