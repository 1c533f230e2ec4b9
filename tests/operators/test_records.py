"""What every record says, beside what its rules compute: names, inputs, outputs, attributes, one place for each."""

import ast
import re
import statistics
from collections import defaultdict
from pathlib import Path

import pytest
from tensorflow.python.framework import op_def_registry

import reprise
from reprise.errors import DiscoveryError
from reprise.graph import Node
from reprise.operators import OPERATORS, Tag, named
from reprise.operators.rules.attributes import Flag, Integer, Integers

SOURCES = Path(reprise.__file__).parent
#: Functions whose arguments are names of ONNX's operators.
EMITTING = {"one", "add", "node", "same"}


DEFINITIONS = {op: found for op in OPERATORS if (found := op_def_registry.get(op)) is not None}


def test_each_name_stands_in_one_record():
    for op, record in OPERATORS.items():
        assert op in record.names.split()
        assert all(OPERATORS[name] is record for name in record.names.split())


def test_most_records_are_of_operators_that_tensorflow_still_has():
    assert len(DEFINITIONS) > 350


def test_inputs_are_as_many_as_in_tensorflows_definitions():
    for op, definition in DEFINITIONS.items():
        least = {a.name: a.minimum if a.has_minimum else 0 for a in definition.attr}
        lists = [a.number_attr or a.type_list_attr for a in definition.input_arg]
        assert OPERATORS[op].inputs == sum(least[name] if name else 1 for name in lists), op


def test_outputs_have_the_names_of_tensorflows_definitions():
    for op, definition in DEFINITIONS.items():
        counted = [(a.name, a.number_attr or a.type_list_attr) for a in definition.output_arg]
        outputs = [f"{name}*{by}" if by else name for name, by in counted]
        one = len(outputs) == 1 and not counted[0][1]
        assert OPERATORS[op].outputs.split() == (["output"] if one else outputs), op


def test_attributes_have_the_names_and_defaults_of_tensorflows_definitions():
    for op, definition in DEFINITIONS.items():
        theirs = {a.name: a for a in definition.attr}
        for attribute in OPERATORS[op].attributes:
            default = theirs[attribute.name].default_value
            kind = default.WhichOneof("value")
            if kind in ("i", "f", "b"):
                assert attribute.default == pytest.approx(getattr(default, kind)), (op, attribute)
            if kind == "s":
                assert attribute.default == default.s.decode(), (op, attribute)


def test_an_attribute_is_read_with_its_kind_and_default():
    axis, keeps = Integer("axis", -1), Flag("keep_dims")
    assert axis(Node("x", "OneHot")) == -1
    assert axis(Node("x", "OneHot", attributes={"axis": 2})) == 2
    assert keeps(Node("x", "Sum")) is False
    with pytest.raises(DiscoveryError, match=r"operator 'OneHot' \(node 'x'\): expected a whole number .* 'axis'"):
        axis(Node("x", "OneHot", attributes={"axis": b"2"}))
    with pytest.raises(DiscoveryError, match="attribute 'num', found none"):
        Integer("num")(Node("x", "Unpack"))


def test_an_attribute_says_what_fits_it():
    assert Integer("axis").fits(3)
    assert not Integer("axis").fits("3")
    assert Integers("strides").fits((1, 2))
    assert not Integers("strides").fits((1, "2"))
    assert not Integers("strides").fits(1)


def test_kinds_are_asked_by_tag():
    assert named(Tag.JOIN) == {"Concat", "ConcatV2"}
    assert named(Tag.ADDITION, Tag.SELECT) == {"Add", "AddV2", "Select", "SelectV2"}


def strings(tree):
    """The strings of a module that are no docstrings and no names of ONNX's operators."""
    left_out = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and isinstance(node.body[0], ast.Expr):
            left_out.add(node.body[0].value)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in EMITTING:
            left_out.update(node.args)
    constants = (n for n in ast.walk(tree) if isinstance(n, ast.Constant) and n not in left_out)
    return [n.value for n in constants if isinstance(n.value, str) and re.fullmatch(r"[\w ]+", n.value)]


def test_most_operators_are_named_in_one_file():
    named_in = defaultdict(set)
    for path in SOURCES.rglob("*.py"):
        # LiteRT's operators are not those of this table, and its reader has to say of each which of these it is.
        translates = path.parent.name == "_litert"
        if path.relative_to(SOURCES).parts[0] not in ("train", "tensorflow", "wire") and not translates:
            for word in {word for text in strings(ast.parse(path.read_text("utf-8"))) for word in text.split()}:
                named_in[word].add(path)
    assert statistics.median(len(named_in[op]) for op in OPERATORS) == 1
