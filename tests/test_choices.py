"""What a caller decides where a file holds more than one answer: moving averages of the weights."""

import numpy as np
import pytest
import tensorflow as tf

import reprise
from reprise.errors import CallError

tf1 = tf.compat.v1


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    """A model whose weights are 1 and whose moving averages are 0.5."""
    prefix = tmp_path_factory.mktemp("averaged") / "model.ckpt"
    with tf.Graph().as_default(), tf1.Session() as session:
        x = tf1.placeholder(tf.float32, [None, None, 2], "x")
        weight = tf1.get_variable("weight", initializer=tf.ones([2, 2]), use_resource=False)
        first = tf1.placeholder(tf.float32, [None, 2], "first")
        states = tf1.scan(lambda h, row: tf.tanh(tf.matmul(row, weight) + 0.5 * h), x, first)
        tf.identity(states * 2.0, "y")
        average = tf1.train.ExponentialMovingAverage(0.5)
        average.apply([weight])
        shadow = average.average(weight)
        session.run(weight.initializer)
        session.run(shadow.assign(tf.fill([2, 2], 0.5)))
        tf1.train.Saver().save(session, str(prefix))
    return prefix


def first_row(model):
    x = np.full((1, 1, 2), 0.1, np.float32)
    return model.run({"x": x})[0]["y"].ravel()


def test_the_plain_weights_are_used_unless_their_averages_are_asked_for(averaged):
    np.testing.assert_allclose(first_row(reprise.restore(averaged)), 2 * np.tanh(0.2), atol=1e-6)
    np.testing.assert_allclose(first_row(reprise.restore(averaged, averages=True)), 2 * np.tanh(0.1), atol=1e-6)


def test_averages_that_a_file_does_not_keep_are_refused(tmp_path):
    with tf.Graph().as_default(), tf1.Session() as session:
        x = tf1.placeholder(tf.float32, [None, None, 2], "x")
        weight = tf1.get_variable("weight", [2, 2], use_resource=False)
        states = tf1.scan(
            lambda h, row: tf.tanh(tf.matmul(row, weight) + 0.5 * h), x, tf1.placeholder(tf.float32, [None, 2])
        )
        tf.identity(states * 2.0)
        session.run(tf1.global_variables_initializer())
        tf1.train.Saver().save(session, str(tmp_path / "m"))
    with pytest.raises(CallError, match="averages were asked for, and the file keeps no moving averages"):
        reprise.restore(tmp_path / "m", averages=True)
