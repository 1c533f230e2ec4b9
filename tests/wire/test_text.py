"""The fast reader of text against protobuf's own, and what it leaves to it."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow.core.framework import graph_pb2

from reprise.errors import DamagedFile
from reprise.wire import messages
from reprise.wire.text import encoded

FILE = Path("graph.pbtxt")


def told(text):
    """What the fast reader makes of a GraphDef."""
    whole = encoded(messages.message_class("GraphDef").DESCRIPTOR, text)
    return None if whole is None else graph_pb2.GraphDef.FromString(whole)


def everything():
    """A graph with an attribute of every kind."""
    graph = graph_pb2.GraphDef()
    node = graph.node.add(name="a/b", op="Const", input=["c:1", "^d"])
    attributes = node.attr
    attributes["text"].s = b'quote " line \n bytes \x00\xff \\'
    attributes["unicode"].s = "naïve ✓".encode()
    for name, number in (("least", -(2**63)), ("minus", -1), ("zero", 0), ("most", 2**63 - 1)):
        attributes[name].i = number
    for name, number in (("tiny", 1e-38), ("third", 1 / 3), ("inf", float("inf")), ("minus_inf", -float("inf"))):
        attributes[name].f = number
    attributes["flag"].b = True
    attributes["type"].type = 9
    attributes["shape"].shape.dim.add(size=-1)
    attributes["shapes"].list.shape.add().dim.add(size=3)
    attributes["none"].list.SetInParent()
    attributes["function"].func.name = "f"
    tensor = attributes["value"].tensor
    tensor.dtype, tensor.tensor_content = 1, bytes(range(256))
    tensor.double_val.extend([0.1, -2.5])
    tensor.half_val.extend([1, 2])
    graph.library.function.add().signature.name = "f"
    graph.versions.producer = 134
    return graph


def test_what_a_printer_writes_is_read_as_protobuf_reads_it():
    graph = everything()
    for text in (str(graph), text_format.MessageToString(graph, as_one_line=True)):
        assert told(text) == graph


def test_fields_that_the_schema_leaves_out_are_skipped_with_all_they_hold():
    text = 'node { name: "a" device: "/cpu:0" experimental_debug_info { names: "x" inner { y: 1 } } op: "NoOp" }'
    assert told(text) == graph_pb2.GraphDef(node=[{"name": "a", "op": "NoOp"}])


@pytest.mark.parametrize(
    "text",
    [
        '# a comment\nnode { name: "a" }',
        'node { name: "a" "b" }',
        "node { name: 'a' }",
        'node < name: "a" >',
        'node { input: ["a", "b"] }',
        'node { name: "a" };',
    ],
)
def test_other_forms_are_left_to_protobuf(text):
    assert told(text) is None
    assert messages.parse_text("GraphDef", text.encode(), FILE) == text_format.Parse(
        text, messages.message_class("GraphDef")()
    )


@pytest.mark.parametrize(
    "text",
    [
        'node { name: "a"',
        'node { name: "a" } }',
        "node { name: a }",
        "node: 1",
        "node { name { x: 1 } }",
        'node { attr { key: "a" value { i: 99999999999999999999 } } }',
        'node { attr { key: "a" value { type: DT_NOTHING } } }',
        'node { attr { key: "a" value { b: maybe } } }',
    ],
)
def test_text_that_is_no_graph_is_refused_with_protobufs_words(text):
    assert told(text) is None
    with pytest.raises(DamagedFile, match=r"graph.pbtxt: expected a GraphDef message as text \(\d+:\d+ : .*copy it"):
        messages.parse_text("GraphDef", text.encode(), FILE)
