"""The state of a soak: a folder whose soak.jsonl has a line for each run, so that hours add up."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FILE = "soak.jsonl"
LONG = -1  # the number of a long run


@dataclass(frozen=True, slots=True)
class Counts:
    """What this process and its relatives hold between runs."""

    descriptors: int
    threads: int
    rss_kib: int
    relatives: int
    zombies: int


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run, as a line of soak.jsonl."""

    seed: int
    number: int  # the fault's; -1 for a long run
    title: str
    began: str  # local time, for people
    seconds: float
    end: str
    code: int
    injected_s: float | None  # after the start; None: it ended before
    zero_ms: float | None = None
    bound_ms: float | None = None
    stalled_ms: float = 0.0
    by_machine: bool = False
    violations: list[str] = field(default_factory=list[str])
    folder: str = ""  # kept only with a violation
    reason: str = ""  # what the run said
    load: tuple[float, float] = (0.0, 0.0)  # load average of a minute, before and after
    before: Counts | None = None
    after: Counts | None = None
    figures: dict[str, Any] = field(default_factory=dict[str, Any])  # a long run's


class State:
    """The folder of a soak. Only whole lines count: a run that was cut off is not one."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.file = folder / FILE
        self._mend()

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the runs so far, oldest first."""
        if self.file.exists():
            for line in self.file.read_text().splitlines():
                yield json.loads(line)

    def add(self, record: RunRecord) -> None:
        """Write a run down, before the next one begins."""
        with self.file.open("a") as file:
            file.write(json.dumps(asdict(record)) + "\n")

    def next_seed(self, first: int) -> int:
        """Return the seed after the last one; `first` if there was none."""
        return max((record["seed"] for record in self.records()), default=first - 1) + 1

    def turns(self) -> int:
        """Return how many short runs there were."""
        return sum(record["number"] != LONG for record in self.records())

    def _mend(self) -> None:
        """Cut off a last line that was only half written."""
        data = self.file.read_bytes() if self.file.exists() else b""
        if data and not data.endswith(b"\n"):
            self.file.write_bytes(data[: data.rfind(b"\n") + 1])


def bag(numbers: Sequence[int], first_seed: int, turn: int) -> int:
    """Return the number whose turn it is: in each cycle, every one comes once, in a new order."""
    cycle, turn = divmod(turn, len(numbers))
    order = list(numbers)
    random.Random(f"{first_seed} {cycle}").shuffle(order)
    return order[turn]
