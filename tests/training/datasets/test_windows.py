"""Windows and statistics of demonstrations that are made up in memory."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UsageError
from training.datasets.source import RecordedEpisode
from training.datasets.statistics import compute_statistics, describe, stored_statistics
from training.datasets.windows import Windows, chunk_rows, history_rows

LENGTHS = (3, 7, 5)


@dataclass
class MadeUp:
    """Frame t of episode e is grey 40 e + 10 t, with states and actions 100 e + t."""

    path: Path = Path("made-up")
    robot: str = "rover"
    rate_hz: float = 10.0
    cameras: tuple[str, ...] = ("front",)
    tasks: tuple[str, ...] = ("task 0", "task 1", "task 2")
    state_names: tuple[str, ...] = ("x", "y", "z")
    action_names: tuple[str, ...] = ("v", "w")
    episodes: Sequence[RecordedEpisode] = tuple(
        RecordedEpisode(e, f"task {e}", n, Path("made-up")) for e, n in enumerate(LENGTHS)
    )

    def _rows(self, i: int, width: int) -> np.ndarray:
        length = self.episodes[i].length
        return (np.arange(length)[:, None] + 100 * i + np.zeros((1, width))).astype(np.float32)

    def states(self, i: int) -> np.ndarray:
        return self._rows(i, 3)

    def actions(self, i: int) -> np.ndarray:
        return self._rows(i, 2)

    def images(self, i: int, frames: Sequence[int]) -> dict[str, np.ndarray]:
        return {"front": np.stack([np.full((4, 6, 3), 40 * i + 10 * t, np.uint8) for t in frames])}


@pytest.fixture(scope="module")
def source() -> MadeUp:
    return MadeUp()


def test_a_segment_has_one_chunk_for_its_newest_frame(source: MadeUp) -> None:
    sample = Windows(source, 4, 3)[3 + 5]  # frame 5 of episode 1
    assert sample.task == "task 1" and sample.history_mask.all()
    assert sample.states[:, 0].tolist() == [102, 103, 104, 105]
    assert sample.actions[:, 0].tolist() == [105, 106, 106] and sample.action_mask.tolist() == [
        True,
        True,
        False,
    ]
    np.testing.assert_allclose(sample.images["front"].mean((1, 2, 3)), [60, 70, 80, 90], atol=2)


def test_interleaved_every_frame_has_its_chunk(source: MadeUp) -> None:
    sample = Windows(source, 3, 2, "interleave")[3 + 1]  # frame 1 of episode 1
    assert sample.history_mask.tolist() == [False, True, True]
    assert sample.states[:, 0].tolist() == [100, 100, 101]  # the first valid frame repeats to the left
    assert sample.actions[..., 0].tolist() == [[100, 101], [100, 101], [101, 102]]
    assert sample.action_mask.tolist() == [[False, False], [True, True], [True, True]]
    np.testing.assert_allclose(sample.images["front"].mean((1, 2, 3)), [40, 40, 50], atol=2)


@given(st.integers(0, 50), st.integers(1, 20), st.integers(1, 20), st.integers(0, 50))
def test_rows_stay_inside_the_episode_and_masks_tell_which_are_real(
    frame: int, window: int, horizon: int, rest: int
) -> None:
    length = frame + 1 + rest
    history, seen = history_rows(frame, window)
    assert history.shape == seen.shape == (window,) and history[-1] == frame and seen[-1]
    assert seen.sum() == min(window, frame + 1) and (history[~seen] == 0).all()
    assert history[seen].tolist() == list(range(frame + 1 - int(seen.sum()), frame + 1))
    chunk, there = chunk_rows(history, length, horizon)
    assert chunk.shape == (window, horizon) and chunk.min() >= 0 and chunk.max() < length
    np.testing.assert_array_equal(there, history[:, None] + np.arange(horizon) < length)
    assert (chunk[~there] == length - 1).all() and there[:, 0].all()


@given(st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True))
def test_windows_number_every_frame_once(source: MadeUp, chosen: list[int]) -> None:
    windows = Windows(source, 1, 1, episodes=chosen)
    wanted = [(i, frame) for i in chosen for frame in range(LENGTHS[i])]
    assert [windows.locate(n) for n in range(len(windows))] == wanted
    with pytest.raises(IndexError):
        windows.locate(len(windows))


def with_bad(bad: set[int], length: int = 9) -> MadeUp:
    """One episode of which some frames are late and the others of them missing."""
    late, missing = tuple(sorted(bad)[::2]), tuple(sorted(bad)[1::2])
    return MadeUp(episodes=(RecordedEpisode(1, "task 1", length, Path("made-up"), late, missing),))


@given(st.sets(st.integers(0, 8), max_size=3), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_a_window_with_a_frame_that_can_not_be_used_drops_out(
    bad: set[int], window: int, horizon: int, interleaved: bool
) -> None:
    def seen(frame: int) -> set[int]:
        """All frames whose picture, state or action the window that ends at one has."""
        history = history_rows(frame, window)[0]
        chunks = chunk_rows(history if interleaved else np.array(frame), 9, horizon)[0]
        return {*history.tolist(), *chunks.ravel().tolist()}

    wanted = [frame for frame in range(9) if not seen(frame) & bad]
    mode = "interleave" if interleaved else "segment"
    if not wanted:
        with pytest.raises(UsageError, match="all 9 samples have a frame that can't be used: "):
            Windows(with_bad(bad), window, horizon, mode)
        return
    windows = Windows(with_bad(bad), window, horizon, mode)
    assert [windows.locate(n) for n in range(len(windows))] == [(0, frame) for frame in wanted]
    assert windows.dropped == 9 - len(wanted)


def test_statistics_leave_out_frames_that_can_not_be_used() -> None:
    found = compute_statistics([with_bad({0, 8, 4}, 9)])
    assert (found.count, found.action.min, found.action.max) == (6, (1, 1), (7, 7))
    with pytest.raises(UsageError, match=r"no frame can be used: 5 frames are more than 0\.050 s off"):
        compute_statistics([with_bad(set(range(9)))])


def test_impossible_windows_are_refused(source: MadeUp) -> None:
    with pytest.raises(UsageError, match="window 0"):
        Windows(source, 0, 1)
    with pytest.raises(UsageError, match="unknown window mode 'woven'"):
        Windows(source, 1, 1, "woven")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no episodes were chosen"):
        Windows(source, 1, 1, episodes=[])


def test_statistics_are_those_of_all_frames(source: MadeUp) -> None:
    found = compute_statistics([source])
    actions = np.concatenate([source.actions(e) for e in range(3)])
    assert found.count == sum(LENGTHS) and found.action.names == ("v", "w")
    assert found.action.min == (0, 0) and found.action.max == (204, 204)
    np.testing.assert_allclose(found.action.mean, actions.mean(0))
    np.testing.assert_allclose(found.action.std, actions.std(0), rtol=1e-6)
    np.testing.assert_allclose(found.action.q99, np.quantile(actions, 0.99, axis=0))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_figures_are_in_order(values: list[float]) -> None:
    found = describe(np.array(values)[:, None])
    order = [found[key][0] for key in ("min", "q01", "q10", "q50", "q90", "q99", "max")]
    assert order == sorted(order) and found["count"] == [len(values)]


def test_statistics_are_computed_once(source: MadeUp, tmp_path: Path) -> None:
    first = stored_statistics(tmp_path / "s.json", [source])
    before = (tmp_path / "s.json").read_bytes()
    assert stored_statistics(tmp_path / "s.json", [source]) == first
    assert (tmp_path / "s.json").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_statistics_of_another_robot_are_refused(source: MadeUp, tmp_path: Path) -> None:
    others = [MadeUp(robot="arm"), MadeUp(action_names=("v", "u"))]
    file = tmp_path / "s.json"
    stored_statistics(file, [source])
    for other, said in zip(
        others, ("'rover', wanted 'arm'", r"\('v', 'w'\), wanted \('v', 'u'\)"), strict=True
    ):
        with pytest.raises(UsageError, match=f"s.json: statistics of another robot than .*: {said}"):
            stored_statistics(file, [other])
        with pytest.raises(UsageError, match="are of different robots"):
            compute_statistics([source, other])


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"state": 1, "action": 2}'])
def test_a_broken_file_of_statistics_is_named(source: MadeUp, tmp_path: Path, text: str) -> None:
    file = tmp_path / "s.json"
    file.write_text(text)
    with pytest.raises(UsageError, match="is not a file of statistics"):
        stored_statistics(file, [source])


def test_statistics_with_a_number_too_few_are_refused(source: MadeUp, tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    stored_statistics(file, [source])
    spoilt = json.loads(file.read_text())
    spoilt["action"]["q99"] = [1.0]
    file.write_text(json.dumps(spoilt))
    with pytest.raises(UsageError, match="is not a file of statistics"):
        stored_statistics(file, [source])
