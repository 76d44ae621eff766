"""Weights in blocks of 4-bit numbers along the input channels, a scale for each block.

Our own, because onnxruntime's rounds to the nearest alone, and nvidia-modelopt, which knows more, pins older
packages and wants torch modules. A scale is searched: one that clips a block's largest numbers may leave less
error in the rest.
"""

from collections.abc import Collection, Sequence

import ml_dtypes
import numpy as np
from onnx import ModelProto, helper

from export.graph_edit import constant, fixed_products, raise_opset, swap_constant, values
from export.qdq import channel_axis, safe_scale

INT4_BLOCK = 32  # weights that share a scale; what ONNX Runtime's CPU kernel is fastest with
CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)  # shares of a block's largest number that become 7
_INT4 = np.dtype(ml_dtypes.int4)
_INT4_OPSET = 21  # the first with int4 and blocks
_CHUNK = 1 << 20  # numbers that are searched at once


def insert_int4(model: ModelProto, names: Collection[str], clips: Sequence[float] = CLIPS) -> ModelProto:
    """The same model with the weights of these products, by node name, in int4."""
    raise_opset(model, _INT4_OPSET)
    initializers = {weight.name: weight for weight in model.graph.initializer}
    restored: dict[tuple[str, int], str] = {}
    nodes = []
    for node in fixed_products(model):
        if node.name not in names:
            continue
        weight = initializers[node.input[1]]
        axis = 1 - channel_axis(node) % 2
        key = weight.name, axis
        if key not in restored:
            numbers = values(weight)
            codes, scale = round_int4(numbers if axis == 0 else numbers.T, clips)
            end = f"{weight.name}_{axis}"
            restored[key] = f"{end}_restored"
            for name, array in ((f"{end}_int4", codes.astype(_INT4)), (f"{end}_scale", scale)):
                model.graph.initializer.append(constant(name, array if axis == 0 else array.T))
            nodes.append(
                helper.make_node(
                    "DequantizeLinear",
                    [f"{end}_int4", f"{end}_scale"],
                    [restored[key]],
                    f"{end}_dequantize",
                    axis=axis,
                    block_size=INT4_BLOCK,
                )
            )
        swap_constant(model, node, restored[key])
    nodes.extend(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def round_int4(
    numbers: np.ndarray,
    clips: Sequence[float] = CLIPS,
    importance: np.ndarray | None = None,
    block: int = INT4_BLOCK,
) -> tuple[np.ndarray, np.ndarray]:
    """Codes int8 (K, N) from -8 to 7 of numbers (K, N), and scales (ceil(K / block), N) in their type.

    Of each block's clips that is taken whose squared error is least, weighted by `importance` (K,).
    """
    inputs, outputs = numbers.shape
    weight = np.ones(inputs, np.float32) if importance is None else importance.astype(np.float32)
    missing = -inputs % block
    if missing:
        numbers = np.pad(numbers, ((0, missing), (0, 0)))
        weight = np.pad(weight, (0, missing))
    blocks = numbers.reshape(-1, block, outputs)
    weight = weight.reshape(-1, block, 1)
    codes = np.empty(blocks.shape, np.int8)
    scales = np.empty((len(blocks), outputs), numbers.dtype)
    step = max(1, _CHUNK // (block * outputs))
    for start in range(0, len(blocks), step):
        part = slice(start, start + step)
        codes[part], scales[part] = _search(
            blocks[part].astype(np.float32), weight[part], clips, numbers.dtype
        )
    return codes.reshape(-1, outputs)[:inputs], scales


def _search(
    blocks: np.ndarray, weight: np.ndarray, clips: Sequence[float], dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """Codes of blocks (B, block, N) and scales (B, N)."""
    largest = np.abs(blocks).max(1, keepdims=True)
    best = np.full(largest.shape, np.inf, np.float32)
    codes, scales = np.zeros(blocks.shape, np.int8), np.ones(largest.shape, dtype)
    for clip in clips:
        scale = safe_scale(largest * np.float32(clip), 7.0, dtype)
        wide = scale.astype(np.float32)
        found = np.clip(np.rint(blocks / wide), -8, 7)
        error = (weight * (blocks - found * wide) ** 2).sum(1, keepdims=True)
        better = error < best
        best = np.where(better, error, best)
        scales = np.where(better, scale, scales)
        codes = np.where(better, found, codes).astype(np.int8)
    return codes, scales[:, 0]
