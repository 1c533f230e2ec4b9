"""The equations of cuDNN's cells as nodes of a frame. Source: NVIDIA cuDNN developer guide, cudnnRNNMode_t."""

from __future__ import annotations

import numpy as np

from reprise.frame import Frame
from reprise.graph import Value
from reprise.interface.normal.fused.cudnn.parameters import CudnnWeights
from reprise.interface.normal.fused.cudnn.reading import GATES
from reprise.tensors import DTYPES, in_memory


class CudnnCell:
    """One step of one layer, of the mode's kind, written into a frame."""

    def __init__(self, frame: Frame, mode: bytes, dtype: str, weights: CudnnWeights) -> None:
        self._frame, self._mode, self._dtype, self._weights = frame, mode, dtype, weights

    def step(self, x: Value, h: Value, c: Value | None) -> tuple[Value, Value | None]:
        """The next h and c; only an LSTM has a c."""
        weights = self._weights
        of_input = self._sum("x", x, weights.kernel, weights.bias)
        of_state = self._sum("h", h, weights.recurrent, weights.recurrent_bias)
        if self._mode == b"gru":
            return self._gru(of_input, of_state, h), None
        gates = self._op("gates", "Add", of_input, of_state)
        if c is not None:
            return self._lstm(gates, c)
        return self._op("h_next", "Relu" if self._mode == b"rnn_relu" else "Tanh", gates), None

    def _lstm(self, gates: Value, c: Value) -> tuple[Value, Value]:
        i, f, g, o = self._split("gates/split", gates)
        kept = self._op("kept", "Mul", c, self._op("f", "Sigmoid", f))
        new = self._op("new", "Mul", self._op("i", "Sigmoid", i), self._op("g", "Tanh", g))
        cell = self._op("c_next", "Add", kept, new)
        return self._op("h_next", "Mul", self._op("c_tanh", "Tanh", cell), self._op("o", "Sigmoid", o)), cell

    def _gru(self, of_input: Value, of_state: Value, h: Value) -> Value:
        """`n = tanh(Wx + b + r ⊙ (Rh + b′))`: the reset gate acts after the product."""
        ours, theirs = self._split("x/split", of_input), self._split("h/split", of_state)
        r, z = (
            self._op(name, "Sigmoid", self._op(f"{name}/sum", "Add", a, b))
            for name, a, b in zip("rz", ours, theirs, strict=False)
        )
        reset = self._op("reset", "Mul", r, theirs[2])
        n = self._op("n", "Tanh", self._op("n/sum", "Add", ours[2], reset))
        one = in_memory(np.asarray(1, DTYPES[self._dtype]))
        rest = self._op("rest", "Sub", self._frame.constant(self._op("one", "Const", dtype=one.dtype, value=one)), z)
        return self._op("h_next", "Add", self._op("kept", "Mul", z, h), self._op("new", "Mul", rest, n))

    def _op(self, name: str, op: str, *inputs: Value, **attributes: object) -> Value:
        return self._frame.make(name, op, inputs, T=self._dtype, **attributes)

    def _sum(self, name: str, x: Value, matrix: Value, bias: Value) -> Value:
        held, added = self._frame.constant(matrix), self._frame.constant(bias)
        product = self._op(f"{name}/MatMul", "MatMul", x, held, transpose_a=False, transpose_b=True)
        return self._op(f"{name}/BiasAdd", "BiasAdd", product, added)

    def _split(self, name: str, x: Value) -> list[Value]:
        count = GATES[self._mode]
        axis = self._frame.constant(self._frame.number(f"{name}/axis", 1))
        made = self._op(name, "Split", axis, x, num_split=count)
        return [Value(made.node, i) for i in range(count)]
