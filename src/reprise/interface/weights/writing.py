"""A reading of stored tensors as the graph that a program of TensorFlow would have saved with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from reprise.frame import Frame, Scope
from reprise.graph import Graph, Node, ShapeAttribute, Value
from reprise.interface.weights.candidates import Cell
from reprise.interface.weights.reading import Dense, Reading
from reprise.interface.weights.unstored import ACTIVATIONS, Unstored
from reprise.tensors import DTYPES, Tensor, in_memory


def written(reading: Reading, cell: Unstored, weights: Mapping[str, Tensor], *, scores: bool) -> Graph:
    """The graph: inputs [N, T] of ids or [N, T, D] of numbers, one loop over time, outputs [N, T, …].

    Its variables are called as the stored tensors are. With `scores` the outputs are shown as probabilities too.
    """
    scope = "model"
    while any(name.startswith(scope) for name in weights):
        scope += "_"
    first = next(iter(reading.cells[0].tensors.values()))
    writer = _Writer(scope, weights, weights[first].dtype)
    hidden = writer.loop(writer.inputs(reading), reading, cell)
    for head in reading.heads:
        value = writer.head(head, hidden)
        if scores:
            writer.probabilities(head, value)
    return Graph(writer.nodes)


class _Writer(Scope):
    """A graph under construction."""

    def __init__(self, scope: str, weights: Mapping[str, Tensor], dtype: str) -> None:
        super().__init__(scope)
        self._weights, self._dtype = weights, dtype

    def _op(self, name: str, op: str, *inputs: Value, **attributes: Any) -> Value:
        return self.make(name, op, inputs, T=self._dtype, **attributes)

    def _variable(self, name: str) -> Value:
        tensor = self._weights[name]
        attributes = {"dtype": tensor.dtype, "shape": ShapeAttribute(tensor.shape)}
        return self.add(Node(name, "VariableV2", (), (), attributes))

    def _turned(self, name: str, value: Value) -> Value:
        return self._op(name, "Transpose", value, self.number(f"{name}/perm", (1, 0, 2)), Tperm="int32")

    def inputs(self, reading: Reading) -> Value:
        """What the first cell reads, [N, T, D]."""
        if reading.table is None:
            shape = ShapeAttribute((None, None, reading.cells[0].inputs))
            return self.make("inputs", "Placeholder", dtype=self._dtype, shape=shape)
        ids = self.make("inputs", "Placeholder", dtype="int32", shape=ShapeAttribute((None, None)))
        held = (self._variable(reading.table), ids, self.number("lookup/axis", 0))
        return self.make("lookup", "GatherV2", held, Tparams=self._dtype, Tindices="int32", Taxis="int32")

    def loop(self, inputs: Value, reading: Reading, cell: Unstored) -> Value:
        """The outputs of the last cell, [N, T, H]."""
        batch = self.rows(inputs, "batch")
        stacked = self._turned("turned", inputs)
        frame = Frame(f"{self.name}/loop", self.rows(stacked, "time"), self.nodes)
        x = frame.read("x", stacked, self._dtype)
        for number, one in enumerate(reading.cells):
            x = self._step(frame, number, one, cell, x, batch)
        outputs = frame.write("outputs", x, self._dtype)
        return self._turned("hidden", outputs)

    def _step(self, frame: Frame, number: int, one: Cell, cell: Unstored, x: Value, batch: Value) -> Value:
        """One cell in the loop; gives what the next one reads."""
        weights = {role: frame.constant(self._variable(name)) for role, name in one.tensors.items()}
        step = _Step(frame, f"layer{number}", self._dtype, weights, cell)
        widths = (one.units, one.outputs) if cell.kind == "lstm" else (one.outputs,)
        state = [frame.carry(self._zeros(f"zeros{number}_{k}", batch, n), self._dtype) for k, n in enumerate(widths)]
        equations: Mapping[str, Callable[..., tuple[Value, ...]]] = {
            "lstm": step.lstm,
            "gru": step.gru,
            "rnn": step.rnn,
        }
        after = equations[cell.kind](x, *state)
        for variable, value in zip(state, after, strict=True):
            frame.leave(variable, value)
        return after[-1]

    def _zeros(self, name: str, batch: Value, width: int) -> Value:
        shape = self.make(f"{name}/shape", "Pack", (batch, self.number(f"{name}/width", width)), N=2, T="int32")
        return self._op(name, "Fill", shape, self.array(f"{name}/zero", np.zeros((), DTYPES[self._dtype])))

    def head(self, head: Dense, hidden: Value) -> Value:
        """A dense layer over every row, [N, T, V]."""
        value = self._op(f"{head.kernel}/product", "BatchMatMulV2", hidden, self._variable(head.kernel))
        if head.bias is not None:
            value = self._op(head.kernel, "AddV2", value, self._variable(head.bias))
        return value

    def probabilities(self, head: Dense, value: Value) -> None:
        """Those of the scores that a dense layer gives."""
        self._op(f"{head.kernel}/probabilities", "Softmax", value)


class _Step:
    """The equations of one cell on one row, as `rnn_cell_impl.py` of TensorFlow 1 writes them."""

    def __init__(self, frame: Frame, scope: str, dtype: str, weights: Mapping[str, Value], cell: Unstored) -> None:
        self._frame, self._scope, self._dtype = frame, scope, dtype
        self._weights, self._cell, self._made = weights, cell, 0

    def _op(self, op: str, *inputs: Value, **attributes: Any) -> Value:
        self._made += 1
        return self._frame.make(f"{self._scope}/{op}_{self._made}", op, inputs, T=self._dtype, **attributes)

    def _number(self, value: float, dtype: str = "") -> Value:
        """A constant, from outside the loop."""
        self._made += 1
        content = in_memory(np.asarray(value, DTYPES[dtype or self._dtype]))
        name = f"{self._scope}/constant_{self._made}"
        return self._frame.constant(self._frame.make(name, "Const", dtype=dtype or self._dtype, value=content))

    def _affine(self, x: Value, h: Value, kernel: str, bias: str) -> Value:
        joined = self._op("ConcatV2", x, h, self._number(1, "int32"), N=2, Tidx="int32")
        return self._op("BiasAdd", self._op("MatMul", joined, self._weights[kernel]), self._weights[bias])

    def _split(self, value: Value, parts: int) -> tuple[Value, ...]:
        made = self._op("Split", self._number(1, "int32"), value, num_split=parts)
        return tuple(Value(made.node, i) for i in range(parts))

    def _activated(self, value: Value) -> Value:
        return self._op(ACTIVATIONS[self._cell.activation], value)

    def _peeped(self, gate: Value, role: str, c: Value) -> Value:
        if role not in self._weights:
            return gate
        return self._op("AddV2", gate, self._op("Mul", self._weights[role], c))

    def lstm(self, x: Value, c: Value, h: Value) -> tuple[Value, ...]:
        """The next c and h."""
        i, j, f, o = self._split(self._affine(x, h, "kernel", "bias"), 4)
        f = self._op("AddV2", f, self._number(self._cell.forget_bias))
        kept = self._op("Mul", self._op("Sigmoid", self._peeped(f, "w_f_diag", c)), c)
        new = self._op("Mul", self._op("Sigmoid", self._peeped(i, "w_i_diag", c)), self._activated(j))
        c, bound = self._op("AddV2", kept, new), self._cell.cell_clip
        if bound:
            c = self._op("ClipByValue", c, self._number(-bound), self._number(bound))
        out = self._op("Sigmoid", self._peeped(o, "w_o_diag", c))
        h = self._op("Mul", out, self._activated(c))
        return c, self._op("MatMul", h, self._weights["projection"]) if "projection" in self._weights else h

    def gru(self, x: Value, h: Value) -> tuple[Value, ...]:
        """The next h."""
        r, u = self._split(self._op("Sigmoid", self._affine(x, h, "gates", "gates_bias")), 2)
        new = self._affine(x, self._op("Mul", r, h), "candidate", "candidate_bias")
        rest = self._op("Mul", self._op("Sub", self._number(1.0), u), self._activated(new))
        return (self._op("AddV2", self._op("Mul", u, h), rest),)

    def rnn(self, x: Value, h: Value) -> tuple[Value, ...]:
        """The next h."""
        return (self._activated(self._affine(x, h, "kernel", "bias")),)
