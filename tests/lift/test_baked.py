"""Numbers of steps and rows that a file bakes in, set free: the model runs over sequences of other lengths."""

import numpy as np
import pytest

import reprise
from tests.graphs import D, H, V, dense, gru, lstm, rolled
from tests.tensorflow.building import saved_by_tensorflow, session, tf, v1, variable

N, T, Z = 2, 4, 3


def conditioned():
    """A decoder whose every step sees the code of its row, repeated for as many steps as the file has."""
    x, z = v1.placeholder(tf.float32, [N, T, D], "x"), v1.placeholder(tf.float32, [N, Z], "z")
    codes = tf.tile(tf.reshape(z, [N, 1, Z]), [1, T, 1])
    rows = tf.transpose(tf.concat([x, codes], 2), [1, 0, 2])
    hidden, _ = rolled(gru, rows, [tf.tanh(dense("first", z, H))])
    tf.identity(dense("output", tf.reshape(tf.transpose(hidden, [1, 0, 2]), [-1, H]), V), "logits")


def streaming():
    """One row only: the frames are seen each alone, then laid out for the recurrence again."""
    x = v1.placeholder(tf.float32, [1, T, D], "x")
    flat = tf.nn.relu(dense("first", tf.reshape(tf.transpose(x, [1, 0, 2]), [-1, D]), D))
    hidden, _ = rolled(lstm, tf.reshape(flat, [-1, 1, D]), [tf.zeros([1, H])] * 2)
    tf.identity(dense("output", tf.reshape(hidden, [-1, H]), V), "logits")


def pictures():
    """`TimeDistributed` layers of Keras with a batch size of any number and as many pictures as the file has."""
    x = v1.placeholder(tf.float32, [None, T, 6, 6, 1], "x")
    seen = tf.nn.relu(tf.nn.conv2d(tf.reshape(x, [-1, 6, 6, 1]), variable("window", 3, 3, 1, 2), 1, "VALID"))
    whole = tf.reshape(tf.reshape(seen, [-1, T, 4, 4, 2]), [-1, 4, 4, 2])
    rows = tf.transpose(tf.reshape(tf.reshape(whole, [-1, 32]), [-1, T, 32]), [1, 0, 2])
    hidden, _ = rolled(gru, rows, [tf.zeros([tf.shape(rows)[1], H])])
    tf.identity(dense("output", tf.reshape(hidden, [-1, H]), V), "logits")


@pytest.mark.parametrize(
    ("build", "shapes"),
    [
        (conditioned, {"x": (N, 2 * T, D), "z": (N, Z)}),
        (streaming, {"x": (1, 2 * T, D)}),
        (pictures, {"x": (N, 2 * T, 6, 6, 1)}),
    ],
)
def test_a_sequence_of_twice_the_length_begins_as_one_of_the_length_of_the_file(tmp_path, build, shapes):
    feeds = {name: np.random.default_rng(1).normal(size=shape).astype("float32") for name, shape in shapes.items()}
    with session() as opened:
        build()
        saved_by_tensorflow(opened, tmp_path / "model.ckpt")
        right = opened.run("logits:0", {f"{k}:0": v[:, :T] if k == "x" else v for k, v in feeds.items()})
    model = reprise.restore(tmp_path / "model.ckpt")
    (logits,) = model.run(feeds)[0].values()
    rows, count = model.interface.outputs[0].rows, len(feeds["x"])
    by_step = np.moveaxis(logits.reshape(count, 2 * T, V), 1, 0) if rows == "batch-major" else logits
    expected = np.moveaxis(right.reshape(count, T, V), 1, 0) if rows == "batch-major" else right
    np.testing.assert_allclose(by_step.reshape(2 * T, count, V)[:T], expected.reshape(T, count, V), atol=1e-5)
