"""The layouts of other frameworks, against those frameworks."""

import os

import numpy as np
import pytest

from reprise.cells import LAYOUTS, Weights, divide_gates
from tests.lift.loops import D, H, Loop

N, T = 2, 5


def weights_of(layout, kernel, recurrent, bias):
    """`bias` is [gates · H], or [2, gates · H] where the recurrent product has its own."""
    own = bias if layout.biases == 2 else (bias, np.zeros_like(bias))
    parts = [divide_gates(array, layout.order) for array in (kernel, recurrent, *own)]
    if layout.forget_bias:
        parts[2]["f"] = parts[2]["f"] + layout.forget_bias
    return Weights(*parts)


def run(layout, weights, xs):
    state = {name: np.zeros((N, H)) for name in layout.cell.states}
    outputs = []
    for x in xs:
        state = layout.cell.step(x, state, weights, layout.cell.activations)
        outputs.append(state["h"])
    return np.stack(outputs)


def named(framework):
    return next(layout for layout in LAYOUTS if layout.framework == framework)


@pytest.mark.parametrize("framework", ["Keras LSTM", "Keras GRU, reset_after=False", "Keras GRU, reset_after=True"])
def test_keras(framework):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from tensorflow import keras

    layout = named(framework)
    xs = np.random.default_rng(0).normal(size=(T, N, D)).astype(np.float32)
    options = {"return_sequences": True, "bias_initializer": "random_normal"}
    if "GRU" in framework:
        layer = keras.layers.GRU(H, reset_after=framework.endswith("True"), **options)
    else:
        layer = keras.layers.LSTM(H, unit_forget_bias=False, **options)
    expected = np.asarray(layer(xs.swapaxes(0, 1))).swapaxes(0, 1)
    np.testing.assert_allclose(run(layout, weights_of(layout, *layer.get_weights()), xs), expected, atol=1e-5)


def test_the_lstm_cell_of_tensorflow_1():
    layout, loop = named("TensorFlow 1 LSTMCell"), Loop()
    model, _ = loop.models(loop.lstm(loop.x)[1])
    kernel, bias = (loop.weights[f"variable_{i}"].load() for i in range(2))
    xs = np.random.default_rng(0).normal(size=(T, N, D)).astype(np.float32)
    expected = run(layout, weights_of(layout, kernel[:D], kernel[D:], bias), xs)
    (got,) = model.run(xs)[0].values()
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_the_gru_cell_of_tensorflow_1():
    layout, loop = named("TensorFlow 1 GRUCell"), Loop()
    model, _ = loop.models(loop.gru(loop.x))
    gates, gate_bias, candidate, candidate_bias = (loop.weights[f"variable_{i}"].load() for i in range(4))
    kernel = np.concatenate([gates, candidate], axis=1)
    bias = np.concatenate([gate_bias, candidate_bias])
    xs = np.random.default_rng(0).normal(size=(T, N, D)).astype(np.float32)
    expected = run(layout, weights_of(layout, kernel[:D], kernel[D:], bias), xs)
    (got,) = model.run(xs)[0].values()
    np.testing.assert_allclose(got, expected, atol=1e-5)
