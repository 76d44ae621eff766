"""The layers that stay as they are: those that harm a graph's outputs most when they are quantized alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge.engines.onnx import OnnxEngine
from export.graphs.graph import Graph, layer_name
from export.measure.feeds import Feed

_FEEDS = 6  # inputs that each layer is tried on


@dataclass(frozen=True)
class Sensitivity:
    """The noise that a layer adds to the graph's outputs when it alone is quantized."""

    node: str
    layer: str  # the node's name for people
    noise: float  # power of the noise, as a share of the signal's
    weights: int  # numbers that the layer holds


def sensitivities(
    graph: Graph,
    names: Sequence[str],
    alone: Callable[[str], Graph],
    feeds: Sequence[Feed],
    on_layer: Callable[[int, int], None],
) -> list[Sensitivity]:
    """Return the noise of these layers of an fp32 graph, by node name, most sensitive first.

    `alone` quantizes the layer of a name and no other; `on_layer` is called with how many are done, of all.
    """
    nodes = {node.name: node for node in graph.products}
    sizes = {name: int(np.prod(weight.dims)) for name, weight in graph.weights.items()}
    chosen = feeds[:: max(1, len(feeds) // _FEEDS)][:_FEEDS]
    wanted = _outputs(graph, chosen)
    found: list[Sensitivity] = []
    for done, name in enumerate(names):
        on_layer(done, len(names))
        noise = _noise(wanted, _outputs(alone(name), chosen))
        found.append(Sensitivity(name, layer_name(nodes[name]), noise, sizes[nodes[name].input[1]]))
    return sorted(found, key=lambda one: -one.noise)


def to_keep(found: Sequence[Sensitivity], budget_db: float) -> list[Sensitivity]:
    """Return the fewest layers, most sensitive first, that leave the noise of the others within the budget.

    Errors of different layers are taken as independent: their powers add up.
    """
    budget = 10 ** (-budget_db / 10)
    left = sum(one.noise for one in found)
    kept: list[Sensitivity] = []
    for one in found:
        if left <= budget:
            break
        kept.append(one)
        left -= one.noise
    return kept


def _outputs(graph: Graph, feeds: Sequence[Feed]) -> list[list[np.ndarray]]:
    engine = OnnxEngine(graph.content)
    try:
        return [[np.asarray(v, np.float64) for v in engine.run(feed).values()] for feed in feeds]
    finally:
        engine.close()


def _noise(wanted: list[list[np.ndarray]], found: list[list[np.ndarray]]) -> float:
    """Return the mean over the inputs of the worst output's noise."""
    return float(np.mean([max(map(_share, x, y)) for x, y in zip(wanted, found, strict=True)]))


def _share(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a - b) ** 2).sum()) / max(float((a**2).sum()), 1e-30)
