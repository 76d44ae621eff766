"""Ranges of activations, by ONNX Runtime's calibrators, kept with the calibration set for next time."""

import contextlib
import hashlib
import io
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator

from edge.errors import UsageError
from edge.files import write_whole
from export.graphs.edit import COMPUTE
from export.measure.feeds import Feed

Method = Literal["minmax", "percentile", "entropy"]
METHODS: tuple[Method, ...] = ("minmax", "percentile", "entropy")
Ranges = dict[str, tuple[float, float]]  # lowest and highest value by tensor
PERCENTILE = 99.99
_BATCH = 8  # feeds whose tensors are held in memory at once
_OPTIONS: dict[Method, tuple[CalibrationMethod, dict[str, Any]]] = {
    "minmax": (CalibrationMethod.MinMax, {}),
    "percentile": (CalibrationMethod.Percentile, {"percentile": PERCENTILE, "symmetric": False}),
    "entropy": (CalibrationMethod.Entropy, {}),
}


class _Reader(CalibrationDataReader):
    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Any:  # ONNX Runtime types it as a dict, and ends at None
        return next(self._feeds, None)


def kept_ranges(
    folder: Path, digest: str, graph: bytes, feeds: Callable[[], Sequence[Feed]], method: Method
) -> Ranges:
    """The ranges of a graph for the calibration set in `folder`: from its file `ranges-*.json` if they were
    computed before from the same set, graph and method, else computed from `feeds()` and written there."""
    key = hashlib.sha256(f"{digest} {hashlib.sha256(graph).hexdigest()} {method}".encode()).hexdigest()
    path = folder / f"ranges-{key[:16]}.json"
    if path.is_file():
        return _read_ranges(path, key)
    ranges = compute_ranges(graph, feeds(), method)
    try:
        write_whole(path, json.dumps({"key": key, "method": method, "ranges": ranges}, indent=1))
    except OSError as error:
        raise UsageError(
            f"cannot keep what was computed in {path}: {error.strerror}",
            "free some space, or copy the calibration set to where you may write",
        ) from error
    return ranges


def _read_ranges(path: Path, key: str) -> Ranges:
    """Raises UsageError for a file that does not hold these ranges."""
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["key"] != key:
            raise ValueError("of something else")
        return {name: (float(low), float(high)) for name, (low, high) in found["ranges"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is damaged: {error}", "remove it; it is computed again") from error


def compute_ranges(
    graph: bytes, feeds: Sequence[Feed], method: Method, kinds: Sequence[str] = COMPUTE
) -> Ranges:
    """Of all tensors into and out of the nodes of these kinds of an fp32 graph."""
    kind, options = _OPTIONS[method]
    with tempfile.TemporaryDirectory() as folder, quiet():
        path = Path(folder) / "graph.onnx"
        path.write_bytes(graph)
        calibrator: Any = create_calibrator(
            path, kinds, str(Path(folder) / "augmented.onnx"), calibrate_method=kind, extra_options=options
        )
        for start in range(0, len(feeds), _BATCH):
            calibrator.collect_data(_Reader(feeds[start : start + _BATCH]))
        data = calibrator.compute_data()
    spans = {name: data[name].range_value for name in data}
    return {name: (float(np.min(low)), float(np.max(high))) for name, (low, high) in spans.items()}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """ONNX Runtime's tools print what they do."""
    before = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.root.setLevel(before)
