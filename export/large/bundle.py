"""The bundle of a large model's graphs, whose weights it holds in one file."""

from collections.abc import Mapping
from pathlib import Path

from edge.bundle.bundle import Bundle, Content, file_info, make_bundle
from edge.bundle.manifest import Manifest
from edge.bundle.weights import ROLE, Weights
from export.graphs.weights import FILE, gather
from export.large.change import LargeGraphs, stage_precision
from export.large.parity import LargePrecision
from export.sources.manifest import graph_info


def large_bundle(
    manifest: Manifest,
    graphs: LargeGraphs,
    files: Mapping[str, bytes],
    target: Path,
    precision: LargePrecision,
) -> Bundle:
    """Return the bundle of these graphs; all else is the manifest's, and `files` are its own, by name.

    The graphs' weights go to the new file `target`, which must stay until the bundle is written.
    Raises BundleRefused if ONNX Runtime does not load a graph, OSError if the disk is full.
    """
    models = {stage: graph.model for stage, graph in graphs.graphs.items()}
    changed = gather(models, graphs.store.file, target)
    weights = Weights.of(target)
    contents: dict[str, Content] = {**files, **changed, ROLE: weights}
    infos = {
        stage: graph_info(stage, content, target).model_copy(
            update={"precision": stage_precision(stage, precision)}
        )
        for stage, content in changed.items()
    }
    listed = {name: file_info(f"{name}.json", content) for name, content in files.items()}
    listed[ROLE] = file_info(FILE, weights)
    manifest = manifest.model_copy(update={"graphs": infos, "files": listed})
    return make_bundle(manifest, contents)
