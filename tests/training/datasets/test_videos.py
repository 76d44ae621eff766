"""The frame that is asked for, of videos in any codec, and what is said of files that are not whole."""

import pickle
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import UsageError
from tests.training.datasets.filmed import CODECS, EARTH, RATE_HZ, film, number_of
from training.datasets.videos import OPEN_FILES, Videos

FRAMES = 80


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("videos")
    for codec in CODECS:
        film(folder / f"{codec}.mp4", list(range(FRAMES)), codec)
    return {codec: folder / f"{codec}.mp4" for codec in CODECS}


def read(videos: Videos, file: Path, frames: list[float]) -> list[int]:
    """The numbers that were painted on the frames shown at those times, in frames."""
    places = [f"{file}, frame {frame}" for frame in frames]
    return [number_of(i) for i in videos.read(file, [f / RATE_HZ for f in frames], 1 / RATE_HZ, places)]


@pytest.fixture(scope="module")
def videos() -> Videos:
    return Videos()


@pytest.mark.parametrize("codec", CODECS)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_every_frame_is_the_one_that_was_asked_for(
    codec: str, data: Any, files: dict[str, Path], videos: Videos
) -> None:
    """In any order, next to each other or far apart, and a little off their time."""
    frames = data.draw(st.lists(st.integers(0, FRAMES - 1), min_size=1, max_size=6))
    off = data.draw(st.lists(st.floats(-0.45, 0.45), min_size=len(frames), max_size=len(frames)))
    run = data.draw(st.integers(0, 12))
    frames += list(range(frames[-1], min(frames[-1] + run, FRAMES)))
    asked = [frame + (off[i] if i < len(off) else 0) for i, frame in enumerate(frames)]
    assert read(videos, files[codec], asked) == frames


def test_a_window_is_decoded_once(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from training.datasets import videos as module

    videos = Videos()  # another test may have left a shared one just before the window

    sought: list[float] = []
    seek = module._Video._seek
    monkeypatch.setattr(module._Video, "_seek", lambda self, t: sought.append(t) or seek(self, t))
    read(videos, files["av1-far"], list(range(20, 36)))
    read(videos, files["av1-far"], list(range(36, 44)))
    assert len(sought) == 1


def test_more_videos_than_stay_open_are_read(tmp_path: Path) -> None:
    videos = Videos()
    for turn in range(2):
        for n in range(OPEN_FILES + 2):
            file = tmp_path / f"{n}.mp4"
            if turn == 0:
                film(file, [n, n + 100])
            assert read(videos, file, [turn]) == [n + 100 * turn]


def in_a_fork(videos: Videos, file: Path, answer: Any) -> None:
    answer.put([read(videos, file, [frame]) for frame in range(40, 60)])


def test_a_fork_and_its_parent_read_without_disturbing_each_other(files: dict[str, Path]) -> None:
    videos, context = Videos(), get_context("fork")
    assert read(videos, files["av1"], [3]) == [3]
    answers = context.Queue()
    forks = [context.Process(target=in_a_fork, args=(videos, files["av1"], answers)) for _ in range(3)]
    try:
        for fork in forks:
            fork.start()
        assert [read(videos, files["av1"], [n]) for n in range(4, 70)] == [[n] for n in range(4, 70)]
        for fork in forks:
            assert answers.get(timeout=30) == [[n] for n in range(40, 60)]
            fork.join(30)
    finally:
        for fork in forks:
            fork.kill()


def test_a_copy_reads_on(files: dict[str, Path], videos: Videos) -> None:
    assert read(videos, files["av1"], [3]) == [3]
    assert read(pickle.loads(pickle.dumps(videos)), files["av1"], [7]) == [7]


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.mp4 is missing$") as caught:
        read(Videos(), tmp_path / "no.mp4", [0])
    assert "copy the dataset again" in caught.value.hint


@pytest.mark.parametrize("codec", ["av1-far", "h264", "vp9"])
def test_of_a_truncated_file_the_first_frame_that_is_lost_is_named(codec: str, tmp_path: Path) -> None:
    file = tmp_path / "cut.mp4"
    film(file, list(range(FRAMES)), codec, faststart=True)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    videos, last = Videos(), -1
    with pytest.raises(UsageError, match=r"cut\.mp4, frame (\d+): the video can't be decoded") as caught:
        for frame in range(FRAMES):
            assert read(videos, file, [frame]) == [frame]
            last = frame
    assert 5 < last < FRAMES - 5 and f"frame {last + 1}:" in caught.value.message
    with pytest.raises(UsageError, match=r"frame 75: the video can't be decoded"):
        read(Videos(), file, [75])


def test_what_is_no_video_or_too_short_is_named_with_its_frame(
    files: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(UsageError, match=r"no\.mp4, frame 3: the video can't be read: Invalid data"):
        read(Videos(), tmp_path / "no.mp4", [3])
    short = rf"frame {FRAMES}: the video has no frame at 2\.667 s; the nearest is at 2\.633 s \(limit 0\.017"
    with pytest.raises(UsageError, match=short):
        read(Videos(), files["h264"], [FRAMES])


@pytest.mark.parametrize("codec", CODECS)
def test_colours_are_those_that_were_filmed(codec: str, files: dict[str, Path], videos: Videos) -> None:
    [image] = videos.read(files[codec], [5 / RATE_HZ], 1 / RATE_HZ, [""])
    assert image.shape == (48, 64, 3) and image.dtype == np.uint8
    np.testing.assert_allclose(image[36:46, 4:-4].mean((0, 1)), EARTH, atol=6)
