"""The table of targets."""

from benchmarks.fuzz import texts
from benchmarks.fuzz.target import FuzzTarget

TARGETS: dict[str, FuzzTarget] = {**texts.TARGETS}
