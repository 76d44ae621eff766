"""`vla-edge robot check FILE --stop-test`, against the firmware of a base in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

pytestmark = pytest.mark.realtime

REPO = Path(__file__).parents[3]
FILE = """# my robot
cameras:
  front: {{address: "file:///nowhere.mp4"}}  # not opened by this test
motors: mavlink://{port}  # the base
base: {{drive: holonomic, radius_m: 0.2, linear_m_s: 0.3, angular_rad_s: 1}}
notes: 놀이방
"""

StartBase = Callable[..., tuple[Path, Path]]


@pytest.fixture
def start_base(tmp_path: Path) -> Generator[StartBase]:
    """Start a base; returns its robot file and the log of its firmware."""
    bases: list[subprocess.Popen[str]] = []

    def start(timeout_s: str, *options: str) -> tuple[Path, Path]:
        log = tmp_path / "firmware.jsonl"
        command = [sys.executable, "-m", "tests.edge.robots.stubborn_base", "--timeout-s", timeout_s]
        base = subprocess.Popen(
            [*command, "--log", str(log), *options],
            cwd=REPO,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        bases.append(base)
        assert base.stdout is not None
        file = tmp_path / "robot.yaml"
        file.write_text(FILE.format(port=base.stdout.readline().strip()), encoding="utf-8")
        return file, log

    yield start
    for base in bases:
        base.communicate(timeout=10)


def stop_test(file: Path, answers: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge.cli", "robot", "check", str(file), "--stop-test"]
    return subprocess.run(command, cwd=REPO, input=answers, capture_output=True, text=True, timeout=60)


def written(file: Path) -> str:
    """What the test wrote; everything before it must be as it was."""
    text = file.read_text(encoding="utf-8")
    head, _, value = text.partition("stop_time_s: ")
    assert head.startswith("# my robot\n") and head.endswith("notes: 놀이방\n")
    return value.strip()


def last(log: Path) -> dict[str, object]:
    return json.loads(log.read_text().splitlines()[-1])


def test_row_29_a_base_with_a_timeout_of_300_ms_is_measured(start_base: StartBase):
    file, log = start_base("0.3")
    done = stop_test(file, "yes\n")
    assert done.returncode == 0, done.stderr
    assert 0.25 <= float(written(file)) <= 0.5
    assert last(log)["armed"] is False and last(log)["linear_x"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("timeout_s", "low", "high"),
    [("1.2", 1.1, 1.4), ("inf", None, None)],
)
def test_row_29_a_base_that_stops_late_or_never_is_written_down_and_stopped_for_real(
    timeout_s: str, low: float | None, high: float | None, start_base: StartBase
):
    file, log = start_base(timeout_s)
    done = stop_test(file, "yes\n")
    assert done.returncode == 4 and "--accept-stop-time" in done.stderr
    value = written(file)
    assert value == "never" if low is None or high is None else low <= float(value) <= high
    assert last(log)["armed"] is False and last(log)["linear_x"] == 0
    refused = drive(file)
    assert (
        refused.returncode == 2 and "by itself" in refused.stderr and "--accept-stop-time" in refused.stderr
    )
    accepted = drive(file, "--accept-stop-time")
    assert accepted.returncode == 5
    assert "no /nowhere.mp4" in accepted.stderr  # it got as far as its camera


def drive(file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A run that gets no further than its camera, which is not there."""
    text = file.read_text(encoding="utf-8").replace(
        '"file:///nowhere.mp4"',
        '"file:///nowhere.mp4", mount: {vertical_fov_deg: 50, height_m: 0.3, forward_m: 0}',
    )
    measured = file.with_name("measured.yaml")
    measured.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "edge.cli", "run", "--goal", "find_object", "--target", "cup"]
    command += ["--robot", str(measured), "--runs-dir", str(file.parent / "runs"), *options]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=60)


@pytest.mark.slow
def test_without_odometry_the_person_is_asked(start_base: StartBase):
    file, _ = start_base("0.3", "--no-odometry")
    done = stop_test(file, "yes\n0.42\n")
    assert done.returncode == 0, done.stderr
    assert "no odometry" in done.stdout and written(file) == "0.42"


@pytest.mark.slow
def test_an_answer_that_is_not_a_time_writes_nothing(start_base: StartBase):
    file, _ = start_base("0.3", "--no-odometry")
    before = file.read_text(encoding="utf-8")
    done = stop_test(file, "yes\nsoon\n")
    assert done.returncode == 2 and "'soon'" in done.stderr
    assert file.read_text(encoding="utf-8") == before


@pytest.mark.slow
@pytest.mark.parametrize("own", ["fixed_speed_m_s: 0.2, fixed_turn_rad_s: 0.8", "dead_band_m_s: 0.2"])
def test_row_30_a_base_that_is_driven_by_pulses_is_measured_at_its_own_speed(own: str, start_base: StartBase):
    file, _ = start_base("0.3")
    text = file.read_text(encoding="utf-8").replace("angular_rad_s: 1}", f"angular_rad_s: 1, {own}}}")
    file.write_text(text, encoding="utf-8")
    done = stop_test(file, "yes\n")
    assert done.returncode == 0, done.stderr
    assert "it drove 0.20 m/s" in done.stdout
    assert 0.25 <= float(written(file)) <= 0.5


def test_without_consent_nothing_is_opened(start_base: StartBase):
    file, log = start_base("0.3")
    done = stop_test(file, "y\n")
    assert done.returncode == 2 and "nothing has moved" in done.stderr
    assert not any(json.loads(line)["armed"] for line in log.read_text().splitlines())


def test_a_base_that_does_not_move_measures_nothing(start_base: StartBase):
    file, _ = start_base("0.3", "--stuck")
    before = file.read_text(encoding="utf-8")
    done = stop_test(file, "yes\n")
    assert done.returncode == 4 and "odometry shows at most 0.00 m/s" in done.stderr
    assert file.read_text(encoding="utf-8") == before


@pytest.mark.parametrize("sent", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGKILL])
def test_the_test_itself_ended_in_the_silence_stops_the_base(sent: signal.Signals, start_base: StartBase):
    """The base would never stop by itself: the process that is silent stops it when its runtime is gone."""
    file, log = start_base("inf")
    command = [sys.executable, "-m", "edge.cli", "robot", "check", str(file), "--stop-test"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=REPO, text=True, **pipes) as test:
        assert test.stdin is not None and test.stdout is not None
        test.stdin.write("yes\n")
        test.stdin.flush()
        while "silent from now on" not in test.stdout.readline():
            assert test.poll() is None
        assert last(log)["armed"] is True and last(log)["linear_x"] == pytest.approx(0.1, abs=0.01)
        os.kill(test.pid, sent)
    deadline_s = time.monotonic() + 3
    while last(log)["armed"]:
        assert time.monotonic() < deadline_s, "the base still drives"
        time.sleep(0.02)
    assert last(log)["linear_x"] == 0
