"""A torch module to an ONNX file."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from export.graphs.graph import SCOPES
from export.graphs.stream import serialize
from export.graphs.weights import current_store


def to_onnx(module: nn.Module, inputs: dict[str, Tensor], outputs: list[str]) -> bytes:
    """Return the ONNX file of a module, opset 18, with the inputs' shapes as the static ones.

    Its weights lie in the store of `export.graphs.weights.weights_in`, else inside.
    """
    whole = current_store() is None
    with _quiet():
        program: Any = torch.onnx.export(
            module.eval(),
            kwargs=dict(inputs),
            dynamo=True,
            opset_version=18,
            input_names=list(inputs),
            output_names=outputs,
            optimize=whole,  # else `serialize` does, without a second copy of the weights
            verbose=False,
        )
    if not whole:
        return serialize(program.model, module)
    model = program.model_proto
    _forget(model)
    return model.SerializeToString()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which warns of missing packages and of its own code."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _forget(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes, which name the files of this machine, but for a node's module."""
    del model.metadata_props[:], model.graph.metadata_props[:]
    for item in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        kept = [note for note in item.metadata_props if note.key == SCOPES]
        del item.metadata_props[:]
        item.metadata_props.extend(kept)
        item.doc_string = ""
