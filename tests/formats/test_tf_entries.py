"""Signatures and functions of SavedModels that TensorFlow 2 writes, each as a graph."""

import numpy as np
import pytest
import tensorflow as tf

from reprise import formats
from reprise.errors import DamagedFile
from reprise.graph import ShapeAttribute, Value


class Words(tf.Module):
    """A function without a signature that looks words up and keeps a count."""

    def __init__(self, file):
        super().__init__()
        self.parts = [tf.Variable(tf.ones([2, 3])), tf.Variable(tf.zeros([3]))]
        self.count = tf.Variable(3.0, name="count")
        initializer = tf.lookup.TextFileInitializer(file, tf.string, -2, tf.int64, -1)
        self.table = tf.lookup.StaticHashTable(initializer, -1)

    @tf.function(
        input_signature=[tf.TensorSpec([None, 2]), {"state": tf.TensorSpec([None, 3])}, tf.TensorSpec([], tf.string)]
    )
    def step(self, x, memory, word):
        self.count.assign_add(1)
        return x @ self.parts[0] + memory["state"] + self.parts[1], self.table.lookup(word)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with a model that has functions alone, and one with a signature."""
    root = tmp_path_factory.mktemp("entries")
    (root / "words.txt").write_text("the\na\n")
    words = Words(str(root / "words.txt"))
    tf.saved_model.save(words, str(root / "functions"), signatures={})
    double = tf.function(lambda x: {"twice": 2 * x}, input_signature=[tf.TensorSpec([None, 2], name="x")])
    words.double = double
    tf.saved_model.save(words, str(root / "signature"), signatures={"double": double})
    return root


def test_a_function_has_a_placeholder_for_each_argument_and_a_node_for_each_result(saved):
    graph = formats.read(saved / "functions").entries["step"]
    arguments = [n for n in graph if n.op == "Placeholder"]
    assert [n.name for n in arguments] == ["x", "state", "word"]
    assert (arguments[1].dtype("dtype"), arguments[1].attributes["shape"]) == ("float32", ShapeAttribute((None, 3)))
    assert graph.results == (Value("result_0"), Value("result_1"))


def test_variables_have_their_own_names_or_paths_and_their_stored_tensors(saved):
    model = formats.read(saved / "functions")
    assert set(model.variable_names) == {"parts/0", "parts/1", "count"}
    assert np.array_equal(model.weights[model.variable_names["parts/0"]].load(), np.ones((2, 3)))


def test_a_table_is_filled_from_the_asset_that_its_initializer_names(saved):
    graph = formats.read(saved / "functions").entries["step"]
    [filled] = [n for n in graph if n.op == "InitializeTableV2"]
    keys, values = (graph[v.node].constant.load().tolist() for v in filled.inputs[1:])
    assert (keys, values) == ([b"the", b"a"], [0, 1])


def test_the_words_of_a_table_are_the_vocabulary(saved):
    assert formats.read(saved / "functions").vocabulary.symbols == ("the", "a")


def test_signatures_come_first_and_the_functions_that_they_call_are_not_repeated(saved):
    entries = formats.read(saved / "signature").entries
    assert list(entries) == ["double", "step"]
    assert entries["double"].results == (Value("twice"),)


def test_a_file_without_functions_is_read_as_its_graph(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path))
    model = formats.read(tmp_path)
    assert not model.entries
    assert model.graph is not None


def test_object_graphs_that_contradict_themselves_are_refused(saved, tmp_path):
    from reprise.wire.messages import message_class

    proto = message_class("SavedModel").FromString((saved / "functions" / "saved_model.pb").read_bytes())
    objects = proto.meta_graphs[0].object_graph_def
    (tmp_path / "variables").symlink_to(saved / "functions" / "variables")
    step = next(function for name, function in objects.concrete_functions.items() if "step" in name)
    changes = (
        (objects.nodes[0].children[0], "node_id", 10**6, "has a child that is not in the file"),
        (step, "bound_inputs", [10**6], "object 1000000 is asked for"),
    )
    for owner, field, value, words in changes:
        before = owner.SerializeToString()
        _set(owner, field, value)
        (tmp_path / "saved_model.pb").write_bytes(proto.SerializeToString())
        with pytest.raises(DamagedFile, match=words):
            formats.read(tmp_path)
        owner.ParseFromString(before)


def _set(message, field, value):
    if isinstance(value, list):
        del getattr(message, field)[:]
        getattr(message, field).extend(value)
    else:
        setattr(message, field, value)
