"""Faults by number: what each test says about itself, and the report of them all."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.rig import Ended, MissedBound, Rig

FAULTS = 68
TRIES = 3


@dataclass
class FaultRecord:
    """What a test says about its fault."""

    number: int
    title: str
    zero_ms: float | None = None
    bound_ms: float = 0.0
    told: str = ""
    outcome: str = "not run"

    def zero(self, measured_ms: float, bound_ms: float) -> None:
        """Note the time from the fault to zero velocity at the firmware. Raises MissedBound beyond it."""
        self.zero_ms, self.bound_ms = measured_ms, bound_ms
        if measured_ms > bound_ms:
            raise MissedBound(f"zero after {measured_ms:.0f} ms (limit {bound_ms:.0f} ms)")

    def said(self, told: "str | Ended") -> None:
        """Note what the person is told."""
        self.told = told.told if isinstance(told, Ended) else told.partition("\n")[0].removeprefix("error: ")

    def __str__(self) -> str:
        stop = "-" if self.zero_ms is None else f"{self.zero_ms:.0f} ms of {self.bound_ms:.0f}"
        return f"{self.number:>2}  {self.outcome:<7} {self.title:<52} {stop:<15} {self.told[:100]}"


_RECORDS: dict[int, FaultRecord] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if mark := item.get_closest_marker("fault"):
            if mark.args[0] in _RECORDS:
                raise pytest.UsageError(f"fault {mark.args[0]} has a second test: {item.nodeid}")
            _RECORDS[mark.args[0]] = FaultRecord(*mark.args)


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> FaultRecord:
    return _RECORDS[request.node.get_closest_marker("fault").args[0]]


@pytest.fixture
def rig(tmp_path: Path, tiny_bundle: Path) -> Rig:
    return Rig(tmp_path, tiny_bundle)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Try again what missed a bound: a stall of the machine passes, a fault of ours does not."""
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    try:
        return (yield)
    except MissedBound as missed:
        failed = missed
    for _ in range(TRIES - 1):
        print(f"tried again: {failed}")
        try:
            pyfuncitem.obj(**arguments)
            return True
        except MissedBound as missed:
            failed = missed
    raise failed


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    number = dict(report.user_properties).get("fault")
    if number is None or (report.when != "call" and report.outcome == "passed"):
        return
    _RECORDS[number].outcome = report.outcome


@pytest.fixture(autouse=True)
def numbered(request: pytest.FixtureRequest, record_property) -> None:
    if mark := request.node.get_closest_marker("fault"):
        record_property("fault", mark.args[0])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ran = [record for _, record in sorted(_RECORDS.items()) if record.outcome != "not run"]
    if not ran:
        return
    terminalreporter.section("faults: number, outcome, title, time to zero of its bound, what is told")
    for record in ran:
        terminalreporter.line(str(record))
    passed = sum(record.outcome == "passed" for record in ran)
    parts = [f"faults: {passed}/{FAULTS}"]
    if absent := [str(number) for number in range(1, FAULTS + 1) if number not in _RECORDS]:
        parts.append(f"without a test, or not collected: {', '.join(absent)}")
    if left_out := len(_RECORDS) - len(ran):
        parts.append(f'left out: {left_out} (`-m ""` runs the slow ones)')
    terminalreporter.line("; ".join(parts))
