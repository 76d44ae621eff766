import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge.engines.onnx import OnnxEngine
from edge.errors import BundleRefused, EngineFault

FLOAT = TensorProto.FLOAT


def _model(operator: str, side: int | str = 3) -> bytes:
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"])],
        "one",
        [helper.make_tensor_value_info("x", FLOAT, [1, side])],
        [helper.make_tensor_value_info("y", FLOAT, [1, side])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def test_runs_and_lists_its_tensors():
    engine = OnnxEngine(_model("Neg"))
    assert [(spec.name, spec.dtype, spec.shape) for spec in engine.inputs] == [("x", np.float32, (1, 3))]
    np.testing.assert_array_equal(engine.run({"x": np.ones((1, 3), np.float32)})["y"], -np.ones((1, 3)))
    engine.close()


def test_an_output_survives_the_next_call_and_may_be_its_input():
    engine = OnnxEngine(_model("Neg"))
    first = engine.run({"x": np.full((1, 3), 2, np.float32)})["y"]
    second = engine.run({"x": first})["y"]
    np.testing.assert_array_equal(first, np.full((1, 3), -2))
    np.testing.assert_array_equal(second, np.full((1, 3), 2))
    assert engine.run({"x": second})["y"] is first


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_infinity_and_nan_are_faults(value: float):
    engine = OnnxEngine(_model("Reciprocal"))
    with pytest.raises(EngineFault, match="'y'"):
        engine.run({"x": np.array([[1, value, 1]], np.float32)})


@pytest.mark.parametrize("x", [np.ones((1, 3)), np.ones((1, 4), np.float32), np.ones(3, np.float32)])
def test_wrong_inputs_are_named(x: np.ndarray):
    with pytest.raises(ValueError, match="x: want"):
        OnnxEngine(_model("Neg")).run({"x": x})


def test_bad_graphs_are_refused():
    with pytest.raises(BundleRefused, match="cannot load"):
        OnnxEngine(b"not a graph")
    with pytest.raises(BundleRefused, match="static"):
        OnnxEngine(_model("Neg", "length"))
