"""What grows over hours is noticed; what only flickers is not. Processes and shared memory are real ones."""

import os
import secrets
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.soak.growth import HeldSample, grown, growth, slope
from benchmarks.soak.processes import SHARED_MEMORY, Holdings, await_none, holdings, segments_of, unreaped
from tests.waiting import until

HOUR_S = 600


def samples(rate_kib_s: float = 0.0, **late: int) -> list[HeldSample]:
    """Ten minutes of a process of 100 MiB that flickers by 1 %; `late` is what it holds from half time on."""
    found: list[HeldSample] = []
    for second in range(HOUR_S):
        held = {"descriptors": 10, "threads": 4, "segments": 1, **(late if second > HOUR_S / 2 else {})}
        rss_kib = 102_400 + round(rate_kib_s * second) + 1000 * (second % 2)
        found.append(HeldSample(1000.0 + second, "runtime", 5, Holdings(rss_kib, rss_kib // 2, **held)))
    return found


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (samples(), []),
        (samples(2.0), []),
        (samples(5.0), ["runtime: memory grew by 2."]),
        (samples(descriptors=11), ["runtime: descriptors grew from 10 to 11"]),
        (samples(segments=2, threads=5), ["runtime: threads grew", "runtime: segments grew"]),
        (samples(50.0)[:200], []),  # too short to tell
    ],
)
def test_growth_is_told_from_flicker(held: list[HeldSample], said: list[str]):
    found = grown(growth(held))
    assert len(found) == len(said)
    assert all(what.startswith(words) for what, words in zip(found, said, strict=True))


def test_a_process_that_was_replaced_is_judged_by_the_one_that_lived_longest():
    short = [HeldSample(each.time_s, "camera", 6, each.held) for each in samples()[:100]]
    long = [HeldSample(each.time_s, "camera", 7, each.held) for each in samples(1.0)[100:]]
    figures = growth([*short, *long])["camera"]
    assert figures["processes"] == 2 and figures["rss_kib_per_h"] == 3600
    assert growth([]) == {}


@given(st.floats(-5, 5), st.lists(st.floats(-100, 100), min_size=3, max_size=8))
def test_a_few_outliers_do_not_bend_the_slope(rate: float, outliers: list[float]):
    points = [(float(second), rate * second) for second in range(60)]
    for i, outlier in enumerate(outliers):
        points[7 * i] = (points[7 * i][0], points[7 * i][1] + outlier)
    assert slope(points) == pytest.approx(rate, abs=2.0)
    assert slope(points[:1]) == 0.0


def test_what_lives_on_and_what_nobody_reaps_is_seen():
    code = "import os, time; os.fork() or os._exit(0); print('up', flush=True); time.sleep(60)"
    before = {each.pid for each in await_none(0.0, set())}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline()
        until(lambda: len(unreaped()) == 1)
        left = await_none(0.0, before)
        assert {each.pid for each in left} == {child.pid} | unreaped()
        held = holdings(child.pid)
        assert held is not None and held.threads == 1 and held.descriptors == 3
        child.kill()
    assert await_none(5.0, before) == [] and holdings(child.pid) is None


def test_a_name_that_is_left_in_shared_memory_is_seen():
    pid = 4_000_000 + secrets.randbelow(100_000)  # above every real one
    left = SHARED_MEMORY / f"vla-edge-{pid}-0a"
    assert segments_of({pid}) == []
    left.touch()
    try:
        assert segments_of({pid, os.getpid()}) == [left.name]
    finally:
        left.unlink()
