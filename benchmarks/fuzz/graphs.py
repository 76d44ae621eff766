"""Graphs of a hostile author: a digest that is right does not help against whoever wrote it."""

from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from benchmarks.fuzz.mutate import mutated
from benchmarks.fuzz.target import ACCEPTED, Check, Flaw, FuzzTarget
from edge.bundle.bundle import Bundle, find_bundle, read_manifest
from edge.bundle.manifest import GraphInfo, TensorInfo
from edge.engines.open import open_engine


@lru_cache
def _graphs() -> tuple[bytes, ...]:
    """Return small graphs: a product with its weights inside, one of constants, and one with a loop in it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")
    weights = numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    product = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Relu", ["z"], ["y"])]
    shape = helper.make_tensor("s", TensorProto.INT64, [2], [1, 4])
    filled = [
        helper.make_node("ConstantOfShape", ["s"], ["c"]),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    graphs = (
        helper.make_graph(product, "g", [x], [y], [weights]),
        helper.make_graph(filled, "g", [x], [y], [shape]),
    )
    opset = [helper.make_opsetid("", 18)]
    models = [helper.make_model(graph, opset_imports=opset, ir_version=9) for graph in graphs]
    for model in models:
        onnx.checker.check_model(model)
    return tuple(model.SerializeToString() for model in models)


def make_graph(rng: Random) -> bytes:
    """Make an ONNX file: one with a trick in it, or a good one with its bytes changed."""
    import onnx

    content = rng.choice(_graphs())
    if rng.random() < 0.5:
        return mutated(rng, content) if rng.random() < 0.9 else content
    model = onnx.ModelProto.FromString(content)
    for _ in range(rng.choice((1, 1, 2))):
        rng.choice((_outside, _giant, _giant_output, _unknown_operator, _renamed))(rng, model)
    return model.SerializeToString()


def _outside(rng: Random, model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    for key, value in (
        (
            "location",
            rng.choice(("/etc/passwd", "../../secret", "weights.bin", "/dev/zero", "/proc/self/mem", "")),
        ),
        ("offset", str(rng.choice((0, -1, 2**62)))),
        ("length", str(rng.choice((64, -1, 2**62)))),
    ):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def _giant(rng: Random, model: Any) -> None:
    tensor = model.graph.initializer[0]
    sizes = rng.choice(([2**40], [2**31, 2**31], [-1], [2**62, 4], [0], [2**33]))
    if tensor.name == "s":
        tensor.raw_data = np.array(sizes, np.int64).tobytes()
        tensor.ClearField("int64_data")
        sizes = [len(sizes)]
    tensor.ClearField("dims")
    tensor.dims.extend(sizes)


def _giant_output(rng: Random, model: Any) -> None:
    value = rng.choice((*model.graph.output, *model.graph.input))
    side = rng.choice(value.type.tensor_type.shape.dim)
    side.dim_value = rng.choice((2**40, 2**62, 2**31, -5, 0, 5))


def _unknown_operator(rng: Random, model: Any) -> None:
    node = rng.choice(model.graph.node)
    node.op_type, node.domain = rng.choice(
        (("Nothing", ""), ("Gather", ""), ("x", "evil.com"), ("If", ""), ("Loop", ""))
    )


def _renamed(rng: Random, model: Any) -> None:
    node = rng.choice(model.graph.node)
    node.input[0] = rng.choice(("y", "", "nobody", "x" * 10_000))


def open_graph(folder: Path) -> Check:
    """Return the check of a graph: its engine, and one run of it."""
    manifest, _ = read_manifest(find_bundle("default"))
    told = TensorInfo(name="x", dtype="float32", shape=(1, 4))
    x = np.ones((1, 4), np.float32)

    def check(data: bytes) -> str:
        info = GraphInfo(file="floor.onnx", bytes=len(data), sha256="0" * 64, inputs=(told,),
                         outputs=(told.model_copy(update={"name": "y"}),), precision="fp32")  # fmt: skip
        bundle = Bundle(manifest.model_copy(update={"graphs": {"floor": info}}), {"floor": data}, "")
        engine = open_engine(bundle, "floor")
        try:
            if engine.run({"x": x})["y"].shape != (1, 4):
                raise Flaw("another shape than the manifest's came out")
        finally:
            engine.close()
        return ACCEPTED

    return check


TARGETS = {"graph": FuzzTarget("ONNX graph with a right digest", make_graph, open_graph, 10.0)}
