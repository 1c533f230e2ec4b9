"""Recurrent layers for training: pure functions of tensors, with gradients written by hand.

`layer` runs a whole sequence. It multiplies all inputs before the recurrence and computes the weight gradients as one
product after it, so that the loop over time holds one small product and element-wise work. It is made to be compiled
with XLA (`tf.function(jit_compile=True)`), which fuses that work, and runs without. Going forward, a step leaves the
slopes that the way back multiplies with: there XLA would not vectorise an expression that uses one slice twice, as the
derivative of a sigmoid does. `plain.loop` is the same recurrence in the operators of TensorFlow 1; the tests hold one
to the other.

Weights have the layout and the names that TensorFlow 1 gives them (H hidden, D input):

    lstm   BasicLSTMCell            kernel [D+H, 4H], bias [4H]            gates i, j, f, o
    gru    CudnnCompatibleGRUCell   gates/kernel [D+H, 2H], gates/bias     gates r, u
                                    candidate/{input,hidden}_projection/{kernel [D or H, H], bias [H]}
    rnn    BasicRNNCell             kernel [D+H, H], bias [H]

The LSTM equations add no constant to the forget gate; `initial_bias` puts a forget bias into the bias itself, so a
reader of the weights needs to know nothing more. The GRU applies the reset gate after the product, as cuDNN, Keras
(`reset_after`) and PyTorch do: one product per step, and every framework can hold the weights.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Tensor: TypeAlias = Any  # TensorFlow has no type stubs
Weights: TypeAlias = Mapping[str, Tensor]
States: TypeAlias = tuple[Tensor, ...]
Kept: TypeAlias = tuple[Tensor, ...]
CellName: TypeAlias = Literal["lstm", "gru", "rnn"]

_INPUT = "candidate/input_projection"
_HIDDEN = "candidate/hidden_projection"

# The gradient of a gather adds rows one after the other; up to this V a product with one-hot vectors, which uses all
# cores, stays below a tenth of the other products of a layer with H 512 (V against 5 to 6 H).
_LARGEST_ONE_HOT = 256
_UNKNOWN_TOKENS = 800  # N*T of a small chunk, for a graph that is traced with free sizes


@dataclass(frozen=True, slots=True)
class Products:
    """A cell's weights as the recurrence uses them; G is the number of gates.

    Attributes:
        rows: [D, G*H], multiplied by the inputs.
        bias: [G*H], added to that product.
        recurrent: [H, G*H], multiplied by the previous h.
        recurrent_bias: [G*H], added to that product.
    """

    rows: Tensor
    bias: Tensor
    recurrent: Tensor
    recurrent_bias: Tensor


@dataclass(frozen=True, slots=True)
class _Cell:
    """One kind of cell.

    Attributes:
        states: Names of what is carried; the last is h, which is also the output.
        gates: How many blocks of width H the products have.
        kept: How many tensors [N, H] `forward` keeps for `backward`.
        gradients: How many `backward` gives for the two products.
        shapes: (D, H) to the shapes of the weights.
        products: The weights to the four tensors of `Products`.
        forward: (projected [N, G*H], recurrent product [N, G*H], states) to (states, slopes [N, G*H], kept). A slope is
            the derivative of a new state by a number of `projected`.
        backward: (slopes, kept, gradients of the new states) to (gradients of the two products: one tensor if they are
            the same, of the old states but for what these do through the recurrent product).
    """

    states: tuple[str, ...]
    gates: int
    kept: int
    gradients: int
    shapes: Callable[[int, int], dict[str, tuple[int, ...]]]
    products: Callable[[Weights], Products]
    forward: Callable[[Tensor, Tensor, States], tuple[States, Tensor, Kept]]
    backward: Callable[[Tensor, Kept, States], tuple[tuple[Tensor, ...], States]]


def _lstm_shapes(d: int, h: int) -> dict[str, tuple[int, ...]]:
    return {"kernel": (d + h, 4 * h), "bias": (4 * h,)}


def _gru_shapes(d: int, h: int) -> dict[str, tuple[int, ...]]:
    return {
        "gates/kernel": (d + h, 2 * h),
        "gates/bias": (2 * h,),
        f"{_INPUT}/kernel": (d, h),
        f"{_INPUT}/bias": (h,),
        f"{_HIDDEN}/kernel": (h, h),
        f"{_HIDDEN}/bias": (h,),
    }


def _rnn_shapes(d: int, h: int) -> dict[str, tuple[int, ...]]:
    return {"kernel": (d + h, h), "bias": (h,)}


def _one_kernel(gates: int) -> Callable[[Weights], Products]:
    """Splits a kernel [D+H, G*H] that multiplies the inputs and h together."""

    def products(weights: Weights) -> Products:
        kernel, bias = weights["kernel"], weights["bias"]
        d = kernel.shape[0] - bias.shape[0] // gates
        return Products(kernel[:d], bias, kernel[d:], tf.zeros_like(bias))

    return products


def _gru_products(weights: Weights) -> Products:
    kernel, bias = weights["gates/kernel"], weights["gates/bias"]
    d = weights[f"{_INPUT}/kernel"].shape[0]
    return Products(
        tf.concat([kernel[:d], weights[f"{_INPUT}/kernel"]], 1),
        tf.concat([bias, weights[f"{_INPUT}/bias"]], 0),
        tf.concat([kernel[d:], weights[f"{_HIDDEN}/kernel"]], 1),
        tf.concat([tf.zeros_like(bias), weights[f"{_HIDDEN}/bias"]], 0),
    )


def _lstm_forward(x: Tensor, r: Tensor, states: States) -> tuple[States, Tensor, Kept]:
    # sigmoid(z) = tanh(z / 2) / 2 + 1 / 2: all four gates are one element-wise expression, which XLA compiles best.
    c_before, hidden = states[0], states[0].shape[-1]
    scale = tf.constant(np.repeat([0.5, 1.0, 0.5, 0.5], hidden), x.dtype)
    squashed = tf.tanh((x + r) * scale)
    i, j, f, o = tf.split(squashed * scale + (1 - scale), 4, axis=-1)
    c = f * c_before + i * j
    tanh_c = tf.tanh(c)
    slopes = tf.concat([j, i, c_before, tanh_c], -1) * ((1 - squashed * squashed) * (scale * scale))
    return (c, o * tanh_c), slopes, (o * (1 - tanh_c * tanh_c), f)


def _lstm_backward(slopes: Tensor, kept: Kept, gradients: States) -> tuple[tuple[Tensor, ...], States]:
    (h_by_c, f), (dc, dh) = kept, gradients
    dc += dh * h_by_c
    return (tf.concat([dc, dc, dc, dh], -1) * slopes,), (dc * f, tf.zeros_like(dh))


def _gru_forward(x: Tensor, r: Tensor, states: States) -> tuple[States, Tensor, Kept]:
    (h,) = states
    x_reset, x_update, x_candidate = tf.split(x, 3, axis=-1)
    r_reset, r_update, r_candidate = tf.split(r, 3, axis=-1)
    reset, update = tf.sigmoid(x_reset + r_reset), tf.sigmoid(x_update + r_update)
    candidate = tf.tanh(x_candidate + reset * r_candidate)
    by_candidate = (1 - update) * (1 - candidate * candidate)
    by_reset = by_candidate * r_candidate * reset * (1 - reset)
    slopes = tf.concat([by_reset, (h - candidate) * update * (1 - update), by_candidate], -1)
    return ((1 - update) * candidate + update * h,), slopes, (reset, update)


def _gru_backward(slopes: Tensor, kept: Kept, gradients: States) -> tuple[tuple[Tensor, ...], States]:
    (reset, update), (dh,) = kept, gradients
    dx = tf.concat([dh, dh, dh], -1) * slopes
    d_reset, d_update, d_candidate = tf.split(dx, 3, axis=-1)
    return (dx, tf.concat([d_reset, d_update, d_candidate * reset], -1)), (dh * update,)


def _rnn_forward(x: Tensor, r: Tensor, _: States) -> tuple[States, Tensor, Kept]:
    h = tf.tanh(x + r)
    return (h,), 1 - h * h, ()


def _rnn_backward(slopes: Tensor, _: Kept, gradients: States) -> tuple[tuple[Tensor, ...], States]:
    (dh,) = gradients
    return (dh * slopes,), (tf.zeros_like(dh),)


_CELLS: Mapping[str, _Cell] = {
    "lstm": _Cell(("c", "h"), 4, 2, 1, _lstm_shapes, _one_kernel(4), _lstm_forward, _lstm_backward),
    "gru": _Cell(("h",), 3, 2, 2, _gru_shapes, _gru_products, _gru_forward, _gru_backward),
    "rnn": _Cell(("h",), 1, 0, 1, _rnn_shapes, _one_kernel(1), _rnn_forward, _rnn_backward),
}


def weight_shapes(cell: CellName, inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
    """The weights of a layer with D = `inputs` and H = `hidden`: TensorFlow 1's variable names to shapes."""
    return _CELLS[cell].shapes(inputs, hidden)


def state_names(cell: CellName) -> tuple[str, ...]:
    """What a cell carries from step to step, in the order of every `states` tuple here; the last is the output h."""
    return _CELLS[cell].states


def initial_bias(
    cell: CellName, name: str, shape: tuple[int, ...], forget_bias: float | None = None
) -> npt.NDArray[np.float32]:
    """The values a bias starts from: zeros, but `forget_bias` (None is 1) for an LSTM's forget gate, 1 for a GRU's two.

    Source: Jozefowicz et al. 2015, section 2.2 (LSTM); TensorFlow 1's GRUCell (GRU), read 2026-10.
    """
    values = np.zeros(shape, np.float32)
    if cell == "lstm":
        values.reshape(4, -1)[2] = 1 if forget_bias is None else forget_bias
    elif name == "gates/bias":
        values[:] = 1
    return values


def layer(
    cell: CellName, inputs: Tensor, weights: Weights, states: States, *, embedding: Tensor | None = None
) -> tuple[Tensor, States]:
    """A whole sequence: (outputs h [T, N, H], states after the last step).

    Args:
        cell: Which equations.
        inputs: [T, N, D] floats; or [T, N] integers, which mean rows of `embedding`.
        weights: As `weight_shapes` says.
        states: One [N, H] for each of `state_names`.
        embedding: [V, D]; without it integers mean one-hot vectors, V = D.
    """
    p = products(cell, weights)
    projected = _projected_ids(inputs, p, embedding) if inputs.dtype.is_integer else _projected(inputs, p)
    outputs, *last = _recurrence(_CELLS[cell])(projected, p.recurrent, p.recurrent_bias, *states)
    return outputs, tuple(last)


def products(cell: CellName, weights: Weights) -> Products:
    """What the inputs and the previous h of a layer are multiplied by."""
    return _CELLS[cell].products(weights)


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


def _recurrence(cell: _Cell) -> Callable[..., tuple[Tensor, ...]]:
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
    cell: _Cell, projected: Tensor, recurrent: Tensor, recurrent_bias: Tensor, states: States
) -> tuple[Tensor, States, Tensor, Kept]:
    """(outputs [T, N, H], states after the last step, slopes [T, N, G*H], what else is kept [T, N, H])."""
    length = _length(projected)
    # A step reads its inputs for the last time, so its slopes take their place and the memory.
    wide = tf.TensorArray(projected.dtype, length, clear_after_read=False).unstack(projected)
    arrays = tuple(tf.TensorArray(projected.dtype, length) for _ in range(1 + cell.kept))

    def body(t: Tensor, states: States, wide: tf.TensorArray, arrays: tuple[tf.TensorArray, ...]) -> tuple[Any, ...]:
        product = tf.matmul(states[-1], recurrent) + recurrent_bias
        states, slopes, kept = cell.forward(wide.read(t), product, states)
        return t + 1, states, wide.write(t, slopes), _written(arrays, t, (states[-1], *kept))

    _, states, wide, arrays = tf.while_loop(lambda t, *_: t < length, body, (0, states, wide, arrays))
    outputs, *kept = (a.stack() for a in arrays)
    return outputs, states, wide.stack(), tuple(kept)


def _backward_loop(
    cell: _Cell, d_outputs: Tensor, d_last: States, recurrent: Tensor, slopes: Tensor, kept: Kept
) -> tuple[Tensor, Tensor, States]:
    """Gradients of both products at every step [T, N, G*H], and of the states before the first."""
    length, transposed = _length(d_outputs), tf.transpose(recurrent)  # once: a product with it is twice as fast
    arrays = tuple(tf.TensorArray(d_outputs.dtype, length) for _ in range(cell.gradients))

    def body(t: Tensor, gradients: States, arrays: tuple[tf.TensorArray, ...]) -> tuple[Any, ...]:
        gradients = (*gradients[:-1], gradients[-1] + d_outputs[t])
        of_products, (*rest, dh) = cell.backward(slopes[t], tuple(k[t] for k in kept), gradients)
        dh += tf.matmul(of_products[-1], transposed)
        return t - 1, (*rest, dh), _written(arrays, t, of_products)

    _, gradients, arrays = tf.while_loop(lambda t, *_: t >= 0, body, (length - 1, d_last, arrays))
    return arrays[0].stack(), arrays[-1].stack(), gradients


def _written(arrays: tuple[tf.TensorArray, ...], t: Tensor, values: Sequence[Tensor]) -> tuple[tf.TensorArray, ...]:
    return tuple(array.write(t, value) for array, value in zip(arrays, values, strict=True))


def _length(sequence: Tensor) -> Any:
    """T: a number where it is known when tracing, else a tensor."""
    return tf.shape(sequence)[0] if sequence.shape[0] is None else sequence.shape[0]
