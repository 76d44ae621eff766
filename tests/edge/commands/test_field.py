"""`vla-edge field`: real runs, one after the other, judged at a real terminal."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge import cli
from tests.edge.commands.robot_text import robot_file
from tests.edge.runtime.terminal_child import at_terminal
from tests.waiting import alive, until

pytestmark = pytest.mark.realtime
REPO = Path(__file__).parents[3]


def sheet_file(tmp_path: Path, bundle: object, robot: str, more: str = "trials: 1") -> Path:
    path = tmp_path / "sheet.yaml"
    path.write_text(
        f'name: a day\nbundles: ["{bundle}"]\nrobot: "{robot}"\ntargets: [cup]\n{more}\n'
        "settings:\n  - {name: hall, seen: false, scene: a cup on the left}\n"
    )
    return path


def results(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def answers(terminal: Any, *pairs: tuple[str, str]) -> None:
    """Type an answer to each question once it is asked."""
    seen = ""
    for question, answer in pairs:
        while question not in seen:
            seen += os.read(terminal.process.stderr.fileno(), 4096).decode()
        seen = seen.partition(question)[2]
        terminal.press(answer.encode() + b"\n")


def test_the_operator_sets_scenes_and_judges(tmp_path: Path, pictures: Path, tiny_bundle: Path, capsys):
    sheet = sheet_file(tmp_path, tiny_bundle, robot_file(tmp_path, pictures, "null://"), "trials: 3")
    out = tmp_path / "day"
    with at_terminal("edge.cli", "field", str(sheet), "--out", str(out)) as terminal:
        answers(
            terminal,
            ("set it up: a cup on the left", ""),
            ("did it reach its goal?", "maybe"),
            ("did it reach its goal?", "y"),
            ("step in?", "two"),
            ("step in?", "2"),
            ("note", "the cup fell"),
            ("Enter drives", ""),
            ("did it reach its goal?", "v"),
            ("why", "a dog"),
            ("Enter drives", "q"),
        )
        output, error = terminal.process.communicate(timeout=30)
    assert terminal.process.returncode == 3, error
    assert "1 of 3 trials" in output and "1 more did not count" in output
    first, second = results(out)
    assert first["reached"] and first["interventions"] == 2 and first["note"] == "the cup fell"
    assert first["judged_by"] == "operator" and not first["void"] and not first["seen"]
    assert second["void"] and second["note"] == "a dog"
    assert json.loads((Path(first["run"]) / "trial.json").read_text()) == first
    assert cli.main(["field", str(sheet), "--out", str(out), "--figures", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)["bundles"][str(tiny_bundle)]
    assert found["success"]["count"] == 0 and found["success"]["trials"] == 1  # reached with help
    assert found["interventions"]["by_person"] == 2


def test_where_nobody_can_judge_nothing_counts(tmp_path: Path, pictures: Path, tiny_bundle: Path, capsys):
    sheet = sheet_file(tmp_path, tiny_bundle, robot_file(tmp_path, pictures, "null://"))
    assert cli.main(["field", str(sheet), "--out", str(tmp_path / "day"), "--yes"]) == 2
    assert "nobody sets the scene" in capsys.readouterr().err
    assert not (tmp_path / "day" / "results.jsonl").exists()


@pytest.mark.slow
def test_recorded_runs_are_read_and_judged_once(tmp_path: Path, pictures: Path, tiny_bundle: Path, capsys):
    robot, runs = robot_file(tmp_path, pictures, "null://"), tmp_path / "runs"
    words = ["--goal", "find_object", "--target", "cup", "--robot", robot, "--bundle", str(tiny_bundle)]
    assert cli.main(["run", *words, "--runs-dir", str(runs)]) in (0, 3)
    sheet = sheet_file(tmp_path, "tiny", robot)
    capsys.readouterr()
    assert cli.main(["field", str(sheet), "--runs", str(runs), "--yes"]) == 2
    assert "nobody judges" in capsys.readouterr().err
    with at_terminal("edge.cli", "field", str(sheet), "--runs", str(runs)) as terminal:
        answers(terminal, ("did it reach", "y"), ("step in?", ""), ("note", ""))
        assert "1.00" in terminal.process.communicate(timeout=30)[0]
    assert cli.main(["field", str(sheet), "--runs", str(runs), "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bundles"]["tiny"]["success"]["count"] == 1
    sheet.write_text(sheet.read_text().replace("targets: [cup]", "targets: [box]"))
    assert cli.main(["field", str(sheet), "--runs", str(runs)]) == 2
    assert "was driven to find_object 'cup'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_day_stops_its_robot_and_goes_on_where_it_was(tmp_path: Path, capsys):
    sheet, out = sheet_file(tmp_path, "default", "sim", "trials: 2\nmax_seconds: 5"), tmp_path / "day"
    command = [sys.executable, "-m", "edge.cli", "field", str(sheet), "--out", str(out), "--yes"]
    day = subprocess.Popen(command, cwd=REPO, stderr=subprocess.DEVNULL)
    until(lambda: (out / "results.jsonl").exists() and list(out.glob("runs/0002/*/stop.json")), 60)
    pids = json.loads(next(out.glob("runs/0002/*/pids.json")).read_text())
    day.kill()
    day.wait()
    until(lambda: not any(map(alive, pids.values())), 30)
    (first,) = results(out)
    cut = json.loads(next(out.glob("runs/0002/*/summary.json")).read_text())
    assert (cut["outcome"], cut["reason"]) == ("stopped", "SIGTERM")
    assert cli.main(["field", str(sheet), "--out", str(out), "--yes"]) == 0
    assert results(out)[0] == first and len(results(out)) == 2 and results(out)[1]["scene"] == 2
    assert len(list(out.glob("runs/0002/*/summary.json"))) == 2


@pytest.mark.slow
def test_a_run_that_nobody_judged_is_judged_when_the_day_goes_on(
    tmp_path: Path, pictures: Path, tiny_bundle: Path
):
    sheet = sheet_file(tmp_path, tiny_bundle, robot_file(tmp_path, pictures, "null://"))
    out = tmp_path / "day"
    with at_terminal("edge.cli", "field", str(sheet), "--out", str(out)) as terminal:
        answers(terminal, ("Enter drives", ""), ("did it reach", ""))
        terminal.process.kill()
    (run,) = out.glob("runs/0001/*/summary.json")
    with at_terminal("edge.cli", "field", str(sheet), "--out", str(out)) as terminal:
        answers(terminal, ("did it reach", "y"), ("step in?", ""), ("note", ""))
        assert terminal.process.wait(30) == 0
    assert list(out.glob("runs/0001/*/summary.json")) == [run]
    (result,) = results(out)
    assert result["reached"] and result["run"] == str(run.parent)


@pytest.mark.slow
def test_ctrl_c_ends_the_run_and_the_day(tmp_path: Path):
    sheet, out = sheet_file(tmp_path, "default", "sim", "trials: 2\nmax_seconds: 30"), tmp_path / "day"
    command = [sys.executable, "-m", "edge.cli", "field", str(sheet), "--out", str(out), "--yes"]
    day = subprocess.Popen(
        command, cwd=REPO, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    )
    until(lambda: list(out.glob("runs/0001/*/stop.json")), 60)
    day.send_signal(signal.SIGINT)
    assert day.wait(30) == 3
    assert not (out / "results.jsonl").exists()
    (summary,) = out.glob("runs/0001/*/summary.json")
    assert json.loads(summary.read_text())["reason"] == "SIGINT"


def test_options_that_the_sheet_itself_has_are_refused(tmp_path: Path, capsys):
    for options, says in (("--seed=3", "itself says"), ("--no-such-option", "unrecognized")):
        sheet = sheet_file(tmp_path, "default", "sim", f'options: ["{options}"]')
        assert cli.main(["field", str(sheet), "--out", str(tmp_path / "day")]) == 2
        assert says in capsys.readouterr().err


def test_a_run_that_can_not_drive_ends_the_day(tmp_path: Path, capsys):
    sheet = sheet_file(tmp_path, tmp_path / "no-bundle", "sim")
    assert cli.main(["field", str(sheet), "--out", str(tmp_path / "day"), "--yes"]) == 6
    assert "before it drove" in capsys.readouterr().err
    assert not (tmp_path / "day" / "results.jsonl").exists()
