"""Where a model's dimensions come from: a name, a folder with config.json, or a bundle."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.bundle.published import NATIVE_FLORENCE, check_adapter, check_kind, is_microsofts
from edge.errors import UsageError
from edge.plugins import BUNDLES
from export.planner.boards import BITS
from export.planner.families import read_config
from export.planner.known import KNOWN
from export.planner.layers import Ask, Net, Stage, Work

if TYPE_CHECKING:
    from edge.bundle.manifest import GraphInfo, Manifest

_MAX_CONFIG_BYTES = 10_000_000


@dataclass(frozen=True)
class Source:
    """A model that can be asked."""

    name: str
    ask: Ask  # where nothing else is said
    build: Callable[[Ask], Net]
    is_fixed: bool = False  # its shapes were chosen when it was exported


def find_model(name: str) -> Source:
    """A folder is preferred to what is known by the same name. Raises UsageError when there is no such model,
    and BundleRefused for a bundle that cannot be read."""
    folder = Path(name)
    if folder.name == "config.json" and folder.is_file():
        folder = folder.parent
    if name in KNOWN and not folder.is_dir():
        return Source(name, KNOWN[name].ask, KNOWN[name].build)
    names = [*KNOWN, *BUNDLES.names()]
    if folder.is_dir() and name in names:
        _say(f"{name} is the folder here, and not the known model or bundle of that name")
    if folder.is_dir() and not (folder / "manifest.json").is_file():
        return _checkpoint(folder)
    if not folder.is_dir() and name not in names:
        raise UsageError(
            f"no model {name!r}: neither a name nor a folder", f"known names: {', '.join(names)}"
        )
    from edge.bundle.bundle import find_bundle, read_manifest  # a third of a second: only for bundles

    manifest, _ = read_manifest(find_bundle(folder))
    prompt = _numbers(manifest.graphs["prefill"], "ids") if "prefill" in manifest.graphs else 0
    return Source(manifest.name, Ask(prompt=prompt), lambda ask: bundle_net(manifest, ask), is_fixed=True)


def _checkpoint(folder: Path) -> Source:
    """Of a folder with config.json. Raises UsageError if it has none, or one of no model that is known."""
    file = folder / "config.json"
    if not file.is_file():
        check_adapter(folder)
        raise UsageError(
            f"{folder} has neither config.json nor manifest.json", "give a Hugging Face folder or a bundle's"
        )
    config = _read_json(file)
    check_kind(config, file)
    if is_microsofts(config):
        _say(f"this is Microsoft's naming of Florence-2; to export it, take {NATIVE_FLORENCE} of the hub")
    return Source(folder.resolve().name, Ask(), lambda ask: read_config(config, ask))


def _say(note: str) -> None:
    """For people, beside what --json prints."""
    print(f"note: {note}", file=sys.stderr)


def _read_json(file: Path) -> dict[str, object]:
    if file.stat().st_size > _MAX_CONFIG_BYTES:
        raise UsageError(f"{file} is larger than {_MAX_CONFIG_BYTES} bytes")
    try:
        config: object = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise UsageError(f"{file} is not a JSON object")
    return config


def bundle_net(manifest: Manifest, ask: Ask) -> Net:
    """A bundle's graphs: their weights by their bytes, their rows by their shapes. Convolutions read a weight
    more often than once a row: there the operations are too few. The graph that sees the floor runs beside,
    at every frame, and is only in memory."""
    stages: list[Stage] = []
    tables = cache = 0
    width = manifest.graphs["vision"].outputs[0].shape[-1] if "vision" in manifest.graphs else 0
    for role, graph in manifest.graphs.items():
        parameters = round(graph.bytes * 8 / BITS[graph.precision])
        words = min(_embeddings(graph, width), parameters)
        passes = ask.tokens - 1 if role == "decode" else 1
        if role == "floor" or passes < 1:
            tables += parameters
            continue
        tables += words
        cache += _numbers(graph, "past")
        work = Work(parameters - words, 2.0 * (parameters - words) * _rows(role, graph))
        stages.append(Stage(role, work, passes, precision=graph.precision))
    return Net(manifest.family, tuple(stages), tables, cache=cache)


def _shapes(graph: GraphInfo) -> dict[str, tuple[int, ...]]:
    return {tensor.name: tensor.shape for tensor in (*graph.outputs, *graph.inputs)}


def _numbers(graph: GraphInfo, tensor: str) -> int:
    return math.prod(_shapes(graph)[tensor]) if tensor in _shapes(graph) else 0


def _embeddings(graph: GraphInfo, width: int) -> int:
    """Parameters that a graph looks up by ids. Without logits the number of words is unknown: then all of it
    is taken to be multiplied."""
    shapes = _shapes(graph)
    by_ids = "ids" in shapes or "token" in shapes
    return shapes["logits"][-1] * width if by_ids and "logits" in shapes else 0


def _rows(role: str, graph: GraphInfo) -> int:
    """Vectors that go through a graph, as `edge.model.generation` and `.actions` describe its shapes."""
    shapes = _shapes(graph)
    if role == "vision":
        return math.prod(graph.outputs[0].shape[:-1])
    if role == "prefill":
        return math.prod(shapes["image_features"][:-1]) + math.prod(shapes["ids"])
    return math.prod(shapes["features"][:-1]) if "features" in shapes else 1
