"""Model text to detections and actions. Nothing here raises, whatever the text."""

from edge.parsing.action import parse_action, parse_detections
from edge.parsing.locations import Detections

__all__ = ["Detections", "parse_action", "parse_detections"]
