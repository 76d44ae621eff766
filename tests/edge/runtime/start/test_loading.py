"""Field case 41: a model that takes long to load says how far it is, and has a limit by its size."""

import threading

import numpy as np
import pytest

from edge.clock import VirtualClock
from edge.errors import BundleRefused, HardwareMissing
from edge.interfaces import Inference
from edge.records import Frame, Goal, Observation, StopCause
from edge.runtime.ending import DriveStop
from edge.runtime.start import loading as loading_module
from edge.runtime.start.loading import Loading

GIB = 2**30
SEEN = Observation({"front": Frame(np.zeros((2, 2, 3), np.uint8), 0, 0)}, Goal("find_object", "cup"))


class Silent:
    """A worker that never answers."""

    def submit(self, observation: Observation) -> None: ...

    def poll(self) -> Inference | None:
        return None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    clock = VirtualClock()
    monkeypatch.setattr(loading_module.time, "sleep", lambda seconds: clock.advance(500_000_000))
    return clock


def test_a_model_that_loads_for_minutes_is_shown_each_second_and_then_driven(clock: VirtualClock):
    shown: list[tuple[str, float]] = []
    loaded = threading.Event()

    def show(text: str, seconds: float) -> None:
        shown.append((text, seconds))
        if seconds >= 200:
            loaded.set()

    def wait_for_the_thread() -> None:
        while loaded.is_set() and any(each.name == "loading" for each in threading.enumerate()):
            pass

    loading = Loading("pi", 3 * GIB, show, clock)
    made = loading.load(lambda: loaded.wait() and "a policy", [wait_for_the_thread])
    assert made == "a policy" and loading.ended
    assert shown == [("loading pi, 3.0 GiB", float(second)) for second in range(1, 201)]


def test_the_limit_grows_with_the_size_and_its_error_says_both(clock: VirtualClock):
    forever = threading.Event()
    loading = Loading("pi", 3 * GIB, clock=clock)
    with pytest.raises(HardwareMissing, match=r"longer than 240 s \(limit for 3.0 GiB\)") as caught:
        loading.load(forever.wait, [])
    assert 240 < clock.now_ns() / 1e9 < 242 and "`vla-edge doctor`" in caught.value.hint
    assert not loading.ended  # the run must not wait for that thread
    forever.set()


def test_what_loading_raises_and_what_interrupts_it_come_through(clock: VirtualClock):
    def refused() -> None:
        raise BundleRefused("another device")

    def interrupt() -> None:
        if clock.now_ns() > 5e9:
            raise KeyboardInterrupt("SIGINT")

    with pytest.raises(BundleRefused, match="another device"):
        Loading(clock=clock).load(refused, [])
    forever = threading.Event()
    with pytest.raises(KeyboardInterrupt):
        Loading(clock=clock).load(forever.wait, [interrupt])
    forever.set()


def test_a_first_answer_that_never_comes_ends_with_a_hint(clock: VirtualClock):
    shown: list[str] = []
    loading = Loading("pi", GIB // 2, lambda text, seconds: shown.append(text), clock)
    with pytest.raises(
        DriveStop, match=r"first answer took longer than 90 s \(limit for 0.5 GiB\)"
    ) as caught:
        loading.first_answer(Silent(), SEEN, lambda: None)
    assert caught.value.cause is StopCause.MODEL_SILENT and "bench latency" in caught.value.hint
    assert shown[0] == "pi gives its first answer"
