"""Our table of messages against TensorFlow's own descriptors, and what happens to bytes that are no message."""

from pathlib import Path

import pytest
from tensorflow.core.framework import function_pb2, graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2, tensor_bundle_pb2
from tensorflow.core.util import saved_tensor_slice_pb2
from tensorflow.python.training.checkpoint_state_pb2 import CheckpointState

from reprise.errors import DamagedFile
from reprise.wire import messages

FILE = Path("model.ckpt.meta")
ROOTS = (
    saved_model_pb2.SavedModel,
    meta_graph_pb2.MetaGraphDef,
    graph_pb2.GraphDef,
    function_pb2.FunctionDef,
    tensor_bundle_pb2.BundleHeaderProto,
    tensor_bundle_pb2.BundleEntryProto,
    saved_tensor_slice_pb2.SavedTensorSlices,
    CheckpointState,
)


@pytest.mark.parametrize("theirs", ROOTS, ids=lambda root: root.DESCRIPTOR.name)
def test_every_field_of_the_table_is_tensorflows(theirs):
    compared = set()
    compare(messages.message_class(theirs.DESCRIPTOR.name).DESCRIPTOR, theirs.DESCRIPTOR, compared)
    assert compared


def compare(ours, theirs, compared):
    if ours.full_name in compared:
        return
    compared.add(ours.full_name)
    for field in ours.fields:
        other = theirs.fields_by_name[field.name]
        assert (field.number, field.is_repeated) == (other.number, other.is_repeated), field.full_name
        assert field.type == other.type or (field.type, other.type) == (field.TYPE_INT32, field.TYPE_ENUM), (
            field.full_name
        )
        if field.message_type:
            compare(field.message_type, other.message_type, compared)
        if field.enum_type:
            for member in field.enum_type.values:
                assert other.enum_type.values_by_number[member.number].name == member.name


def test_a_message_survives_both_ways():
    theirs = graph_pb2.GraphDef()
    node = theirs.node.add(name="a", op="Const", input=["b:1", "^c"])
    node.attr["value"].tensor.float_val.extend([1.5, 2.5])
    ours = messages.parse("GraphDef", theirs.SerializeToString(), FILE)
    assert list(ours.node[0].attr["value"].tensor.float_val) == [1.5, 2.5]
    assert graph_pb2.GraphDef.FromString(ours.SerializeToString()) == theirs


@pytest.mark.parametrize("data", [b"\x0a\xff", b"\x0a\x02\x0a\x05", b"\x0a\x03\x0a\x01\xff", b"\x0b" * 300])
def test_bytes_that_are_no_message_are_refused(data):
    with pytest.raises(DamagedFile, match=r"model\.ckpt\.meta: expected a GraphDef message"):
        messages.parse("GraphDef", data, FILE)


def test_text_skips_fields_that_the_table_leaves_out():
    text = b'node { name: "a" op: "Const" device: "/cpu:0" attr { key: "dtype" value { type: DT_HALF } } }'
    assert messages.parse_text("GraphDef", text, FILE).node[0].attr["dtype"].type == 19


@pytest.mark.parametrize("text", [b"node { name: ", b"node { name: 'a' } }", b"\xff", b"node { attr {" * 500])
def test_text_that_is_no_message_is_refused(text):
    with pytest.raises(DamagedFile, match="expected a GraphDef message as text"):
        messages.parse_text("GraphDef", text, FILE)
