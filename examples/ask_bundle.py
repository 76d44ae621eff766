"""A bundle from Python: verify it, open it, and ask where something is in a picture.

python examples/ask_bundle.py [PICTURE TARGET]    without them: a picture of a simulated room
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from edge.bundle.bundle import load_bundle
from edge.errors import EdgeError, UsageError, reason_of
from edge.goals.goals import parse_goal
from edge.goals.prompts import goal_prompt
from edge.goals.vocabulary import check_target
from edge.model.grounding import GroundingModel
from edge.parsing import parse_detections
from edge.plugins import PICTURES
from edge.records import Image


def read_picture(path: Path) -> Image:
    """Return the picture of a file. Raises UsageError if it has none."""
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise UsageError(f"{path} can't be read: {reason_of(error)}") from error
    pixels = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if pixels is None:
        raise UsageError(f"{path} is not a picture", "give a PNG or a JPEG")
    return np.ascontiguousarray(pixels[:, :, ::-1], np.uint8)


def question() -> tuple[Image, str]:
    """Return the picture and the target of the command line, else a simulated one and what is in it."""
    if len(sys.argv) == 3:
        return read_picture(Path(sys.argv[1])), sys.argv[2]
    if len(sys.argv) != 1:
        raise UsageError("give a PICTURE and a TARGET, or neither", 'such as room.png "red cup"')
    return next((image, names[0]) for image, names in PICTURES.open("sim", 1) if names)


def ask() -> None:
    """Ask the default bundle and print its answer and the boxes in it."""
    image, target = question()
    bundle = load_bundle("default")  # every byte is checked before anything is opened
    goal = check_target(bundle, parse_goal("find_object", target))  # in the model's own words
    prompt = goal_prompt(bundle.manifest, goal)
    with GroundingModel(bundle) as model:
        answer = model.ground(image, prompt, goal.target)
    print(f"{bundle.manifest.name}: {prompt!r} -> {answer.text!r}, confidence {answer.confidence:.2f}")
    for detection in parse_detections(answer.text, bundle.manifest.family, target=goal.target).detections:
        print(f"  {detection.label}: {detection.box}")


def main() -> int:
    """Ask, and return the exit code: what a user can do wrong is a message with a hint."""
    try:
        ask()
    except EdgeError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
