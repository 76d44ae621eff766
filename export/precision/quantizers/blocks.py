"""Weights in blocks of 4-bit numbers along the input channels, a scale for each block: int4 and NVFP4.

Our own, because onnxruntime's only rounds to the nearest, with scales below 0 that TensorRT's parser refuses,
and nvidia-modelopt, which knows more, pins older packages and wants torch modules. A scale is searched: one
that clips a block's largest numbers may leave less error in the rest.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import ml_dtypes
import numpy as np
from onnx import NodeProto, TensorProto, helper

from export.graphs.edit import Draft
from export.graphs.graph import fixed_products
from export.precision.quantizers.qdq import E4M3, E4M3_MAX, channel_axis, safe_scale

E2M1 = np.dtype(ml_dtypes.float4_e2m1fn)
E2M1_MAX = 6.0
LEAST_E4M3 = 2.0**-9  # above 0
_CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)  # shares of a block's largest number that are still held
_CHUNK = 1 << 20  # numbers that are searched at once
# Codes (K, N), scales of the blocks (ceil(K / size), N), and a scale of all ().
Coded = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Blocks:
    """A way to hold weights in blocks of numbers that share a scale."""

    dtype: np.dtype
    size: int  # numbers that share a scale
    most: float  # the largest code
    clips: tuple[float, ...]  # shares of the block's largest number that are tried as the largest code
    round: Callable[[np.ndarray], np.ndarray]  # to the nearest number of the type
    opset: int  # the first that has the type
    signed: bool = False  # scales may be below 0, which makes use of -8; a clip below 0 turns the sign
    two_scales: bool = False  # E4M3 for a block, and fp32 for all
    transposed: bool = False  # the input channels are the last axis in the file
    partial: bool = False  # the last block may be shorter


def round_int4(numbers: np.ndarray) -> np.ndarray:
    """Round to whole numbers from -8 to 7."""
    return np.clip(np.rint(numbers), -8, 7)


def round_e2m1(numbers: np.ndarray) -> np.ndarray:
    """Round to 0, 0.5, 1, 1.5, 2, 3, 4, 6 or their negatives; of two as near to the even mantissa."""
    size = np.abs(numbers)
    step = np.where(size < 2, np.float32(0.5), np.where(size < 4, np.float32(1), np.float32(2)))
    return np.clip(np.rint(numbers / step) * step, -E2M1_MAX, E2M1_MAX)


_INT4 = np.dtype(ml_dtypes.int4)
# ONNX Runtime's CPU kernel is fastest with blocks of 32.
INT4_CPU = Blocks(_INT4, 32, 8.0, (*_CLIPS, *(-c for c in _CLIPS)), round_int4, 21, signed=True, partial=True)
# TensorRT documents blocks of 64 and 128, and its parser refuses scales below 0.
INT4_TENSORRT = Blocks(_INT4, 64, 7.0, (*_CLIPS, 0.875), round_int4, 21)
# Blocks as nvidia-modelopt writes them.
NVFP4 = Blocks(E2M1, 16, E2M1_MAX, (*_CLIPS, 1.5), round_e2m1, 23, two_scales=True, transposed=True)


def fits(node: NodeProto, weight: TensorProto, blocks: Blocks) -> bool:
    """Return True if a product's weight can be held in such blocks."""
    if len(weight.dims) != 2:
        return False
    return blocks.partial or weight.dims[1 - channel_axis(node) % 2] % blocks.size == 0


def insert_blocks(
    draft: Draft,
    names: Collection[str],
    blocks: Blocks,
    importance: Mapping[str, np.ndarray] | None = None,
    rounded: bool = False,
) -> None:
    """Put the weights of these products of a draft, by node name, into blocks if they fit.

    `importance` (K,) of a product's input channels, by the input's name, weights the error in the search of
    scales. `rounded` writes the numbers that the blocks stand for, for a machine without the type.
    """
    draft.raise_opset(blocks.opset)
    model = draft.model
    initializers = {weight.name: weight for weight in model.graph.initializer}
    copies: dict[tuple[str, int], str] = {}
    nodes: list[NodeProto] = []
    for node in fixed_products(model):
        weight, axis = initializers[node.input[1]], 1 - channel_axis(node) % 2
        if node.name not in names or not fits(node, weight, blocks):
            continue
        key = weight.name, axis
        if key not in copies:
            numbers = draft.values(weight) if axis == 0 else draft.values(weight).T
            coded = round_blocks(numbers, blocks, (importance or {}).get(node.input[0]))
            copies[key] = f"{weight.name}_{axis}_{blocks.dtype.name}"
            if rounded:
                whole = restore(*coded, blocks).astype(numbers.dtype)
                draft.add_constant(copies[key], whole if axis == 0 else whole.T)
            else:
                nodes += _write(draft, copies[key], axis, weight.data_type, coded, blocks)
        draft.swap_constant(node, copies[key])
    draft.replace_nodes([*nodes, *model.graph.node])


def _write(draft: Draft, name: str, axis: int, kind: int, coded: Coded, blocks: Blocks) -> list[NodeProto]:
    """Nodes that give out the weight in the ONNX type `kind`, input channels along `axis`."""
    turned = axis == 1 or blocks.transposed
    codes, scales, scale = coded
    draft.add_constant(f"{name}_codes", codes.T if turned else codes)
    draft.add_constant(f"{name}_scales", scales.T if turned else scales)
    nodes: list[NodeProto] = []
    block_scales = f"{name}_scales"
    if blocks.two_scales:
        draft.add_constant(f"{name}_scale", scale)
        block_scales = f"{name}_wide_scales"
        inputs = [f"{name}_scales", f"{name}_scale"]
        nodes.append(
            helper.make_node("DequantizeLinear", inputs, [block_scales], f"{name}_dequantize_scales")
        )
        if kind != TensorProto.FLOAT:
            block_scales = f"{name}_half_scales"
            wide = f"{name}_wide_scales"
            nodes.append(helper.make_node("Cast", [wide], [block_scales], f"{name}_cast_scales", to=kind))
    whole = f"{name}_turned" if turned and axis == 0 else name
    nodes.append(
        helper.make_node(
            "DequantizeLinear",
            [f"{name}_codes", block_scales],
            [whole],
            f"{name}_dequantize",
            axis=1 if turned else 0,
            block_size=blocks.size,
        )
    )
    if whole != name:
        nodes.append(helper.make_node("Transpose", [whole], [name], f"{name}_turn", perm=[1, 0]))
    return nodes


def round_blocks(numbers: np.ndarray, blocks: Blocks, importance: np.ndarray | None = None) -> Coded:
    """Return the codes and scales of numbers (K, N).

    Of the clips, each block takes the one whose squared error is least, weighted by `importance` (K,).
    """
    inputs, outputs = numbers.shape
    weight = np.ones(inputs, np.float32) if importance is None else importance.astype(np.float32)
    missing = -inputs % blocks.size
    if missing:
        numbers, weight = np.pad(numbers, ((0, missing), (0, 0))), np.pad(weight, (0, missing))
    shaped = numbers.reshape(-1, blocks.size, outputs)
    weight = weight.reshape(-1, blocks.size, 1)
    scale = np.ones((), np.float32)
    if blocks.two_scales:
        scale = safe_scale(float(np.abs(numbers).max()), blocks.most * E4M3_MAX)
    codes = np.empty(shaped.shape, blocks.dtype)
    scales = np.empty((len(shaped), outputs), E4M3 if blocks.two_scales else numbers.dtype)
    step = max(1, _CHUNK // (blocks.size * outputs))
    for start in range(0, len(shaped), step):
        part = slice(start, start + step)
        codes[part], scales[part] = _search(
            shaped[part].astype(np.float32), weight[part], scale, blocks, scales.dtype
        )
    return codes.reshape(-1, outputs)[:inputs], scales, scale


def _search(
    numbers: np.ndarray, weight: np.ndarray, scale: np.ndarray, blocks: Blocks, dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """Codes and scales (B, N) of blocks (B, size, N)."""
    highest, lowest = numbers.max(1, keepdims=True), numbers.min(1, keepdims=True)
    largest = np.where(highest >= -lowest, -highest, -lowest)  # with the sign that makes it -8
    if not blocks.signed:
        largest = np.abs(largest)
    best = np.full(largest.shape, np.inf, np.float32)
    codes, scales = np.zeros(numbers.shape, blocks.dtype), np.ones(largest.shape, dtype)
    for clip in blocks.clips:
        wide = largest * np.float32(clip) / np.float32(blocks.most) / scale
        if blocks.two_scales:
            wide = np.clip(wide, LEAST_E4M3, E4M3_MAX)  # a scale of 0 is refused
        narrow = np.where(np.abs(wide) < _least(dtype), np.float32(1), wide).astype(dtype)
        step = narrow.astype(np.float32) * scale
        found = blocks.round(numbers / step)
        error = (weight * (numbers - found * step) ** 2).sum(1, keepdims=True)
        better = error < best
        best = np.where(better, error, best)
        np.copyto(scales, narrow, where=better)
        np.copyto(codes, found.astype(blocks.dtype), where=better)
    return codes, scales[:, 0]


def restore(codes: np.ndarray, scales: np.ndarray, scale: np.ndarray, blocks: Blocks) -> np.ndarray:
    """Return the fp32 numbers (K, N) that blocks stand for."""
    wide = np.repeat(scales.astype(np.float32) * scale, blocks.size, axis=0)[: len(codes)]
    return codes.astype(np.float32) * wide


def _least(dtype: np.dtype) -> float:
    return float(ml_dtypes.finfo(dtype).smallest_subnormal)
