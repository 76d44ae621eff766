"""The source of a model's dimensions: a name, a folder with config.json, or a bundle."""

from __future__ import annotations

import difflib
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.bundle.published import NATIVE_FLORENCE, check_adapter, check_kind, is_microsofts
from edge.errors import BundleRefused, UsageError, reason_of
from edge.plugins import BUNDLES
from export.planner.boards import BITS
from export.planner.families import read_config
from export.planner.graphs import matrices
from export.planner.known import KNOWN
from export.planner.layers import Request, StageWork, Work, Workload

if TYPE_CHECKING:
    from edge.bundle.manifest import GraphInfo, Manifest

Shapes = Sequence[tuple[int, ...]]
_MAX_CONFIG_BYTES = 10_000_000


@dataclass(frozen=True)
class PlannedModel:
    """A model whose dimensions are known."""

    name: str
    request: Request  # the sizes of its usual inference
    build: Callable[[Request], Workload]
    is_fixed: bool = False  # whether its shapes were chosen when it was exported


def find_model(name: str) -> PlannedModel:
    """Find a model by its name or folder; a folder is preferred to a name.

    Raises UsageError if there is no such model, and BundleRefused for a bundle that can't be read.
    """
    folder = Path(name)
    if folder.name == "config.json" and folder.is_file():
        folder = folder.parent
    if name in KNOWN and not folder.is_dir():
        return PlannedModel(name, KNOWN[name].request, KNOWN[name].build)
    names = [*KNOWN, *BUNDLES.names()]
    if folder.is_dir() and name in names:
        _note(f"{name} is the folder here, and not the known model or bundle of that name")
    if folder.is_dir() and not (folder / "manifest.json").is_file():
        return _checkpoint(folder)
    if not folder.is_dir() and name not in names:
        near = difflib.get_close_matches(name[:64].lower(), names, n=1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(
            f"no model {name!r}: neither a name nor a folder", f"{meant}known names: {', '.join(names)}"
        )
    from edge.bundle.bundle import find_bundle, read_manifest  # importing it takes a third of a second

    found = find_bundle(folder)
    manifest, _ = read_manifest(found)
    weights = {stage: matrices(_read_graph(found / graph.file)) for stage, graph in manifest.graphs.items()}
    prompt = _numbers(manifest.graphs["prefill"], "ids") if "prefill" in manifest.graphs else 0
    return PlannedModel(
        manifest.name,
        Request(prompt=prompt, tokens=Request.tokens if "decode" in manifest.graphs else 0),
        lambda request: bundle_workload(manifest, weights, request),
        is_fixed=True,
    )


def _checkpoint(folder: Path) -> PlannedModel:
    """Read a folder with config.json. Raises UsageError if it has none, or if no family reads it."""
    file = folder / "config.json"
    if not file.is_file():
        check_adapter(folder)
        raise UsageError(
            f"{folder} has neither config.json nor manifest.json", "give a Hugging Face folder or a bundle's"
        )
    config = _read_json(file)
    check_kind(config, file)
    if is_microsofts(config):
        _note(f"this is Florence-2 in Microsoft's naming; export {NATIVE_FLORENCE} of the hub instead")
    return PlannedModel(folder.resolve().name, Request(), lambda request: read_config(config, request))


def _read_graph(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BundleRefused(f"cannot read {file}: {error.strerror}", "export the bundle again") from error


def _note(note: str) -> None:
    """Print a note for people, apart from the output of --json."""
    print(f"note: {note}", file=sys.stderr)


def _read_json(file: Path) -> dict[str, object]:
    if file.stat().st_size > _MAX_CONFIG_BYTES:
        raise UsageError(f"{file} is larger than {_MAX_CONFIG_BYTES} bytes")
    try:
        config: object = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not JSON: {reason_of(error)}") from error
    if not isinstance(config, dict):
        raise UsageError(f"{file} is not a JSON object")
    return config


def bundle_workload(manifest: Manifest, weights: Mapping[str, Shapes], request: Request) -> Workload:
    """Count the work of a bundle's graphs, whose `weights` are given by their shapes, stage by stage.

    Convolutions read a weight more often than once a row, so their operations are counted too low. The graph
    that sees the floor runs beside the model, at every frame, and counts only in memory.
    """
    stages: list[StageWork] = []
    tables = cache = repeated = 0
    width = manifest.graphs["vision"].outputs[0].shape[-1] if "vision" in manifest.graphs else 0
    for stage, graph in manifest.graphs.items():
        if stage == "floor":
            continue
        parameters = sum(map(math.prod, weights[stage]))
        words = min(_embeddings(graph, width), parameters)
        again = stage == "decode" and "prefill" in manifest.graphs  # the same net over one token
        repeated += parameters if again else _tied(graph, weights[stage])
        passes = request.tokens - 1 if stage == "decode" else 1
        if passes < 1:
            tables += parameters
            continue
        tables += words
        cache += _numbers(graph, "past")
        size = max(0.0, graph.bytes + graph.weights_bytes - words * BITS[graph.precision] / 8)
        work = Work(parameters - words, 2.0 * (parameters - words) * _rows(stage, graph))
        shares = again and graph.weights_bytes > 0  # in the weights file of a large bundle
        stages.append(StageWork(stage, work, passes, shares, graph.precision, size))
    floor = sum(map(math.prod, weights.get("floor", ())))
    return Workload(manifest.family, tuple(stages), tables, cache=cache, repeated=repeated, floor=floor)


def _tied(graph: GraphInfo, shapes: Shapes) -> int:
    """Count what a table of words and a head of its shape both hold: as a rule they are the same numbers."""
    logits = _shapes(graph).get("logits", (0,))
    heads = {shape for shape in shapes if len(shape) == 2 and shape[1] == logits[-1]}
    return max((math.prod(shape) for shape in shapes if shape[::-1] in heads), default=0)


def _shapes(graph: GraphInfo) -> dict[str, tuple[int, ...]]:
    return {tensor.name: tensor.shape for tensor in (*graph.outputs, *graph.inputs)}


def _numbers(graph: GraphInfo, tensor: str) -> int:
    return math.prod(_shapes(graph)[tensor]) if tensor in _shapes(graph) else 0


def _embeddings(graph: GraphInfo, width: int) -> int:
    """Parameters that a graph looks up by ids; none without logits, when the vocabulary is unknown."""
    shapes = _shapes(graph)
    by_ids = "ids" in shapes or "token" in shapes
    return shapes["logits"][-1] * width if by_ids and "logits" in shapes else 0


def _rows(stage: str, graph: GraphInfo) -> int:
    """Vectors that go through a graph, whose shapes `edge.model.generation` and `.actions` describe."""
    shapes = _shapes(graph)
    if stage == "vision":
        return math.prod(graph.outputs[0].shape[:-1])
    if stage == "prefill":
        return math.prod(shapes["image_features"][:-1]) + math.prod(shapes["ids"])
    return math.prod(shapes["features"][:-1]) if "features" in shapes else 1
