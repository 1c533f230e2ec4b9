"""Outputs that the file's own signature names."""

import numpy as np

import reprise
from tests.graphs import D, H, V, dense, gru, rolled
from tests.tensorflow.building import session, tf, v1, variable


def published(folder, build, feeds):
    """What TensorFlow computes for `feeds` of the signature that `build` makes, after it has saved it in `folder`."""
    with session() as opened:
        inputs, outputs = build()
        opened.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(opened, str(folder), inputs, outputs)
        return opened.run(outputs, {inputs[name]: array for name, array in feeds.items()})


def answering():
    """A decoder that reads its own best symbol, from the state that an encoder leaves, until all rows have ended."""
    x = v1.placeholder(tf.float32, [None, None, D], "x")
    rows = tf.shape(x)[1]
    _, (code,) = rolled(lambda x, h: gru(x, h, "encoder"), x, [tf.zeros([rows, H])])
    table, made = variable("embedding", V, D), tf.TensorArray(tf.int32, 6, element_shape=[None])

    def body(t, symbol, ended, made, h):
        (h,) = gru(tf.gather(table, symbol), h, "decoder")
        with v1.variable_scope("", reuse=v1.AUTO_REUSE):
            symbol = tf.argmax(dense("output", h, V), 1, output_type=tf.int32)
        return t + 1, symbol, ended | tf.equal(symbol, 0), made.write(t, symbol), h

    first = (0, tf.fill([rows], 1), tf.fill([rows], False), made, code)
    shapes = tuple(tf.TensorShape(s) for s in ([], [None], [None], None, [None, H]))
    *_, made, _ = v1.while_loop(lambda t, symbol, ended, *_: t < 6, body, first, shapes)
    return {"x": x}, {"answer": tf.transpose(made.stack(), name="drawn")}


def tagging():
    """Labels of a sequence, chosen by another way where it has one step alone."""
    x = v1.placeholder(tf.float32, [None, None, D], "x")
    hidden, _ = rolled(gru, x, [tf.zeros([tf.shape(x)[1], H])])
    scores = tf.tensordot(hidden, variable("output", H, V), 1)

    def alone():
        return tf.expand_dims(tf.argmax(tf.squeeze(scores, 0), 1), 0)

    labels = v1.cond(tf.equal(tf.shape(scores)[0], 1), alone, lambda: tf.argmax(tf.cumsum(scores), 2))
    return {"x": x}, {"labels": labels}


def test_symbols_that_a_signature_names_are_given_as_the_file_draws_them(tmp_path):
    x = np.random.default_rng(0).normal(size=(4, 2, D)).astype(np.float32)
    expected = published(tmp_path / "model", answering, {"x": x})["answer"]
    for options in ({}, {"outputs": ["drawn:0"]}):
        model = reprise.restore(tmp_path / "model", **options)
        (port,) = model.interface.outputs
        assert (port.name, port.role) == ("answer", "ids")
        assert not model.interface.steppable
        np.testing.assert_array_equal(model.run({"x": x})[0]["answer"], expected)


def test_a_branch_for_a_sequence_of_one_step_does_not_bake_the_length_in(tmp_path):
    for steps in (1, 5):
        x = np.random.default_rng(steps).normal(size=(steps, 2, D)).astype(np.float32)
        folder = tmp_path / str(steps)
        expected = published(folder, tagging, {"x": x})["labels"]
        model = reprise.restore(folder)
        assert [p.shape for p in model.interface.inputs] == [(None, None, D)]
        found = model.run(x)[0]
        assert "labels" in found
        np.testing.assert_array_equal(found["labels"], expected)
