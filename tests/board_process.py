"""The handle on a board of the tests that runs in a process of its own, at the end of a pseudo-terminal."""

import json
import subprocess
import sys
from pathlib import Path

from typing_extensions import Self

REPO = Path(__file__).parents[1]


class BoardProcess:
    """A running board: a module that prints its port, then obeys lines on its input and ends with it."""

    def __init__(self, module: str, log: Path, *arguments: str) -> None:
        self.log = log
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(
            [sys.executable, "-m", module, *arguments, str(log)],
            cwd=REPO, stdin=pipe, stdout=pipe, text=True, start_new_session=True,
        )  # fmt: skip
        assert self._child.stdin is not None and self._child.stdout is not None
        self._input, self._output = self._child.stdin, self._child.stdout
        self.port = self._output.readline().strip()

    def tell(self, command: str) -> None:
        """Send a command."""
        self._input.write(command + "\n")
        self._input.flush()

    def lines(self) -> list[dict[str, float]]:
        """Return what it has logged: a line for each setpoint that it applied."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def __enter__(self) -> Self:
        assert self.port, "the board did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._input.close()
        self._child.wait(10)
        self._output.close()
