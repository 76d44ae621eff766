"""A bundle from Python: verify it, open it, and ask where something is in a picture.

python examples/ask_bundle.py [PICTURE TARGET]    without them: a picture of a simulated room
"""

import sys

import cv2
import numpy as np

from edge.bundle.bundle import load_bundle
from edge.goals.goals import parse_goal
from edge.goals.prompts import goal_prompt
from edge.model.grounding import GroundingModel
from edge.parsing import parse_detections
from edge.plugins import PICTURES
from edge.records import Image


def picture() -> tuple[Image, str]:
    """Return the picture and the target of the command line, else a simulated one and what is in it."""
    if len(sys.argv) == 3:
        pixels = cv2.imread(sys.argv[1], cv2.IMREAD_COLOR)
        if pixels is None:
            sys.exit(f"{sys.argv[1]} is not a picture")
        return np.ascontiguousarray(pixels[:, :, ::-1], np.uint8), sys.argv[2]
    return next((image, names[0]) for image, names in PICTURES.open("sim", 1) if names)


def main() -> None:
    """Ask the default bundle and print its answer and the boxes in it."""
    image, target = picture()
    bundle = load_bundle("default")  # every byte is checked before anything is opened
    prompt = goal_prompt(bundle.manifest, parse_goal("find_object", target))
    with GroundingModel(bundle) as model:
        answer = model.ground(image, prompt, target)
    print(f"{bundle.manifest.name}: {prompt!r} -> {answer.text!r}, confidence {answer.confidence:.2f}")
    for detection in parse_detections(answer.text, bundle.manifest.family, target=target).detections:
        print(f"  {detection.label}: {detection.box}")


if __name__ == "__main__":
    main()
