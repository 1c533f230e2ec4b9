"""Nodes of a file, whose attributes are what their operators say, or are refused."""

import numpy as np
import pytest

from reprise.errors import DiscoveryError
from reprise.graph import Node, Value
from reprise.tensors import in_memory

ATTRIBUTES = {
    "axis": 2, "alpha": 0.5, "keep_dims": True, "padding": b"SAME", "strides": (1, 2), "boundaries": (0.5, 1.0),
    "T": "float32", "value": in_memory(np.ones(2)), "waiting": None,
}  # fmt: skip
NODE = Node("scope/n", "Op", attributes=ATTRIBUTES)


def test_attributes_come_by_kind():
    assert (NODE.integer("axis"), NODE.number("alpha"), NODE.number("axis")) == (2, 0.5, 2.0)
    assert (NODE.flag("keep_dims"), NODE.text("padding"), NODE.dtype("T")) == (True, "SAME", "float32")
    assert (NODE.integers("strides"), NODE.numbers("boundaries")) == ((1, 2), (0.5, 1.0))
    assert NODE.tensor("value").shape == (2,)


def test_one_that_a_file_leaves_out_has_its_default():
    assert (NODE.integer("k", 3), NODE.flag("exclusive"), NODE.text("data_format", "NHWC")) == (3, False, "NHWC")
    assert (NODE.integers("dilations", (1, 1)), NODE.number("epsilon", 0.1)) == ((1, 1), 0.1)


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("integer", "alpha", "expected a whole number as its attribute 'alpha', found 0.5"),
        ("integer", "num_split", "expected a whole number as its attribute 'num_split', found none"),
        ("integer", "waiting", "expected a whole number as its attribute 'waiting', found None"),
        ("integers", "boundaries", "a list of whole numbers as its attribute 'boundaries', found \\(0.5, 1.0\\)"),
        ("number", "padding", "expected a number as its attribute 'padding', found b'SAME'"),
        ("numbers", "axis", "expected a list of numbers"),
        ("flag", "T", "expected true or false"),
        ("text", "axis", "expected text"),
        ("dtype", "axis", "expected an element type"),
        ("tensor", "axis", "expected a tensor"),
    ],
)
def test_one_of_another_kind_is_refused_with_operator_and_node(kind, name, words):
    with pytest.raises(DiscoveryError, match=f"operator 'Op' \\(node 'scope/n'\\): .*{words}"):
        getattr(NODE, kind)(name)


@pytest.mark.parametrize("index", ["", "x", "-1", "٣", "9" * 5000])
def test_what_follows_a_colon_and_is_no_output_belongs_to_the_name(index):
    assert Value.parse("a/b:1") == Value("a/b", 1)
    assert Value.parse(f"a:{index}") == Value(f"a:{index}", 0)
