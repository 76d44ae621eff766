"""The parser alone: what a model's text, in English or Korean, asks a robot to do. No model, no robot.

python examples/parse_text.py "turn left slowly"
"""

import sys

from edge.parsing import parse_action
from edge.records import ParsedAction

SENTENCES = (
    "turn left slowly",
    "앞으로 천천히 가",
    "don't move",
)
# A PaliGemma that was asked for a red cup answers so.
ANSWER = "<loc0256><loc0400><loc0512><loc0600> red cup"


def show(text: str, action: ParsedAction) -> None:
    """Print the action of a text, and the boxes that it has."""
    speeds = f"{action.linear_x_m_s:+.2f} m/s {action.angular_z_rad_s:+.2f} rad/s"
    print(f"{text!r}: {action.type.value}, {speeds}, confidence {action.confidence:.2f} ({action.reason})")
    for detection in action.detections:
        print(f"  {detection.label}: {detection.box}")


def main() -> None:
    """Print one reading a sentence; whatever can't be read does not move."""
    for text in sys.argv[1:] or SENTENCES:
        show(text, parse_action(text))
    # A box moves a robot only towards what was asked for, as the family writes it.
    show(ANSWER, parse_action(ANSWER))
    show(ANSWER, parse_action(ANSWER, "paligemma", target="red cup"))


if __name__ == "__main__":
    main()
