import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from edge.actions import ActionStatistics, MeanStd, MinMax, load_statistics, save_statistics
from edge.errors import UsageError
from edge.records import BASE_ACTION, ActionSpec

GRASP = ActionSpec(("linear_x", "gripper"), ("m/s", ""), (-1.0, 0.0), (1.0, 1.0), 10.0)
# 101 actions: linear_x 0 to 100, the gripper always open.
ROWS = np.stack([np.arange(101.0), np.ones(101)], 1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "action_statistics.json"
    save_statistics(path, ActionStatistics.of(ROWS, "arm", GRASP))
    return path


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def test_figures_by_hand(file: Path) -> None:
    figures = load_statistics(file, "arm", GRASP)
    assert (figures.robot, figures.names, figures.count) == ("arm", ("linear_x", "gripper"), 101)
    assert (figures.min, figures.max, figures.mean) == ((0.0, 1.0), (100.0, 1.0), (50.0, 1.0))
    assert (figures.q01, figures.q99) == ((1.0, 1.0), (99.0, 1.0))
    # The variance of 0 to n - 1 is (n^2 - 1) / 12: 850 for n = 101.
    assert figures.std == pytest.approx((math.sqrt(850), 0.0))


def test_the_gripper_stays_out_of_the_steps(file: Path) -> None:
    figures = load_statistics(file, "arm", GRASP)
    assert figures.min_max() == MinMax((0.0,), (100.0,), gripper=True)
    assert figures.mean_std() == MeanStd((50.0,), (figures.std[0],), gripper=True)
    # 2 (a - 1) / 98 - 1; below the 1st and above the 99th percentile is clipped.
    encoded = figures.quantile().encode([[50, 1], [25.5, 0], [0, 0], [100, 1]])
    assert encoded.tolist() == [[0, 1], [-0.5, 0], [-1, 0], [1, 1]]


@given(arrays(np.float64, (5, 3), elements=st.floats(-1e6, 1e6)))
def test_json_gives_back_what_was_written(rows: np.ndarray) -> None:
    figures = ActionStatistics.of(rows, "rover", BASE_ACTION)
    assert ActionStatistics.model_validate_json(figures.model_dump_json()) == figures


@pytest.mark.parametrize("step", ["min_max", "quantile", "mean_std"])
def test_a_dimension_that_never_moved_is_named(step: str) -> None:
    rows = np.random.default_rng(0).uniform(-1, 1, (50, 3))
    rows[:, 1] = 0.1  # its deviation computes to 3e-17
    figures = ActionStatistics.of(rows, "rover", BASE_ACTION)
    with pytest.raises(UsageError, match=r"'rover' \(linear_x, linear_y, angular_z\): column 1 "):
        getattr(figures, step)()


@pytest.mark.parametrize(
    ("robot", "spec", "found"),
    [
        ("rover", GRASP, "robot 'arm', wanted 'rover'"),
        ("arm", BASE_ACTION, r"dimensions \('linear_x', 'gripper'\), wanted \('linear_x', 'linear_y'"),
        ("arm", replace(GRASP, units=("mm/s", "")), r"units \('m/s', ''\), wanted \('mm/s', ''\)"),
        ("arm", replace(GRASP, rate_hz=30.0), r"rate_hz 10\.0, wanted 30\.0"),
    ],
)
def test_the_file_of_another_robot_is_an_error(file: Path, robot: str, spec: ActionSpec, found: str) -> None:
    with pytest.raises(UsageError, match=rf"action_statistics\.json: .*{found}") as refusal:
        load_statistics(file, robot, spec)
    assert refusal.value.exit_code == 2
    assert refusal.value.hint


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda d: d.update(std=[math.nan, 0.0]), "std of linear_x is nan"),
        (lambda d: d.update(q99=[1.0, math.inf]), "q99 of gripper is inf"),
        (lambda d: d.update(mean=[0.0]), r"\(linear_x, gripper\) have 1 mean"),
        (lambda d: d.update(max=[0.0] * 7), "have 7 max"),
        (lambda d: d.update(units=["m/s"]), "have 1 units"),
        (lambda d: d.update(names=["gripper", "linear_x"]), "gripper only as the last"),
        (lambda d: d.update(names=[]), "want columns"),
        (lambda d: d.update(min=["0.0", 1.0]), r"min\.0: .* got '0\.0'"),
        (lambda d: d.update(min=[None, 1.0]), r"min\.0: .* got None"),
        (lambda d: d.update(count=0), "count: .* got 0"),
        (lambda d: d.update(rate_hz=0), "rate_hz: .* got 0"),
        (lambda d: d.update(schema_version=2), "schema_version: .* got 2"),
        (lambda d: d.update(median=[0.0, 1.0]), "median: "),
        (lambda d: d.pop("std"), "std: Field required"),
        (lambda d: d.pop("schema_version"), "schema_version: Field required"),
    ],
)
def test_a_damaged_file_is_an_error(
    file: Path, change: Callable[[dict[str, Any]], object], found: str
) -> None:
    edit(file, change)
    with pytest.raises(UsageError, match=rf"action_statistics\.json: .*{found}"):
        load_statistics(file, "arm", GRASP)


@pytest.mark.parametrize("content", ["", "[]", "{", "null", "\x00\xff"])
def test_a_file_that_is_no_object_is_an_error(file: Path, content: str) -> None:
    file.write_text(content, encoding="latin-1")
    with pytest.raises(UsageError, match=r"action_statistics\.json: the file: "):
        load_statistics(file, "arm", GRASP)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none\.json"):
        load_statistics(tmp_path / "none.json", "arm", GRASP)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (np.zeros((4, 3)), "want 2 columns"),
        (np.zeros(2), r"want \(N, 2\)"),
        (np.zeros((0, 2)), r"want \(N, 2\) with N > 0"),
        (np.array([[0.0, math.nan]]), r"nan at \(0, 1\)"),
    ],
)
def test_actions_without_figures_are_an_error(rows: np.ndarray, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        ActionStatistics.of(rows, "arm", GRASP)


def test_figures_do_not_change() -> None:
    figures = ActionStatistics.of(ROWS, "arm", GRASP)
    with pytest.raises(ValidationError, match="frozen"):
        figures.count = 5
