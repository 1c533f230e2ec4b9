"""Numbers that depend on the position in time hinder stepping, those that are the same everywhere do not."""

import pytest

from tests.graphs import D, H, N, T, interface_of, lstm, rolled
from tests.tensorflow.building import tf, v1, variable


def model(change):
    def graph():
        x = v1.placeholder(tf.float32, [None, None, D], "x")
        rows = tf.ensure_shape(change(tf.transpose(x, [1, 0, 2])), [None, None, D])
        made, _ = rolled(lstm, rows, [tf.zeros([tf.shape(x)[0], H])] * 2)
        tf.multiply(made, 2.0, "y")

    return graph


def places(rows):
    return rows + tf.expand_dims(variable("places", 20, D)[: tf.shape(rows)[0]], 1)


def numbers(rows):
    return rows * tf.reshape(tf.cast(tf.range(tf.shape(rows)[0]), tf.float32), [-1, 1, 1])


def repeated(rows):
    return rows + tf.tile(variable("row", 1, 1, D), [tf.shape(rows)[0], 1, 1]) + tf.zeros_like(rows)


@pytest.mark.parametrize("change", [places, numbers])
def test_numbers_of_places_stand_in_the_way(change):
    assert (
        "joins each step with numbers that depend on its position in the sequence"
        in interface_of(model(change)).why_not
    )


def test_a_row_that_is_repeated_does_not():
    assert interface_of(model(repeated)).steppable


def test_a_loop_that_reads_weights_row_by_row_cannot_be_stepped():
    def graph():
        x, h = v1.placeholder(tf.float32, [T, N, D], "x"), v1.placeholder(tf.float32, [N, H], "h")
        read, held = (tf.TensorArray(tf.float32, T).unstack(v) for v in (x, variable("places", T, D)))

        def body(t, h):
            return t + 1, tf.tanh(tf.concat([read.read(t) + held.read(t), h], 1) @ variable("kernel", D + H, H))

        tf.multiply(v1.while_loop(lambda t, _: t < T, body, (0, h))[1], 2.0, "y")

    assert "numbers that depend on the position in the sequence" in interface_of(graph).why_not
