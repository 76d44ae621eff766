"""The files with a graph's external data are found, wherever the graph names them."""

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto

from edge.engines.outside import FIELDS, check_outside, outside_files
from edge.errors import BundleRefused


def tensor(location: str) -> TensorProto:
    made = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in (("offset", "0"), ("location", location), ("length", "16")):
        made.external_data.add(key=key, value=value)
    return made


def node(**attribute: object) -> NodeProto:
    return NodeProto(op_type="If", attribute=[AttributeProto(name="a", **attribute)])


INNER = GraphProto(initializer=[tensor("x")])
PLACES = {
    "initializer": INNER,
    "sparse": GraphProto(sparse_initializer=[SparseTensorProto(indices=tensor("x"))]),
    "constant": GraphProto(node=[node(t=tensor("x"))]),
    "constants": GraphProto(node=[node(tensors=[tensor("x")])]),
    "branch": GraphProto(
        node=[node(g=GraphProto(node=[node(graphs=[GraphProto(initializer=[tensor("x")])])]))]
    ),
    "sparse constant": GraphProto(node=[node(sparse_tensor=SparseTensorProto(values=tensor("x")))]),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_file_is_found_wherever_it_is_named(place: str):
    model = ModelProto(ir_version=10, producer_name="location", graph=PLACES[place])
    assert outside_files(model.SerializeToString()) == {"x"}


def test_a_file_is_found_in_functions_and_training():
    model = ModelProto(ir_version=10)
    model.functions.add(node=[node(t=tensor("f"))], attribute_proto=[AttributeProto(t=tensor("d"))])
    model.training_info.add(initialization=GraphProto(node=[node(t=tensor("i"))]), algorithm=INNER)
    assert outside_files(model.SerializeToString()) == {"f", "d", "x", "i"}


def test_every_field_that_leads_to_a_tensor_is_followed():
    """Compare the table with onnx's own description of its messages."""

    def name_of(message: Any) -> str:
        return message.full_name.removeprefix("onnx.").removesuffix("Proto")

    found: dict[str, dict[int, str]] = {}
    todo = [onnx.ModelProto.DESCRIPTOR]
    while todo:
        message = todo.pop()
        name = name_of(message)
        if name in found or name == "StringStringEntry":
            continue
        inner = {f.number: f.message_type for f in message.fields if f.message_type is not None}
        found[name] = {number: name_of(kind) for number, kind in inner.items()}
        todo += inner.values()
    leads = {"Tensor"}
    while more := {name for name in found if leads & set(found[name].values())} - leads:
        leads |= more
    followed = {name: {n: kind for n, kind in found[name].items() if kind in leads} for name in leads}
    assert {**followed, "Tensor": {13: "StringStringEntry"}} == FIELDS


def test_bytes_that_protobuf_also_reads_as_a_name_are_read_so():
    long_length = b"\x0a\x88\x00location" + b"\x12\x01x"  # a length of two bytes
    twice = b"\x0a\x01q" + b"\x0a\x08location" + b"\x12\x01y\x12\x01x"  # the last one counts
    grouped = b"\x93\x06\x94\x06" + b"\x12\x01x" + b"\x0a\x08location"  # an empty group, the value first
    for entry in (long_length, twice, grouped):
        part = b"\x6a" + bytes([len(entry)]) + entry  # a tensor's external_data
        graph = b"\x2a" + bytes([len(part)]) + part
        model = b"\x3a" + bytes([len(graph)]) + graph
        assert ModelProto.FromString(model).graph.initializer[0].external_data[0].value == "x"
        assert "x" in outside_files(model)


def test_a_file_that_is_cut_off_is_refused():
    whole = ModelProto(graph=PLACES["branch"]).SerializeToString()
    for length in range(1, len(whole)):
        with pytest.raises(BundleRefused, match="not a whole ONNX file"):
            outside_files(whole[:length])


def test_only_the_bundles_weights_may_be_named():
    content = ModelProto(graph=PLACES["initializer"]).SerializeToString()
    check_outside(content, Path("/private/x"))
    check_outside(ModelProto(ir_version=10).SerializeToString(), None)
    for weights in (None, Path("/private/y")):
        with pytest.raises(BundleRefused, match="'x', which is not the bundle's weights"):
            check_outside(content, weights)
