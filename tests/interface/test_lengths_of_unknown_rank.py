"""`tf.placeholder(tf.int32)` without a shape as the lengths of rows, as programs feed them that name no shapes."""

import numpy as np

import reprise
from tests.graphs import D, H, V, dense, gru
from tests.tensorflow.building import saved_by_tensorflow, session, tf, v1

N, T = 3, 5


def rows_that_end():
    """What `dynamic_rnn` writes with `sequence_length`: states stay, and outputs are zero, behind the end of a row."""
    x, lengths = v1.placeholder(tf.float32, [None, None, D], "x"), v1.placeholder(tf.int32, name="lengths")
    most, zeros = tf.reduce_max(lengths), tf.zeros([tf.shape(x)[1], H])
    steps = tf.shape(x)[0]
    read, made = tf.TensorArray(tf.float32, steps).unstack(x), tf.TensorArray(tf.float32, steps)

    def body(t, made, h):
        over, (new,) = t >= lengths, gru(read.read(t), h)
        moved = v1.cond(t < most, lambda: v1.where(over, h, new), lambda: h)
        return t + 1, made.write(t, v1.where(over, zeros, new)), moved

    _, made, last = v1.while_loop(lambda t, *_: t < steps, body, (0, made, zeros))
    tf.identity(dense("scores", last, V), "y")
    tf.identity(made.stack(), "outputs")


def test_lengths_whose_shape_the_file_does_not_say_are_a_vector(tmp_path):
    rng = np.random.default_rng(0)
    fed = {"x": rng.normal(size=(T, N, D)).astype(np.float32), "lengths": np.array([2, 5, 3], np.int32)}
    with session() as opened:
        rows_that_end()
        saved_by_tensorflow(opened, tmp_path / "model")
        truth = opened.run("outputs:0", {f"{name}:0": value for name, value in fed.items()})
    model = reprise.restore(tmp_path / "model", outputs=["outputs:0"])
    lengths = next(p for p in model.interface.inputs if p.tensor == "lengths:0")
    assert (lengths.shape, lengths.batch_axis, lengths.role) == ((None,), 0, "lengths")
    np.testing.assert_allclose(next(iter(model.run(fed)[0].values())), truth, rtol=1e-5, atol=1e-6)
