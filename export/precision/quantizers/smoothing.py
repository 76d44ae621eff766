"""Channels of activations made alike before they or the weights are quantized.

SmoothQuant does it for int8, AWQ for int4. Each group of products that read one tensor is tried by itself, on
rows of that tensor, and is left as it was if that is no better.

Our own in numpy: nvidia-modelopt's want torch modules, and pin older packages than export uses.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnxruntime

from export.graphs.edit import Draft
from export.graphs.graph import Graph
from export.measure.feeds import Feed
from export.precision.quantizers.blocks import Blocks, restore, round_blocks
from export.precision.quantizers.qdq import round_weight
from export.precision.quantizers.scaling import ChannelScaler, ProductGroup

_ALPHAS = (0.25, 0.5, 0.75)  # shares of the spread that go from the activations into the weights
_BETTER = 0.8  # share of the error before that a change must come below
_ROWS = 512  # rows of a tensor that errors are computed on
_FACTOR_LIMITS = 1e-4, 1e4  # least and greatest number that channels are divided by


@dataclass(frozen=True)
class ChannelScaling:
    """How the input channels of a group of products were scaled."""

    nodes: tuple[str, ...]
    alpha: float  # 0: only the scales of the weights were searched
    before: float  # error of the group's outputs as a share of the signal's power, plain
    after: float
    folded: bool  # False: a product was added to the graph


@dataclass(frozen=True)
class AwqGraph:
    """An equivalent fp32 graph whose weights lose less in blocks."""

    graph: Graph
    importance: dict[str, np.ndarray]  # (K,) of input channels in the search of scales, by tensor
    scalings: list[ChannelScaling]


@dataclass(frozen=True)
class ChannelRows:
    """Samples and statistics of a tensor (..., K)."""

    sample: np.ndarray  # (R, K)
    low: np.ndarray  # (K,) over all rows
    high: np.ndarray  # (K,)
    mean: np.ndarray  # (K,) of absolute values


def smoothquant(
    graph: Graph, names: Collection[str], unsigned: bool, feeds: Sequence[Feed]
) -> tuple[Graph, list[ChannelScaling]]:
    """Return an equivalent fp32 graph whose activations and weights share what is hard in int8.

    A group of these products changes only if the division goes into a norm or a linear layer before it.
    `unsigned` activations have a zero point.
    """
    draft = Draft(graph)
    scaler = ChannelScaler(draft)
    groups = [group for group in scaler.groups(names) if group.foldable]
    rows = collect_rows(graph, [group.source for group in groups], feeds)
    scalings: list[ChannelScaling] = []
    for group in groups:
        before, after, alpha, by = _best_smoothing(rows[group.source], scaler.weights(group), unsigned)
        if after < _BETTER * before:
            scaler.divide(group, by)
            scalings.append(ChannelScaling(group.nodes, alpha, before, after, folded=True))
    return draft.graph(), scalings


def _best_smoothing(
    rows: ChannelRows, weights: Sequence[np.ndarray], unsigned: bool
) -> tuple[float, float, float, np.ndarray]:
    """Return the errors before and after the best smoothing, its alpha, and the divisors (K,)."""
    x, low, high = rows.sample, rows.low, rows.high
    peak_x, peak_w = np.maximum(-low, high), np.max([np.abs(w).max(1) for w in weights], axis=0)
    before = _error(x, weights, _int8, _round_rows(x, low, high, unsigned))
    tried: list[tuple[float, float, np.ndarray]] = []
    for alpha in _ALPHAS:
        by = _bounded(_power(peak_x, alpha) / _power(peak_w, 1 - alpha))
        rounded = _round_rows(x / by, low / by, high / by, unsigned) * by
        smoothed = lambda w, by=by: _int8(w * by[:, None]) / by[:, None]  # noqa: E731
        tried.append((_error(x, weights, smoothed, rounded), alpha, by))
    return before, *min(tried, key=lambda one: one[0])


def awq(graph: Graph, names: Collection[str], blocks: Blocks, feeds: Sequence[Feed]) -> AwqGraph:
    """AWQ: weights of these products lose less in blocks for the input channels that carry much."""
    draft = Draft(graph)
    scaler = ChannelScaler(draft)
    groups = scaler.groups(names)
    rows = collect_rows(graph, [group.source for group in groups], feeds)
    importance: dict[str, np.ndarray] = {}
    scalings: list[ChannelScaling] = []
    for group in groups:
        weights = scaler.weights(group)
        best = _best_blocks(group, rows[group.source], weights, blocks)
        source = scaler.divide(group, 1 / best.by) if best.scaling.alpha else group.source
        if best.importance is not None:
            importance[source] = best.importance
        scalings.append(best.scaling)
    return AwqGraph(draft.graph(), importance, scalings)


@dataclass(frozen=True)
class _BlockTrial:
    """A way to put the weights of a group into blocks."""

    scaling: ChannelScaling
    by: np.ndarray  # (K,) divisors of the weights
    importance: np.ndarray | None  # (K,)


def _best_blocks(
    group: ProductGroup, rows: ChannelRows, weights: Sequence[np.ndarray], blocks: Blocks
) -> _BlockTrial:
    """Return the trial with the least error; a scaled one only if it beats the best plain one clearly."""
    x = rows.sample
    nearest = replace(blocks, clips=blocks.clips[:1])
    before = _error(x, weights, lambda w: _blocks(w, nearest, None), x)
    tried: list[_BlockTrial] = []
    for alpha in (0.0, *_ALPHAS):
        by = _bounded(1 / _power(rows.mean, alpha))
        squares = ((x * by) ** 2).mean(0)
        for importance in (squares, None):
            change = lambda w, by=by, importance=importance: (  # noqa: E731
                _blocks(w / by[:, None], blocks, importance) * by[:, None]
            )
            after = _error(x, weights, change, x)
            scaling = ChannelScaling(group.nodes, alpha, before, after, group.foldable)
            tried.append(_BlockTrial(scaling, by, importance))
    error = lambda trial: trial.scaling.after  # noqa: E731
    plain, best = min((one for one in tried if one.scaling.alpha == 0), key=error), min(tried, key=error)
    # A scale costs a product in the graph if it folds into nothing.
    return best if error(best) < _BETTER * error(plain) else plain


def collect_rows(graph: Graph, names: Sequence[str], feeds: Sequence[Feed]) -> dict[str, ChannelRows]:
    """Rows of these tensors of a graph over the feeds, by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        graph.with_outputs(names), options, providers=["CPUExecutionProvider"]
    )
    inner = [name for name in names if name not in feeds[0]]
    share = -(-_ROWS // len(feeds))
    rng = np.random.default_rng(0)
    found: dict[str, list[ChannelRows]] = {name: [] for name in names}
    for feed in feeds:
        tensors = dict(zip(inner, session.run(inner, feed), strict=True)) if inner else {}
        for name, parts in found.items():
            rows = np.asarray(tensors.get(name, feed.get(name)), np.float32)
            rows = rows.reshape(-1, rows.shape[-1])
            sample = rows[rng.permutation(len(rows))[:share]]
            parts.append(ChannelRows(sample, rows.min(0), rows.max(0), np.abs(rows).mean(0)))
    return {name: _merge(parts) for name, parts in found.items()}


def _merge(parts: Sequence[ChannelRows]) -> ChannelRows:
    return ChannelRows(
        np.concatenate([one.sample for one in parts]),
        np.min([one.low for one in parts], axis=0),
        np.max([one.high for one in parts], axis=0),
        np.mean([one.mean for one in parts], axis=0),
    )


def _error(
    x: np.ndarray,
    weights: Sequence[np.ndarray],
    change: Callable[[np.ndarray], np.ndarray],
    changed: np.ndarray,
) -> float:
    """Return the error of outputs with changed weights and inputs, as a share of the signal's power."""
    noise = signal = 0.0
    for weight in weights:
        wanted = x @ weight
        noise += float(((wanted - changed @ change(weight)) ** 2).sum())
        signal += float((wanted**2).sum())
    return noise / max(signal, 1e-30)


def _power(numbers: np.ndarray, alpha: float) -> np.ndarray:
    return np.maximum(numbers, 1e-8) ** alpha


def _bounded(by: np.ndarray) -> np.ndarray:
    """Return the divisors around 1 and within limits, so that nothing overflows in fp16."""
    return np.clip(by / np.exp(np.log(by).mean()), *_FACTOR_LIMITS).astype(np.float32)


def _round_rows(x: np.ndarray, low: np.ndarray, high: np.ndarray, unsigned: bool) -> np.ndarray:
    """Activations in int8, with one scale for all channels; `low` and `high` (K,) are their span."""
    first, last = min(float(low.min()), 0.0), max(float(high.max()), 0.0)
    if unsigned:
        scale = max(last - first, 1e-12) / 255
        zero = np.rint(-first / scale)
        return (np.clip(np.rint(x / scale) + zero, 0, 255) - zero) * scale
    scale = max(-first, last, 1e-12) / 127
    return np.clip(np.rint(x / scale), -127, 127) * scale


def _int8(weight: np.ndarray) -> np.ndarray:
    codes, scale = round_weight(weight, 1, "int8")
    return codes * scale


def _blocks(weight: np.ndarray, blocks: Blocks, importance: np.ndarray | None) -> np.ndarray:
    return restore(*round_blocks(weight, blocks, importance), blocks)
