"""The bundles that ship with the simulator, by the names of their entry points."""

from pathlib import Path


def default() -> Path:
    """The folder of the model that finds the simulated objects."""
    return Path(__file__).parent / "default"


def default_int8() -> Path:
    """The same in int8 for ONNX Runtime, a third of the size, see docs/export.md."""
    return Path(__file__).parent / "default-int8"
