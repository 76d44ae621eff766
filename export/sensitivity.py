"""Which layers of a graph stay in fp32: those whose int8 alone harms its outputs most, until the rest is good
enough."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge.engines.onnx import OnnxEngine
from export.feeds import Feed
from export.graph_edit import fixed_products, layer_name, parse
from export.precision_int8 import Profile, to_int8
from export.ranges import Ranges

_FEEDS = 6  # that each layer is tried on


@dataclass(frozen=True)
class Sensitivity:
    """What int8 in one layer alone does to the graph's outputs."""

    node: str
    layer: str  # the same for people
    noise: float  # its power, as a share of the signal's
    weights: int  # numbers that the layer holds


def sensitivities(
    graph: bytes, ranges: Ranges, profile: Profile, feeds: Sequence[Feed], told: Callable[[int, int], None]
) -> list[Sensitivity]:
    """Of every layer that int8 can hold, most sensitive first. `told` hears how many are done, of all."""
    model = parse(graph)
    layers = fixed_products(model)
    names = [node.name for node in layers]
    sizes = {weight.name: int(np.prod(weight.dims)) for weight in model.graph.initializer}
    chosen = feeds[:: max(1, len(feeds) // _FEEDS)][:_FEEDS]
    wanted = _outputs(graph, chosen)
    found: list[Sensitivity] = []
    for done, node in enumerate(layers):
        told(done, len(layers))
        others = [name for name in names if name != node.name]
        noise = _noise(wanted, _outputs(to_int8(graph, ranges, profile, others), chosen))
        found.append(Sensitivity(node.name, layer_name(node), noise, sizes[node.input[1]]))
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
