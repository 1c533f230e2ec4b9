"""The one vector in which cuDNN keeps the weights of a stack.

For every layer and direction the matrices of its input, [H, D] for each gate, then those of its state, [H, H]; after
the matrices of all layers the biases in the same order, one of the input and one of the state for each gate. A first
layer that skips has no matrices of its input. The gates of an LSTM are in the order i, f, c, o, those of a GRU r, z, n.
Source: tensorflow/python/keras/layers/cudnn_recurrent.py, CuDNNLSTM._process_batch, which lays the vector out itself;
the gates also in contrib/cudnn_rnn/python/ops/cudnn_rnn_ops.py, CudnnParamsFormatConverterLSTM (TensorFlow 1.15.5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from reprise.frame import Scope
from reprise.graph import Value
from reprise.interface.normal.fused.cudnn.reading import GATES, CudnnStack
from reprise.tensors import DTYPES


@dataclass(frozen=True, slots=True)
class CudnnWeights:
    """The weights of one layer in one direction, gates after one another in the rows.

    Attributes:
        kernel: Of the input, [G · H, D].
        recurrent: Of the state, [G · H, H].
        bias: Of the input, [G · H].
        recurrent_bias: Of the state, [G · H].
    """

    kernel: Value
    recurrent: Value
    bias: Value
    recurrent_bias: Value


def divide_parameters(stack: CudnnStack, scope: Scope) -> list[CudnnWeights]:
    """The weights of every layer and direction of `stack`, cut out of its vector by nodes in `scope`.

    One operator divides the whole vector, so that a vector of another length is an error and never misread.
    """
    gates, count, dtype = GATES[stack.mode], stack.layers * stack.directions, stack.dtype
    rows = gates * stack.hidden
    shapes = [*_matrices(stack, rows), *[(rows,)] * (2 * count)]
    how = (scope.number("sizes", [prod(s) for s in shapes]), scope.number("axis", 0))
    parts = scope.make("params", "SplitV", (stack.node.inputs[3], *how), T=dtype, num_split=len(shapes), Tlen="int32")
    shaped = []
    for i, shape in enumerate(shapes):
        part = (Value(parts.node, i), scope.number(f"params/{i}/shape", shape))
        shaped.append(scope.make(f"params/{i}", "Reshape", part, T=dtype, Tshape="int32"))
    if stack.skips:
        as_it_is = scope.array("as_it_is", np.tile(np.eye(stack.hidden, dtype=DTYPES[dtype]), (gates, 1)))
        for direction in range(stack.directions):
            shaped.insert(2 * direction, as_it_is)
    pairs = list(zip(shaped[::2], shaped[1::2], strict=True))
    return [CudnnWeights(*matrices, *biases) for matrices, biases in zip(pairs[:count], pairs[count:], strict=True)]


def _matrices(stack: CudnnStack, rows: int) -> Iterator[tuple[int, int]]:
    for layer in range(stack.layers):
        for _ in range(stack.directions):
            if layer or not stack.skips:
                yield rows, stack.width(layer)
            yield rows, stack.hidden
