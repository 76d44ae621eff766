"""An fp32 graph in another precision: what changes, what does not, and how far it is from before."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from export.gate.stages import compare_stage, worst_layers
from export.graphs.graph import Graph
from export.measure import ranges as ranges_module
from export.measure.methods import METHODS
from export.measure.ranges import compute_ranges, kept_ranges
from export.measure.sensitivity import sensitivities, to_keep
from export.precision.half import Half, HalfKind
from export.precision.int4 import Int4, awq_int4
from export.precision.int8 import Int8
from export.precision.mixed import Mixed
from export.precision.quantizers.blocks import INT4_CPU
from tests.export.gate.broken import quantize_any
from tests.export.precision.precision_net import feeds, net

FIXED = {"q", "k", "v", "up", "down"}


def types(given: Graph) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(given.model, strict_mode=True).graph
    values = (*graph.value_info, *graph.input, *graph.output)
    found = {value.name: value.type.tensor_type.elem_type for value in values}
    return found | {weight.name: weight.data_type for weight in graph.initializer}


RANGES = {name: (-4.0, 4.0) for node in net().products for name in (node.input[0], node.output[0])}


@pytest.mark.parametrize(
    "precision",
    [
        Half("fp16"),
        Half("bf16").twin,
        Int8(RANGES, "onnxruntime"),
        Int4(["up", "down"], INT4_CPU),
        Mixed({"q": "int8", "k": "fp8", "v": "nvfp4", "down": "int4"}, RANGES),
    ],
    ids=["fp16", "bf16", "int8", "int4", "mixed"],
)
def test_a_precision_leaves_its_graph_as_it_was(precision: Half | Int8 | Int4 | Mixed):
    graph = net()
    changed = precision.apply(graph)
    assert changed.model != graph.model == net().model
    assert precision.apply(graph).content == changed.content


@pytest.mark.parametrize(("half", "kind"), [("fp16", TensorProto.FLOAT16), ("bf16", TensorProto.BFLOAT16)])
def test_half_is_strongly_typed_and_keeps_norms_softmax_and_residuals_in_fp32(half: HalfKind, kind: int):
    changed = Half(half).apply(net())
    found = types(changed)
    for node in changed.model.graph.node:
        kinds = {found[name] for name in (*node.input, *node.output) if name}
        if node.op_type in ("LayerNormalization", "Softmax") or node.name.startswith("residual"):
            assert kinds == {TensorProto.FLOAT}, node.name
        elif node.op_type in ("MatMul", "Relu") or node.name == "bias":
            assert kinds == {kind}, node.name
    assert found["x"] == found["features"] == TensorProto.FLOAT


def test_the_rounded_twin_of_fp16_is_what_fp16_computes():
    twin, real = Half("fp16").twin.apply(net()), Half("fp16").apply(net())
    assert set(types(twin).values()) >= {TensorProto.FLOAT16}
    assert 40 < compare_stage(net(), twin, feeds()).sqnr_db < 90
    assert compare_stage(real, twin, feeds()).sqnr_db > 60
    assert 30 < compare_stage(net(), Half("bf16").twin.apply(net()), feeds()).sqnr_db < 60


def test_int8_is_on_products_with_fixed_weights_only():
    changed = Int8(compute_ranges(net(), feeds(), "minmax"), "tensorrt").apply(net())
    graph = changed.model.graph
    made_by = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        sources = {made_by[name].op_type for name in node.input if name in made_by}
        if node.op_type == "MatMul":
            assert ("DequantizeLinear" in sources) == (node.name in FIXED), node.name
            if node.name in FIXED:
                assert sources == {"DequantizeLinear"}
        elif node.op_type in ("LayerNormalization", "Softmax") or node.name.startswith("residual"):
            assert "DequantizeLinear" not in sources
    weight = next(w for w in graph.initializer if w.name.startswith("w_up") and w.name.endswith("scale"))
    assert list(weight.dims) == [64], "a scale for each output channel"
    assert compare_stage(net(), changed, feeds(20)[8:]).sqnr_db > 25


def test_onnx_runtime_gets_int8_products_that_find_their_ranges_themselves():
    changed = Int8({}, "onnxruntime").apply(net())
    nodes = {node.name: node for node in changed.model.graph.node}
    low = {name: node for name, node in nodes.items() if node.op_type == "DynamicQuantizeMatMul"}
    assert low.keys() == FIXED, "and not the products of attention"
    assert list(low["up"].output) == ["biased"], "the bias is added by the same operator"
    assert "bias" not in nodes
    for node in low.values():
        codes, scale = changed.weights[node.input[1]], changed.weights[node.input[2]]
        assert codes.data_type == TensorProto.INT8
        assert list(scale.dims) == [codes.dims[1]], "a scale for each output channel"
    assert compare_stage(net(), changed, feeds(20)[8:]).sqnr_db > 38


def test_tensorrt_gets_int8_around_zero_and_no_integer_biases():
    graph = Int8(compute_ranges(net(), feeds(), "minmax"), "tensorrt").apply(net()).model.graph
    weights = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    used = [weights[node.input[2]] for node in graph.node if node.op_type.endswith("eLinear")]
    assert used
    assert all(zero.dtype == np.int8 and not zero.any() for zero in used)
    assert not any(weight.dtype == np.int32 for weight in weights.values())


def test_layers_that_are_to_keep_stay_fp32():
    int8 = Int8(compute_ranges(net(), feeds(), "minmax"), "onnxruntime", keep=["up"])
    (up,) = (node for node in int8.apply(net()).model.graph.node if node.name == "up")
    assert list(up.input) == ["n2", "w_up"]


def test_ranges_of_another_graph_are_not_taken():
    with pytest.raises(KeyError):
        Int8({"other": (0.0, 1.0)}, "tensorrt").apply(net())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_ranges_within_what_was_seen(method: ranges_module.Method):
    widest = compute_ranges(net(), feeds(), "minmax")
    found = compute_ranges(net(), feeds(), method)
    assert FIXED | {"n1", "n2", "active"} <= set(found)
    for name, (low, high) in found.items():
        assert low < high or name == "scale"
        slack = 0.02 * (widest[name][1] - widest[name][0])
        # Entropy's ranges are around zero, so a side may lie beyond what was seen on it.
        most = max(map(abs, widest[name])) + slack
        assert -most <= low
        assert high <= most


def test_ranges_are_computed_once_for_a_set_a_graph_and_a_method(tmp_path: Path):
    collected: list[int] = []

    def given():
        collected.append(1)
        return feeds()

    first = kept_ranges(tmp_path, "digest", net(), given, "minmax")
    assert kept_ranges(tmp_path, "digest", net(), given, "minmax") == first
    assert len(collected) == 1
    kept_ranges(tmp_path, "other digest", net(), given, "minmax")
    kept_ranges(tmp_path, "digest", net(scale=2.0), given, "minmax")
    kept_ranges(tmp_path, "digest", net(), given, "percentile")
    assert len(collected) == 4


def test_int4_holds_blocks_of_weights_and_computes_about_the_same():
    changed, _ = awq_int4(net(), "onnxruntime", feeds())
    weights = changed.weights.values()
    assert sum(weight.data_type in (TensorProto.INT4, TensorProto.UINT4) for weight in weights) >= len(FIXED)
    assert compare_stage(net(), changed, feeds()).sqnr_db > 12


def test_the_layer_that_harms_is_found_and_kept():
    ranges = compute_ranges(net(), feeds(), "minmax")
    low, high = ranges["n2"]
    ranges["n2"] = (low * 30, high * 30)  # what feeds `up` gets 30 times coarser steps

    def alone(name: str) -> Graph:
        return Int8(ranges, "tensorrt", FIXED - {name}).apply(net())

    found = sensitivities(net(), sorted(FIXED), alone, feeds(), lambda done, total: None)
    assert found[0].node == "up"
    assert {one.node for one in found} == FIXED
    good = sum(one.noise for one in found[1:])
    kept = to_keep(found, -10 * np.log10(good * 1.01))
    assert [one.node for one in kept] == ["up"]
    assert to_keep(found, -100.0) == []
    assert len(to_keep(found, 200.0)) == len(FIXED)


def test_norms_in_fp16_that_overflow_are_named():
    big = net(scale=1e6)  # beyond fp16, until the norm
    broken = Half("fp16", also=["stream", "norm1"]).apply(big)
    assert compare_stage(big, Half("fp16").apply(big), feeds()).cosine > 0.999
    assert not compare_stage(big, broken, feeds()).finite
    layer = worst_layers(big, broken, feeds())[0]
    assert "stream" in layer.layer
    assert layer.added == float("inf")
    only_norm = worst_layers(big, Half("fp16", also=["norm1"]).apply(big), feeds())[0]
    assert only_norm.layer == "LayerNormalization norm1"


@pytest.mark.parametrize("name", ["norm2", "softmax"])
def test_norms_and_softmax_in_int8_are_named(name: str):
    ranges = compute_ranges(net(), feeds(), "minmax", ["LayerNormalization", "Softmax"])
    ranges |= {"n2": (-40.0, 40.0), "attention": (-40.0, 40.0)}  # as ranges over outliers would be
    broken = quantize_any(net(), [name], ranges)
    assert name in worst_layers(net(), broken, feeds())[0].layer


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8", "int4"])
def test_tensorrts_parser_takes_every_precision(precision: str):
    trt = pytest.importorskip("tensorrt_rtx")  # the same parser; it needs no GPU to parse
    if precision == "int8":
        changed = Int8(compute_ranges(net(), feeds(), "minmax"), "tensorrt").apply(net())
    elif precision == "int4":
        changed, _ = awq_int4(net(), "tensorrt", feeds())
    else:
        changed = Half(precision).apply(net())  # type: ignore[arg-type]
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    parsed = parser.parse(changed.content)
    assert parsed, [parser.get_error(i).desc() for i in range(parser.num_errors)]
