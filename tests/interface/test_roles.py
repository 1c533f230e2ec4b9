"""What inputs and outputs are taken for, and that the evidence names what is in the file."""

import re

import pytest

from tests.graphs import H, V, dense, gru, interface_of, rolled
from tests.tensorflow.building import session, tf, v1, variable

N, T = 2, 3


def hidden_states(rows):
    return rolled(gru, tf.transpose(rows, [1, 0, 2]), [tf.zeros([tf.shape(rows)[0], H])])[0]


def forecast():
    x = v1.placeholder(tf.float32, [None, None, 2], "x")
    tf.tensordot(hidden_states(x), variable("output", H, 2), 1, name="y")


def bits():
    x = v1.placeholder(tf.float32, [None, None, 8], "x")
    tf.sigmoid(tf.tensordot(hidden_states(x), variable("output", H, 8), 1), name="y")


def symbols():
    x = v1.placeholder(tf.float32, [None, None, V], "x")
    tf.nn.softmax(tf.tensordot(hidden_states(x), variable("output", H, V), 1), name="y")


@pytest.mark.parametrize(("build", "role"), [(forecast, "features"), (bits, "features"), (symbols, "one-hot")])
def test_vectors_stand_for_symbols_where_as_many_are_scored(build, role):
    (port,) = interface_of(build).inputs
    assert port.role == role


def mean_of_steps():
    lengths, ids = v1.placeholder(tf.int32, [None]), v1.placeholder(tf.int32, [None, None])
    total = tf.reduce_sum(hidden_states(tf.gather(variable("table", V, 4), ids)), 0)
    tf.identity(dense("scores", total / tf.cast(lengths[:, None], tf.float32), V), "y")


def test_numbers_that_divide_what_is_summed_over_the_steps_are_lengths():
    assert [(p.name, p.role) for p in interface_of(mean_of_steps).inputs] == [
        ("lengths", "lengths"),
        ("tokens", "tokens"),
    ]


def likelihood(rewarded):
    """The losses of a generator that is trained by hand: the logarithms of what it gave to the ids that it read."""
    ids, rewards = v1.placeholder(tf.int32, [N, T]), v1.placeholder(tf.float32, [N, T])
    hidden = hidden_states(tf.gather(variable("table", V, 4), ids))
    scores = tf.nn.softmax(tf.tensordot(hidden, variable("output", H, V), 1), name="scores")
    logarithms = tf.math.log(tf.clip_by_value(tf.reshape(scores, [-1, V]), 1e-20, 1.0))
    picked = tf.reduce_sum(tf.one_hot(tf.reshape(tf.transpose(ids), [-1]), V) * logarithms, 1)
    tf.identity(-tf.reduce_sum(picked * tf.reshape(rewards, [-1]) if rewarded else picked) / (N * T), "loss")


@pytest.mark.parametrize("rewarded", [False, True])
def test_the_probabilities_are_the_output_where_a_loss_takes_their_logarithms(rewarded):
    outputs = interface_of(lambda: likelihood(rewarded)).outputs
    assert [(p.tensor, p.role) for p in outputs if p.role != "logits"] == [("scores:0", "probabilities")]


def written_out():
    x, h = v1.placeholder(tf.float32, [N, T, 4], "x"), tf.zeros([N, H])
    for row in tf.unstack(x, axis=1):
        (h,) = gru(row, h)
    tf.identity(dense("scores", h, V), "y")


def one_step():
    x, h = v1.placeholder(tf.float32, [N, 4], "x"), v1.placeholder(tf.float32, [N, H], "h")
    tf.identity(dense("scores", gru(x, h)[0], V), "y")


@pytest.mark.parametrize("build", [forecast, mean_of_steps, written_out, one_step])
def test_the_evidence_names_tensors_of_the_file(build):
    with session() as opened:
        build()
        names = {node.name for node in opened.graph_def.node}
    named = re.findall(r"[\w./]+(?=:\d)", " ".join(interface_of(build).evidence))
    assert named
    assert set(named) <= names
