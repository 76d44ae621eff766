"""The parser alone: what a model's text, in English or Korean, asks a robot to do. No model, no robot.

python examples/parse_text.py "turn left slowly"
"""

import sys

from edge.parsing import parse_action, parse_detections

SENTENCES = (
    "turn left slowly",
    "앞으로 천천히 가",
    "don't move",
    "<loc0256><loc0400><loc0512><loc0600> red cup",
)


def main() -> None:
    """Print one reading a sentence; whatever can't be read does not move."""
    for text in sys.argv[1:] or SENTENCES:
        found = parse_action(text)
        speeds = f"{found.linear_x_m_s:+.2f} m/s {found.angular_z_rad_s:+.2f} rad/s"
        print(f"{text!r}: {found.type.value}, {speeds}, confidence {found.confidence:.2f} ({found.reason})")
        for detection in parse_detections(text).detections:
            print(f"  {detection.label}: {detection.box}")


if __name__ == "__main__":
    main()
