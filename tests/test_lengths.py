"""Sequences that are longer or shorter than their input by some rows: run whole as TensorFlow does, at any length."""

import numpy as np
import pytest

import reprise
from reprise.errors import CallError
from tests.graphs import D, H, N, V, dense, gru, rolled
from tests.tensorflow.building import saved_by_tensorflow, session, tf, v1, variable


def read(rows, cut=lambda hidden: hidden):
    """A recurrence over rows [N, T, D], and a dense layer [N, T, V] over what is cut of its states."""
    rows.set_shape([None, None, D])
    rows = tf.transpose(rows, [1, 0, 2])
    hidden, _ = rolled(gru, rows, [tf.zeros([tf.shape(rows)[1], H])])
    shown = cut(tf.transpose(hidden, [1, 0, 2]))
    steps = tf.shape(shown)[1]
    tf.reshape(dense("output", tf.reshape(shown, [-1, H]), V), [-1, steps, V], name="y")


def first_row(x):
    return tf.tile(variable("start", 1, 1, D), [tf.shape(x)[0], 1, 1])


def causal(x):
    padded = tf.pad(x, [[0, 0], [2, 0], [0, 0]])
    read(tf.nn.conv1d(padded, variable("kernel", 3, D, D), 1, "VALID"))


def narrowed(x):
    read(tf.nn.conv1d(x, variable("kernel", 3, D, D), 1, "VALID"))


# How many rows the model makes of T, and how it is written.
LONGER = {
    "a row in front": (1, lambda x: read(tf.concat([first_row(x), x], 1))),
    "a row in front that is cut off": (0, lambda x: read(tf.concat([first_row(x), x], 1), lambda h: h[:, 1:])),
    "a row in front, without the last": (0, lambda x: read(tf.concat([first_row(x), x[:, :-1]], 1))),
    "rows at both ends": (2, lambda x: read(tf.pad(x, [[0, 0], [1, 1], [0, 0]]))),
    "without the first": (-1, lambda x: read(x[:, 1:])),
    "without the last": (-1, lambda x: read(x[:, :-1])),
    "without both": (-2, lambda x: read(x[:, 1:-1])),
    "a causal convolution": (0, causal),
    "a convolution over what is there": (-2, narrowed),
    "shown without the last": (-1, lambda x: read(x, lambda h: h[:, :-1])),
}


# The same, of a length that the graph looks up.
COUNTED = {
    "without the last, by its number": (-1, lambda x: read(tf.slice(x, [0, 0, 0], [-1, tf.shape(x)[1] - 1, -1]))),
    "without the last of its rows": (-1, lambda x: read(tf.strided_slice(x, [0, 0], [tf.shape(x)[0], -1]))),
}


def check(folder, name, rows, steps):
    more, write = (LONGER | COUNTED)[name]
    with session() as opened:
        x = v1.placeholder(tf.float32, [rows, steps, D], "x")
        write(x)
        saved_by_tensorflow(opened, folder / "model")
        model = reprise.restore(folder / "model")
        (port,), (made,) = model.interface.inputs, model.interface.outputs
        assert (port.shape, port.time_axis, port.batch_axis) == ((None, None, D), 1, 0)
        assert (made.time_axis, made.batch_axis) == (1, 0)
        assert not model.interface.steppable
        for count, length in ((N, 6), (1, 4), (2, 9)):
            xs = np.random.default_rng(length).normal(size=(count, length, D)).astype(np.float32)
            found = model.run(xs)[0][made.name]
            assert found.shape == (count, length + more, V)
            if (rows, steps) in ((None, None), (count, length)):
                np.testing.assert_allclose(found, opened.run("y:0", {x: xs}), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [*LONGER, *COUNTED])
def test_whole_sequences_run_as_in_tensorflow(tmp_path, name):
    check(tmp_path, name, None, None)


@pytest.mark.parametrize("name", LONGER)
def test_lengths_and_rows_that_a_file_bakes_in_are_free(tmp_path, name):
    check(tmp_path, name, N, 6)


def restored(folder, write, **choices):
    with session() as opened:
        write(v1.placeholder(tf.float32, [None, None, D], "x"))
        saved_by_tensorflow(opened, folder / "model")
    return reprise.restore(folder / "model", **choices)


@pytest.mark.parametrize(
    ("name", "least"), [("without the first", 2), ("without both", 3), ("a causal convolution", 1)]
)
def test_a_sequence_of_which_nothing_is_left_is_refused(tmp_path, name, least):
    model = restored(tmp_path, LONGER[name][1])
    model.run(np.zeros((N, least, D), np.float32))
    if least > 1:
        with pytest.raises(CallError, match=rf"'x': expected at least {least} steps, since the model leaves some out"):
            model.run(np.zeros((N, least - 1, D), np.float32))


def test_the_rows_in_front_are_told_and_their_sequence_can_be_chosen(tmp_path):
    model = restored(tmp_path, LONGER["a row in front"][1])
    assert "makes more or fewer steps than x:0 has; with inputs= (--input) its own rows are" in model.interface.why_not
    assert "y:0 has +1 steps, counted from those of x:0" in model.interface.evidence
    chosen = restored(tmp_path, LONGER["a row in front"][1], inputs=["concat:0"])
    assert [(p.tensor, p.time_axis) for p in chosen.interface.inputs] == [("concat:0", 1)]
    xs = np.random.default_rng(0).normal(size=(N, 5, D)).astype(np.float32)
    whole, state, steps = chosen.run(xs)[0]["y"], None, []
    for row in np.moveaxis(xs, 1, 0):
        made, state = chosen.step(row, state)
        steps.append(made["y"])
    np.testing.assert_allclose(np.stack(steps, 1), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "why"), [("while/Identity", "anew"), ("nothing", "no tensor"), ("cut:1", "several")])
def test_an_input_that_cannot_be_given_is_refused(tmp_path, name, why):
    def write(x):
        read(tf.concat(tf.split(x, 2, 2, name="cut"), 2))

    with pytest.raises(CallError, match=f"inputs: .*{why}"):
        restored(tmp_path, write, inputs=[name])


def test_lengths_are_asked_for_where_the_model_takes_more_steps_than_it_is_given(tmp_path):
    def write(x):
        lengths = v1.placeholder(tf.int32, [None], "lengths")
        rows = tf.transpose(tf.concat([first_row(x), x], 1), [1, 0, 2])

        def step(t, made, h):
            (after,) = gru(read_from.read(t), h)
            after = tf.where(t < lengths, after, h)
            return t + 1, made.write(t, after), after

        steps = tf.shape(rows)[0]
        read_from = tf.TensorArray(tf.float32, steps).unstack(rows)
        first = (0, tf.TensorArray(tf.float32, steps), tf.zeros([tf.shape(x)[0], H]))
        _, made, _ = v1.while_loop(lambda t, *_: t < steps, step, first)
        dense("output", tf.reshape(made.stack(), [-1, H]), V)

    model = restored(tmp_path, write)
    assert [p.role for p in model.interface.inputs] == ["features", "lengths"]
    with pytest.raises(CallError, match=r"input 'lengths' .* is missing"):
        model.run({"x": np.zeros((N, 4, D), np.float32)})
