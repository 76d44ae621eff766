"""The bundles that ship with the simulator, by the names of their entry points."""

from pathlib import Path

HERE = Path(__file__).parent


def default() -> Path:
    """Return the folder of the model that finds the simulated objects."""
    return HERE / "default"


def default_int8() -> Path:
    """Return the folder of the same model in int8 for ONNX Runtime, see docs/export.md."""
    return HERE / "default-int8"


def head() -> Path:
    """Return the folder of a policy with a continuous head, trained on demonstrations."""
    return HERE / "head"


def token() -> Path:
    """Return the folder of a policy that generates its actions as tokens, trained on demonstrations."""
    return HERE / "token"
