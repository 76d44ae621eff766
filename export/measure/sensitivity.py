"""Which layers of a graph stay as they are: those that, quantized alone, harm its outputs most, until the
rest is good enough."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge.engines.onnx import OnnxEngine
from export.graphs.edit import fixed_products, layer_name, parse
from export.measure.feeds import Feed

_FEEDS = 6  # that each layer is tried on


@dataclass(frozen=True)
class Sensitivity:
    """What a layer that is quantized alone does to the graph's outputs."""

    node: str
    layer: str  # the same for people
    noise: float  # its power, as a share of the signal's
    weights: int  # numbers that the layer holds


def sensitivities(
    graph: bytes,
    names: Sequence[str],
    alone: Callable[[str], bytes],
    feeds: Sequence[Feed],
    told: Callable[[int, int], None],
) -> list[Sensitivity]:
    """Of these products of an fp32 graph, by node name, most sensitive first. `alone` makes the graph in
    which only one of them is quantized; `told` hears how many are done, of all."""
    model = parse(graph)
    nodes = {node.name: node for node in fixed_products(model)}
    sizes = {weight.name: int(np.prod(weight.dims)) for weight in model.graph.initializer}
    chosen = feeds[:: max(1, len(feeds) // _FEEDS)][:_FEEDS]
    wanted = _outputs(graph, chosen)
    found: list[Sensitivity] = []
    for done, name in enumerate(names):
        told(done, len(names))
        noise = _noise(wanted, _outputs(alone(name), chosen))
        found.append(Sensitivity(name, layer_name(nodes[name]), noise, sizes[nodes[name].input[1]]))
    return sorted(found, key=lambda one: -one.noise)


def to_keep(found: Sequence[Sensitivity], budget_db: float) -> list[Sensitivity]:
    """The fewest layers, most sensitive first, without which the noise of the others adds up to no more than
    the budget: errors of different layers are taken as independent."""
    budget = 10 ** (-budget_db / 10)
    left = sum(one.noise for one in found)
    kept: list[Sensitivity] = []
    for one in found:
        if left <= budget:
            break
        kept.append(one)
        left -= one.noise
    return kept


def _outputs(graph: bytes, feeds: Sequence[Feed]) -> list[list[np.ndarray]]:
    engine = OnnxEngine(graph)
    try:
        return [[np.asarray(v, np.float64) for v in engine.run(feed).values()] for feed in feeds]
    finally:
        engine.close()


def _noise(wanted: list[list[np.ndarray]], found: list[list[np.ndarray]]) -> float:
    """Mean over the inputs, of the worst output."""
    return float(np.mean([max(map(_share, x, y)) for x, y in zip(wanted, found, strict=True)]))


def _share(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a - b) ** 2).sum()) / max(float((a**2).sum()), 1e-30)
