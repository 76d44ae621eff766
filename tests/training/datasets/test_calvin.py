"""CALVIN folders read back, and what is said about those that are not whole."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import UsageError
from training.datasets.calvin import CalvinSource
from training.datasets.windows import Windows


def calvin(path: Path, spans: list[tuple[int, int]], frames: int = 12) -> Path:
    (path / "lang_annotations").mkdir(parents=True)
    for n in range(frames):
        np.savez(
            path / f"episode_{n:07d}.npz",
            rgb_static=np.full((20, 20, 3), 10 * n, np.uint8),
            rgb_gripper=np.full((8, 8, 3), 200 - n, np.uint8),
            rel_actions=np.full(7, n / 100),
            robot_obs=np.arange(15) + n,
        )
    words = [f"do {i}" for i in range(len(spans))]
    annotate(
        path, {"language": {"ann": words, "task": words, "emb": np.zeros((2, 3))}, "info": {"indx": spans}}
    )
    return path


def annotate(path: Path, value: Any) -> None:
    np.save(path / "lang_annotations/auto_lang_ann.npy", np.array(value, object), allow_pickle=True)


def test_a_calvin_split_is_read_by_its_annotations(tmp_path: Path) -> None:
    source = CalvinSource(calvin(tmp_path / "training", [(2, 5), (4, 11)]))
    assert [(e.task, e.length) for e in source.episodes] == [("do 0", 4), ("do 1", 8)]
    np.testing.assert_allclose(source.actions(1)[:, 0], np.arange(4, 12) / 100, rtol=1e-6)
    np.testing.assert_array_equal(source.states(0)[0], [2, 3, 4, 5, 6, 7, 16])
    seen = source.images(0, [0, 3])
    assert seen["rgb_static"][:, 0, 0, 0].tolist() == [20, 50] and seen["rgb_gripper"].shape == (2, 8, 8, 3)
    assert Windows(source, 2, 3)[0].actions.shape == (3, 7)


def spoil_frame(number: int, **arrays: Any) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        file = path / f"episode_{number:07d}.npz"
        with np.load(file) as old:
            kept = {key: old[key] for key in old.files}
        np.savez(file, **(kept | arrays))

    return apply


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: (p / "episode_0000004.npz").unlink(), r"ann.npy, episode 0: .*0000004.npz is missing"),
        (lambda p: (p / "episode_0000004.npz").write_bytes(b"x"), r"episode_0000004.npz, episode 0: "),
        (spoil_frame(4, rel_actions=np.full(7, np.nan)), r"npz, episode 0, frame 2: rel_actions x is nan"),
        (spoil_frame(4, rel_actions=np.zeros(6)), r"episode_0000004.npz, episode 0: .*another width"),
        (
            lambda p: annotate(p, {"language": {"ann": ["a"]}, "info": {"indx": [(2, 5), (4, 9)]}}),
            r"auto_lang_ann.npy, episode 1: 1 texts for 2 sequences",
        ),
        (
            lambda p: annotate(p, {"language": {"ann": ["a"]}, "info": {"indx": [(2, 30)]}}),
            r"auto_lang_ann.npy, episode 0: .*episode_0000012.npz is missing",
        ),
        (
            lambda p: annotate(p, {"language": {"ann": ["a"]}, "info": {"indx": [(5, 2)]}}),
            r"episode 0: it goes from frame 5 to 2",
        ),
        (
            lambda p: annotate(p, {"language": {"ann": []}, "info": {"indx": []}}),
            r"the split 'training' has no episodes",
        ),
        (lambda p: annotate(p, [1, 2]), r"holds no annotations of CALVIN"),
        (lambda p: annotate(p, print), r"wants builtins.print, which no annotation needs"),
        (lambda p: (p / "lang_annotations/auto_lang_ann.npy").unlink(), r"auto_lang_ann.npy can't be read"),
        (shutil.rmtree, r"is not a split of CALVIN: No such file"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_calvin_split_is_named(
    tmp_path: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    path = calvin(tmp_path / "training", [(2, 5)])
    spoil(path)
    with pytest.raises(UsageError, match=message):
        CalvinSource(path).actions(0)
