"""States and settings: which loop variable is c, which is h, which is none; what a scalar steers."""

import pytest

from tests.graphs import D, H, N, V, dense, gru, interface_of, lstm, normalised, residual, rolled
from tests.tensorflow.building import tf, v1


def looped(cell, *widths, dropped=lambda x: x, batch=None):
    def graph():
        rows = v1.placeholder(tf.float32, [None, batch, D], "x")
        first = [tf.zeros([tf.shape(rows)[1] if batch is None else batch, n]) for n in widths]
        hidden, _ = rolled(cell, dropped(rows), first)
        tf.tensordot(hidden, v1.get_variable("output", [hidden.shape[-1] or widths[-1], V]), [[2], [0]], name="y")

    return graph


def exchanged(x, h, c):
    """The loop carries h before c."""
    c, h = lstm(x, c, h)
    return h, c


CELLS = {
    "lstm": (lstm, (H, H), ["layer0.c", "layer0.h"]),
    "lstm, h first": (exchanged, (H, H), ["layer0.h", "layer0.c"]),
    "lstm with peepholes": (lambda *a: lstm(*a, peephole=True), (H, H), ["layer0.c", "layer0.h"]),
    "lstm, projected": (lambda *a: lstm(*a, projected=3), (H, 3), ["layer0.c", "layer0.h"]),
    "lstm of normalised inputs": (normalised, (H, H), ["layer0.c", "layer0.h"]),
    "gru": (gru, (H,), ["layer0.h"]),
    "stack": (residual, (H, H, H), ["layer0.c", "layer0.h", "layer1.h"]),
}


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_states_are_named_by_the_equations_of_the_cell(kind, functional):
    cell, widths, named = CELLS[kind]
    states = interface_of(looped(cell, *widths), functional=functional).states
    assert [(s.name, s.shape) for s in states] == [(n, (None, w)) for n, w in zip(named, widths, strict=True)]
    assert {s.initial for s in states} == {"zeros"}


def test_a_packed_state_is_one_state():
    def packed(x, both):
        return (tf.concat(lstm(x, *tf.split(both, 2, axis=1)), 1),)

    (state,) = interface_of(looped(packed, 2 * H)).states
    assert (state.name, state.shape) == ("layer0.state", (None, 2 * H))


def test_a_batch_that_the_file_bakes_in_is_set_free():
    (state,) = interface_of(looped(gru, H, batch=N)).states
    assert (state.shape, state.batch_axis) == ((None, H), 0)


def test_sums_counts_and_constants_beside_the_state_are_none():
    def cell(x, h, total, share):
        (h,) = gru(x, h)
        return tf.stop_gradient(h), total + tf.reduce_sum(h, 1, keepdims=True), share

    graph = looped(lambda x, total, share, h: (lambda h, t, s: (t, s, h))(*cell(x, h, total, share)), 1, 1, H)
    assert [s.name for s in interface_of(graph).states] == ["layer0.h"]


def fed(cell, width):
    def graph():
        rows, first = (
            v1.placeholder(tf.float32, [None, None, D], "x"),
            v1.placeholder(tf.float32, [None, width], "anything"),
        )
        hidden, _ = rolled(cell, rows, [first])
        tf.identity(dense("output", tf.reshape(hidden, [-1, H]), V), "y")

    return graph


@pytest.mark.parametrize("functional", [False, True])
def test_a_state_that_comes_through_a_placeholder_is_no_input(functional):
    found = interface_of(fed(gru, H), functional=functional)
    assert [p.name for p in found.inputs] == ["x"]
    assert [(s.source_in, s.fed_through) for s in found.states] == [("anything:0", "anything:0")]


DROPOUTS = {
    "the rate": (lambda x, p: v1.nn.dropout(x, rate=p), 0.0, "a dropout rate"),
    "what is kept": (lambda x, p: v1.nn.dropout(x, rate=1 - p), 1.0, "a keep probability"),
    "as TensorFlow 1 wrote it": (
        lambda x, p: x / p * tf.floor(p + v1.random_uniform(tf.shape(x))),
        1.0,
        "a keep probability",
    ),
}


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("way", DROPOUTS)
def test_dropout_is_a_setting_and_inference_drops_nothing(way, functional):
    drop, value, why = DROPOUTS[way]
    found = interface_of(
        looped(gru, H, dropped=lambda x: drop(x, v1.placeholder(tf.float32, [], "p"))), functional=functional
    )
    assert [(s.name, s.value) for s in found.settings] == [("p", value)]
    assert found.settings[0].why.startswith(why)


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("training_means", [True, False])
def test_a_flag_takes_the_side_without_random_numbers(training_means, functional):
    def dropped(x):
        flag, noisy = v1.placeholder(tf.bool, [], "mode"), lambda: v1.nn.dropout(x, rate=0.5)
        return v1.cond(flag, noisy, lambda: x) if training_means else v1.cond(flag, lambda: x, noisy)

    (setting,) = interface_of(looped(gru, H, dropped=dropped), functional=functional).settings
    assert (setting.name, setting.value) == ("mode", not training_means)


def test_a_default_in_the_file_is_the_value():
    def scaled(x):
        return x * v1.placeholder_with_default(0.25, [], "gain")

    (setting,) = interface_of(looped(gru, H, dropped=scaled)).settings
    assert (setting.value, setting.why) == (0.25, "the default in the file")


def pondering():
    """Adaptive computation: within a step a loop adds up, from zeros, what it makes of the state again and again."""
    rows, h = v1.placeholder(tf.float32, [None, None, D], "x"), v1.placeholder(tf.float32, [None, H], "h")
    kernel = v1.get_variable("kernel", [D + H, H])

    def cell(x, h):
        def body(k, inner, total):
            inner = tf.tanh(tf.matmul(tf.concat([x, inner], 1), kernel))
            return k + 1, inner, total + inner / 3

        _, _, total = v1.while_loop(lambda k, *_: k < 3, body, (0, h, tf.zeros_like(h)))
        return (total,)

    made, _ = rolled(cell, rows, [h])
    tf.identity(dense("output", tf.reshape(made, [-1, H]), V), "logits")


@pytest.mark.parametrize("functional", [False, True])
def test_a_state_that_a_loop_within_the_step_adds_up_is_carried(functional):
    found = interface_of(pondering, functional=functional)
    assert [(s.name, s.fed_through, s.shape) for s in found.states] == [("layer0.h", "h:0", (None, H))]
    assert [(p.shape, p.time_axis, p.batch_axis) for p in found.inputs] == [((None, None, D), 0, 1)]
    assert found.steppable, found.why_not
