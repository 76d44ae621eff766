"""A peer in a process of its own, with the Python of its own environment: a line in, a line of JSON out."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from benchmarks.peers.venv import environment
from edge.errors import UsageError


class PeerProcess:
    """A module of this source tree, run by a peer's Python. It says first what versions it has."""

    def __init__(self, name: str, python: Path, module: str, arguments: Sequence[object], log: Path) -> None:
        """Start it and wait until it is ready. Raises UsageError with its last words if it ends."""
        self.name = name
        self._log = log.open("w+")
        self._process = subprocess.Popen(
            [str(python), "-m", module, *(str(each) for each in arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment(),
        )
        self.versions: dict[str, str] = self._read()

    def ask(self, question: object) -> dict[str, Any]:
        """Return the answer to one line. Raises UsageError with its last words if it ends."""
        assert self._process.stdin is not None
        print(question, file=self._process.stdin, flush=True)
        return self._read()

    def close(self) -> None:
        """End the process."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._log.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            last = self._log.read().strip().splitlines()[-1:] or ["it said nothing"]
            self.close()
            raise UsageError(f"the peer '{self.name}' ended: {last[0][:300]}", "--without leaves a peer out")
        return json.loads(line)


@contextmanager
def answers() -> Iterator[TextIO]:
    """Yield where a peer's answers go: what libraries print must not come between them.

    The process ends after it at once: threads of libraries may be in the middle of something.
    """
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    yield out
    out.flush()
    sys.stderr.flush()
    os._exit(0)
