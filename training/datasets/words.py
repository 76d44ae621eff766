"""Questions about images with answers, to train on vision-language data beside demonstrations.

The layout of Hugging Face's ImageFolder (https://huggingface.co/docs/datasets/image_dataset): images, and
`metadata.jsonl` with a line `{"file_name": "a.jpg", "prompt": "detect cup", "answer": "<loc0100>..."}` each.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge.cameras.recordings.encoded import decode_picture
from edge.errors import UsageError, reason_of
from edge.files import foreign_json
from training.datasets.source import Images


@dataclass(frozen=True, slots=True)
class WordsQuestion:
    """One line of the metadata."""

    file: Path
    prompt: str
    answer: str


class WordsFolder:
    """All questions of a folder. Images are read on demand."""

    def __init__(self, path: Path) -> None:
        """Read the metadata. Raises UsageError with file and line if it is missing, damaged or empty."""
        self.path = path
        metadata = path / "metadata.jsonl"
        try:
            lines = metadata.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"cannot read {metadata}: {reason_of(error)}", "name a folder with metadata.jsonl"
            ) from error
        self.questions = [
            self._question(metadata, n, line) for n, line in enumerate(lines, 1) if line.strip()
        ]
        if not self.questions:
            raise UsageError(f"{metadata} has no questions")

    def _question(self, metadata: Path, number: int, line: str) -> WordsQuestion:
        line_of = f"{metadata}, line {number}"
        try:
            found = foreign_json(line)
            name, prompt, answer = (found[key] for key in ("file_name", "prompt", "answer"))
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{line_of}: want file_name, prompt and answer, {reason_of(error)}") from error
        if not all(isinstance(text, str) and text for text in (name, prompt, answer)):
            raise UsageError(f"{line_of}: file_name, prompt and answer must be texts")
        if not (self.path / name).is_file():
            raise UsageError(f"{line_of}: {self.path / name} is missing")
        return WordsQuestion(self.path / name, prompt, answer)

    def image(self, i: int) -> Images:
        """Read an image, (1, height, width, 3). Raises UsageError if the file is not an image."""
        try:
            image = decode_picture(self.questions[i].file.read_bytes())
        except OSError as error:
            raise UsageError(f"{self.questions[i].file} can't be read: {error.strerror}") from error
        if image is None:
            raise UsageError(f"{self.questions[i].file} is not a readable image")
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)[None]
