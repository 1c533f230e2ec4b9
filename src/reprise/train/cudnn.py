"""Recurrent layers through cuDNN, which runs all steps of a layer as one operator of a GPU.

cuDNN's equations are those of `recurrence`, so the same weights serve, laid out as it wants them: one vector with a
matrix [H, D] of the inputs for each gate, then those of the state, [H, H], then the biases in that order. Source: the
order of gates in NVIDIA's cuDNN developer guide, cudnnGetRNNLinLayerMatrixParams; the vector in Keras, which lays it
out itself (keras/src/backend/tensorflow/rnn.py, _standardize_cudnn_weights).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from reprise.train import cells, recurrence
from reprise.train.cells import States, Tensor, Weights
from reprise.train.config import Cell
from reprise.train.model import Layer

_MODES: Mapping[Cell, str] = {"lstm": "lstm", "gru": "gru", "rnn": "rnn_tanh"}
#: Where each of cuDNN's gates stands among those of `recurrence`.
_GATES: Mapping[Cell, tuple[int, ...]] = {"lstm": (0, 2, 1, 3), "gru": (0, 1, 2), "rnn": (0,)}

# Far above what is lost where a GPU multiplies with ten bits of mantissa (TF32), far below what a wrong gate makes.
_TOLERANCE = 0.02


def layer(
    cell: Cell, inputs: Tensor, weights: Weights, states: States, *, embedding: Tensor | None = None
) -> tuple[Tensor, States]:
    """A whole sequence, as `recurrence.layer`; TensorFlow has the operator for GPUs alone, and XLA does not have it."""
    p = cells.products(cell, weights)
    *c, h = (state[None] for state in states)
    outputs, last_h, last_c, _ = tf.raw_ops.CudnnRNN(
        input=recurrence.features(inputs, p, embedding),
        input_h=h,
        input_c=c[0] if c else tf.zeros([]),
        params=_joined(cell, p),
        rnn_mode=_MODES[cell],
    )
    return outputs, tuple(state[0] for state in ([last_c, last_h] if c else [last_h]))


def _joined(cell: Cell, p: cells.Products) -> Tensor:
    """The weights as cuDNN's one vector."""
    parts = [tf.transpose(gate) for matrix in (p.rows, p.recurrent) for gate in _gates(cell, matrix)]
    parts += [gate for bias in (p.bias, p.recurrent_bias) for gate in _gates(cell, bias)]
    return tf.concat([tf.reshape(part, [-1]) for part in parts], 0)


def _gates(cell: Cell, joined: Tensor) -> list[Tensor]:
    parts = tf.split(joined, len(_GATES[cell]), axis=-1)
    return [parts[index] for index in _GATES[cell]]


def chosen(cell: Cell) -> tuple[Layer, tuple[str, ...]]:
    """The layer to train with on this machine, and what there is to tell about it.

    Where there is a GPU, TensorFlow is told to compute the same bits again for the same numbers, which a resumed run
    needs.
    """
    if not tf.config.list_physical_devices("GPU"):
        return recurrence.layer, ()
    tf.config.experimental.enable_op_determinism()
    if why := obstacle(cell):
        return recurrence.layer, (f"the GPU computes without cuDNN, which is slower: {why}",)
    return layer, ("the GPU computes the layers with cuDNN",)


def obstacle(cell: Cell) -> str:
    """Why `layer` is not to be trusted with a cell on this machine; nothing if it gives what `recurrence.layer` does.

    Both run once on small random numbers, and their outputs, last states and gradients are compared.
    """
    try:
        ours, theirs = _trial(recurrence.layer, cell), _trial(layer, cell)
    except (tf.errors.OpError, ValueError) as error:
        return str(error).splitlines()[0]
    apart = max(float(tf.reduce_max(tf.abs(a - b))) for a, b in zip(ours, theirs, strict=True))
    return "" if apart <= _TOLERANCE else f"a trial differs by {apart:.2g} from the same layer in plain operators"


def _trial(run: Any, cell: Cell) -> list[Tensor]:
    steps, batch, width, hidden = 4, 3, 5, 6
    random = np.random.Generator(np.random.Philox(key=[0, 0]))
    shapes = [(steps, batch, width), *cells.weight_shapes(cell, width, hidden).values()]
    shapes += [(batch, hidden)] * len(cells.state_names(cell))
    leaves = [tf.constant(random.normal(0, 0.5, shape), tf.float32) for shape in shapes]
    names = list(cells.weight_shapes(cell, width, hidden))
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        inputs, *rest = leaves
        outputs, last = run(cell, inputs, dict(zip(names, rest, strict=False)), tuple(rest[len(names) :]))
        loss = tf.add_n([tf.reduce_mean(tf.square(value)) for value in (outputs, *last)])
    return [outputs, *last, *tape.gradient(loss, leaves)]
