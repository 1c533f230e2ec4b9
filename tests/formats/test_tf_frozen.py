"""Frozen graphs, binary and as text, whose constants TensorFlow or our own table of messages wrote."""

import contextlib
import random

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format

from reprise import formats
from reprise.errors import DamagedFile, ReadError, UnknownFormat
from reprise.graph import ShapeAttribute, Value
from tests.formats.contract import FormatContract

RNG = np.random.default_rng(0)
SMALL = RNG.normal(size=(3, 4)).astype(np.float32)
LARGE = RNG.normal(size=(300, 100)).astype(np.float32)  # beyond what is copied out of the file


class TestContract(FormatContract):
    name = "TensorFlow graph"

    @classmethod
    def write(cls, folder):
        with tf.Graph().as_default() as graph:
            x = tf.compat.v1.placeholder(tf.float32, [None, 3], "x")
            tf.matmul(x, tf.constant(SMALL, name="small"), name="y")
        (folder / "frozen.pb").write_bytes(graph.as_graph_def().SerializeToString())
        return folder / "frozen.pb"


@pytest.fixture(scope="module")
def definition():
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None, 300], "x")
        y = tf.matmul(x, tf.constant(LARGE, name="large"), name="y")
        with tf.control_dependencies([y]):
            tf.split(tf.constant(SMALL, name="small"), 2, axis=1, name="halves")[1] * tf.constant(
                2.0, shape=[3, 2], name="two"
            )
        tf.constant([b"a", b"\xff"], name="text")
        tf.constant([1.5, -2], tf.bfloat16, name="brain")
    return graph.as_graph_def()


@pytest.fixture(params=["frozen.pb", "frozen.pbtxt", "weights.bin"])
def frozen(request, definition, tmp_path):
    file = tmp_path / request.param
    text = request.param.endswith("txt")
    file.write_bytes(text_format.MessageToString(definition).encode() if text else definition.SerializeToString())
    return file


def constant(model, name):
    return model.graph[name].attributes["value"].load()


def test_constants_hold_their_numbers(frozen):
    model = formats.read(frozen)
    assert np.array_equal(constant(model, "small"), SMALL)
    assert np.array_equal(constant(model, "large"), LARGE)
    assert np.array_equal(constant(model, "two"), np.full((3, 2), 2, np.float32))
    assert list(constant(model, "text")) == [b"a", b"\xff"]
    assert constant(model, "brain").astype(np.float32).tolist() == [1.5, -2]


def test_nodes_inputs_and_attributes_are_those_of_the_file(frozen):
    graph = formats.read(frozen).graph
    assert list(graph.nodes)[:3] == ["x", "large", "y"]
    assert graph["y"].inputs == (Value("x"), Value("large"))
    assert graph["mul"].inputs == (Value("halves", 1), Value("two"))
    assert graph["halves"].controls == ("y",) or graph["small"].controls == ("y",)
    assert graph["x"].attributes["shape"] == ShapeAttribute((None, 300))
    assert graph["x"].attributes["dtype"] == "float32"
    assert graph["y"].attributes["transpose_a"] is False


def test_a_large_constant_is_not_copied_out_of_the_file(definition, tmp_path):
    file = tmp_path / "frozen.pb"
    file.write_bytes(definition.SerializeToString())
    array = constant(formats.read(file), "large")
    assert not array.flags.owndata
    assert not array.flags.writeable


def test_a_large_constant_of_another_size_than_its_shape_is_refused(definition, tmp_path):
    changed = type(definition).FromString(definition.SerializeToString())
    changed.node[1].attr["value"].tensor.tensor_content += b"\0\0\0\0"
    file = tmp_path / "frozen.pb"
    file.write_bytes(changed.SerializeToString())
    with pytest.raises(DamagedFile, match=r"node large of float32 \[300, 100\] has 120004 bytes, expected 120000"):
        formats.read(file)


def test_a_changed_or_cut_file_is_refused_or_a_graph(definition, tmp_path):
    file = tmp_path / "frozen.pb"
    whole = definition.SerializeToString()
    rng = random.Random(3)
    places = [rng.randrange(len(whole)) for _ in range(150)] + list(range(0, 300, 2))
    for at in places:
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :]):
            file.write_bytes(damaged)
            with contextlib.suppress(ReadError):
                model = formats.read(file)
                assert all(dict(node.attributes) is not None for node in model.graph)


def test_two_nodes_of_one_name_are_refused(definition, tmp_path):
    changed = type(definition).FromString(definition.SerializeToString())
    changed.node.add(name="x", op="NoOp")
    (tmp_path / "frozen.pb").write_bytes(changed.SerializeToString())
    with pytest.raises(DamagedFile, match="two nodes have one name"):
        formats.read(tmp_path / "frozen.pb")


def test_a_saved_model_under_another_name_is_no_frozen_graph(tmp_path):
    (tmp_path / "other.pb").write_bytes(b"\x08\x01\x12\x00")
    with pytest.raises(
        UnknownFormat, match=r"other\.pb: seems to be the file of a SavedModel\. Name it saved_model\.pb, with"
    ):
        formats.read(tmp_path / "other.pb")
