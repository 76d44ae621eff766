"""The table of targets."""

from benchmarks.fuzz import bundles, datasets, graphs, texts, wires
from benchmarks.fuzz.target import FuzzTarget

TARGETS: dict[str, FuzzTarget] = {
    name: target
    for module in (texts, bundles, graphs, datasets, wires)
    for name, target in module.TARGETS.items()
}
