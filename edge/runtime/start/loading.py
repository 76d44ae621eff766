"""Loading a model and its first answer: how far it is, a limit by its size, and stops that are heeded."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from edge.clock import Clock, MonotonicClock
from edge.errors import HardwareMissing
from edge.interfaces import Inference
from edge.records import ZERO, Frame, Goal, Observation, Odometry, StopCause
from edge.runtime.ending import DriveStop

LEAST_S = 60.0  # engines allocate and compile, however small the model is
S_PER_GIB = 60.0  # a slow card reads 20 MiB a second
SHOW_NS = 1_000_000_000
_POLL_S = 0.01

Made = TypeVar("Made")


class AskedWorker(Protocol):
    """A worker, as far as one answer needs it."""

    def submit(self, observation: Observation) -> None: ...

    def poll(self) -> Inference | None: ...


class Loading:
    """How a model of a size comes up. `show` gets what is waited for and for how many seconds, each second.

    Nothing is armed meanwhile, so a model that takes long stops no base.
    """

    def __init__(
        self,
        name: str = "the model",
        size_bytes: int = 0,
        show: Callable[[str, float], None] = lambda text, seconds: None,
        clock: Clock | None = None,
    ) -> None:
        self.ended = True  # False while a thread still loads
        self._size = f"{size_bytes / 2**30:.1f} GiB"
        self._name = name
        self._limit_s = LEAST_S + S_PER_GIB * size_bytes / 2**30
        self._show = show
        self._clock = clock or MonotonicClock()

    def load(self, make: Callable[[], Made], checks: Sequence[Callable[[], object]]) -> Made:
        """Return what `make` makes in a thread. Each of `checks` may interrupt it by raising.

        Raises what any of them raises, and HardwareMissing after the limit: the thread is left then.
        """
        made: list[Made] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                made.append(make())
            except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
                failed.append(error)

        thread = threading.Thread(target=work, name="loading", daemon=True)
        self.ended = False
        thread.start()
        self._wait(f"loading {self._name}, {self._size}", lambda: not thread.is_alive(), checks, self._slow)
        self.ended = True
        if failed:
            raise failed[0]
        return made[0]

    def first_answer(
        self, worker: AskedWorker, observation: Observation, check: Callable[[], object]
    ) -> None:
        """Wait for the answer about an observation. Raises what `check` raises, DriveStop after the limit."""
        worker.submit(observation)
        what = f"{self._name} gives its first answer"
        self._wait(what, lambda: worker.poll() is not None, (check,), self._silent)

    def _wait(
        self,
        what: str,
        done: Callable[[], bool],
        checks: Sequence[Callable[[], object]],
        late: Callable[[], Exception],
    ) -> None:
        began_ns = self._clock.now_ns()
        shown_ns = began_ns
        while not done():
            for check in checks:
                check()
            now_ns = self._clock.now_ns()
            if now_ns - began_ns > self._limit_s * 1e9:
                raise late()
            if now_ns - shown_ns >= SHOW_NS:
                shown_ns = now_ns
                self._show(what, (now_ns - began_ns) / 1e9)
            time.sleep(_POLL_S)

    def _slow(self) -> HardwareMissing:
        return HardwareMissing(
            f"loading {self._name} took longer than {self._limit_s:.0f} s (limit for {self._size})",
            "is its disk slow, or memory short? `vla-edge doctor` shows both; "
            "`vla-edge bench latency BUNDLE` loads it alone",
        )

    def _silent(self) -> DriveStop:
        return DriveStop(
            StopCause.MODEL_SILENT,
            f"the model's first answer took longer than {self._limit_s:.0f} s (limit for {self._size})",
            "close what else uses this machine; `vla-edge bench latency BUNDLE` measures the model alone",
        )


def first_observation(goal: Goal, cameras: Iterable[str], pacing: str, now_ns: int) -> Observation:
    """Return black images of all cameras, for an answer before there is anything to see."""
    black = {name: Frame(np.zeros((240, 320, 3), np.uint8), now_ns, 0, name) for name in cameras}
    return Observation(black, goal, Odometry(now_ns, 0.0, 0.0, 0.0, ZERO), pacing)
