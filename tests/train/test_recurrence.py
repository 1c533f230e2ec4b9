"""`recurrence.layer` is the plain loop of TensorFlow 1's operators, in numbers and in gradients, however it is run."""

import numpy as np
import pytest
import tensorflow as tf

from reprise.train import cells, plain, recurrence

CELLS = ("lstm", "gru", "rnn")
T, N, D, H = 5, 3, 4, 6


def random_case(cell, dtype=tf.float64):
    """Inputs, weights and states; in float64, so that a wrong term cannot hide behind rounding."""
    rng = np.random.default_rng(7)

    def normal(*shape):
        return tf.constant(rng.normal(0, 0.5, shape), dtype)

    weights = {name: normal(*shape) for name, shape in cells.weight_shapes(cell, D, H).items()}
    return normal(T, N, D), weights, tuple(normal(N, H) for _ in cells.state_names(cell))


def with_gradients(run, cell, inputs, weights, states):
    """Everything that `run` gives, and the gradients of a loss that every output and last state enters."""
    leaves = [inputs, *weights.values(), *states]
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        x, *rest = leaves
        outputs, last = run(cell, x, dict(zip(weights, rest, strict=False)), tuple(rest[len(weights) :]))
        values = [outputs, *last]
        loss = tf.add_n([tf.reduce_sum(tf.sin((k + 1.0) * v)) for k, v in enumerate(values)])
    return values + tape.gradient(loss, leaves)


def assert_close(got, expected, atol):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize("how", ["eager", "traced", "compiled"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_layer_equals_the_plain_loop_with_all_gradients(cell, how):
    case = random_case(cell)
    layer = recurrence.layer if how == "eager" else tf.function(recurrence.layer, jit_compile=how == "compiled")
    assert_close(with_gradients(layer, cell, *case), with_gradients(plain.loop, cell, *case), 1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_float32_rounds_within_a_millionth(cell):
    outputs, last = recurrence.layer(cell, *random_case(cell, tf.float32))
    expected, expected_last = plain.loop(cell, *random_case(cell))
    assert_close([outputs, *last], [expected, *expected_last], 1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_time_and_batch_may_be_free_when_traced(cell):
    inputs, weights, states = random_case(cell)
    free = tf.function(lambda x, *s: recurrence.layer(cell, x, weights, s))
    free = free.get_concrete_function(
        tf.TensorSpec([None, None, D], tf.float64), *(tf.TensorSpec([None, H], tf.float64) for _ in states)
    )
    expected, _ = plain.loop(cell, inputs, weights, states)
    for length in (1, T):
        outputs, _ = free(inputs[:length], *states)
        assert_close([outputs], [expected[:length]], 1e-12)


@pytest.mark.parametrize("vocabulary", [D, 20, 600])  # below and above the number of tokens, and of a one-hot product
@pytest.mark.parametrize("cell", CELLS)
def test_ids_are_rows_of_the_embedding(cell, vocabulary):
    rng = np.random.default_rng(3)
    ids, table = tf.constant(rng.integers(0, vocabulary, (T, N))), tf.constant(rng.normal(size=(vocabulary, D)))
    _, weights, states = random_case(cell)

    def by_table(cell, table, weights, states):
        return recurrence.layer(cell, ids, weights, states, embedding=table)

    def by_rows(cell, table, weights, states):
        return plain.loop(cell, tf.gather(table, ids), weights, states)

    expected = map(tf.convert_to_tensor, with_gradients(by_rows, cell, table, weights, states))
    assert_close(with_gradients(by_table, cell, table, weights, states), expected, 1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_ids_without_an_embedding_are_one_hot_vectors(cell):
    ids = tf.constant(np.random.default_rng(3).integers(0, D, (T, N)), tf.int32)
    _, weights, states = random_case(cell)
    got = recurrence.layer(cell, ids, weights, states)
    expected = recurrence.layer(cell, tf.one_hot(ids, D, dtype=tf.float64), weights, states)
    assert_close([got[0], *got[1]], [expected[0], *expected[1]], 1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_a_split_sequence_equals_the_whole(cell):
    inputs, weights, states = random_case(cell)
    whole, last = recurrence.layer(cell, inputs, weights, states)
    first, middle = recurrence.layer(cell, inputs[:2], weights, states)
    second, end = recurrence.layer(cell, inputs[2:], weights, middle)
    assert_close([tf.concat([first, second], 0), *end], [whole, *last], 1e-12)


def test_a_graph_of_tensorflow_1_runs_and_differentiates_a_layer():
    expected = with_gradients(plain.loop, "lstm", *random_case("lstm"))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        got = session.run(with_gradients(recurrence.layer, "lstm", *random_case("lstm")))
    assert_close(got, expected, 1e-12)


def test_a_compiled_gradient_repeats_bit_for_bit():
    rng = np.random.default_rng(1)
    shapes = cells.weight_shapes("lstm", 64, 64) | {"table": (30, 64), "c": (16, 64), "h": (16, 64)}
    values = {name: tf.constant(rng.normal(0, 0.1, shape), tf.float32) for name, shape in shapes.items()}
    ids = tf.constant(rng.integers(0, 30, (20, 16)))

    @tf.function(jit_compile=True)
    def gradients(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            states = values["c"], values["h"]
            outputs, _ = recurrence.layer("lstm", ids, values, states, embedding=values["table"])
            loss = tf.reduce_sum(tf.sin(outputs))
        return tape.gradient(loss, list(values.values()))

    once = [v.numpy().tobytes() for v in gradients(values)]
    assert all([v.numpy().tobytes() for v in gradients(values)] == once for _ in range(20))


@pytest.mark.parametrize("cell", CELLS)
def test_an_initial_bias_is_one_for_the_gates_of_a_gru_and_zero_elsewhere(cell):
    shapes = cells.weight_shapes(cell, D, H)
    biases = {n: cells.initial_bias(cell, n, s) for n, s in shapes.items() if n.endswith("bias")}
    expected = {
        "lstm": {"bias": [0] * 4 * H},
        "gru": {
            "gates/bias": [1] * 2 * H,
            "candidate/input_projection/bias": [0] * H,
            "candidate/hidden_projection/bias": [0] * H,
        },
        "rnn": {"bias": [0] * H},
    }[cell]
    assert {n: b.tolist() for n, b in biases.items()} == expected


def test_a_forget_bias_is_where_the_forget_gate_begins():
    assert cells.initial_bias("lstm", "bias", (4 * H,), -0.5).tolist() == [0] * 2 * H + [-0.5] * H + [0] * H
