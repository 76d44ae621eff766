"""Folders of questions about images, and what is said of broken ones."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import UsageError
from training.datasets.words import WordsFolder

GOOD = {"file_name": "a.png", "prompt": "detect cup", "answer": "cup"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    image = np.zeros((4, 6, 3), np.uint8)
    image[..., 2] = 200  # red, as OpenCV orders it
    cv2.imwrite(str(tmp_path / "a.png"), image)
    (tmp_path / "metadata.jsonl").write_text(json.dumps(GOOD) + "\n\n")
    return tmp_path


def test_questions_and_pictures_are_read(folder: Path) -> None:
    words = WordsFolder(folder)
    [question] = words.questions
    assert (question.prompt, question.answer) == ("detect cup", "cup")
    assert words.image(0).shape == (1, 4, 6, 3)
    assert words.image(0)[0, 0, 0].tolist() == [200, 0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no questions"),
        ("{", "line 1: want file_name, prompt and answer"),
        ("[1]", "line 1: want file_name"),
        (
            json.dumps(GOOD) + "\n" + json.dumps({**GOOD, "answer": ""}),
            "line 2: file_name, prompt and answer",
        ),
        (json.dumps({**GOOD, "file_name": "b.png"}), "b.png is missing"),
    ],
)
def test_damaged_metadata_is_refused_by_line(folder: Path, text: str, message: str) -> None:
    (folder / "metadata.jsonl").write_text(text)
    with pytest.raises(UsageError, match=message):
        WordsFolder(folder)


def test_a_file_that_is_no_image_is_named(folder: Path) -> None:
    (folder / "a.png").write_text("no image")
    with pytest.raises(UsageError, match=r"a\.png is not a readable image"):
        WordsFolder(folder).image(0)
    (folder / "metadata.jsonl").unlink()
    with pytest.raises(UsageError, match=r"cannot read .*metadata\.jsonl"):
        WordsFolder(folder)
