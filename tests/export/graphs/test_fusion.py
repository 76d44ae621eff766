"""Fused graphs compute what the graphs before did, with fewer operators; what is not known stays."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge.bundle.bundle import load_bundle
from edge.engines.onnx import OnnxEngine
from export.graphs.edit import Draft
from export.graphs.fusion.cache import share_heads, stack_once, write_slots
from export.graphs.fusion.fuse import fuse
from export.graphs.fusion.operators import fuse_operators
from export.graphs.fusion.products import merge_products
from export.graphs.fusion.reshapes import join_reshapes
from export.graphs.fusion.rows import read_fewer_rows
from export.graphs.fusion.wiring import Wiring, in_order
from export.graphs.graph import Graph
from export.measure.feeds import Feed

RNG = np.random.default_rng(4)


def graph(nodes: list, inputs: dict[str, list[int]], outputs: dict[str, list[int]], **constants) -> Graph:
    """A graph of fp32 inputs, but for `position`, which is int64."""

    def value(name: str, shape: list[int]):
        return helper.make_tensor_value_info(
            name, TensorProto.INT64 if name in ("position", "row") else TensorProto.FLOAT, shape
        )

    weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    proto = helper.make_graph(
        [
            helper.make_node(*node[:3], f"{node[2][0]}_node", **(node[3] if len(node) > 3 else {}))
            for node in nodes
        ],
        "net",
        [value(name, shape) for name, shape in inputs.items()],
        [value(name, shape) for name, shape in outputs.items()],
        weights,
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return Graph(model)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def kinds(given_: Graph) -> Counter:
    return Counter(node.op_type for node in given_.model.graph.node)


def changed(before: Graph, *passes, feed: Feed) -> Graph:
    """The graph after these passes, once it has computed the same."""
    draft = Draft(before)
    for each in passes:
        each(draft)
    after = draft.finish()
    same(before, after, feed)
    return after


def same(before: Graph, after: Graph, feed: Feed) -> None:
    engines = OnnxEngine(before.content), OnnxEngine(after.content)
    wanted, found = (engine.run(feed) for engine in engines)
    assert wanted.keys() == found.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5)


def feed_of(given_: Graph, **values: np.ndarray) -> Feed:
    found: Feed = {}
    for value in given_.model.graph.input:
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        found[value.name] = values.get(value.name, floats(*shape))
    return found


@pytest.mark.parametrize("name", ["default", "head", "token"])
def test_shipped_graphs_compute_the_same_with_less_than_half_of_the_operators(name: str):
    bundle = load_bundle(name)
    rng = np.random.default_rng(7)
    for stage in [stage for stage in ("prefill", "decode") if stage in bundle.manifest.graphs]:
        before = Graph.parse(bundle.read(stage))
        after = Graph.parse(fuse(before).model.SerializeToString())
        feed = feed_of(before, position=np.array([113]), length=np.array([5]))
        feed |= {n: rng.integers(5, 40, feed[n].shape) for n in ("ids", "token") if n in feed}
        same(before, after, feed)
        assert len(after.model.graph.node) < 0.5 * len(before.model.graph.node)
        assert kinds(after)["RMSNormalization"] == 9
        assert not {"Pow", "Sin"} & kinds(after).keys()


def test_a_graph_is_left_as_it_was():
    before = Graph.parse(load_bundle("default").read("decode"))
    content = before.model.SerializeToString()
    fuse(before)
    assert before.model.SerializeToString() == content


NORM = [
    ("Pow", ["x", "two"], ["square"]),
    ("ReduceMean", ["square", "last"], ["mean"]),
    ("Add", ["mean", "epsilon"], ["above"]),
    ("Sqrt", ["above"], ["root"]),
    ("Reciprocal", ["root"], ["inverse"]),
    ("Mul", ["x", "inverse"], ["scaled"]),
    ("Mul", ["weight", "scaled"], ["y"]),
]
NORM_CONSTANTS = {
    "two": np.float32(2),
    "last": np.array([-1]),
    "epsilon": np.float32(1e-3),
    "weight": floats(8),
}


def fuse_all(draft: Draft) -> None:
    fuse_operators(draft, {})


def test_a_norm_in_pieces_becomes_one_operator():
    net = graph(NORM, {"x": [1, 3, 8]}, {"y": [1, 3, 8]}, **NORM_CONSTANTS)
    assert kinds(changed(net, fuse_all, feed=feed_of(net))) == {"RMSNormalization": 1}


def test_beside_convolutions_a_graph_stays_at_an_opset_whose_rounding_old_runtimes_have():
    net = graph(
        [*NORM, ("Reshape", ["y", "as_image"], ["image"]), ("Conv", ["image", "kernel"], ["z"])],
        {"x": [1, 3, 8]},
        {"z": [1, 8, 3, 1]},
        as_image=np.array([1, 8, 3, 1]),
        kernel=floats(8, 8, 1, 1),
        **NORM_CONSTANTS,
    )
    after = changed(net, fuse_all, feed=feed_of(net))
    assert after.model.opset_import[0].version < 23
    assert "RMSNormalization" not in kinds(after)


@pytest.mark.parametrize(
    ("word", "value"), [("two", np.float32(3)), ("last", np.array([-2])), ("weight", floats(1, 3, 8))]
)
def test_what_only_looks_like_a_norm_stays(word: str, value: np.ndarray):
    net = graph(NORM, {"x": [1, 3, 8]}, {"y": [1, 3, 8]}, **{**NORM_CONSTANTS, word: value})
    feed = {"x": np.abs(floats(1, 3, 8))}
    assert "RMSNormalization" not in kinds(changed(net, fuse_all, feed=feed))


def test_a_norm_whose_inside_is_read_elsewhere_keeps_it():
    net = graph(NORM, {"x": [1, 3, 8]}, {"y": [1, 3, 8], "root": [1, 3, 1]}, **NORM_CONSTANTS)
    after = changed(net, fuse_all, feed=feed_of(net))
    assert kinds(after)["RMSNormalization"] == kinds(after)["Sqrt"] == 1


ROTATION = [
    ("Slice", ["x", "zero", "half", "axis", "one"], ["low"]),
    ("Slice", ["x", "half", "end", "axis", "one"], ["high"]),
    ("Neg", ["high"], ["minus"]),
    ("Concat", ["minus", "low"], ["turned"], {"axis": -1}),
    ("Mul", ["x", "cos"], ["a"]),
    ("Mul", ["turned", "sin"], ["b"]),
    ("Add", ["a", "b"], ["y"]),
]


def rotation_constants(angles: np.ndarray) -> dict[str, np.ndarray]:
    return {
        **{name: np.array([value]) for name, value in {"zero": 0, "half": 4, "axis": 3, "one": 1}.items()},
        "end": np.array([9223372036854775807]),
        "cos": np.cos(angles)[None, None].astype(np.float32),
        "sin": np.sin(angles)[None, None].astype(np.float32),
    }


def test_a_rotation_becomes_one_operator_if_both_halves_turn_alike():
    half = floats(5, 4)
    alike, unlike = np.concatenate([half, half], -1), floats(5, 8)
    for angles, found in ((alike, 1), (unlike, 0)):
        constants = rotation_constants(angles)
        net = graph(ROTATION, {"x": [1, 2, 5, 8]}, {"y": [1, 2, 5, 8]}, **constants)
        assert kinds(changed(net, fuse_all, feed=feed_of(net)))["RotaryEmbedding"] == found


def test_products_of_one_tensor_become_one_with_their_biases():
    nodes = [
        ("MatMul", ["x", "a"], ["xa"]),
        ("Add", ["xa", "bias_a"], ["ya"]),
        ("MatMul", ["x", "b"], ["xb"]),
        ("Add", ["bias_b", "xb"], ["yb"]),
    ]
    inputs, outputs = {"x": [1, 3, 8]}, {"ya": [1, 3, 4], "yb": [1, 3, 6]}
    constants = {"a": floats(8, 4), "b": floats(8, 6), "bias_a": floats(4), "bias_b": floats(6)}
    net = graph(nodes, inputs, outputs, **constants)
    assert kinds(changed(net, merge_products, feed=feed_of(net))) == {"MatMul": 1, "Add": 1, "Split": 1}
    plain = graph([*nodes[:3], ("Identity", ["xb"], ["yb"])], inputs, outputs, **constants)
    after = changed(plain, merge_products, feed=feed_of(plain))
    assert kinds(after) == {"MatMul": 1, "Add": 1, "Split": 1, "Identity": 1}, "one bias stays beside"


def test_rows_that_nothing_reads_in_the_end_are_not_computed():
    nodes = [
        ("MatMul", ["x", "q"], ["xq"]),
        ("MatMul", ["x", "k"], ["xk"]),
        ("Transpose", ["xk"], ["kt"], {"perm": [0, 2, 1]}),
        ("MatMul", ["xq", "kt"], ["scores"]),
        ("Add", ["scores", "mask"], ["masked"]),
        ("Softmax", ["masked"], ["p"], {"axis": -1}),
        ("MatMul", ["p", "xk"], ["seen"]),
        ("Add", ["x", "seen"], ["sum"]),
        ("MatMul", ["sum", "wide"], ["up"]),
        ("Relu", ["up"], ["active"]),
        ("Gather", ["active", "row"], ["y"], {"axis": 1}),
    ]
    constants = {"q": floats(8, 8), "k": floats(8, 8), "wide": floats(8, 16), "mask": floats(1, 5, 5)}
    net = graph(nodes, {"x": [1, 5, 8], "row": [1]}, {"y": [1, 1, 16]}, **constants)
    for row in range(5):
        after = changed(net, read_fewer_rows, feed=feed_of(net, row=np.array([row])))
    shapes = Wiring(Draft(after)).shapes
    assert shapes["active_row"] == [1, 1, 16] and shapes["scores_row"] == [1, 1, 5]
    assert shapes["xk"] == [1, 5, 8], "keys and values are of all rows"


@pytest.mark.parametrize(
    "mixing",
    [
        ("Softmax", ["x"], ["z"], {"axis": 1}),
        ("Transpose", ["x"], ["z"], {"perm": [0, 2, 1]}),
        ("Slice", ["x", "backwards", "end", "one", "minus"], ["z"]),
    ],
    ids=lambda node: node[0],
)
def test_what_mixes_rows_is_computed_of_all(mixing: tuple):
    constants = {"backwards": [4], "end": [-9], "one": [1], "minus": [-1]}
    net = graph(
        [mixing, ("Relu", ["z"], ["w"]), ("Gather", ["w", "row"], ["y"], {"axis": 1})],
        {"x": [1, 5, 5], "row": [1]},
        {"y": [1, 1, 5]},
        **{name: np.array(value) for name, value in constants.items()},
    )
    assert kinds(changed(net, read_fewer_rows, feed=feed_of(net, row=np.array([1]))))[mixing[0]] == 1


def cache_graph(heads: int) -> Graph:
    """Two layers' keys written into their slots, from and to one stack."""
    nodes = [
        ("Equal", ["slots", "position"], ["here"]),
        *(("Gather", ["past", f"index_{i}"], [f"past_{i}"], {"axis": 0}) for i in range(2)),
        *(("Where", ["here", f"k{i}", f"past_{i}"], [f"kept_{i}"]) for i in range(2)),
        *(("Unsqueeze", [f"kept_{i}", "first"], [f"part_{i}"]) for i in range(2)),
        ("Concat", ["part_0", "part_1"], ["cache"], {"axis": 0}),
    ]
    shape = [2, 1, heads, 6, 4]
    row = [1, heads, 1, 4]
    inputs = {"k0": row, "k1": row, "past": shape, "position": [1]}
    constants = {"slots": np.arange(6)[:, None], "first": np.array([0])}
    return graph(nodes, inputs, {"cache": shape}, **constants, index_0=np.int64(0), index_1=np.int64(1))


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("slot", [0, 5])
def test_a_token_is_written_into_its_slot_alone(heads: int, slot: int):
    net = cache_graph(heads)
    after = changed(net, write_slots, stack_once, feed=feed_of(net, position=np.array([slot])))
    found = kinds(after)
    assert found["ScatterND"] == 2 and "Where" not in found
    assert found["Split"] == found["Concat"] - 1 == 1 and "Unsqueeze" not in found


def test_one_head_of_keys_is_not_copied_for_each_of_the_queries():
    nodes = [
        ("Unsqueeze", ["k", "two"], ["wide"]),
        ("Expand", ["wide", "times"], ["copies"]),
        ("Reshape", ["copies", "shape"], ["keys"]),
        ("Transpose", ["keys"], ["kt"], {"perm": [0, 1, 3, 2]}),
        ("MatMul", ["q", "kt"], ["y"]),
    ]
    for heads, left in ((1, 0), (2, 1)):
        net = graph(
            nodes,
            {"q": [1, 4, 5, 8], "k": [1, heads, 5, 8]},
            {"y": [1, 4, 5, 5]},
            two=np.array([2]),
            times=np.array([1, heads, 4 // heads, 5, 8]),
            shape=np.array([1, 4, 5, 8]),
        )
        assert kinds(changed(net, share_heads, feed=feed_of(net)))["Expand"] == left


@given(st.permutations(range(4)), st.tuples(*[st.sampled_from([1, 1, 2, 3])] * 4), st.booleans())
def test_reshapes_in_a_row_become_one_and_transposes_that_move_numbers_stay(
    perm: list[int], shape: tuple[int, ...], flat_first: bool
):
    size = int(np.prod(shape))
    nodes = [
        ("Reshape", ["x", "shape"], ["a"]),
        ("Transpose", ["a"], ["b"], {"perm": perm}),
        ("Reshape", ["b", "flat"], ["y"]),
    ]
    net = graph(nodes, {"x": [size]}, {"y": [size]}, shape=np.array(shape), flat=np.array([size]))
    after = changed(net, join_reshapes, feed=feed_of(net))
    moved = np.arange(size).reshape(shape).transpose(perm).ravel()
    assert ("Transpose" in kinds(after)) == (not np.array_equal(moved, np.arange(size)))


def test_nodes_stand_behind_those_that_they_read():
    net = graph(NORM, {"x": [1, 3, 8]}, {"y": [1, 3, 8]}, **NORM_CONSTANTS)
    nodes = list(net.model.graph.node)
    known = {"x", *NORM_CONSTANTS}
    found = in_order(nodes[::-1], known)
    assert [node.op_type for node in found] == [node.op_type for node in nodes]
