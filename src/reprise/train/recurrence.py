"""Recurrent layers for training: pure functions of tensors, with gradients written by hand.

`layer` runs a whole sequence. It multiplies all inputs before the recurrence and computes the weight gradients as one
product after it, so that the loop over time holds one small product and element-wise work. It is made to be compiled
with XLA (`tf.function(jit_compile=True)`), which fuses that work, and runs without. `plain.loop` is the same recurrence
in the operators of TensorFlow 1; the tests hold one to the other.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from reprise.train.cells import EQUATIONS, Equations, Kept, Products, States, Tensor, Weights, products
from reprise.train.config import Cell

# The gradient of a gather adds rows one after the other; up to this V a product with one-hot vectors, which uses all
# cores, stays below a tenth of the other products of a layer with H 512 (V against 5 to 6 H).
_LARGEST_ONE_HOT = 256
_UNKNOWN_TOKENS = 800  # N*T of a small chunk, for a graph that is traced with free sizes


def layer(
    cell: Cell, inputs: Tensor, weights: Weights, states: States, *, embedding: Tensor | None = None
) -> tuple[Tensor, States]:
    """A whole sequence: (outputs h [T, N, H], states after the last step).

    Args:
        cell: Which equations.
        inputs: [T, N, D] floats; or [T, N] integers, which mean rows of `embedding`.
        weights: As `cells.weight_shapes` says.
        states: One [N, H] for each of `cells.state_names`.
        embedding: [V, D]; without it integers mean one-hot vectors, V = D.
    """
    p = products(cell, weights)
    projected = _projected_ids(inputs, p, embedding) if inputs.dtype.is_integer else _projected(inputs, p)
    outputs, *last = _recurrence(EQUATIONS[cell])(projected, p.recurrent, p.recurrent_bias, *states)
    return outputs, tuple(last)


def features(inputs: Tensor, p: Products, embedding: Tensor | None) -> Tensor:
    """The inputs as floats [T, N, D]: ids become rows of `embedding`, or one-hot vectors without it."""
    if not inputs.dtype.is_integer:
        return inputs
    return tf.one_hot(inputs, p.rows.shape[0]) if embedding is None else _rows(embedding, inputs)


def _projected(inputs: Tensor, p: Products) -> Tensor:
    """The inputs [T, N, D] times `rows`, plus the bias: [T, N, G*H]."""
    d, width = p.rows.shape
    flat = tf.nn.bias_add(tf.matmul(tf.reshape(inputs, [-1, d]), p.rows), p.bias)
    return tf.reshape(flat, tf.concat([tf.shape(inputs)[:2], [width]], 0))


def _projected_ids(ids: Tensor, p: Products, embedding: Tensor | None) -> Tensor:
    """As `_projected`, of the rows of `embedding`: V products at most, and not one for every token."""
    if embedding is not None and not _fewer(embedding.shape[0], ids):
        return _projected(_rows(embedding, ids), p)
    table = p.rows if embedding is None else tf.matmul(embedding, p.rows)
    return _rows(tf.nn.bias_add(table, p.bias), ids)


def _fewer(vocabulary: int, ids: Tensor) -> bool:
    tokens = ids.shape.num_elements()
    return vocabulary < (_UNKNOWN_TOKENS if tokens is None else tokens)


@tf.custom_gradient
def _rows(table: Tensor, ids: Tensor) -> Any:
    """Rows of a table [V, W] by ids [T, N]; the gradient sums in a fixed order, as a product where V is small."""
    vocabulary, width = table.shape

    def gradient(d_rows: Tensor) -> tuple[Tensor, None]:
        flat, ids_flat = tf.reshape(d_rows, [-1, width]), tf.reshape(ids, [-1])
        if vocabulary > _LARGEST_ONE_HOT:
            return tf.math.unsorted_segment_sum(flat, ids_flat, vocabulary), None
        return tf.matmul(tf.one_hot(ids_flat, vocabulary, dtype=flat.dtype), flat, transpose_a=True), None

    return tf.gather(table, ids), gradient


def _recurrence(cell: Equations) -> Callable[..., tuple[Tensor, ...]]:
    """(projected [T, N, G*H], recurrent, recurrent_bias, *states) to (outputs [T, N, H], *states), differentiable."""

    @tf.custom_gradient
    def recurrence(projected: Tensor, recurrent: Tensor, recurrent_bias: Tensor, *states: Tensor) -> Any:
        outputs, last, slopes, kept = _forward_loop(cell, projected, recurrent, recurrent_bias, states)

        def gradient(d_outputs: Tensor, *d_last: Tensor) -> tuple[Tensor, ...]:
            dx, dr, d_states = _backward_loop(cell, d_outputs, d_last, recurrent, slopes, kept)
            before = tf.concat([states[-1][None], outputs[:-1]], 0)
            hidden, width = recurrent.shape
            flat = tf.reshape(dr, [-1, width])
            d_recurrent = tf.matmul(tf.reshape(before, [-1, hidden]), flat, transpose_a=True)
            return dx, d_recurrent, tf.reduce_sum(flat, 0), *d_states

        return (outputs, *last), gradient

    return recurrence


def _forward_loop(
    cell: Equations, projected: Tensor, recurrent: Tensor, recurrent_bias: Tensor, states: States
) -> tuple[Tensor, States, Tensor, Kept]:
    """(outputs [T, N, H], states after the last step, slopes [T, N, G*H], what else is kept [T, N, H])."""
    length = _length(projected)
    # A step reads its inputs for the last time, so its slopes take their place and the memory.
    wide = tf.TensorArray(projected.dtype, length, clear_after_read=False).unstack(projected)
    arrays = tuple(tf.TensorArray(projected.dtype, length) for _ in range(1 + cell.kept))

    def body(t: Tensor, states: States, wide: tf.TensorArray, arrays: tuple[tf.TensorArray, ...]) -> tuple[Any, ...]:
        product = tf.matmul(states[-1], recurrent) + recurrent_bias
        states, slopes, kept = cell.forward(wide.read(t), product, states)
        return t + 1, states, wide.write(t, slopes), _write_all(arrays, t, (states[-1], *kept))

    _, states, wide, arrays = tf.while_loop(lambda t, *_: t < length, body, (0, states, wide, arrays))
    outputs, *kept = (a.stack() for a in arrays)
    return outputs, states, wide.stack(), tuple(kept)


def _backward_loop(
    cell: Equations, d_outputs: Tensor, d_last: States, recurrent: Tensor, slopes: Tensor, kept: Kept
) -> tuple[Tensor, Tensor, States]:
    """Gradients of both products at every step [T, N, G*H], and of the states before the first."""
    length, transposed = _length(d_outputs), tf.transpose(recurrent)  # once: a product with it is twice as fast
    arrays = tuple(tf.TensorArray(d_outputs.dtype, length) for _ in range(cell.gradients))

    def body(t: Tensor, gradients: States, arrays: tuple[tf.TensorArray, ...]) -> tuple[Any, ...]:
        gradients = (*gradients[:-1], gradients[-1] + d_outputs[t])
        of_products, (*rest, dh) = cell.backward(slopes[t], tuple(k[t] for k in kept), gradients)
        dh += tf.matmul(of_products[-1], transposed)
        return t - 1, (*rest, dh), _write_all(arrays, t, of_products)

    _, gradients, arrays = tf.while_loop(lambda t, *_: t >= 0, body, (length - 1, d_last, arrays))
    return arrays[0].stack(), arrays[-1].stack(), gradients


def _write_all(arrays: tuple[tf.TensorArray, ...], t: Tensor, values: Sequence[Tensor]) -> tuple[tf.TensorArray, ...]:
    return tuple(array.write(t, value) for array, value in zip(arrays, values, strict=True))


def _length(sequence: Tensor) -> Any:
    """T: a number where it is known when tracing, else a tensor."""
    return tf.shape(sequence)[0] if sequence.shape[0] is None else sequence.shape[0]
