"""Everything that a loop hands from step to step is a state, or the model says why it cannot be stepped."""

from functools import partial

import numpy as np
import pytest

import reprise
from reprise.errors import NoRecurrence
from tests.graphs import D, H, N, T, V, dense, gru, interface_of, rolled, saved
from tests.tensorflow.building import tf, v1, variable


def remembers_input(x, before, h):
    return x, tf.tanh(dense("cell", tf.concat([x, before, h], 1), H))


def remembers_two_steps(x, two_ago, one_ago):
    return one_ago, tf.tanh(dense("cell", tf.concat([x, two_ago], 1), H))


def counts(x, n, h):
    return n + 1.0, tf.tanh(dense("cell", tf.concat([x / (1.0 + n), h], 1), H))


def remembers_symbol(x, symbol, h):
    after = tf.tanh(dense("cell", tf.concat([x, tf.one_hot(symbol, 3), h], 1), H))
    return tf.cast(x[:, 0] > 0, tf.int32) + tf.cast(x[:, 1] > 0, tf.int32), after


def restored(tmp_path, cell, *widths, first=tf.float32):
    def graph():
        rows = v1.placeholder(tf.float32, [None, None, D], "x")
        count = tf.shape(rows)[1]
        start = [tf.zeros([count, width] if width else [count], first if i == 0 else tf.float32)
                 for i, width in enumerate(widths)]  # fmt: skip
        hidden, _ = rolled(cell, rows, start)
        tf.tensordot(hidden, variable("output", H, V), [[2], [0]], name="y")

    return reprise.restore(saved(tmp_path, graph))


@pytest.mark.parametrize(
    ("cell", "widths"), [(remembers_input, (D, H)), (remembers_two_steps, (H, H)), (counts, (1, H))]
)
def test_what_is_kept_for_the_next_step_is_a_state(tmp_path, cell, widths):
    model = restored(tmp_path, cell, *widths)
    assert [s.shape[-1] for s in model.interface.states] == list(widths)
    xs = np.random.default_rng(0).normal(size=(T, N, D)).astype(np.float32)
    whole, _ = model.run(xs)
    state, steps = None, []
    for x in xs:
        outputs, state = model.step(x, state)
        steps.append(next(iter(outputs.values())))
    np.testing.assert_allclose(np.concatenate(steps).reshape(T, N, V), next(iter(whole.values())), rtol=1e-4, atol=1e-5)


def test_memory_that_is_no_number_with_a_point_cannot_be_stepped(tmp_path):
    interface = restored(tmp_path, remembers_symbol, 0, H, first=tf.int32).interface
    assert not interface.steppable
    assert "keeps while/Exit_2:0, which cannot be held as a state" in interface.why_not


def remembers_flag(x, flag, h):
    after = tf.tanh(dense("cell", tf.concat([x, h], 1), H))
    return after[:, 0] > 0, tf.where(flag, after, -after)


def alternates(x, flag, h):
    after = tf.tanh(dense("cell", tf.concat([x, h], 1), H))
    return tf.logical_not(flag), tf.where(flag, after, -after)


def ends_at_a_mark(x, ended, h):
    after = tf.tanh(dense("cell", tf.concat([x, h], 1), H))
    return tf.logical_or(ended, tf.equal(tf.argmax(after, 1), 0)), tf.where(ended, h, after)


@pytest.mark.parametrize("cell", [remembers_flag, alternates, ends_at_a_mark])
def test_a_flag_that_is_computed_with_cannot_be_stepped(tmp_path, cell):
    interface = restored(tmp_path, cell, 0, H, first=tf.bool).interface
    assert not interface.steppable
    assert "keeps while/Exit_2:0, which cannot be held as a state" in interface.why_not


def timed(change, first=0):
    """A loop whose body sees its own number `t`, which starts at `first`."""

    def graph():
        rows = v1.placeholder(tf.float32, [None, None, D], "x")
        steps = tf.shape(rows)[0]
        read, made = tf.TensorArray(tf.float32, steps).unstack(rows), tf.TensorArray(tf.float32, steps)

        def body(t, h, made):
            after = tf.tanh(dense("cell", tf.concat([read.read(t), h], 1), H))
            after = change(t, h, after)
            return t + 1, after, made.write(t - first, after)

        start = (first, tf.zeros([tf.shape(rows)[1], H]), made)
        *_, made = v1.while_loop(lambda t, *_: t < steps, body, start)
        tf.tensordot(made.stack(), variable("output", H, V), [[2], [0]], name="y")

    return interface_of(graph)


@pytest.mark.parametrize(
    "change",
    [
        lambda t, h, after: h + tf.cast(tf.equal(t % 2, 0), tf.float32) * (after - h),
        lambda t, h, after: tf.cond(t < 3, lambda: h, lambda: after),
        lambda t, h, after: after / tf.cast(t + 1, tf.float32),
    ],
)
def test_a_body_that_computes_with_the_number_of_the_step_cannot_be_stepped(change):
    interface = timed(change)
    assert not interface.steppable
    assert interface.why_not == "loop 'while/while_context' computes with the number of the step"


def test_a_loop_that_begins_with_the_second_row_cannot_be_stepped():
    interface = timed(lambda t, h, after: after, first=1)
    assert not interface.steppable
    assert "makes more or fewer steps than x:0 has" in interface.why_not


def test_what_is_put_aside_for_the_gradient_alone_is_no_state():
    """The rows that `tf.scan` gives enter the next step too, where a stack for the gradient may read them."""

    def graph():
        rows = v1.placeholder(tf.float32, [None, N, D], "x")
        count, read = tf.shape(rows)[0], tf.TensorArray(tf.float32, tf.shape(rows)[0]).unstack(rows)
        stack = tf.raw_ops.EmptyTensorList(element_shape=[N, H], max_num_elements=-1, element_dtype=tf.float32)

        def body(t, made, stack, given, h):
            stack = tf.raw_ops.TensorListPushBack(input_handle=stack, tensor=given)
            (h,) = gru(read.read(t), h)
            return t + 1, made.write(t, h), stack, 0.5 * h, h

        first = (0, tf.TensorArray(tf.float32, count), stack, tf.zeros([N, H]), tf.zeros([N, H]))
        _, made, *_ = v1.while_loop(lambda t, *_: t < count, body, first)
        tf.tensordot(made.stack(), variable("output", H, V), 1, name="y")

    assert len(interface_of(graph).states) == 1


@pytest.mark.parametrize("first", [tf.zeros, partial(v1.placeholder, tf.float32)])
def test_of_two_steps_written_out_that_remember_two_neither_state_is_left_out(first):
    """What the second step reads of the start of the first is a state: taken for zeros or rows, it would stay so."""

    def graph():
        before, h = first([N, H]), first([N, H])
        made = []
        for x in tf.unstack(v1.placeholder(tf.float32, [N, 2, D], "x"), axis=1):
            with v1.variable_scope("cell", reuse=v1.AUTO_REUSE):
                before, h = h, tf.tanh(dense("cell", tf.concat([x, h, before], 1), H))
                made.append(h)
        dense("output", tf.reshape(tf.concat(made, 1), [-1, H]), V)

    with pytest.raises(NoRecurrence):
        interface_of(graph)
