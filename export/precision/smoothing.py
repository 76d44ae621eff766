"""Channels of activations made alike before they or the weights are quantized: SmoothQuant for int8, AWQ for
int4. Each group of products that read one tensor is tried by itself, on rows of what really goes into it, and
is left as it was where that is no better.

Our own in numpy: nvidia-modelopt's want torch modules, and pin older packages than export uses.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnxruntime
from onnx import ModelProto

from export.graphs.edit import parse, with_outputs
from export.measure.feeds import Feed
from export.precision.blocks import Blocks, restore, round_blocks
from export.precision.qdq import round_weight
from export.precision.scaling import Scaler

_ALPHAS = (0.25, 0.5, 0.75)  # how much of the spread goes from the activations into the weights
_BETTER = 0.8  # of the error before: what a change must come below to be made
_ROWS = 512  # of a tensor that errors are computed on
_LIMITS = 1e-4, 1e4  # of the numbers that channels are divided by


@dataclass(frozen=True)
class Change:
    """What was done to a group of products."""

    nodes: tuple[str, ...]
    alpha: float  # 0: only the scales of the weights were searched
    before: float  # error of its outputs as a share of the signal's power, plain
    after: float
    folded: bool  # False: a product was added to the graph


def smooth(
    graph: bytes, names: Collection[str], unsigned: bool, feeds: Sequence[Feed]
) -> tuple[bytes, list[Change]]:
    """An equivalent fp32 file in which activations and weights of these products share what is hard in int8;
    only where that goes into a norm or a linear before. `unsigned` activations have a zero point."""
    model = parse(graph)
    scaler = Scaler(model)
    groups = [group for group in scaler.groups(names) if group.foldable]
    rows = collect_rows(model, [group.source for group in groups], feeds)
    changes: list[Change] = []
    for group in groups:
        x, weights = rows[group.source].sample, scaler.weights(group)
        low, high = rows[group.source].low, rows[group.source].high
        peak_x, peak_w = np.maximum(-low, high), np.max([np.abs(w).max(1) for w in weights], axis=0)
        before = _error(x, weights, _int8, _round_rows(x, low, high, unsigned))
        tried = []
        for alpha in _ALPHAS:
            by = _bounded(_power(peak_x, alpha) / _power(peak_w, 1 - alpha))
            made = _round_rows(x / by, low / by, high / by, unsigned) * by
            tried.append(
                (_error(x, weights, lambda w, by=by: _int8(w * by[:, None]) / by[:, None], made), alpha, by)
            )
        after, alpha, by = min(tried, key=lambda one: one[0])
        if after < _BETTER * before:
            scaler.divide(group, by)
            changes.append(Change(group.nodes, alpha, before, after, folded=True))
    return model.SerializeToString(), changes


def aware(
    graph: bytes, names: Collection[str], blocks: Blocks, feeds: Sequence[Feed]
) -> tuple[bytes, dict[str, np.ndarray], list[Change]]:
    """AWQ: an equivalent fp32 file whose weights of these products lose less in blocks where much goes into
    them, and by tensor how important each input channel is to the search of scales."""
    model = parse(graph)
    scaler = Scaler(model)
    groups = scaler.groups(names)
    rows = collect_rows(model, [group.source for group in groups], feeds)
    plain = replace(blocks, clips=blocks.clips[:1])
    importance: dict[str, np.ndarray] = {}
    changes: list[Change] = []
    for group in groups:
        x, weights = rows[group.source].sample, scaler.weights(group)
        mean = rows[group.source].mean
        before = _error(x, weights, lambda w: _blocks(w, plain, None), x)
        tried = []
        for alpha in (0.0, *_ALPHAS):
            by = _bounded(1 / _power(mean, alpha))
            squares = ((x * by) ** 2).mean(0)
            for weight in (squares, None):
                error = _error(
                    x,
                    weights,
                    lambda w, by=by, weight=weight: _blocks(w / by[:, None], blocks, weight) * by[:, None],
                    x,
                )
                tried.append((error, alpha, by, weight))
        plainer = min((one for one in tried if one[1] == 0), key=lambda one: one[0])
        best = min(tried, key=lambda one: one[0])
        # A scale costs a product in the graph where it folds into nothing.
        after, alpha, by, weight = best if best[0] < _BETTER * plainer[0] else plainer
        source = scaler.divide(group, 1 / by) if alpha else group.source
        if weight is not None:
            importance[source] = weight
        changes.append(Change(group.nodes, alpha, before, after, group.foldable))
    return model.SerializeToString(), importance, changes


@dataclass
class Rows:
    """What goes through a tensor (..., K)."""

    sample: np.ndarray  # (R, K)
    low: np.ndarray  # (K,) of all rows
    high: np.ndarray  # (K,)
    mean: np.ndarray  # (K,) of absolute values


def collect_rows(model: ModelProto, names: Sequence[str], feeds: Sequence[Feed]) -> dict[str, Rows]:
    """Of these tensors for the feeds, by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        with_outputs(model, names), options, providers=["CPUExecutionProvider"]
    )
    inner = [name for name in names if name not in feeds[0]]
    share = -(-_ROWS // len(feeds))
    rng = np.random.default_rng(0)
    found: dict[str, list[Rows]] = {name: [] for name in names}
    for feed in feeds:
        tensors = dict(zip(inner, session.run(inner, feed), strict=True)) if inner else {}
        for name, kept in found.items():
            rows = np.asarray(tensors.get(name, feed.get(name)), np.float32)
            rows = rows.reshape(-1, rows.shape[-1])
            sample = rows[rng.permutation(len(rows))[:share]]
            kept.append(Rows(sample, rows.min(0), rows.max(0), np.abs(rows).mean(0)))
    return {name: _merge(kept) for name, kept in found.items()}


def _merge(parts: Sequence[Rows]) -> Rows:
    return Rows(
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
    """Of the outputs of a group whose weights and inputs are changed, as a share of the signal's power."""
    noise = signal = 0.0
    for weight in weights:
        wanted = x @ weight
        noise += float(((wanted - changed @ change(weight)) ** 2).sum())
        signal += float((wanted**2).sum())
    return noise / max(signal, 1e-30)


def _power(numbers: np.ndarray, alpha: float) -> np.ndarray:
    return np.maximum(numbers, 1e-8) ** alpha


def _bounded(by: np.ndarray) -> np.ndarray:
    """Around 1 and within limits, so that nothing overflows in fp16."""
    return np.clip(by / np.exp(np.log(by).mean()), *_LIMITS).astype(np.float32)


def _round_rows(x: np.ndarray, low: np.ndarray, high: np.ndarray, unsigned: bool) -> np.ndarray:
    """Activations in int8, with one scale for all channels; `low` and `high` (K,) are what they span."""
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
