"""`CudnnRNN` as a frame of its own equations: what a GPU library computed, on any machine.

`CudnnRNN(input [T, N, D], input_h [L, N, H], input_c [L, N, H], params)` makes output [T, N, H], output_h and output_c.
`params` is one vector: for every layer the matrices of its inputs, [H, D] for each gate, then those of its state,
[H, H]; after the matrices of all layers the biases in the same order. Gates: LSTM i, f, c, o; GRU r, z, n, where
n = tanh(Wx + b + r ⊙ (Rh + b′)). Source: NVIDIA cuDNN developer guide, cudnnRNNMode_t; the order of the gates also in
tensorflow/contrib/cudnn_rnn/python/ops/cudnn_rnn_ops.py, CudnnParamsFormatConverterLSTM.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reprise.graph import Node, Value
from reprise.interface.facts import Facts
from reprise.interface.frame import Frame, row_count
from reprise.interface.inline import RESULTS
from reprise.tensors import in_memory

OPERATORS = frozenset(("CudnnRNN", "CudnnRNNV2"))
_GATES = {b"lstm": 4, b"gru": 3, b"rnn_tanh": 1, b"rnn_relu": 1}


@dataclass(frozen=True, slots=True)
class _Sizes:
    layers: int
    inputs: int
    hidden: int


def is_plain(node: Node) -> bool:
    """Whether the operator runs in one direction, without dropout, with weights for its input."""
    given = node.attributes
    return (
        given.get("rnn_mode", b"lstm") in _GATES
        and given.get("direction", b"unidirectional") == b"unidirectional"
        and given.get("input_mode", b"linear_input") in (b"linear_input", b"auto_select")
        and not given.get("dropout", 0.0)
        and not given.get("num_proj", 0)
    )


def rewrite(facts: Facts, node: Node, nodes: dict[str, Node]) -> bool:
    """Puts the frame of one operator in its place, if all sizes are known."""
    sizes = _sizes(facts, node)
    if sizes is not None:
        _Writer(node, sizes, nodes).write()
    return sizes is not None


def _sizes(facts: Facts, node: Node) -> _Sizes | None:
    x, state = facts.shape(node.inputs[0]), facts.shape(node.inputs[1])
    if x is None or state is None or len(x) != 3 or len(state) != 3:
        return None
    wanted = (state[0], x[2], state[2])
    return _Sizes(*(d.scale for d in wanted)) if all(d.known for d in wanted) else None


class _Writer:
    def __init__(self, node: Node, sizes: _Sizes, nodes: dict[str, Node]) -> None:
        self._node, self._sizes, self._nodes = node, sizes, nodes
        self._mode = node.attributes.get("rnn_mode", b"lstm")
        self._gates = _GATES[self._mode]
        self._dtype = str(node.attributes.get("T", "float32"))
        self._name = f"fused/{node.name}"
        rows, made = row_count(self._name, node.inputs[0])
        self._nodes.update((n.name, n) for n in made)
        self._frame = Frame(self._name, rows)
        self._offset = 0

    def write(self) -> None:
        """Writes the frame; the operator's own name passes on what it made."""
        x = self._frame.read("x", self._node.inputs[0], self._dtype)
        matrices = [self._matrices(k) for k in range(self._sizes.layers)]
        biases = [self._biases(k) for k in range(self._sizes.layers)]
        finals: list[tuple[Value, Value | None]] = []
        for k in range(self._sizes.layers):
            x, final = self._layer(k, x, matrices[k], biases[k])
            finals.append(final)
        outputs = [self._frame.write("out", x, self._dtype), self._packed("h", [h for h, _ in finals])]
        cells = [c for _, c in finals if c is not None]
        outputs.append(self._packed("c", cells) if cells else self._node.inputs[2])
        self._nodes.update(self._frame.nodes)
        self._nodes[self._node.name] = Node(self._node.name, RESULTS, tuple(outputs))

    def _op(self, name: str, op: str, *inputs: Value, **attributes: object) -> Value:
        return self._frame.make(name, op, inputs, T=self._dtype, **attributes)

    def _part(self, name: str, *shape: int) -> Value:
        """The next numbers of the vector of parameters."""
        size = int(np.prod(shape))
        begin, count = self._frame.number(f"{name}/begin", [self._offset]), self._frame.number(f"{name}/size", [size])
        self._offset += size
        flat = self._op(f"{name}/Slice", "Slice", self._node.inputs[3], begin, count)
        whole = self._op(name, "Reshape", flat, self._frame.number(f"{name}/shape", shape), Tshape="int32")
        return self._frame.constant(whole)

    def _matrices(self, layer: int) -> tuple[Value, Value]:
        rows = self._gates * self._sizes.hidden
        width = self._sizes.hidden if layer else self._sizes.inputs
        return self._part(f"{layer}/W", rows, width), self._part(f"{layer}/R", rows, self._sizes.hidden)

    def _biases(self, layer: int) -> tuple[Value, Value]:
        rows = self._gates * self._sizes.hidden
        return self._part(f"{layer}/bW", rows), self._part(f"{layer}/bR", rows)

    def _initial(self, layer: int, name: str, states: Value) -> Value:
        scope = f"{layer}/{name}"
        bounds = [self._frame.number(f"{scope}/{side}", [layer + k]) for k, side in enumerate(("begin", "end"))]
        one = self._frame.number(f"{scope}/strides", [1])
        first = self._op(f"{scope}/initial", "StridedSlice", states, *bounds, one, shrink_axis_mask=1)
        return self._frame.carry(first, self._dtype)

    def _packed(self, name: str, finals: list[Value]) -> Value:
        return self._op(f"final/{name}", "Pack", *finals, axis=0, N=len(finals))

    def _layer(
        self, k: int, x: Value, matrices: tuple[Value, Value], biases: tuple[Value, Value]
    ) -> tuple[Value, tuple[Value, Value | None]]:
        """One layer at one step: its output; and the last h and c."""
        h = self._initial(k, "h", self._node.inputs[1])
        sums = [
            self._op(f"{k}/{name}/BiasAdd", "BiasAdd", self._product(f"{k}/{name}/MatMul", v, matrix), bias)
            for name, v, matrix, bias in zip("xh", (x, h), matrices, biases, strict=True)
        ]
        if self._mode == b"lstm":
            c = self._initial(k, "c", self._node.inputs[2])
            new_c, new_h = self._lstm(k, self._op(f"{k}/gates", "Add", *sums), c)
            return new_h, (self._frame.leave(h, new_h), self._frame.leave(c, new_c))
        if self._mode == b"gru":
            new_h = self._gru(k, sums[0], sums[1], h)
        else:
            total = self._op(f"{k}/sum", "Add", *sums)
            new_h = self._op(f"{k}/act", "Relu" if self._mode == b"rnn_relu" else "Tanh", total)
        return new_h, (self._frame.leave(h, new_h), None)

    def _product(self, name: str, x: Value, matrix: Value) -> Value:
        return self._op(name, "MatMul", x, matrix, transpose_a=False, transpose_b=True)

    def _split(self, name: str, x: Value) -> list[Value]:
        axis = self._frame.constant(self._frame.number(f"{name}/axis", 1))
        made = self._op(name, "Split", axis, x, num_split=self._gates)
        return [Value(made.node, i) for i in range(self._gates)]

    def _lstm(self, k: int, gates: Value, c: Value) -> tuple[Value, Value]:
        i, f, g, o = self._split(f"{k}/split", gates)
        kept = self._op(f"{k}/kept", "Mul", c, self._op(f"{k}/f", "Sigmoid", f))
        new = self._op(f"{k}/new", "Mul", self._op(f"{k}/i", "Sigmoid", i), self._op(f"{k}/g", "Tanh", g))
        cell = self._op(f"{k}/c_next", "Add", kept, new)
        shown = self._op(f"{k}/c_tanh", "Tanh", cell)
        return cell, self._op(f"{k}/h_next", "Mul", shown, self._op(f"{k}/o", "Sigmoid", o))

    def _gru(self, k: int, of_x: Value, of_h: Value, h: Value) -> Value:
        of_input, of_state = self._split(f"{k}/x/split", of_x), self._split(f"{k}/h/split", of_h)
        r, z = (
            self._op(f"{k}/{name}", "Sigmoid", self._op(f"{k}/{name}/sum", "Add", a, b))
            for name, a, b in zip("rz", of_input, of_state, strict=False)
        )
        reset = self._op(f"{k}/reset", "Mul", r, of_state[2])
        n = self._op(f"{k}/n", "Tanh", self._op(f"{k}/n/sum", "Add", of_input[2], reset))
        one = Node(
            f"{self._name}/{k}/one", "Const", (), (), {"dtype": self._dtype, "value": in_memory(_one(self._dtype))}
        )
        rest = self._op(f"{k}/rest", "Sub", self._frame.constant(self._frame.add(one)), z)
        kept, new = self._op(f"{k}/kept", "Mul", z, h), self._op(f"{k}/new", "Mul", rest, n)
        return self._op(f"{k}/h_next", "Add", kept, new)


def _one(dtype: str) -> np.ndarray[tuple[()], np.dtype[np.floating]]:
    return np.asarray(1, np.float64 if dtype == "float64" else np.float32)
