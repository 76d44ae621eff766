"""Questions about labelled images, with answers: the language side of the training data."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.goals.words import COLOURS, KINDS, KOREAN

NEAR_TIE = 1.08  # neither of two objects is "the nearest" if their distances' ratio is smaller
CAPTION_OBJECTS = 3


@dataclass(frozen=True)
class GroundingQuestion:
    """A prompt and its answer; `box` is (y0, x0, y1, x1) if the answer is a location."""

    prompt: str
    words: str  # the answer's words, after the location tokens if there is a box
    box: NDArray[np.float32] | None = None


def phrase(kind: int, colour: int | None, korean: bool) -> str:
    """Word a target: `red cup`, `cup`, or the same in Korean."""
    words = ([] if colour is None else [COLOURS[colour]]) + [KINDS[kind]]
    return " ".join(KOREAN[w] for w in words) if korean else " ".join(words)


def _matches(rows: NDArray[np.float32], kind: int, colour: int | None) -> NDArray[np.float32]:
    return rows[(rows[:, 0] == kind) & ((rows[:, 1] == colour) if colour is not None else True)]


def find(
    rows: NDArray[np.float32], kind: int, colour: int | None, korean: bool = False
) -> GroundingQuestion | None:
    """Ask for the nearest object of one kind (and colour); None: there is no fair answer.

    `rows` are an image's objects, nearest first (see `sim.dataset`). The nearest must be clear, and the next
    one clearly farther.
    """
    name = phrase(kind, colour, korean)
    found = _matches(rows, kind, colour)
    if len(found) == 0:
        return GroundingQuestion(f"detect {name}", "none")
    if found[0, 7] != 1 or (len(found) > 1 and found[1, 6] < found[0, 6] * NEAR_TIE):
        return None
    return GroundingQuestion(f"detect {name}", name, found[0, 2:6])


def _caption(rows: NDArray[np.float32]) -> GroundingQuestion:
    clear = rows[rows[:, 7] == 1][:CAPTION_OBJECTS]
    names = [phrase(int(r[0]), int(r[1]), False) for r in clear]
    return GroundingQuestion("caption en", " ; ".join(names) or "none")


def _main(rows: NDArray[np.float32]) -> GroundingQuestion:
    clear = rows[rows[:, 7] == 1]
    if len(clear) == 0:
        return GroundingQuestion("main", "none")
    area = (clear[:, 4] - clear[:, 2]) * (clear[:, 5] - clear[:, 3])
    r = clear[int(area.argmax())]
    return GroundingQuestion("main", phrase(int(r[0]), int(r[1]), False))


def sample_question(objects: NDArray[np.float32], rng: np.random.Generator) -> GroundingQuestion:
    """Draw a question about an image: 42 % present, 50 % absent or of another colour, else a caption."""
    rows = objects[objects[:, 0] >= 0]
    choice, korean = rng.uniform(), bool(rng.uniform() < 0.2)
    if choice < 0.05:
        return _caption(rows)
    if choice < 0.08:
        return _main(rows)
    for _ in range(8):
        present = choice < 0.5 and len(rows) > 0
        # The net mistakes an absent kind for another more often than an absent colour.
        with_colour = bool(rng.uniform() < (0.65 if present else 0.4))
        if present:
            r = rows[int(rng.integers(len(rows)))]
            question = find(rows, int(r[0]), int(r[1]) if with_colour else None, korean)
        else:
            question = find(rows, *_absent(rows, with_colour, rng), korean)
        if question is not None:
            return question
    return _caption(rows)


def _absent(rows: NDArray[np.float32], with_colour: bool, rng: np.random.Generator) -> tuple[int, int | None]:
    """Draw a kind (and colour) that is likely absent; half the time only one of the two is wrong."""
    kind, colour = int(rng.integers(len(KINDS))), int(rng.integers(len(COLOURS)))
    if not with_colour:
        return kind, None
    if len(rows) and rng.uniform() < 0.7:
        r = rows[int(rng.integers(len(rows)))]
        if rng.uniform() < 0.6:
            kind = int(r[0])
        else:
            colour = int(r[1])
    return kind, colour
