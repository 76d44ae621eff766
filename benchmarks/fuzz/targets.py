"""The table of targets."""

from benchmarks.fuzz import bundles, graphs, texts
from benchmarks.fuzz.target import FuzzTarget

TARGETS: dict[str, FuzzTarget] = {**texts.TARGETS, **bundles.TARGETS, **graphs.TARGETS}
