"""Ranges of activations, by ONNX Runtime's calibrators, kept with the calibration set for next time."""

import contextlib
import hashlib
import io
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator

from edge.errors import UsageError, reason_of
from edge.files import write_whole
from export.graphs.graph import COMPUTE, Graph
from export.measure.feeds import Feed
from export.measure.methods import Method

Ranges = dict[str, tuple[float, float]]  # lowest and highest value by tensor
PERCENTILE = 99.99
_BATCH = 8  # feeds whose tensors are held in memory at once
_OPTIONS: dict[Method, tuple[CalibrationMethod, dict[str, Any]]] = {
    "minmax": (CalibrationMethod.MinMax, {}),
    "percentile": (CalibrationMethod.Percentile, {"percentile": PERCENTILE, "symmetric": False}),
    "entropy": (CalibrationMethod.Entropy, {}),
}


class _FeedReader(CalibrationDataReader):
    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Any:  # ONNX Runtime types it as a dict, and ends at None
        return next(self._feeds, None)


def kept_ranges(
    folder: Path, digest: str, graph: Graph, feeds: Callable[[], Sequence[Feed]], method: Method
) -> Ranges:
    """Return the ranges of a graph for the calibration set in `folder`, which keeps them in `ranges-*.json`.

    They are read if they were computed before from the same set, graph and method, else computed from
    `feeds()` and written. Raises UsageError if the file is damaged or can't be written.
    """
    graph_digest = hashlib.sha256(graph.content).hexdigest()
    key = hashlib.sha256(f"{digest} {graph_digest} {method}".encode()).hexdigest()
    path = folder / f"ranges-{key[:16]}.json"
    if path.is_file():
        return _read_ranges(path, key)
    ranges = compute_ranges(graph, feeds(), method)
    try:
        write_whole(path, json.dumps({"key": key, "method": method, "ranges": ranges}, indent=1))
    except OSError as error:
        raise UsageError(
            f"cannot keep the ranges in {path}: {error.strerror}",
            "free some space, or copy the calibration set to where you may write",
        ) from error
    return ranges


def _read_ranges(path: Path, key: str) -> Ranges:
    """Raise UsageError for a file that does not hold these ranges."""
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["key"] != key:
            raise ValueError("it holds other ranges")
        return {name: (float(low), float(high)) for name, (low, high) in found["ranges"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} is damaged: {reason_of(error)}", "remove it; the ranges are computed again"
        ) from error


def compute_ranges(
    graph: Graph, feeds: Sequence[Feed], method: Method, kinds: Sequence[str] = COMPUTE
) -> Ranges:
    """Return the ranges of all inputs and outputs of the nodes of these kinds in an fp32 graph."""
    kind, options = _OPTIONS[method]
    with tempfile.TemporaryDirectory() as folder, quiet():
        path = Path(folder) / "graph.onnx"
        path.write_bytes(graph.content)
        calibrator: Any = create_calibrator(
            path, kinds, str(Path(folder) / "augmented.onnx"), calibrate_method=kind, extra_options=options
        )
        for start in range(0, len(feeds), _BATCH):
            calibrator.collect_data(_FeedReader(feeds[start : start + _BATCH]))
        data = calibrator.compute_data()
    spans = {name: data[name].range_value for name in data}
    return {name: (float(np.min(low)), float(np.max(high))) for name, (low, high) in spans.items()}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence ONNX Runtime's tools, which print what they do."""
    before = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.root.setLevel(before)
