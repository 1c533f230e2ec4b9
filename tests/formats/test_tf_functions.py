"""Function bodies: the number of every value against TensorFlow's own conversion of a function to a graph."""

import pytest
import tensorflow as tf
from tensorflow.python.framework import function_def_to_graph

from reprise import formats
from reprise.errors import DamagedFile
from reprise.graph import FunctionName


def build():
    """A graph with a loop, a branch and operators of several outputs inside functions."""

    @tf.function
    def body(x, n):
        values, ids = tf.math.top_k(x, 2)
        a, b, c = tf.split(x, 3)
        mean, variance = tf.nn.moments(x, [0])
        kept, places = tf.unique(ids)
        stack = tf.TensorArray(tf.float32, 0, dynamic_size=True, clear_after_read=False)
        for i in tf.range(n):
            stack = stack.write(i, tf.cast(kept[0], tf.float32) + values[1] * mean + variance)
        lists = tf.raw_ops.TensorListFromTensor(tensor=stack.stack(), element_shape=tf.constant([], tf.int32))
        lists, last = tf.raw_ops.TensorListPopBack(
            input_handle=lists, element_shape=tf.constant([], tf.int32), element_dtype=tf.float32
        )
        loss, slope = tf.raw_ops.SoftmaxCrossEntropyWithLogits(features=tf.stack([a, b]), labels=tf.stack([b, c]))
        return tf.cond(n > 2, lambda: slope[0] + last, lambda: c + loss[0] + tf.cast(places[0], tf.float32))

    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [6], "x")
        n = tf.compat.v1.placeholder(tf.int32, [], "n")
        body(x, n)
    return graph.as_graph_def()


def test_every_input_of_every_function_is_numbered_as_tensorflow_numbers_it(tmp_path):
    definition = build()
    (tmp_path / "graph.pb").write_bytes(definition.SerializeToString())
    ours = formats.read(tmp_path / "graph.pb").graph.functions
    compared = 0
    for proto in definition.library.function:
        theirs, nested = function_def_to_graph.function_def_to_graph_def(proto)
        function = ours[proto.signature.name]
        for node in theirs.node:
            expected = [t if ":" in t else f"{t}:0" for t in node.input if not t.startswith("^")]
            if node.name in function.nodes:
                assert [str(value) for value in function.nodes[node.name].inputs] == expected, node.name
                compared += len(expected)
        results = [nested[proto.ret[out.name]] for out in proto.signature.output_arg]
        assert [str(value) for value in function.results] == results
        assert list(function.arguments) == [a.name for a in proto.signature.input_arg]
    assert compared > 50


def test_a_call_names_its_function(tmp_path):
    (tmp_path / "graph.pb").write_bytes(build().SerializeToString())
    graph = formats.read(tmp_path / "graph.pb").graph
    called = [v for node in graph for v in node.attributes.values() if isinstance(v, FunctionName)]
    assert called
    assert all(name in graph.functions for (name,) in called)


def test_an_output_that_an_operator_does_not_have_is_refused(tmp_path):
    definition = build()
    for function in definition.library.function:
        for node in function.node_def:
            node.input[:] = [name.replace(":values:", ":valves:") for name in node.input]
    (tmp_path / "graph.pb").write_bytes(definition.SerializeToString())
    with pytest.raises(DamagedFile, match=r"graph\.pb: function .* reads '.*:valves:0', no output of TopKV2"):
        formats.read(tmp_path / "graph.pb")
