"""What datasets call their numbers, which of them are state and action, and versions that are not read."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UsageError
from training.config_data import InputSettings, RobotSourceSettings
from training.datasets.lerobot_meta import feature_names
from training.datasets.lerobot_writer import LeRobotWriter, Recording
from training.datasets.statistics import compute_statistics, stored_statistics
from training.demonstrations.demonstrator import to_jpeg
from training.pipeline.stream import open_robot

DATA = "data/chunk-000/file-000.parquet"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
)


@pytest.mark.parametrize(
    "given_names",
    [
        ["pan", "lift", "grip"],
        [["pan", "lift", "grip"]],
        {"motors": ["pan", "lift", "grip"]},
        {"axes": {"grip": 2, "pan": 0, "lift": 1}},
        {"grip": 2, "pan": 0, "lift": 1},
        {"arm": ["pan", "lift"], "hand": ["grip"]},
        [["pan", ["lift"]], {"hand": ["grip"]}],
    ],
)
def test_names_are_found_in_lists_and_maps(given_names: Any) -> None:
    assert feature_names("action", 3, given_names) == ("pan", "lift", "grip")


@pytest.mark.parametrize(
    "given_names",
    [
        None,
        [],
        ["pan", "lift"],
        ["pan", "pan", "grip"],
        {"left": ["x"], "right": ["x", "y"]},
        {"pan": 0, "lift": 1, "grip": 3},
        {"pan": 0, "lift": 0, "grip": 1},
        {"pan": True, "lift": False, "grip": 2},
        ["pan", "lift", ""],
        [1, 2, 3],
        "abc",
    ],
)
def test_names_that_do_not_fit_are_made_of_the_key(given_names: Any) -> None:
    assert feature_names("action", 3, given_names) == ("action_0", "action_1", "action_2")


@given(JSON, st.integers(1, 5))
def test_whatever_a_file_says_each_number_has_a_name_of_its_own(given_names: Any, width: int) -> None:
    names = feature_names("a", width, given_names)
    assert len(names) == len(set(names)) == width and all(isinstance(name, str) for name in names)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lerobot") / "set"
    with LeRobotWriter(path, "arms", 10, {"front": (16, 24)}, ("x", "y"), ("v",)) as writer:
        for e in range(2):
            image = np.full((16, 24, 3), 90, np.uint8)
            rows = np.arange(4, dtype=np.float32)[:, None] + 100 * e
            numbers = np.concatenate([rows, rows + 10], 1), rows + 20
            writer.add(
                Recording("go", {"front": [to_jpeg(image)] * 4}, {"front": image.reshape(-1, 3)}, *numbers)
            )
        writer.finish({})
    return path


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "set"))


def rename(path: Path, **names: str) -> None:
    """Features, "observation.state" as `state` and "action" as `action`; to nothing: taken out."""
    info = json.loads((path / "meta/info.json").read_text())
    table = pq.read_table(path / DATA)
    for old, new in names.items():
        key = "observation.state" if old == "state" else old
        about = info["features"].pop(key)
        column = table[key]
        table = table.drop_columns([key])
        if new:
            info["features"][new] = about
            table = table.append_column(new, column)
    pq.write_table(table, path / DATA)
    (path / "meta/info.json").write_text(json.dumps(info))


def opened(path: Path, state: tuple[str, ...] = (), **keys: Any) -> Any:
    settings = RobotSourceSettings(kind="lerobot", path=path, **keys)
    return open_robot(settings, InputSettings(camera="front", state=state))


def test_other_keys_are_listed_and_can_be_chosen(copy: Path) -> None:
    rename(copy, state="state", action="actions")
    there = r"info\.json: no feature 'action' of numbers; it has 'state' \(2\), 'actions' \(1\)$"
    with pytest.raises(UsageError, match=there) as caught:
        opened(copy)
    assert (
        "set action_keys of this source" in caught.value.hint
        and "`action_keys: [actions]`" in caught.value.hint
    )
    with pytest.raises(UsageError, match=r"no feature 'observation\.state' of numbers; it has") as caught:
        opened(copy, state=("x",), action_keys=("actions",))
    assert (
        "set state_keys of this source" in caught.value.hint and "`state_keys: [state]`" in caught.value.hint
    )
    source = opened(copy, action_keys=("actions",), state_keys=("state",))
    assert (source.state_names, source.action_names) == (("x", "y"), ("v",))
    np.testing.assert_array_equal(source.actions(1)[:, 0], [120, 121, 122, 123])


@pytest.mark.parametrize("key", ["observation.images.front", "frame_index", "nothing"])
def test_what_is_no_action_can_not_be_chosen_for_one(copy: Path, key: str) -> None:
    with pytest.raises(UsageError, match=rf"no feature '{key}' of numbers; it has 'observation\.state'"):
        opened(copy, action_keys=(key,))


def test_several_features_are_joined_in_their_order(copy: Path) -> None:
    both = opened(copy, action_keys=("action", "observation.state"))
    assert both.action_names == ("v", "x", "y")
    np.testing.assert_array_equal(both.actions(0)[2], [22, 2, 12])
    np.testing.assert_array_equal(both.states(0)[2], [2, 12])
    info = json.loads((copy / "meta/info.json").read_text())
    info["features"]["action"]["names"] = ["y"]
    (copy / "meta/info.json").write_text(json.dumps(info))
    names = opened(copy, action_keys=("action", "observation.state")).action_names
    assert names == ("action.y", "observation.state.x", "observation.state.y")


def test_a_policy_that_takes_no_state_needs_none(copy: Path, tmp_path: Path) -> None:
    rename(copy, state="")
    source = opened(copy)
    assert source.state_names == () and source.states(0).shape == (4, 0)
    made = stored_statistics(tmp_path / "s.json", [source])
    assert made == compute_statistics([source]) == stored_statistics(tmp_path / "s.json", [source])
    with pytest.raises(
        UsageError, match=r"no feature 'observation\.state' of numbers; it has 'action' \(1\)"
    ):
        opened(copy, state=("x",))


def test_the_layout_before_comes_with_the_command_that_converts_it(copy: Path) -> None:
    info = json.loads((copy / "meta/info.json").read_text())
    (copy / "meta/info.json").write_text(json.dumps(info | {"codebase_version": "v2.1"}))
    with pytest.raises(UsageError, match=r"the layout is v2\.1, this reads v3\.0") as caught:
        opened(copy)
    assert (
        f"-m lerobot.scripts.convert_dataset_v21_to_v30 --repo-id=ORG/NAME --root={copy}" in caught.value.hint
    )
