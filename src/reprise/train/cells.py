"""The cells that are trained: their weights, equations, and gradients written by hand.

Weights have the layout and the names that TensorFlow 1 gives them (H hidden, D input):

    lstm   BasicLSTMCell            kernel [D+H, 4H], bias [4H]            gates i, j, f, o
    gru    CudnnCompatibleGRUCell   gates/kernel [D+H, 2H], gates/bias     gates r, u
                                    candidate/{input,hidden}_projection/{kernel [D or H, H], bias [H]}
    rnn    BasicRNNCell             kernel [D+H, H], bias [H]

The LSTM equations add no constant to the forget gate; `initial_bias` puts a forget bias into the bias itself, so a
reader of the weights needs to know nothing more. The GRU applies the reset gate after the product, as cuDNN, Keras
(`reset_after`) and PyTorch do: one product per step, and every framework can hold the weights.

Going forward, a step computes the slopes that the way back multiplies with. There the derivative of a sigmoid would use
one slice of the gates twice, and XLA does not vectorise a fused expression that does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from reprise.train.config import Cell

Tensor: TypeAlias = Any  # TensorFlow has no type stubs
Weights: TypeAlias = Mapping[str, Tensor]
States: TypeAlias = tuple[Tensor, ...]
Kept: TypeAlias = tuple[Tensor, ...]

_INPUT = "candidate/input_projection"
_HIDDEN = "candidate/hidden_projection"


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
class Equations:
    """One kind of cell, of G gates.

    Attributes:
        states: Names of what is carried; the last is h, which is also the output.
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


EQUATIONS: Mapping[Cell, Equations] = {
    "lstm": Equations(("c", "h"), 2, 1, _lstm_shapes, _one_kernel(4), _lstm_forward, _lstm_backward),
    "gru": Equations(("h",), 2, 2, _gru_shapes, _gru_products, _gru_forward, _gru_backward),
    "rnn": Equations(("h",), 0, 1, _rnn_shapes, _one_kernel(1), _rnn_forward, _rnn_backward),
}


def weight_shapes(cell: Cell, inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
    """The weights of a layer with D = `inputs` and H = `hidden`: TensorFlow 1's variable names to shapes."""
    return EQUATIONS[cell].shapes(inputs, hidden)


def state_names(cell: Cell) -> tuple[str, ...]:
    """What a cell carries from step to step, in the order of every `states` tuple here; the last is the output h."""
    return EQUATIONS[cell].states


def initial_bias(cell: Cell, name: str, shape: tuple[int, ...], forget_bias: float = 0) -> npt.NDArray[np.float32]:
    """The values a bias starts from: zeros, but `forget_bias` for an LSTM's forget gate, and 1 for the GRU's two.

    Source of the latter: TensorFlow 1's GRUCell, read 2026-10.
    """
    values = np.zeros(shape, np.float32)
    if cell == "lstm":
        values.reshape(4, -1)[2] = forget_bias
    elif name == "gates/bias":
        values[:] = 1
    return values


def products(cell: Cell, weights: Weights) -> Products:
    """What the inputs and the previous h of a layer are multiplied by."""
    return EQUATIONS[cell].products(weights)
