"""A small transformer block as an ONNX graph, made by hand, to try the changes of precision on."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from export.graphs.graph import Graph
from export.measure.feeds import Feed

TOKENS, WIDTH = 6, 32


def net(scale: float = 1.0) -> Graph:
    """x (1, TOKENS, WIDTH) -> features: norm, attention, residual, norm, MLP with biases, residual.

    `scale` multiplies the residual stream.
    """
    rng = np.random.default_rng(0)
    constants = {
        f"w_{name}": rng.normal(0, 0.15, shape).astype(np.float32)
        for name, shape in {
            "q": (WIDTH, WIDTH),
            "k": (WIDTH, WIDTH),
            "v": (WIDTH, WIDTH),
            "up": (WIDTH, 64),
            "down": (64, WIDTH),
        }.items()
    }
    constants |= {"b_up": rng.normal(0, 0.1, 64).astype(np.float32)}
    constants |= {"one": np.ones(WIDTH, np.float32), "scale": np.array([scale], np.float32)}
    node = helper.make_node
    nodes = [
        node("Mul", ["x", "scale"], ["stream"], "stream"),
        node("LayerNormalization", ["stream", "one"], ["n1"], "norm1", axis=-1),
        *(node("MatMul", ["n1", f"w_{name}"], [name], name) for name in "qkv"),
        node("Transpose", ["k"], ["kt"], "kt", perm=[0, 2, 1]),
        node("MatMul", ["q", "kt"], ["scores"], "scores"),
        node("Softmax", ["scores"], ["attention"], "softmax", axis=-1),
        node("MatMul", ["attention", "v"], ["seen"], "seen"),
        node("Add", ["stream", "seen"], ["sum1"], "residual1"),
        node("LayerNormalization", ["sum1", "one"], ["n2"], "norm2", axis=-1),
        node("MatMul", ["n2", "w_up"], ["up"], "up"),
        node("Add", ["up", "b_up"], ["biased"], "bias"),
        node("Relu", ["biased"], ["active"], "relu"),
        node("MatMul", ["active", "w_down"], ["down"], "down"),
        node("Add", ["sum1", "down"], ["features"], "residual2"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, TOKENS, WIDTH])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, TOKENS, WIDTH])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return Graph(model)


def feeds(count: int = 8) -> list[Feed]:
    """Different inputs."""
    rng = np.random.default_rng(1)
    return [{"x": rng.normal(0, 1, (1, TOKENS, WIDTH)).astype(np.float32)} for _ in range(count)]
