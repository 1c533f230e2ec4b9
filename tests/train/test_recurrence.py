"""`layer` is `step` scanned: the same numbers, the same gradients, eagerly, traced and in a TensorFlow 1 graph."""

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from reprise.train import recurrence

CELLS = ("lstm", "gru", "rnn")
T, N, D, H = 5, 3, 4, 6
Array = npt.NDArray[np.float64]


def random_case(cell: recurrence.CellName) -> tuple[Array, dict[str, Array], tuple[Array, ...]]:
    rng = np.random.default_rng(7)
    weights = {name: rng.normal(0, 0.5, shape) for name, shape in recurrence.weight_shapes(cell, D, H).items()}
    states = tuple(rng.normal(0, 0.5, (N, size)) for size in recurrence.state_sizes(cell, H))
    return rng.normal(size=(T, N, D)), weights, states


def scan(cell, inputs, weights, states):
    outputs = []
    for t in range(T):
        output, states = recurrence.step(cell, inputs[t], weights, states)
        outputs.append(output)
    return tf.stack(outputs), states


def with_gradients(run, cell, inputs, weights, states):
    """Everything that `run` gives, and the gradients of a loss that every output and last state enters."""
    leaves = [tf.constant(x) for x in (inputs, *weights.values(), *states)]
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        x, rest = leaves[0], leaves[1:]
        outputs, last = run(cell, x, dict(zip(weights, rest, strict=False)), tuple(rest[len(weights) :]))
        flat = [outputs, *last]
        loss = tf.add_n([tf.reduce_sum(tf.sin((k + 1.0) * v)) for k, v in enumerate(flat)])
    return flat + tape.gradient(loss, leaves)


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_a_layer_equals_its_step_scanned_with_all_gradients(cell, traced):
    case = random_case(cell)
    layer = tf.function(recurrence.layer) if traced else recurrence.layer
    for got, expected in zip(with_gradients(layer, cell, *case), with_gradients(scan, cell, *case), strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)
