"""A calibration set: a folder of pictures with goals and prompts.

    set.json            family, source, and for every picture its file, SHA-256 and questions
    calibrate/*.png     pictures that activation ranges are computed from
    held-out/*.png      pictures that the gate compares on; no picture is in both

`vla-edge calibrate activations` writes one, `vla-edge export --calibration` reads it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.bundle.manifest import first_problem
from edge.cameras.recordings.encoded import decode_picture
from edge.errors import UsageError
from edge.files import whole_folder
from edge.records import Image

SET_FILE = "set.json"
SCHEMA_VERSION = 1
Part = Literal["calibrate", "held-out"]
_AGAIN = "make one with `vla-edge calibrate activations --robot sim --bundle FP32_BUNDLE --out DIR`"
_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)


class Question(BaseModel):
    """A goal and its prompt for a picture."""

    model_config = _STRICT
    goal: str  # key of `edge.goals.goals.GOALS`
    target: str  # empty for goals without one
    prompt: str = Field(min_length=1, max_length=400)


class PictureEntry(BaseModel):
    """One picture in set.json."""

    model_config = _STRICT
    part: Part
    file: str = Field(pattern=r"^[0-9a-z]{1,40}\.png$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    questions: tuple[Question, ...] = Field(min_length=1)


class _SetFile(BaseModel):
    model_config = _STRICT
    schema_version: Literal[1]
    family: str
    source: str
    pictures: tuple[PictureEntry, ...]


@dataclass(frozen=True)
class Sample:
    """A picture (H, W, 3) RGB uint8 and one question about it."""

    image: Image
    question: Question


@dataclass(frozen=True)
class CalibrationSet:
    """A calibration set that was read and verified."""

    folder: Path
    family: str
    source: str
    digest: str  # SHA-256 of set.json, and so of every picture and prompt
    calibrate: tuple[Sample, ...]
    held_out: tuple[Sample, ...]


def write_set(
    folder: Path,
    family: str,
    source: str,
    pictures: Sequence[tuple[Part, Image, Sequence[Question]]],
) -> str:
    """Write a set to a folder that is absent or empty, whole or not at all, and return its digest.

    Raises UsageError if the folder holds something or can't be written, and if a picture has no question.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not an empty folder", "give another --out, or remove it first")
    try:
        with whole_folder(folder) as new:
            return _write(new, family, source, pictures)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}", "give another --out") from error


def _write(
    folder: Path, family: str, source: str, pictures: Sequence[tuple[Part, Image, Sequence[Question]]]
) -> str:
    listed: list[PictureEntry] = []
    for index, (part, image, questions) in enumerate(pictures):
        ok, png = cv2.imencode(".png", np.ascontiguousarray(image[:, :, ::-1]))
        if not ok or not questions:
            raise UsageError(f"picture {index} of {source} can't be stored, or has no question")
        file = folder / part / f"{index:05d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png.tobytes())
        sha256 = hashlib.sha256(png.tobytes()).hexdigest()
        listed.append(PictureEntry(part=part, file=file.name, sha256=sha256, questions=tuple(questions)))
    about = _SetFile(schema_version=1, family=family, source=source, pictures=tuple(listed))
    content = (about.model_dump_json(indent=1) + "\n").encode()
    (folder / SET_FILE).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def read_set(folder: Path, family: str) -> CalibrationSet:
    """Read and verify a set for models of `family`.

    Raises UsageError if it is missing, empty, altered, unreadable, or another family's.
    """
    path = folder / SET_FILE
    if not path.is_file():
        raise UsageError(f"{folder} is not a calibration set: it has no {SET_FILE}", _AGAIN)
    content = path.read_bytes()
    try:
        about = _SetFile.model_validate_json(content)
    except ValidationError as error:
        raise UsageError(f"{path}: {first_problem(error)}", _AGAIN) from error
    if about.family != family:
        raise UsageError(
            f"{folder} has prompts of family '{about.family}', the model is of '{family}'",
            "make one with `vla-edge calibrate activations --bundle BUNDLE` of that model",
        )
    samples: dict[Part, list[Sample]] = {"calibrate": [], "held-out": []}
    for picture in about.pictures:
        image = _read_picture(folder, picture)
        samples[picture.part] += [Sample(image, question) for question in picture.questions]
    for part, found in samples.items():
        if not found:
            raise UsageError(f"{folder} has no pictures to {part.replace('-', ' ')}", _AGAIN)
    digest = hashlib.sha256(content).hexdigest()
    return CalibrationSet(
        folder, family, about.source, digest, tuple(samples["calibrate"]), tuple(samples["held-out"])
    )


def _read_picture(folder: Path, picture: PictureEntry) -> Image:
    path = folder / picture.part / picture.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", _AGAIN) from error
    if hashlib.sha256(content).hexdigest() != picture.sha256:
        raise UsageError(f"{path} was altered: its SHA-256 is not the one in {SET_FILE}", _AGAIN)
    image = decode_picture(content)
    if image is None:
        raise UsageError(f"{path} is not a picture", _AGAIN)
    return np.ascontiguousarray(image[:, :, ::-1], np.uint8)
