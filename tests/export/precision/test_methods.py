"""Few bits, and what makes them lose less: searched scales, SmoothQuant, AWQ, precisions chosen by layer."""

from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import helper, numpy_helper

from edge.bundle.bundle import load_bundle, make_bundle
from edge.errors import BundleRefused, UsageError
from export.commands.build import check_machine
from export.commands.export import main
from export.gate.stages import compare_stage
from export.graphs.edit import Draft, constant
from export.graphs.graph import Graph, read_values
from export.measure.layer_times import bounds_ms, measured_ms
from export.measure.ranges import compute_ranges
from export.planner.boards import BOARDS
from export.precision.choose import Rung, choose, climb
from export.precision.int4 import Int4, awq_int4
from export.precision.int8 import Int8
from export.precision.mixed import LowPrecision, Mixed, quantizable
from export.precision.quantizers.blocks import (
    INT4_CPU,
    INT4_TENSORRT,
    NVFP4,
    Blocks,
    insert_blocks,
    restore,
    round_blocks,
    round_e2m1,
)
from export.precision.quantizers.qdq import E4M3_MAX, Kind, insert_qdq, round_weight
from export.precision.quantizers.scaling import ChannelScaler
from export.precision.quantizers.smoothing import awq, smoothquant
from tests.export.precision.precision_net import feeds, net

FIXED = ["q", "k", "v", "up", "down"]
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
numbers = arrays(np.float32, (96, 3), elements=st.floats(-1e3, 1e3, width=32))


def loud() -> Graph:
    """The net with channels after its norms that are 50 times as loud as the others."""
    model = net().model
    rng = np.random.default_rng(5)
    for node in model.graph.node:
        if node.op_type == "LayerNormalization":
            scale = np.ones(32, np.float32)
            scale[rng.permutation(32)[:2]] = 50
            name = f"{node.name}_scale"
            model.graph.initializer.append(numpy_helper.from_array(scale, name))
            node.input[1] = name
    return Graph(model)


def nearest(blocks: Blocks) -> Blocks:
    """Without a search."""
    return replace(blocks, clips=blocks.clips[:1])


@given(numbers, st.sampled_from([INT4_CPU, INT4_TENSORRT, NVFP4]))
def test_blocks_are_within_half_a_step_of_what_they_stand_for(given_: np.ndarray, blocks: Blocks):
    codes, scales, scale = round_blocks(given_, blocks)
    step = np.repeat(np.abs(scales.astype(np.float32)) * scale, blocks.size, axis=0)[:96]
    widest = 2.0 if blocks is NVFP4 else 1.0  # between 4 and 6
    error = np.abs(restore(codes, scales, scale, blocks) - given_)
    inside = np.abs(given_) <= 6 * step
    assert (error[inside] <= (0.5 * widest + 1e-3) * step[inside] + 1e-6).all()
    if blocks is not INT4_CPU:
        assert (scales.astype(np.float32) > 0).all(), "TensorRT's parser refuses others"


@given(numbers, st.sampled_from([INT4_CPU, INT4_TENSORRT, NVFP4]))
def test_what_blocks_stand_for_is_rounded_to_itself(given_: np.ndarray, blocks: Blocks):
    blocks = nearest(blocks)
    once = restore(*round_blocks(given_, blocks), blocks)
    twice = restore(*round_blocks(once, blocks), blocks)
    np.testing.assert_allclose(once, twice, rtol=1e-5, atol=1e-30)


@given(arrays(np.float32, 20, elements=st.floats(-8, 8, width=32)))
def test_e2m1_is_the_nearest_of_its_numbers(given_: np.ndarray):
    found = round_e2m1(given_)
    nearest = np.abs(np.abs(given_)[:, None] - E2M1).min(1)
    np.testing.assert_allclose(np.abs(np.abs(found) - np.minimum(np.abs(given_), 1e9)), nearest, atol=1e-6)
    assert (found == found.astype(ml_dtypes.float4_e2m1fn).astype(np.float32)).all()


@given(numbers, st.sampled_from(["int8", "fp8"]), st.sampled_from([0, 1]))
def test_channels_are_within_a_step_of_what_they_stand_for(given_: np.ndarray, kind: Kind, axis: int):
    codes, scale = round_weight(given_, axis, kind)
    wide = scale[:, None] if axis == 0 else scale
    error = np.abs(codes.astype(np.float32) * wide - given_)
    # E4M3 has 3 bits of mantissa, and steps of 2^-9 below 2^-6.
    limit = wide / 2 if kind == "int8" else np.maximum(np.abs(given_) / 16, wide * 2.0**-10)
    assert (error <= limit * 1.001 + 1e-30).all()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(-8, 8).astype(ml_dtypes.int4),
        np.concatenate([E2M1, -E2M1[1:], E2M1[:1]]).astype(ml_dtypes.float4_e2m1fn),
        np.linspace(-E4M3_MAX, E4M3_MAX, 33).astype(ml_dtypes.float8_e4m3fn),
        np.float32(3),
    ],
)
def test_constants_are_read_back_as_they_were_written(array: np.ndarray):
    written = constant("one", array)
    assert written.dims == list(np.shape(array))
    found = read_values(written)
    assert found.dtype == array.dtype
    assert (found.astype(np.float32) == np.asarray(array, np.float32)).all()


def test_searched_scales_lose_less_than_the_nearest():
    rng = np.random.default_rng(0)
    weight = rng.standard_t(4, (256, 64)).astype(np.float32)
    for blocks in (INT4_CPU, INT4_TENSORRT, NVFP4):
        plain = nearest(blocks)
        errors = [((restore(*round_blocks(weight, b), b) - weight) ** 2).sum() for b in (plain, blocks)]
        assert errors[1] < 0.95 * errors[0]


@pytest.mark.parametrize("blocks", [INT4_CPU, NVFP4])
def test_a_twin_of_blocks_computes_what_they_stand_for(blocks: Blocks):
    draft = Draft(net())
    insert_blocks(draft, FIXED, blocks, rounded=True)
    twin = draft.finish()
    assert compare_stage(net(), twin, feeds()).sqnr_db > 14
    if blocks is INT4_CPU:
        real = Int4(FIXED, blocks).apply(net())
        assert compare_stage(real, twin, feeds()).sqnr_db > 35


def test_awq_beats_plain_int4_on_loud_channels():
    names = ["q", "k", "v", "up"]
    plain = nearest(INT4_CPU)
    rounded = Int4(names, plain, fp16=False).apply(loud())
    scaled = awq(loud(), names, INT4_CPU, feeds())
    better = Int4(names, INT4_CPU, scaled.importance, fp16=False).apply(scaled.graph)
    assert compare_stage(loud(), scaled.graph, feeds()).sqnr_db > 90, "an equivalent graph"
    gain_db = (
        compare_stage(loud(), better, feeds(24)[8:]).sqnr_db
        - compare_stage(loud(), rounded, feeds(24)[8:]).sqnr_db
    )
    assert gain_db > 3
    assert all(change.after <= change.before for change in scaled.scalings)
    assert any(change.alpha and change.folded for change in scaled.scalings)


@pytest.mark.parametrize(("unsigned", "kind"), [(True, "uint8"), (False, "int8")])
def test_smoothquant_beats_plain_int8_on_loud_channels(unsigned: bool, kind: Kind):
    scaled, changes = smoothquant(loud(), FIXED, unsigned, feeds())
    assert {change.nodes for change in changes} >= {("q", "k", "v"), ("up",)}
    assert compare_stage(loud(), scaled, feeds()).sqnr_db > 90, "an equivalent graph"

    def int8(graph: Graph) -> Graph:
        draft = Draft(graph)
        insert_qdq(draft, FIXED, kind, compute_ranges(graph, feeds(), "minmax"))
        return draft.finish()

    held_out = feeds(24)[8:]
    before, after = (compare_stage(loud(), int8(graph), held_out).sqnr_db for graph in (loud(), scaled))
    assert after > before + 6


def test_what_is_even_already_is_left_as_it_is():
    scaled, changes = smoothquant(net(), ["up"], True, feeds())
    assert not changes
    assert scaled.model == net().model


def test_a_scale_goes_into_norms_linears_and_biases_and_else_into_a_product():
    draft = Draft(net())
    scaler = ChannelScaler(draft)
    groups = {group.nodes: group for group in scaler.groups(FIXED)}
    assert all(group.foldable for group in groups.values())
    rng = np.random.default_rng(3)
    nodes = len(draft.model.graph.node)
    for group in groups.values():
        width = scaler.weights(group)[0].shape[0]
        scaler.divide(group, rng.uniform(0.1, 10, width).astype(np.float32))
    assert len(draft.model.graph.node) == nodes
    assert compare_stage(net(), draft.finish(), feeds()).sqnr_db > 90
    tapped = Draft(net())
    tapped.model.graph.output.append(helper.make_tensor_value_info("n2", 1, [1, 6, 32]))  # must stay
    scaler = ChannelScaler(tapped)
    (group,) = scaler.groups(["up"])
    assert not group.foldable
    scaler.divide(group, rng.uniform(0.1, 10, 32).astype(np.float32))
    assert len(tapped.model.graph.node) == nodes + 1
    assert compare_stage(net(), tapped.finish(), feeds()).sqnr_db > 90


@pytest.mark.parametrize("kind", ["int8", "fp8", "nvfp4"])
def test_twins_of_mixed_graphs_come_near_the_fp32_one(kind: LowPrecision):
    ranges = compute_ranges(net(), feeds(), "minmax")
    low: dict[str, LowPrecision] = dict.fromkeys(quantizable(net(), kind), kind)
    assert list(low) == FIXED
    least_db = {"int8": 35, "fp8": 24, "nvfp4": 12}[kind]
    twin = Mixed(low, ranges).twin.apply(net())
    assert least_db < compare_stage(net(), twin, feeds()).sqnr_db < least_db + 12


def test_mixed_graphs_lack_no_range():
    with pytest.raises(KeyError):
        Mixed({"up": "fp8"}, {"other": (0.0, 1.0)}).apply(net())
    Mixed({"up": "nvfp4", "down": "int4"}, {}, weight_only=True).apply(net())


def test_operators_that_mean_something_else_later_are_refused():
    draft = Draft(net())
    draft.model.graph.node[0].op_type = "GridSample"
    with pytest.raises(ValueError, match="GridSample"):
        draft.raise_opset(21)


def test_a_weight_that_two_products_share_is_rounded_once():
    shared = net()
    for node in shared.model.graph.node:
        if node.name in "kv":
            node.input[1] = "w_q"
    ranges = compute_ranges(shared, feeds(), "minmax")
    graph = Int8(ranges, "tensorrt").apply(shared).model.graph
    made = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    read = {node.input[1] for node in graph.node if node.name in FIXED}
    assert len(read) == 3
    assert read <= made
    assert not any(weight.name == "w_q" for weight in graph.initializer)


def test_int4_for_tensorrt_has_blocks_of_64_and_no_scale_below_0():
    changed, _ = awq_int4(net(), "tensorrt", feeds())
    weights = {name: read_values(weight) for name, weight in changed.weights.items()}
    (node,) = (
        node for node in changed.model.graph.node if node.op_type == "DequantizeLinear"
    )  # `down` alone has 64 inputs
    (block,) = (a.i for a in node.attribute if a.name == "block_size")
    assert block == 64
    assert (weights[node.input[1]] > 0).all()


LADDERS = {
    "slow and loud": [Rung("int8", 0.1, 1.0), Rung("fp32", 0.0, 1.1)],
    "fast and loud": [Rung("int8", 0.1, 1.0), Rung("fp32", 0.0, 9.0)],
    "quiet": [Rung("int4", 0.02, 0.5), Rung("int8", 0.001, 1.0), Rung("fp32", 0.0, 2.0)],
    "no faster": [Rung("int8", 0.001, 3.0), Rung("fp32", 0.0, 1.0)],
}


def test_layers_are_raised_where_most_noise_goes_for_the_time():
    assert [rung.precision for rung in climb(LADDERS["quiet"])] == ["int4", "int8", "fp32"]

    def found(share: float) -> dict[str, str]:
        return {name: rung.precision for name, (rung, _) in choose(LADDERS, -10 * np.log10(share)).items()}

    assert set(found(1.0).values()) == {"int8", "int4", "fp32"}
    assert found(1.0)["no faster"] == "fp32"
    first = found(0.13)
    assert (first["slow and loud"], first["fast and loud"], first["quiet"]) == ("fp32", "int8", "int4")
    then = found(0.11)
    assert (then["fast and loud"], then["quiet"]) == ("int8", "int8")
    assert set(found(1e-9).values()) == {"fp32"}


@given(
    st.lists(st.tuples(st.floats(1e-6, 1), st.floats(0.1, 5), st.floats(0.1, 5)), min_size=1, max_size=8),
    st.floats(0, 60),
)
def test_what_is_chosen_stays_in_the_budget(layers: list[tuple[float, float, float]], budget_db: float):
    ladders = {
        str(i): [Rung("int8", noise, fast), Rung("fp32", 0.0, slow)]
        for i, (noise, fast, slow) in enumerate(layers)
    }
    chosen = choose(ladders, budget_db)
    assert sum(rung.noise for rung, _ in chosen.values()) <= 10 ** (-budget_db / 10)
    assert all(
        rung.noise == 0
        for name, (rung, _) in chosen.items()
        if ladders[name][0].ms > ladders[name][1].ms + 0.01
    )


def test_times_are_of_each_product():
    ranges = compute_ranges(net(), feeds(), "minmax")
    files = {"fp32": net(), "int8": Int8(ranges, "onnxruntime").apply(net())}
    found = measured_ms(net(), files, feeds())
    assert all(set(times) == set(FIXED) and min(times.values()) > 0 for times in found.values())


def test_bounds_are_of_a_boards_memory_and_tensor_cores():
    board = BOARDS["orin-nano"]
    found = bounds_ms(net(), ("fp16", "int8", "int4"), board)
    assert found["fp16"]["up"] == pytest.approx(
        1e3 * (2 * 32 * 64 + 2 * (6 * 32 + 6 * 64)) / board.bandwidth_bytes_s
    )
    assert found["int4"]["up"] < found["int8"]["up"] < found["fp16"]["up"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["--precision", "fp8", "--board", "orin-nano"],
            r"orin-nano \(SM 87\) has no fp8; it has fp32, bf16, fp16",
        ),
        (["--precision", "nvfp4", "--board", "agx-orin-64"], r"agx-orin-64 \(SM 87\) has no nvfp4"),
        (["--precision", "auto"], "needs to know the board"),
    ],
)
def test_what_a_board_lacks_is_refused_before_anything_is_read(options: list[str], says: str, tmp_path: Path):
    with pytest.raises(UsageError, match=says) as refusal:
        main(
            [
                "nowhere",
                "--out",
                str(tmp_path / "out"),
                "--engine",
                "tensorrt",
                "--calibration",
                "none",
                *options,
            ]
        )
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize("precision", ["fp8", "nvfp4"])
def test_a_cpu_has_neither_fp8_nor_nvfp4(precision: str, tmp_path: Path):
    with pytest.raises(UsageError, match=f"no {precision} on a CPU"):
        main(["nowhere", "--out", str(tmp_path / "out"), "--calibration", "none", "--precision", precision])


def test_a_bundle_in_fp8_is_not_built_on_an_orin(tiny_bundle: Path):
    base = load_bundle(tiny_bundle)
    infos = {
        **base.manifest.graphs,
        "prefill": base.manifest.graphs["prefill"].model_copy(update={"precision": "fp8"}),
    }
    bundle = make_bundle(base.manifest.model_copy(update={"graphs": infos}), dict(base.contents))
    with pytest.raises(
        BundleRefused, match=r"prefill of '.*' is fp8, which needs SM 89 .*has SM 87"
    ) as refusal:
        check_machine(bundle, "87")
    assert refusal.value.exit_code == 6
    check_machine(bundle, "110")


def test_products_that_find_their_ranges_are_as_exact_as_their_inputs_allow():
    """A loud input in one call does not coarsen the steps of another."""
    changed, quiet = Int8({}, "onnxruntime").apply(net()), feeds(4)
    loud_calls = [{"x": 1000 * feed["x"]} for feed in quiet]
    assert compare_stage(net(), changed, quiet).sqnr_db > 38
    assert compare_stage(net(), changed, [*quiet, *loud_calls, *quiet]).sqnr_db > 38


def test_a_rectified_convolution_is_rounded_once_behind_its_rectifier():
    rng = np.random.default_rng(3)
    kernels = {f"w{i}": rng.normal(0, 0.2, (8, 8, 3, 3)).astype(np.float32) for i in range(2)}
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["c0"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c0"], ["r0"], "relu"),
        helper.make_node("Conv", ["r0", "w1"], ["y"], "second", pads=[1, 1, 1, 1]),
    ]
    sides = [helper.make_tensor_value_info(name, 1, [1, 8, 6, 6]) for name in "xy"]
    weights = [numpy_helper.from_array(value, name) for name, value in kernels.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "net", sides[:1], sides[1:], weights),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    graph, calls = Graph(model), [{"x": rng.normal(0, 1, (1, 8, 6, 6)).astype(np.float32)} for _ in range(6)]
    changed = Int8(compute_ranges(graph, calls, "minmax"), "onnxruntime").apply(graph)
    rounded = [node.input[0] for node in changed.model.graph.node if node.op_type == "QuantizeLinear"]
    assert sorted(rounded) == ["r0", "x", "y_exact"]
    zero = changed.weights["r0_uint8_zero"]
    assert numpy_helper.to_array(zero) == 0, "so that rounding is rectifying"
    assert compare_stage(graph, changed, calls).sqnr_db > 30
