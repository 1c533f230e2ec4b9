"""ATen's layers as ONNX: products with weights, convolution, normalisation, and recurrent layers and cells.

Sources: aten/src/ATen/native/native_functions.yaml and RNN.cpp (2.13), the ONNX operator documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from reprise import cells
from reprise.formats._torchscript_values import (
    Builder,
    Dim,
    NoIndexError,
    RefusedError,
    Size,
    Value,
    broadcast,
    known,
    same,
)
from reprise.tensors import Array

#: The order of the gates in PyTorch and in ONNX.
_ORDERS = {"LSTM": ("ifco", "iofc"), "GRU": ("rzc", "zrc"), "RNN": ("c", "c")}

FLOAT = "float32"


# Products with weights


def linear(b: Builder, input: Value, weight: Value, bias: Value | None = None) -> Value:
    turned = b.node("Transpose", [weight], FLOAT, weight.sizes[::-1], perm=[*range(weight.rank)[::-1]])
    product = matmul(b, input, turned)
    return product if bias is None else b.node("Add", [product, bias], FLOAT, broadcast(product.sizes, bias.sizes))


def matmul(b: Builder, self: Value, other: Value) -> Value:
    if not self.rank or not other.rank:
        raise RefusedError("a product of matrices of which one has no axis")
    left = (1, *self.sizes) if self.rank == 1 else self.sizes
    right = (*other.sizes, 1) if other.rank == 1 else other.sizes
    same(left[-1], right[-2], "a product of matrices")
    sizes = (*broadcast(left[:-2], right[:-2]), left[-2], right[-1])
    sizes = sizes[:-1] if other.rank == 1 else sizes
    sizes = (*sizes[: len(sizes) - 2], *sizes[len(sizes) - 1 :]) if self.rank == 1 and other.rank > 1 else sizes
    if self.rank == other.rank == 1:
        sizes = ()
    return b.node("MatMul", [self, other], self.dtype, sizes)


def mm(b: Builder, self: Value, mat2: Value) -> Value:
    if self.rank != 2 or mat2.rank != 2:
        raise RefusedError(f"mm of tensors of {self.rank} and {mat2.rank} axes")
    return matmul(b, self, mat2)


def bmm(b: Builder, self: Value, mat2: Value) -> Value:
    if self.rank != 3 or mat2.rank != 3:
        raise RefusedError(f"bmm of tensors of {self.rank} and {mat2.rank} axes")
    return matmul(b, self, mat2)


def addmm(b: Builder, self: Value, mat1: Value, mat2: Value, beta: Any = 1, alpha: Any = 1) -> Value:
    if known(beta) != 1 or known(alpha) != 1:
        raise RefusedError("addmm with factors")
    product = mm(b, mat1, mat2)
    return b.node("Add", [product, self], FLOAT, broadcast(product.sizes, self.sizes))


def embedding(b: Builder, weight: Value, indices: Value, *options: Any) -> Value:
    return b.node("Gather", [weight, index(indices)], weight.dtype, (*indices.sizes, *weight.sizes[1:]), axis=0)


def index(value: Value) -> Value:
    """A tensor of ids.

    Raises:
        NoIndexError: It holds no whole numbers.
    """
    root = value
    while root.base is not None:
        root = root.base
    if value.dtype not in ("int64", "int32"):
        raise NoIndexError(root.name)
    return value


def conv1d(
    b: Builder,
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    return _convolution(b, 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    b: Builder,
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    return _convolution(b, 2, input, weight, bias, stride, padding, dilation, groups)


def convolution(
    b: Builder,
    input: Value,
    weight: Value,
    bias: Value | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    *options: Any,
) -> Value:
    if transposed:
        raise RefusedError("a transposed convolution")
    return _convolution(b, weight.rank - 2, input, weight, bias, stride, padding, dilation, groups)


def _convolution(
    b: Builder,
    axes: int,
    input: Value,
    weight: Value,
    bias: Value | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Value:
    if input.rank != axes + 2 or isinstance(padding, str):
        raise RefusedError(f"a convolution along {axes} axes of a tensor of {input.rank}, padded by {padding!r}")
    same(input.sizes[1], int(weight.sizes[1]) * groups, "channels of a convolution")  # type: ignore[arg-type]
    steps, pads, holes = (_each(n, axes) for n in (stride, padding, dilation))
    kernel = [int(n) for n in weight.sizes[2:]]  # type: ignore[arg-type]
    after = [_convolved(input.sizes[2 + k], kernel[k], steps[k], pads[k], holes[k]) for k in range(axes)]
    inputs = [input, weight, *([] if bias is None else [bias])]
    made = b.node(
        "Conv",
        inputs,
        FLOAT,
        (input.sizes[0], weight.sizes[0], *(1 if n is None else n for n in after)),
        strides=steps,
        pads=[*pads, *pads],
        dilations=holes,
        group=groups,
        kernel_shape=kernel,
    )
    made.sizes = (*made.sizes[:2], *(Dim((made.name, 2 + k)) if n is None else n for k, n in enumerate(after)))
    return made


def _each(value: Any, count: int) -> list[int]:
    return [int(n) for n in value] if isinstance(value, list) and len(value) == count else [int(value)] * count


def _convolved(size: Size, kernel: int, stride: int, pad: int, hole: int) -> int | None:
    """The size that a convolution leaves, None where it is known only when the model runs."""
    size = known(size)
    if isinstance(size, Dim):
        return None
    left = (size + 2 * pad - hole * (kernel - 1) - 1) // stride + 1
    if left < 1:
        raise RefusedError(f"a convolution of {size} numbers with a kernel of {kernel}")
    return left


# Normalisation


def layer_norm(
    b: Builder,
    input: Value,
    normalized_shape: Sequence[int],
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    *options: Any,
) -> Value:
    count = len(normalized_shape)
    if count > input.rank or not count:
        raise RefusedError(f"layer_norm over {count} axes of a tensor of {input.rank}")
    for size, wanted in zip(input.sizes[-count:], normalized_shape, strict=True):
        same(size, wanted, "layer_norm")
    scale = b.constant(np.ones(list(normalized_shape)), FLOAT) if weight is None else weight
    inputs = [input, scale, *([] if bias is None else [bias])]
    return b.node("LayerNormalization", inputs, FLOAT, input.sizes, axis=-count, epsilon=float(eps))


def batch_norm(
    b: Builder,
    input: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    training: bool,
    momentum: float,
    eps: float,
    *options: Any,
) -> Value:
    if training or running_mean is None or running_var is None or input.rank < 2:
        raise RefusedError("batch_norm with the statistics of the batch; save the model in evaluation mode")
    same(input.sizes[1], running_mean.sizes[0], "batch_norm")
    size = int(running_mean.sizes[0])  # type: ignore[arg-type]
    scale = b.constant(np.ones(size), FLOAT) if weight is None else weight
    shift = b.constant(np.zeros(size), FLOAT) if bias is None else bias
    return b.node(
        "BatchNormalization",
        [input, scale, shift, running_mean, running_var],
        FLOAT,
        input.sizes,
        epsilon=float(eps),
    )


# Recurrent layers


def lstm(
    b: Builder,
    input: Value,
    hx: Sequence[Value],
    params: Sequence[Value],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool = False,
) -> tuple[Value, Value, Value]:
    layers = _Layers("LSTM", num_layers, bidirectional, has_biases, dropout if train else 0.0)
    steps, (h, c) = layers.run(b, input, hx, params, batch_first=batch_first)
    return steps, h, c


def gru(b: Builder, input: Value, hx: Value, params: Sequence[Value], *how: Any) -> tuple[Value, Value]:
    return _one_state(b, "GRU", [], input, hx, params, *how)


def rnn_tanh(b: Builder, input: Value, hx: Value, params: Sequence[Value], *how: Any) -> tuple[Value, Value]:
    return _one_state(b, "RNN", ["Tanh"], input, hx, params, *how)


def rnn_relu(b: Builder, input: Value, hx: Value, params: Sequence[Value], *how: Any) -> tuple[Value, Value]:
    return _one_state(b, "RNN", ["Relu"], input, hx, params, *how)


def _one_state(
    b: Builder,
    kind: str,
    activations: list[str],
    input: Value,
    hx: Value,
    params: Sequence[Value],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool = False,
) -> tuple[Value, Value]:
    layers = _Layers(kind, num_layers, bidirectional, has_biases, dropout if train else 0.0, activations)
    steps, (h,) = layers.run(b, input, [hx], params, batch_first=batch_first)
    return steps, h


class _Layers:
    """Stacked recurrent layers of one kind."""

    def __init__(
        self, kind: str, count: int, both_ways: bool, biased: bool, dropout: float, activations: Sequence[str] = ()
    ) -> None:
        if dropout and count > 1:
            raise RefusedError("dropout between recurrent layers that draws at random; save it in evaluation mode")
        self.kind, self.count, self.ways = kind, count, 2 if both_ways else 1
        self.biased, self.activations = biased, list(activations) * self.ways

    def run(
        self, b: Builder, input: Value, states: Sequence[Value], params: Sequence[Value], *, batch_first: bool
    ) -> tuple[Value, list[Value]]:
        """Outputs laid out as the input, and the last states [layers · directions, N, H]."""
        each = 4 if self.biased else 2
        if len(params) != each * self.count * self.ways:
            raise RefusedError(f"{self.kind} of {self.count} layers with {len(params)} weights (projections?)")
        if input.rank != 3 or any(s.rank != 3 for s in states):
            raise RefusedError(f"{self.kind} of a tensor of {input.rank} axes and states of {[s.rank for s in states]}")
        units = int(params[1].sizes[1])  # type: ignore[arg-type]
        rows = input.sizes[0 if batch_first else 1]
        for state in states:
            for size, wanted in zip(state.sizes, (self.count * self.ways, rows, units), strict=True):
                same(size, wanted, f"states of {self.kind}")
        steps = _turned(b, input) if batch_first else input
        last: list[list[Value]] = [[] for _ in states]
        for layer in range(self.count):
            own = params[layer * each * self.ways : (layer + 1) * each * self.ways]
            starts = [_rows(b, s, layer * self.ways, self.ways, self.count) for s in states]
            steps, ends = self._layer(b, steps, starts, own, units)
            for found, end in zip(last, ends, strict=True):
                found.append(end)
        return (_turned(b, steps) if batch_first else steps), [_joined(b, found) for found in last]

    def _layer(
        self, b: Builder, steps: Value, starts: Sequence[Value], params: Sequence[Value], units: int
    ) -> tuple[Value, list[Value]]:
        same(steps.sizes[2], params[0].sizes[1], f"{self.kind}: features and weights")
        options: dict[str, Any] = {"direction": "bidirectional"} if self.ways == 2 else {}
        options |= {"activations": self.activations} if self.activations else {}
        options |= {"linear_before_reset": 1} if self.kind == "GRU" else {}
        weights = self._weights(b, params, units)
        names = b.emit(
            self.kind,
            [b.read(steps), *weights, "", *map(b.read, starts)],
            1 + len(starts),
            hidden_size=units,
            **options,
        )
        time, rows = steps.sizes[:2]
        every = Value(names[0], FLOAT, (time, self.ways, rows, units))
        by_row = b.node("Transpose", [every], FLOAT, (time, rows, self.ways, units), perm=[0, 2, 1, 3])
        joined = b.node("Reshape", [by_row, b.ints([0, 0, -1])], FLOAT, (time, rows, self.ways * units))
        return joined, [Value(name, FLOAT, (self.ways, rows, units)) for name in names[1:]]

    def _weights(self, b: Builder, params: Sequence[Value], units: int) -> list[str]:
        """The names of W, R and B as ONNX has them, with an axis of directions."""
        each = len(params) // self.ways
        have, want = _ORDERS[self.kind]
        ways = [params[k * each : (k + 1) * each] for k in range(self.ways)]
        for value in params:
            if value.stored is None:
                raise RefusedError(f"weights of {self.kind} that are computed")
            b.loaded.add(value.name)

        def stacked(position: int) -> Array:
            return np.stack([cells.reordered(b.load(p[position]).T, have, want).T for p in ways])

        def biases() -> Array:
            if not self.biased:
                return np.zeros((self.ways, 2 * len(want) * units), np.float32)
            return np.concatenate([stacked(2), stacked(3)], axis=1)

        return [
            b.tensor(b.fresh(f"{self.kind} W"), lambda: stacked(0)),
            b.tensor(b.fresh(f"{self.kind} R"), lambda: stacked(1)),
            b.tensor(b.fresh(f"{self.kind} B"), biases),
        ]


def _turned(b: Builder, value: Value) -> Value:
    """Batch-major steps as time-major ones, and the other way round."""
    return b.node("Transpose", [value], value.dtype, (value.sizes[1], value.sizes[0], *value.sizes[2:]), perm=[1, 0, 2])


def _rows(b: Builder, state: Value, begin: int, count: int, layers: int) -> Value:
    if layers == 1:
        return state
    bounds = [b.ints([begin]), b.ints([begin + count]), b.ints([0])]
    return b.node("Slice", [state, *bounds], FLOAT, (count, *state.sizes[1:]))


def _joined(b: Builder, parts: Sequence[Value]) -> Value:
    if len(parts) == 1:
        return parts[0]
    count = sum(n for p in parts if isinstance(n := known(p.sizes[0]), int))
    return b.node("Concat", parts, FLOAT, (count, *parts[0].sizes[1:]), axis=0)


# Cells: one step of a layer


def lstm_cell(
    b: Builder, input: Value, hx: Sequence[Value], w_ih: Value, w_hh: Value, b_ih: Any = None, b_hh: Any = None
) -> tuple[Value, Value]:
    h, c = _cell(b, _Layers("LSTM", 1, False, b_ih is not None, 0.0), input, hx, (w_ih, w_hh, b_ih, b_hh))
    return h, c


def gru_cell(
    b: Builder, input: Value, hx: Value, w_ih: Value, w_hh: Value, b_ih: Any = None, b_hh: Any = None
) -> Value:
    return _cell(b, _Layers("GRU", 1, False, b_ih is not None, 0.0), input, [hx], (w_ih, w_hh, b_ih, b_hh))[0]


def rnn_tanh_cell(
    b: Builder, input: Value, hx: Value, w_ih: Value, w_hh: Value, b_ih: Any = None, b_hh: Any = None
) -> Value:
    layers = _Layers("RNN", 1, False, b_ih is not None, 0.0, ["Tanh"])
    return _cell(b, layers, input, [hx], (w_ih, w_hh, b_ih, b_hh))[0]


def rnn_relu_cell(
    b: Builder, input: Value, hx: Value, w_ih: Value, w_hh: Value, b_ih: Any = None, b_hh: Any = None
) -> Value:
    layers = _Layers("RNN", 1, False, b_ih is not None, 0.0, ["Relu"])
    return _cell(b, layers, input, [hx], (w_ih, w_hh, b_ih, b_hh))[0]


def _cell(b: Builder, layers: _Layers, input: Value, states: Sequence[Value], params: Sequence[Any]) -> list[Value]:
    if input.rank != 2 or any(s.rank != 2 for s in states):
        raise RefusedError(f"a cell of a tensor of {input.rank} axes and states of {[s.rank for s in states]}")
    zero = b.ints([0])
    step = b.node("Unsqueeze", [input, zero], FLOAT, (1, *input.sizes))
    starts = [b.node("Unsqueeze", [s, zero], FLOAT, (1, *s.sizes)) for s in states]
    _, ends = layers.run(b, step, starts, [p for p in params if p is not None], batch_first=False)
    return [b.node("Squeeze", [e, zero], FLOAT, e.sizes[1:]) for e in ends]


#: The functions above that are operators, by their names.
OPERATORS: Mapping[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        linear,
        matmul,
        mm,
        bmm,
        addmm,
        embedding,
        conv1d,
        conv2d,
        layer_norm,
        batch_norm,
        lstm,
        gru,
        rnn_tanh,
        rnn_relu,
        lstm_cell,
        gru_cell,
        rnn_tanh_cell,
        rnn_relu_cell,
    )
} | {"_convolution": convolution}
