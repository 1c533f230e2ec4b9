"""A graph with a copy for training over several steps and a copy of one step that samples, sharing their weights."""

import numpy as np
import pytest
import tensorflow as tf

import reprise

tf1 = tf.compat.v1
D, H, V = 4, 3, 5


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The sampling copy hands its state straight to the head: nothing joins the output of one step."""
    prefix = tmp_path_factory.mktemp("copies") / "model.ckpt"
    with tf.Graph().as_default(), tf1.Session() as session:
        kernel = tf1.get_variable("kernel", [D + H, 4 * H], use_resource=False)
        head = tf1.get_variable("head", [H, V], use_resource=False)

        def cell(x, c, h):
            i, j, f, o = tf.split(tf.matmul(tf.concat([x, h], 1), kernel), 4, 1)
            c = c * tf.sigmoid(f + 1.0) + tf.sigmoid(i) * tf.tanh(j)
            return c, tf.tanh(c) * tf.sigmoid(o)

        rows = [tf1.placeholder(tf.float32, [2, D], f"row{t}") for t in range(3)]
        targets = tf1.placeholder(tf.int32, [6], "targets")
        c = h = tf.zeros([2, H])
        outputs = []
        for row in rows:
            c, h = cell(row, c, h)
            outputs.append(h)
        logits = tf.matmul(tf.concat(outputs, 0), head)
        tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits))
        first_c, first_h = (tf1.placeholder(tf.float32, [1, H], n) for n in ("first_c", "first_h"))
        c, h = cell(tf1.placeholder(tf.float32, [1, D], "one"), first_c, first_h)
        tf.nn.softmax(tf.matmul(h, head), name="sampled")
        session.run(tf1.global_variables_initializer())
        tf1.train.Saver().save(session, str(prefix))
    return prefix


def test_the_copy_of_one_step_gives_every_step_of_a_run(saved):
    model = reprise.restore(saved)
    assert model.interface.outputs[-1].tensor == "sampled:0"
    x = np.random.default_rng(0).normal(size=(7, 1, D)).astype(np.float32)
    whole, after = model.run(x)
    assert whole["probabilities"].shape == (7, V)
    state = None
    for t in range(7):
        one, state = model.step(x[t], state)
        np.testing.assert_allclose(one["probabilities"][0], whole["probabilities"][t], atol=1e-6)
    for name, value in state.items():
        np.testing.assert_allclose(value, after[name], atol=1e-6)
