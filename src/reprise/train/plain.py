"""The recurrence as TensorFlow 1 wrote it: a `while` loop over cells of plain operators, for the graph that is saved.

`recurrence.layer` computes the same, faster, with operators and gradients that a stranger's program may not have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from reprise.train.config import Cell

States = tuple[tf.Tensor, ...]
Weights = Mapping[str, Any]


def loop(
    cell: Cell, inputs: tf.Tensor, weights: Weights, states: States, *, embedding: Any = None
) -> tuple[tf.Tensor, States]:
    """A layer over time, as `recurrence.layer`."""
    if inputs.dtype.is_integer:
        inputs = tf.one_hot(inputs, _input_size(cell, weights)) if embedding is None else tf.gather(embedding, inputs)
    steps = tf.shape(inputs)[0]
    unstacked = tf.TensorArray(inputs.dtype, size=steps, element_shape=inputs.shape[1:]).unstack(inputs)
    outputs = tf.TensorArray(inputs.dtype, size=steps, element_shape=states[-1].shape)

    def body(time: tf.Tensor, outputs: tf.TensorArray, *states: tf.Tensor) -> tuple[Any, ...]:
        after = _CELLS[cell](unstacked.read(time), weights, states)
        return time + 1, outputs.write(time, after[-1]), *after

    _, outputs, *final = tf.while_loop(lambda time, *_: time < steps, body, (tf.constant(0), outputs, *states))
    return outputs.stack(), tuple(final)


def _lstm(x: tf.Tensor, weights: Weights, states: States) -> States:
    """BasicLSTMCell, with the forget bias in the bias itself."""
    c, h = states
    i, j, f, o = tf.split(_dense([x, h], weights, ""), 4, axis=1)
    c = c * tf.sigmoid(f) + tf.sigmoid(i) * tf.tanh(j)
    return c, tf.tanh(c) * tf.sigmoid(o)


def _gru(x: tf.Tensor, weights: Weights, states: States) -> States:
    """CudnnCompatibleGRUCell: the reset gate is applied after the product."""
    (h,) = states
    r, u = tf.split(tf.sigmoid(_dense([x, h], weights, "gates/")), 2, axis=1)
    hidden = _dense([h], weights, "candidate/hidden_projection/")
    candidate = tf.tanh(_dense([x], weights, "candidate/input_projection/") + r * hidden)
    return ((1 - u) * candidate + u * h,)


def _rnn(x: tf.Tensor, weights: Weights, states: States) -> States:
    """BasicRNNCell."""
    return (tf.tanh(_dense([x, states[0]], weights, "")),)


def _input_size(cell: Cell, weights: Weights) -> int:
    """D."""
    if cell == "gru":
        return int(weights["candidate/input_projection/kernel"].shape[0])
    rows, width = weights["kernel"].shape
    return int(rows - width // (4 if cell == "lstm" else 1))


def _dense(inputs: list[tf.Tensor], weights: Weights, prefix: str) -> tf.Tensor:
    joined = tf.concat(inputs, 1) if len(inputs) > 1 else inputs[0]
    return tf.nn.bias_add(tf.matmul(joined, weights[f"{prefix}kernel"]), weights[f"{prefix}bias"])


_CELLS: Mapping[str, Callable[[tf.Tensor, Weights, States], States]] = {"lstm": _lstm, "gru": _gru, "rnn": _rnn}
