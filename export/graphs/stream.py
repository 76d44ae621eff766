"""A torch module's graph with its weights written to a file one by one, and fetched only then.

So a model is exported that does not fit into memory twice, or not even once in fp32.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import onnx_ir as ir
import torch
from onnx import TensorProto
from onnxscript import optimizer
from torch import Tensor, nn
from transformers.initialization import no_init_weights

from export.graphs.weights import FILE, byte_span, current_store, is_outside

LATER_BYTES = 1 << 20  # matrices from this size on are fetched when their graph is written
_FETCH = "fetch"  # attribute of such a parameter
WeightSource = Callable[[str], Tensor]
_Module = TypeVar("_Module", bound=nn.Module)


def hollow(build: Callable[[], _Module], source: WeightSource) -> _Module:
    """Return a module whose large matrices are fetched from `source`, by their names, when they are written.

    `export.graphs.onnx.to_onnx` does so one at a time. The module can be exported, but not run.

    `build` makes the module; until it is touched, its memory is not taken. Buffers are as `build` made them.
    """
    with no_init_weights():
        module = build()
    if hasattr(module, "tie_weights"):
        cast("Any", module).tie_weights()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim == 2 and parameter.nbytes >= LATER_BYTES:
                setattr(parameter, _FETCH, lambda name=name: source(name))
            else:
                parameter.copy_(source(name))
    return module


def serialize(model: ir.Model, module: nn.Module) -> bytes:
    """Return the ONNX file of a program that torch exported without optimizing it.

    Its weights go to the store of `export.graphs.weights.weights_in`.
    """
    store = current_store()
    assert store is not None
    optimizer.optimize_ir(model, should_fold=_small)
    later = {
        parameter.data_ptr(): (getattr(parameter, _FETCH), parameter.dtype)
        for parameter in module.parameters()
        if hasattr(parameter, _FETCH)
    }
    graph = model.graph
    _turn_weights(graph, later)
    for value in list(graph.initializers.values()):
        if value.is_graph_output() or value.uses():
            value.const_value = _put(str(value.name), value, later)
        else:
            del graph.initializers[str(value.name)]
    return ir.to_proto(model).SerializeToString()


def _small(node: ir.Node) -> bool | None:
    """Return False if the node must not be folded: its input is a weight, maybe not fetched yet."""
    constants = [value.const_value for value in node.inputs if value is not None and value.is_initializer()]
    return False if any(c is not None and c.nbytes >= LATER_BYTES for c in constants) else None


def _turn_weights(graph: ir.Graph, later: dict[int, Any]) -> None:
    """Transpose the weights of linear layers once, and not at each loading by an engine."""
    turned: dict[tuple[str, tuple[int, ...]], ir.Value] = {}
    for node in list(graph):
        if node.op_type != "Transpose" or node.inputs[0] is None or not node.inputs[0].is_initializer():
            continue
        source, (result,) = node.inputs[0], node.outputs
        axes = tuple(node.attributes["perm"].as_ints())
        key = str(source.name), axes
        if key not in turned:
            turned[key] = ir.Value(name=f"{source.name}_turned", const_value=None)
            turned[key].const_value = _put(f"{source.name}_turned", source, later, axes)
            turned[key].shape, turned[key].type = result.shape, result.type
            graph.register_initializer(turned[key])
        result.replace_all_uses_with(turned[key])
        graph.remove(node, safe=True)


def _put(
    name: str, value: ir.Value, later: dict[int, Any], axes: tuple[int, ...] | None = None
) -> ir.TensorProtocol:
    """Return a weight as a constant of this name, in the store if it is large, its axes in this order."""
    store = current_store()
    assert store is not None
    found: Any = value.const_value
    raw: Any = getattr(found, "raw", None)
    fetch, dtype = later.get(raw.data_ptr(), (None, None)) if isinstance(raw, Tensor) else (None, None)
    if (fetch, axes) in store.fetched:
        return _constant(name, store.fetched[fetch, axes])
    if fetch is not None:
        fetched = fetch()
        if fetched.shape != raw.shape:
            raise ValueError(f"{value.name}: want {tuple(raw.shape)}, got {tuple(fetched.shape)}")
        numbers = fetched.detach().to(dtype).numpy()
    else:
        numbers = found.numpy()
    tensor = store.put(name, np.asarray(numbers if axes is None else numbers.transpose(axes), order="C"))
    if fetch is not None:
        store.fetched[fetch, axes] = tensor  # the next graph has it too
    return _constant(name, tensor)


def _constant(name: str, tensor: TensorProto) -> ir.TensorProtocol:
    store = current_store()
    assert store is not None
    if not is_outside(tensor):
        return ir.serde.deserialize_tensor(tensor)
    offset, length = byte_span(tensor)
    kind, shape = ir.DataType(tensor.data_type), ir.Shape(tensor.dims)
    return ir.ExternalTensor(FILE, offset, length, kind, shape=shape, name=name, base_dir=store.file.parent)
