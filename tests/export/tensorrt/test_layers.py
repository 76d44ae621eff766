import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.tensorrt.layers import Layer, count_types, engine_layers, onnx_nodes, type_name, widened


def _layer(name: str, nodes: str, type_in: str, type_out: str) -> dict:
    # As inspectors of TensorRT 10 write it.
    return {
        "Name": name,
        "LayerType": "gemm",
        "Inputs": [{"Name": "a", "Dimensions": [1, 8], "Format/Datatype": type_in}],
        "Outputs": [{"Name": "b", "Dimensions": [1, 8], "Format/Datatype": type_out}],
        "Metadata": nodes,
    }


NETWORK = [
    Layer("product", "MATRIX_MULTIPLY", ("product",), ("fp16", "fp16"), ("fp16",)),
    Layer("norm", "NORMALIZATION", ("norm",), ("fp32",), ("fp32",)),
]


@pytest.mark.parametrize(
    ("spelt", "name"),
    [
        ("Half", "fp16"),
        ("Float", "fp32"),
        ("FLOAT", "fp32"),
        ("BFloat16", "bf16"),
        ("Int8", "int8"),
        ("Row major linear FP16 format", "fp16"),
        ("Row major linear FP32", "fp32"),
        ("Thirty-two wide channel vectorized row major Int8 format", "int8"),
        ("N/A due to dynamic shapes", "N/A due to dynamic shapes"),
    ],
)
def test_types_by_any_of_their_names(spelt: str, name: str):
    assert type_name(spelt) == name


@pytest.mark.parametrize("between", ["\x1e", "\x1f", "", " "])
def test_nodes_are_read_from_metadata(between: str):
    assert onnx_nodes(f"[ONNX Layer: /a[0]/MatMul]{between}[ONNX Layer: b]") == ("/a[0]/MatMul", "b")


@given(
    st.lists(st.text("aZ9/._:]-", min_size=1), max_size=5),
    st.sampled_from(["\x1e", "\x1f", "\x1esomething "]),
)
def test_all_nodes_are_read(names: list[str], between: str):
    assert onnx_nodes(between.join(f"[ONNX Layer: {name}]" for name in names)) == tuple(names)


def test_a_layer_that_fell_to_fp32_is_found():
    dump = {
        "Layers": [
            _layer("gemm0", "[ONNX Layer: product]", "Half", "Half"),
            _layer("norm0", "[ONNX Layer: norm]", "Float", "Float"),
            _layer("fused", "[ONNX Layer: product]\x1e[ONNX Layer: norm]", "Half", "Float"),
            _layer("Reformatting CopyNode for Input Tensor 0", "", "Half", "Float"),
            {"Name": "wait", "LayerType": "WAIT", "Inputs": [], "Outputs": [], "Metadata": ""},
        ],
        "Bindings": ["x", "y"],
    }
    engine = engine_layers(json.dumps(dump))
    assert widened(NETWORK, engine) == []
    assert count_types(engine) == {"fp32": 3, "fp16": 1}
    dump["Layers"].append(_layer("gemm1", "[ONNX Layer: product]", "Float", "Float"))
    assert [layer.name for layer in widened(NETWORK, engine_layers(json.dumps(dump)))] == ["gemm1"]


QUANTIZED = [
    Layer("q", "QUANTIZE", ("q",), ("fp32",), ("int8",)),
    Layer("dq", "DEQUANTIZE", ("dq",), ("int8",), ("fp32",)),
    Layer("product", "MATRIX_MULTIPLY", ("product",), ("int8", "int8"), ("fp32",)),
    Layer("attention", "MATRIX_MULTIPLY", ("attention",), ("fp32", "fp32"), ("fp32",)),
    Layer("weight only", "MATRIX_MULTIPLY", ("weight_only",), ("fp32", "int4"), ("fp32",)),
]


@pytest.mark.parametrize(
    ("nodes", "type_in", "wide"),
    [
        (["dq", "product"], "Int8", False),
        (["dq", "product"], "Float", True),
        (["product"], "Half", True),
        (["q", "dq", "product"], "Float", False),  # it quantizes what comes in
        (["attention"], "Float", False),
        (["weight_only"], "Float", False),
    ],
)
def test_a_product_of_quantized_tensors_has_to_be_computed_so(nodes: list[str], type_in: str, wide: bool):
    metadata = "\x1e".join(f"[ONNX Layer: {node}]" for node in nodes)
    engine = engine_layers(json.dumps({"Layers": [_layer("gemm", metadata, type_in, "Float")]}))
    assert bool(widened(QUANTIZED, engine)) == wide


def test_a_dump_of_names_alone_proves_nothing():
    with pytest.raises(ValueError, match="does not say"):
        engine_layers('{"Layers": ["gemm0", "norm0"], "Bindings": []}')
