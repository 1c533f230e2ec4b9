"""Our table of ONNX messages against the descriptors of the `onnx` package."""

import numpy as np
import onnx
import pytest

from reprise.wire import onnx as ours

NESTED = {"Dimension": onnx.TensorShapeProto.Dimension, "TensorTypeProto": onnx.TypeProto.Tensor}
NAMES = [line for line in ours._MESSAGES.split("\n") if line and not line.startswith(" ")]


@pytest.mark.parametrize("name", NAMES)
def test_every_field_has_the_number_and_the_type_that_onnx_gives_it(name):
    theirs = NESTED.get(name) or getattr(onnx, name)
    for field in ours.SCHEMA.message(name).DESCRIPTOR.fields:
        other = theirs.DESCRIPTOR.fields_by_name[field.name]
        assert (field.number, field.type, field.is_repeated) == (other.number, other.type, other.is_repeated)


@pytest.mark.parametrize("name", [n for n in ours.ELEMENT_TYPES if n != "string"])
def test_element_types_have_the_numbers_of_onnx(name):
    assert ours.ELEMENT_TYPES[name] == onnx.helper.np_dtype_to_tensor_dtype(np.dtype(name))


@pytest.mark.parametrize("kind", ours.ATTRIBUTE_TYPES)
def test_kinds_of_attributes_have_the_numbers_of_onnx(kind):
    assert ours.ATTRIBUTE_TYPES[kind] == onnx.AttributeProto.AttributeType.Value(kind)


def test_attributes_read_as_what_they_were_given_as():
    given = {
        "axis": 0,
        "alpha": 0.5,
        "mode": "constant",
        "perm": [1, 0],
        "scales": [0.5, 1.0],
        "activations": ["Tanh", "Relu"],
    }
    node = onnx.NodeProto.FromString(ours.node("Any", ["a"], ["b"], **given).SerializeToString())
    read = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    assert read == {**given, "mode": b"constant", "activations": [b"Tanh", b"Relu"]}


@pytest.mark.parametrize("dtype", [n for n in ours.ELEMENT_TYPES if n != "string"])
def test_a_tensor_reads_the_same_here_and_there(dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    made = ours.tensor(array, "t")
    theirs = onnx.numpy_helper.to_array(onnx.TensorProto.FromString(made.SerializeToString()))
    for read in (ours.array_of(made), theirs):
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)


def test_an_unknown_element_type_is_said():
    made = ours.tensor(np.zeros(1, np.float32), "t")
    made.data_type = 99
    with pytest.raises(ValueError, match="tensor 't' has the unknown element type 99"):
        ours.array_of(made)
