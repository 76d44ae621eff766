"""Our graphs in NVIDIA's own parser and builder.

TensorRT itself can't be had from PyPI; TensorRT-RTX has the same Python API, is strongly typed too, and
builds for a GPU that is not there. Nothing runs here.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from edge.bundle.bundle import load_bundle
from edge.errors import BundleRefused, HardwareMissing
from export.measure.ranges import compute_ranges
from export.precision.mixed import LowPrecision, Mixed, quantizable
from export.tensorrt.layers import Layer, count_types
from export.tensorrt.plans import Plan, PlanTarget, build_plan
from sim.bundles import default
from tests.export.precision.precision_net import feeds, net
from tests.export.tensorrt.rtx import RTX, fp8_matmul, graph, int4_matmul, int8_matmul, node_named, retyped

pytest.importorskip(
    "tensorrt_rtx",
    reason="pip install tensorrt-rtx (x86-64 Linux): stands in for TensorRT's parser and builder",
)
SM89 = replace(RTX, compute_capability="SM89")  # the first with fp8
TYPES = {"fp32": TensorProto.FLOAT, "fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of plans for all tests."""
    return tmp_path_factory.mktemp("plans")


def products(plan: Plan) -> list[Layer]:
    return [layer for layer in plan.network if layer.kind == "MATRIX_MULTIPLY"]


@pytest.mark.parametrize(
    ("role", "precision"),
    [
        pytest.param(role, precision, marks=[pytest.mark.slow] * (role in ("prefill", "decode")))
        if precision != "fp16"
        else (role, precision)
        for precision in TYPES
        for role in ("vision", "prefill", "decode", "floor")
    ],
)
def test_the_shipped_graphs_build_in_their_precision(role: str, precision: str, kept: Path):
    onnx = load_bundle(default()).read(role)
    if precision != "fp32":
        onnx = retyped(onnx, TYPES[precision])
    plan = build_plan(role, onnx, RTX, kept)
    plan.check(role)
    floats = {name for name in count_types(plan.network) if name in TYPES}
    assert floats == {precision}
    named = {node for layer in products(plan) for node in layer.nodes}
    assert node_named(onnx, "MatMul") <= named
    assert all(layer.outputs == (precision,) for layer in products(plan))


def test_a_narrower_graph_makes_a_smaller_plan(kept: Path):
    onnx = load_bundle(default()).read("vision")
    wide = build_plan("vision", onnx, RTX, kept)
    narrow = build_plan("vision", retyped(onnx, TensorProto.FLOAT16), RTX, kept)
    assert len(narrow.content) < 0.75 * len(wide.content)


def types_by_node(plan: Plan) -> dict[str, tuple[str, str]]:
    return {layer.name: (layer.inputs[0], layer.outputs[0]) for layer in plan.network if layer.nodes}


@pytest.mark.parametrize(
    ("onnx", "narrow"), [(int8_matmul(), "int8"), (fp8_matmul(), "fp8")], ids=["int8", "fp8"]
)
def test_quantizers_keep_their_types(onnx: bytes, narrow: str, kept: Path):
    types = types_by_node(build_plan("product", onnx, SM89, kept))
    assert types["quantize_x"] == ("fp32", narrow)
    assert types["dequantize_w"] == types["dequantize_x"] == (narrow, "fp32")
    assert types["product"] == (narrow, "fp32")  # as it goes into the quantizers


def test_int4_weights_keep_their_type(kept: Path):
    plan = build_plan("product", int4_matmul(), RTX, kept)
    assert types_by_node(plan)["dequantize_w"] == ("int4", "fp32")


@pytest.mark.parametrize("onnx", [int8_matmul(), int4_matmul()], ids=["int8", "int4"])
def test_quantized_weights_are_as_small_in_the_plan(onnx: bytes, kept: Path):
    assert len(build_plan("product", onnx, RTX, kept).content) < 1.5 * len(onnx)


def test_what_a_gpu_cannot_do_is_refused(kept: Path):
    with pytest.raises(BundleRefused, match=r"(?i)refuses the product graph: .*fp8"):
        build_plan("product", fp8_matmul(), RTX, kept)


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (helper.make_node("Mystery", ["x"], ["y"], name="strange_one"), "'strange_one' (Mystery)"),
        (helper.make_node("MatMul", ["x", "w"], ["y"], name="odd_shapes"), "must match"),
        (helper.make_node("MatMul", ["x", "half"], ["y"], name="odd_types"), "same input types"),
    ],
)
def test_a_refused_graph_names_its_node(node, says: str, kept: Path):
    weights = {"w": np.zeros((7, 8), np.float32), "half": np.zeros((8, 8), np.float16)}
    with pytest.raises(BundleRefused) as refusal:
        build_plan("head", graph([node], weights, (1, 8), (1, 8)), RTX, kept)
    assert f"node '{node.name}' ({node.op_type})" in refusal.value.message
    assert says in refusal.value.message
    assert "head" in refusal.value.message


def test_what_is_no_graph_is_refused(kept: Path):
    with pytest.raises(BundleRefused, match="not a whole ONNX file"):
        build_plan("head", b"not a graph", RTX, kept)
    unknown = helper.make_graph([helper.make_node("Unknown", ["x"], ["y"])], "g", [], [])
    with pytest.raises(BundleRefused, match="refuses the head graph"):
        build_plan("head", helper.make_model(unknown).SerializeToString(), RTX, kept)


def test_a_plan_is_built_once_for_each_place(kept: Path, monkeypatch: pytest.MonkeyPatch):
    onnx = int8_matmul()
    first = build_plan("product", onnx, RTX, kept)
    monkeypatch.setattr("export.tensorrt.plans._build", lambda *_: pytest.fail("built again"))
    assert build_plan("product", onnx, RTX, kept) == first
    for other in (
        PlanTarget("87", "none", "tensorrt_rtx", "SM86"),
        PlanTarget("86", "L4T 36.4.3", "tensorrt_rtx", "SM86"),
        PlanTarget("86", "none", "tensorrt_rtx", "SM75"),
    ):
        with pytest.raises(pytest.fail.Exception, match="built again"):
            build_plan("product", onnx, other, kept)
    with pytest.raises(pytest.fail.Exception, match="built again"):
        build_plan("product", onnx + b"\x1a\x00", RTX, kept)  # the same graph in other bytes


def test_a_kept_plan_that_was_altered_is_refused(tmp_path: Path):
    onnx = int8_matmul()
    content = build_plan("product", onnx, RTX, tmp_path).content
    (file,) = tmp_path.glob("*.plan")
    file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(BundleRefused, match="altered"):
        build_plan("product", onnx, RTX, tmp_path)
    assert build_plan("product", onnx, RTX, tmp_path).content == file.read_bytes()


def test_too_little_memory_is_told_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Memory:
        available = 1 << 30

    monkeypatch.setattr("export.tensorrt.plans.psutil.virtual_memory", Memory)
    with pytest.raises(HardwareMissing, match=r"takes about 1\.3 GB of memory, 1\.1 GB are free"):
        build_plan("product", int8_matmul(), RTX, tmp_path)


def test_a_machine_without_the_module_is_told_what_to_install(tmp_path: Path):
    with pytest.raises(HardwareMissing) as refusal:
        build_plan("product", b"", PlanTarget("87", "none", "no_such_tensorrt"), tmp_path)
    assert refusal.value.exit_code == 5
    assert "JetPack" in refusal.value.hint


@pytest.mark.parametrize(
    ("death", "error", "says"),
    [
        ("os.kill(os.getpid(), 9)", HardwareMissing, "killed .SIGKILL. at .* GB: most likely .*memory"),
        (
            "os.kill(os.getpid(), 11)",
            BundleRefused,
            "crashed on the head graph .SIGSEGV.; last words: nearly",
        ),
    ],
)
def test_a_child_that_dies_is_told(
    death: str, error: type[Exception], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lines = [
        "import os",
        "__version__ = '10.3.0'",
        "class ILogger: pass",
        "def Builder(logger):",
        "    print('nearly', flush=True)",
        f"    {death}",
    ]
    (tmp_path / "dying_tensorrt.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:.")
    with pytest.raises(error, match=says):
        build_plan("head", b"", PlanTarget("87", "none", "dying_tensorrt"), tmp_path)
    assert not list(tmp_path.glob("*.plan"))


MIXED = [  # precision, whether only weights are in it, the GPU, and what a product's inputs are then
    ("int8", False, "SM86", ("int8", "int8")),
    ("fp8", False, "SM89", ("fp8", "fp8")),
    ("fp8", False, "SM120", ("fp8", "fp8")),
    ("nvfp4", False, "SM120", ("fp4", "fp4")),
    ("nvfp4", True, "SM121", ("fp16", "fp4")),
    ("int4", True, "SM86", ("fp16", "int4")),
]


@pytest.mark.parametrize(("kind", "weight_only", "gpu", "inputs"), MIXED)
def test_mixed_graphs_build_with_their_types(
    kind: LowPrecision, weight_only: bool, gpu: str, inputs: tuple[str, str], kept: Path
):
    low: dict[str, LowPrecision] = dict.fromkeys(quantizable(net(), kind), kind)
    mixed = Mixed(low, compute_ranges(net(), feeds(), "minmax"), weight_only=weight_only)
    content = mixed.apply(net()).content
    plan = build_plan("block", content, replace(RTX, compute_capability=gpu), kept)
    plan.check("block")
    found = {layer.name: layer for layer in products(plan)}
    assert {layer.outputs for layer in found.values()} == {("fp16",)}
    assert low
    for name, layer in found.items():
        assert layer.inputs == (inputs if name in low else ("fp16", "fp16")), name
    (norm,) = (layer for layer in plan.network if layer.kind == "NORMALIZATION" and "norm1" in layer.nodes)
    assert norm.types == {"fp32"}


def test_a_graph_of_several_precisions_builds(kept: Path):
    low: dict[str, LowPrecision] = {"q": "nvfp4", "k": "fp8", "v": "int8", "down": "int4"}
    content = Mixed(low, compute_ranges(net(), feeds(), "minmax")).apply(net()).content
    plan = build_plan("block", content, replace(RTX, compute_capability="SM120"), kept)
    found = {layer.name: layer.inputs[1] for layer in products(plan)}
    assert [found[name] for name in ("q", "k", "v", "down", "up")] == ["fp4", "fp8", "int8", "int4", "fp16"]


@pytest.mark.parametrize(("kind", "gpu"), [("fp8", "SM86"), ("nvfp4", "SM89")])
def test_gpus_without_a_precision_refuse_its_graphs(kind: LowPrecision, gpu: str, kept: Path):
    content = Mixed({"up": kind}, compute_ranges(net(), feeds(), "minmax")).apply(net()).content
    with pytest.raises(BundleRefused, match=r"(?i)refuses the block graph: .*fp[48]"):
        build_plan("block", content, replace(RTX, compute_capability=gpu), kept)
