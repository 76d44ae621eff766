"""A box as a reader of one family finds it, before it is judged."""

from dataclasses import dataclass

from edge.parsing.strict import Rejected

MAX_LABEL_CHARS = 64
UNNAMED = "nothing says what it is of"  # a doubt


@dataclass(frozen=True, slots=True)
class RawBox:
    """A well-formed box, as fractions of height and width that may still be out of range."""

    label: str  # empty if the text gives none
    y0: float
    x0: float
    y1: float
    x1: float
    doubt: str = ""  # why it can't be believed; empty if it can


@dataclass(frozen=True, slots=True)
class Asked:
    """The caller's part of what a text means."""

    target: str  # what was asked for; empty: everything
    image_size: tuple[int, int] | None  # (height, width) in pixels of the model's input


def clean_label(text: str) -> str:
    """Return a label on one line. Raises Rejected if it is too long or can't be printed."""
    label = " ".join(text.split())
    if len(label) > MAX_LABEL_CHARS or not label.isprintable():
        raise Rejected(f"a label is longer than {MAX_LABEL_CHARS} characters or can't be printed")
    return label
