"""A graph with one byte changed: the program's own errors, or a model; never anything else."""

import random
import shutil

import numpy as np
import pytest

import reprise
from reprise.errors import DiscoveryError, RepriseError
from reprise.graph import Graph, Node, Value
from reprise.interface import discover
from tests import graphs
from tests.tensorflow.building import tf, v1, variable


def recurrent():
    x, first = v1.placeholder(tf.float32, [None, None, 3], "x"), v1.placeholder(tf.float32, [None, 4], "first")
    kernel = variable("kernel", 7, 4)
    states = v1.scan(lambda h, row: tf.tanh(tf.matmul(tf.concat([row, h], 1), kernel)), x, first)
    tf.nn.softmax(tf.tensordot(states, variable("head", 4, 5), 1))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A recurrent graph and its weights, written by TensorFlow."""
    return graphs.saved(tmp_path_factory.mktemp("saved"), recurrent)


@pytest.mark.parametrize("seed", range(4))
def test_any_one_byte_of_a_graph_changed_gives_our_own_errors_or_a_model(saved, tmp_path, seed):
    for file in saved.parent.iterdir():
        shutil.copy(file, tmp_path)
    meta = tmp_path / "model.ckpt.meta"
    whole, places = meta.read_bytes(), random.Random(seed)
    refused = 0
    for _ in range(100):
        changed = bytearray(whole)
        changed[places.randrange(len(whole))] ^= 1 << places.randrange(8)
        meta.write_bytes(changed)
        try:
            model = reprise.restore(tmp_path / "model.ckpt")
            model.run({p.name: np.zeros([n or 2 for n in p.shape], p.dtype) for p in model.interface.inputs})
        except RepriseError:
            refused += 1
    assert refused > 5


def test_a_node_that_reads_what_is_not_there_is_named():
    graph = Graph.of([Node("y", "Tanh", (Value("x"),))])
    with pytest.raises(DiscoveryError, match=r"node 'y' \(Tanh\) reads x:0, which is not in the graph"):
        discover(graph)


def test_control_flow_without_its_inputs_is_named():
    graph = Graph.of([Node("x", "Placeholder"), Node("s", "Switch", (Value("x"),))])
    with pytest.raises(DiscoveryError, match="node 's': Switch has 1 inputs where it needs 2"):
        discover(graph)
