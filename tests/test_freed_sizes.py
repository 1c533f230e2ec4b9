"""Rows and steps that a file bakes in are set free only where nothing depends on their number.

Each program is written for some rows and steps, restored, and run on other ones where the interface says that they are
free: it must give what TensorFlow gives for the same program written for those. So what looks at a number of rows or
steps, or lets rows see each other in another way than in the source, is a wrong number here.
"""

import numpy as np
import pytest

import reprise
from tests.graphs import D, H, V, dense, gru, rolled
from tests.tensorflow.building import saved_by_tensorflow, session, tf, v1, variable

ROWS, STEPS = 3, 6


def by_constant_bounds(rows, first, steps):
    read, made = tf.TensorArray(tf.float32, steps).unstack(rows), tf.TensorArray(tf.float32, steps)

    def body(t, made, h):
        (h,) = gru(read.read(t), h)
        return t + 1, made.write(t, h), h

    return v1.while_loop(lambda t, *_: t < steps, body, (0, made, first))[1].stack()


def written_out(rows, first, steps):
    made = []
    for row in tf.unstack(rows, steps):
        (first,) = gru(row, first)
        made.append(first)
    return tf.stack(made)


LOOPS = {
    "a loop": lambda rows, first, steps: rolled(gru, rows, [first])[0],
    "constant bounds": by_constant_bounds,
    "written out": written_out,
}


def flat(x, n, t):
    return tf.reshape(dense("flat", tf.reshape(x, [n * t, D]), D), [n, t, D])


def time_major(x, n, t):
    rows = tf.reshape(tf.transpose(x, [1, 0, 2]), [t * n, D])
    return tf.transpose(tf.reshape(dense("flat", rows, D), [t, n, D]), [1, 0, 2])


# What is done with x [n, t, D] before the recurrence, and which sizes are free then: N rows, T steps.
BEFORE = {
    "flat": ("NT", flat),
    "time-major": ("NT", time_major),
    "rows as a number beside steps that are read": (
        "NT",
        lambda x, n, t: tf.transpose(tf.reshape(tf.transpose(x * 2.0, [0, 2, 1]), [n, D, tf.shape(x)[1]]), [0, 2, 1]),
    ),
    "repeated": ("NT", lambda x, n, t: x + tf.tile(variable("one", 1, 1, D), [n, t, 1])),
    "the mean of the rows": ("NT", lambda x, n, t: x - tf.reduce_mean(x, 0, keepdims=True)),
    "the first row": ("NT", lambda x, n, t: x + x[:1]),
    "frames": ("NT", lambda x, n, t: tf.reshape(tf.nn.relu(tf.reshape(x, [n * t, 2, 2, 1])), [n, t, D])),
    "one late": ("T", lambda x, n, t: tf.concat([tf.zeros([n, 1, D]), x[:, :-1]], 1)),
    "places": ("N", lambda x, n, t: x + tf.cast(tf.range(t), tf.float32)[None, :, None]),
    "places, time-major": ("N", lambda x, n, t: time_major(x + tf.cast(tf.range(t), tf.float32)[None, :, None], n, t)),
    "rows in another order": ("T", lambda x, n, t: tf.gather(x, list(range(n))[::-1])),
    "steps in another order": ("N", lambda x, n, t: tf.gather(x, list(range(t))[::-1], axis=1)),
    "turned around by lengths": ("", lambda x, n, t: tf.reverse_sequence(x, [t] * n, seq_axis=1)),
    "rows taken for steps": (
        "",
        lambda x, n, t: (
            tf.reshape(tf.reshape(x, [t, n, D]), [n, t, D])
            + tf.reshape(tf.transpose(tf.reshape(x, [t, n, D]), [1, 0, 2]), [n, t, D])
        ),
    ),
    "all pairs of rows": (
        "NT",
        lambda x, n, t: tf.reshape(
            tf.matmul(
                tf.nn.softmax(tf.matmul(*[tf.reshape(x, [n, t * D])] * 2, transpose_b=True)), tf.reshape(x, [n, t * D])
            ),
            [n, t, D],
        ),
    ),
}


def scores(x, width=V):
    return tf.matmul(x, variable("scores", x.shape[-1], width))


# What is done with the states [n, t, H] behind it.
AFTER = {
    "flat": ("NT", lambda h, n, t: scores(tf.reshape(h, [n * t, H]))),
    "flat and back": ("NT", lambda h, n, t: tf.reshape(scores(tf.reshape(h, [-1, H])), [n, t, V])),
    "the last": ("NT", lambda h, n, t: scores(h[:, -1])),
    "the last, by its number": ("N", lambda h, n, t: scores(h[:, t - 1])),
    "the last, cut out": ("N", lambda h, n, t: scores(tf.slice(h, [0, t - 1, 0], [-1, 1, H])[:, 0])),
    "the last, by places": ("", lambda h, n, t: scores(tf.gather_nd(h, [[i, t - 1] for i in range(n)]))),
    "the last, among flat rows": (
        "",
        lambda h, n, t: scores(tf.gather(tf.reshape(h, [-1, H]), np.arange(n) * t + t - 1)),
    ),
    "the last of a list": ("N", lambda h, n, t: scores(tf.unstack(h, t, 1)[-1])),
    "the last of uneven parts": ("N", lambda h, n, t: scores(tf.split(h, [t - 1, 1], 1)[1][:, 0])),
    "all steps beside each other": ("N", lambda h, n, t: scores(tf.reshape(h, [n, t * H]))),
    "sums by the number of the row": (
        "",
        lambda h, n, t: scores(tf.math.segment_sum(tf.reshape(h, [n * t, H]), np.repeat(np.arange(n), t))),
    ),
    "the mean": ("NT", lambda h, n, t: scores(tf.reduce_mean(h, 1))),
    "without the first": ("NT", lambda h, n, t: tf.reshape(scores(tf.reshape(h[:, 1:], [-1, H])), [n, t - 1, V])),
    "attention": (
        "NT",
        lambda h, n, t: scores(
            tf.reduce_sum(
                h * tf.nn.softmax(tf.reshape(tf.matmul(tf.reshape(h, [-1, H]), variable("query", H, 1)), [n, t, 1]), 1),
                1,
            )
        ),
    ),
}


def run_by_tensorflow(before, loop, after, xs, folder=None):
    """The program written for as many rows and steps as `xs` has; saved in `folder` too."""
    n, t = xs.shape[:2]
    with session() as opened:
        x = v1.placeholder(tf.float32, [n, t, D], "x")
        made = BEFORE[before][1](x, n, t) if before else x
        made.set_shape([n, t, D])
        hidden = LOOPS[loop](tf.transpose(made, [1, 0, 2]), tf.zeros([n, H]), t)
        hidden.set_shape([t, n, H])
        y = AFTER[after][1](tf.transpose(hidden, [1, 0, 2]), n, t)
        if folder is None:
            opened.run(v1.global_variables_initializer())
        else:
            saved_by_tensorflow(opened, folder / "model")
        return opened.run(y, {x: xs})


def check(folder, before, loop, after, free):
    def drawn(n, t):
        return np.random.default_rng(n * t).normal(size=(n, t, D)).astype(np.float32)

    run_by_tensorflow(before, loop, after, drawn(ROWS, STEPS), folder)
    model = reprise.restore(folder / "model")
    (port,) = model.interface.inputs
    assert "".join(letter for letter, size in zip("NT", port.shape, strict=False) if size is None) == free
    for n, t in {(ROWS, STEPS), (ROWS + 2 * ("N" in free), STEPS + 3 * ("T" in free)), (ROWS, STEPS - ("T" in free))}:
        xs = drawn(n, t)
        expected = run_by_tensorflow(before, loop, after, xs)
        (found,) = model.run(xs)[0].values()
        np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("before", BEFORE)
def test_what_is_done_before_the_recurrence_keeps_its_sizes(tmp_path, before):
    check(tmp_path, before, "a loop", "flat and back", BEFORE[before][0])


@pytest.mark.parametrize("after", AFTER)
def test_what_is_done_behind_the_recurrence_keeps_its_sizes(tmp_path, after):
    check(tmp_path, None, "a loop", after, AFTER[after][0])


@pytest.mark.parametrize("loop", LOOPS)
def test_the_steps_of_a_loop_are_as_many_as_those_of_its_input(tmp_path, loop):
    check(tmp_path, None, loop, "flat", "NT")
