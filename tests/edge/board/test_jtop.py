"""Readings of jetson-stats: its own client against a double of its service, and processes that misbehave."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from edge.board.heat import HeatReading, HeatZone
from edge.board.jtop import FRESH_S, JtopReader, JtopReading, open_jtop, with_jtop
from edge.board.tree import Tree
from edge.clock import MonotonicClock
from edge.doctor.check import CheckStatus
from edge.doctor.compute import check_jtop
from edge.runtime.heat import HeatLevel, HeatWatch
from sim.faults.machine import orin
from tests.waiting import alive, until

DOUBLE = [sys.executable, "-m", "tests.edge.board.jtop_service"]
LINE = '{"celsius": {"tj": %s}, "power_w": {}, "power_mode": "25W", "fan_fraction": 0.3, "fan_rpm": 9}'
needs_jtop = pytest.mark.skipif(find_spec("jtop") is None, reason="pip install jetson-stats")


def prints(*lines: str, then: str = "import time; time.sleep(60)") -> list[str]:
    return [sys.executable, "-c", f"for line in {lines!r}: print(line, flush=True)\n{then}"]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The double, in a process group of its own; its socket is the last argument of its command."""
    child = subprocess.Popen(
        [*DOUBLE, str(tmp_path / "jtop.sock")], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert child.stdout is not None and child.stdout.readline() == "up\n"
    yield child
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()


def client(service: subprocess.Popen[str]) -> list[str]:
    return [*DOUBLE, str(service.args[-1]), "--client"]  # type: ignore[index]


@needs_jtop
def test_the_clients_own_classes_read_the_service(service: subprocess.Popen[str]):
    with JtopReader(client(service)) as reader:
        assert reader.await_reading(20) == JtopReading({"tj": 95.5}, {"VDD_IN": 9.3}, "25W", 0.3, 1750)
        check = check_jtop(reader, "jetson-stats 7")
    assert check.status is CheckStatus.OK
    assert check.found.startswith("jetson-stats 7: tj 96 °C, VDD_IN 9.3 W, power mode 25W, fan driven at 30%")


@needs_jtop
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_service_that_hangs_or_dies_leaves_no_reading(
    service: subprocess.Popen[str], number: signal.Signals
):
    with JtopReader(client(service)) as reader:
        assert reader.await_reading(20) is not None
        os.killpg(service.pid, number)
        until(lambda: reader.latest() is None, FRESH_S + 2)


@needs_jtop
def test_without_the_service_its_own_words_are_the_trouble(tmp_path: Path):
    with JtopReader([*DOUBLE, str(tmp_path / "nothing.sock"), "--client"]) as reader:
        assert reader.await_reading(20) is None
        assert "jtop.service is not active" in reader.trouble


def test_a_child_that_hangs_is_waited_for_no_longer_than_told():
    with JtopReader(prints()) as reader:
        check_started_s = time.monotonic()
        assert reader.await_reading(0.2) is None and reader.latest() is None
        assert reader.trouble == "no answer within 0.2 s"
        assert time.monotonic() - check_started_s < 5
        child = reader._child.pid
    assert not alive(child)


@pytest.mark.parametrize("line", ["[", "[1]", '{"celsius": {}}', LINE % "1" + "}"])
def test_an_odd_line_is_trouble_and_not_a_reading(line: str):
    with JtopReader(prints(line, then="")) as reader:
        assert reader.await_reading(20) is None and "odd reading" in reader.trouble


def test_the_doctor_says_that_the_service_tells_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("edge.doctor.compute.JTOP_LIMIT_S", 0.2)
    with JtopReader(prints()) as reader:
        check = check_jtop(reader, "jetson-stats 7")
    assert check.status is CheckStatus.WARN and check.hint == "sudo systemctl restart jtop"
    assert "tells nothing: no answer within 0.2 s" in check.found and "read from /sys" in check.found


def test_another_machines_files_have_no_service(tmp_path: Path):
    assert open_jtop(Tree(tmp_path)) is None


def test_temperatures_are_the_services_and_limits_those_of_sysfs():
    zones = (HeatZone("tj-thermal", 50, 99, 104.5), HeatZone("soc0-thermal", 40, None, None))
    read = with_jtop(
        HeatReading(zones, ("gpu-throttle-alert",), 3),
        JtopReading({"tj": 96.0, "cpu": 91.0, "nvme Composite": 60.0}, {}, "", None, None),
    )
    assert read.zones == (
        HeatZone("tj-thermal", 96.0, 99, 104.5),
        HeatZone("soc0-thermal", 40, None, None),
        HeatZone("cpu", 91.0, 100.0, None),
        HeatZone("nvme Composite", 60.0, None, None),
    )
    assert (read.throttled, read.over_currents) == (("gpu-throttle-alert",), 3)
    assert with_jtop(read, None) == read


def test_a_run_goes_by_the_service_and_by_sysfs_once_that_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("edge.board.jtop.FRESH_S", 0.5)
    caplog.set_level(logging.INFO)
    lines = f"import time\nfor _ in range(40):\n print('{LINE % 96.0}', flush=True)\n time.sleep(0.05)"
    reader = JtopReader([sys.executable, "-c", f'{lines}\nprint(\'{{"trouble": "it fell silent"}}\')'])
    with HeatWatch(Tree(orin(tmp_path, 50)), MonotonicClock(), 0.02, reader) as heat:
        until(lambda: heat.level is HeatLevel.SLOW)
        assert heat.to_json()["heat_from"] == "jetson-stats"
        until(lambda: heat.level is HeatLevel.COOL)
        assert heat.to_json()["heat_from"] == "/sys"
    (warning,) = (
        each for each in caplog.records if each.levelname == "WARNING" and "heat is read" in each.msg
    )
    assert warning.__dict__["fields"] == {"source": "/sys", "trouble": "it fell silent"}


def test_a_container_that_shows_no_zones_is_watched_by_the_service(tmp_path: Path):
    reader = JtopReader(prints(LINE % 101.5, LINE % 101.5))
    with HeatWatch(Tree(tmp_path), MonotonicClock(), 0.02, reader) as heat:
        until(lambda: heat.level is HeatLevel.SLOW)
        assert heat.to_json()["hottest"] == "tj"
