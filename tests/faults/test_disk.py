"""A run whose folder and recording lie on a card that fails, or takes nothing for seconds and goes on."""

import errno
import re
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.failing_disk import FailingDisk, failing_disk
from tests.faults.rig import AtRover, Drive, Rig
from tests.waiting import until

pytestmark = [pytest.mark.realtime, pytest.mark.slow, pytest.mark.timeout(200)]
PERIOD_MS = 20  # between two setpoints


def recorded(card: FailingDisk) -> tuple[str, ...]:
    return "--max-seconds", "9", "--log-level", "debug", "--record", str(card.folder / "recordings")


def begin(run: AtRover, card: FailingDisk) -> int:
    """Wait until it drives and has begun to record; return when that was."""
    run.drive.until_it_turns()
    until(lambda: any((card.folder / "recordings").glob("*.mcap")))
    time.sleep(1.0)
    return time.monotonic_ns()


def drove_on(drive: Drive, since_ns: int, seconds: float) -> None:
    """Check that the base was told to turn all the while, without a gap."""
    lines = [line for line in drive.setpoints(since_ns) if line["stamp_ns"] < since_ns + seconds * 1e9]
    assert len(lines) > seconds * 40 and all(line["angular_z"] > 0.3 for line in lines)
    gaps_ms = [(after["stamp_ns"] - before["stamp_ns"]) / 1e6 for before, after in pairwise(lines)]
    assert max(gaps_ms) < 10 * PERIOD_MS


def resident_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) >> 10


def test_a_run_drives_on_while_its_card_takes_nothing_for_five_seconds_and_loses_nothing(
    rig: Rig, tmp_path: Path
):
    with failing_disk(tmp_path / "card") as card:
        (card.folder / "runs").mkdir()
        with rig.rover(*recorded(card), runs=card.folder / "runs") as run:
            stalled_ns = begin(run, card)
            recorder = run.drive.pids["recorder"]
            before_mib = resident_mib(recorder)
            card.stall(5.0)
            time.sleep(4.0)
            grown_mib = resident_mib(recorder) - before_mib
            end = run.drive.end()
        end.check_went_on()
        drove_on(run.drive, stalled_ns, 4.0)
        assert grown_mib < 40  # pictures of 64x48: what waits is small
        assert end.err.strip() == "" or "run.log lacks" in end.err, end.err
        (file,) = end.summary["recordings"]
        assert Path(file).stat().st_size > 30 * 6 * 64 * 48 * 3


@pytest.mark.parametrize("request_", ["write", "fsync"])
def test_a_run_drives_on_with_errors_of_its_card_and_says_what_is_missing(
    rig: Rig, tmp_path: Path, request_: str
):
    with failing_disk(tmp_path / "card") as card:
        (card.folder / "runs").mkdir()
        with rig.rover(*recorded(card), runs=card.folder / "runs") as run:
            failed_ns = begin(run, card)
            card.fail(request_, errno.EIO)
            end = run.drive.end()
        end.check_went_on()
        drove_on(run.drive, failed_ns, 4.0)
        assert re.search(r"\.mcap lacks \d+ events: Input/output error", end.err), end.err
        if request_ == "write":
            assert re.search(r"run\.log lacks \d+ lines: Input/output error", end.err), end.err
            assert re.search(r"can't write .*: Input/output error", end.err), end.err
