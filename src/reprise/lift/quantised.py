"""A lifted model with the weights of its products in 8 or 4 bits, for `MatMulNBits` of ONNX Runtime.

Weights are kept in blocks of `BLOCK` numbers of one column, each with its own scale; products are summed in whole
numbers (accuracy_level 4). A recurrent operator has no such form, so it becomes a Scan over the equations of its cell.
What has no form here stays as it is: cells with peepholes, lengths or another direction, and products with few weights.

Source: `com.microsoft.MatMulNBits` in docs/ContribOperators.md of ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from reprise.lift.model import Lifted
from reprise.operators.rules.block import INLINE, OPSET
from reprise.tensors import Array
from reprise.wire import onnx

DOMAIN = "com.microsoft"
BLOCK = 128
#: Products with fewer weights stay in float32.
FEWEST = 2**12

#: The recurrent operators that are rewritten, with the only activations that `_Cell` writes.
_STANDARD = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}


def quantised(lifted: Lifted, bits: int) -> Lifted:
    """`lifted` with the weights of its products in so many bits, 8 or 4; itself, where none has such a form."""
    rewriting = _Rewriting(lifted.numbers(), bits)
    graph = rewriting.graph(lifted.graph)
    if not rewriting.made:
        return lifted
    used = {name for node in _every(graph) for name in node.input} | {o.name for o in graph.output}
    small = [t for t in graph.initializer if t.name in used]
    small += [onnx.tensor(a, n) for n, a in rewriting.made.items() if a.size <= INLINE]
    del graph.initializer[:]
    graph.initializer.extend(small)
    large = {n: a for n, a in rewriting.made.items() if a.size > INLINE}
    weights = {n: a for n, a in {**lifted.weights, **large}.items() if n in used}
    opsets = dict(lifted.opsets or (("", OPSET),)) | {DOMAIN: 1}
    return replace(lifted, graph=graph, weights=weights, opsets=tuple(opsets.items()))


def _every(graph: onnx.Message) -> Iterator[onnx.Message]:
    for node in graph.node:
        yield node
        for inner in onnx.subgraphs(node):
            yield from _every(inner)


def blocks(matrix: Array, bits: int) -> tuple[Array, Array]:
    """A matrix [O, D] as the blocks [O, ⌈D / BLOCK⌉, bytes] of `MatMulNBits`, and their scales."""
    rows, width = matrix.shape
    padded = np.zeros((rows, -(-width // BLOCK) * BLOCK), np.float32)
    padded[:, :width] = matrix
    parts = padded.reshape(rows, -1, BLOCK)
    largest = np.take_along_axis(parts, np.abs(parts).argmax(2, keepdims=True), 2)[..., 0]
    # Numbers of 4 bits go from −8 to 7, so the largest is −8 times the scale, whatever its sign is.
    scales = np.abs(largest) / 127 if bits == 8 else largest / -8
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = np.where(scales[..., None] == 0, 0, np.rint(parts / scales[..., None]))
    middle = 2 ** (bits - 1)
    numbers = np.clip(whole + middle, 0, 2 * middle - 1).astype(np.uint8)
    held = numbers if bits == 8 else numbers[..., ::2] | numbers[..., 1::2] << 4
    return held, np.asarray(scales.reshape(-1), np.float32)


@dataclass
class _Rewriting:
    """One model that is rewritten.

    Attributes:
        numbers: Its weights by name.
        bits: 8 or 4.
        made: The weights that were made.
    """

    numbers: dict[str, Array]
    bits: int
    made: dict[str, Array] = field(default_factory=dict)
    _count: int = 0

    def graph(self, graph: onnx.Message) -> onnx.Message:
        """A graph, and those inside of its nodes."""
        found = onnx.empty("GraphProto")
        found.CopyFrom(graph)
        nodes = [new for node in graph.node for new in self._node(node)]
        del found.node[:]
        found.node.extend(nodes)
        return found

    def _node(self, node: onnx.Message) -> list[onnx.Message]:
        if node.op_type in ("MatMul", "Gemm") and not node.domain:
            return self._product(node)
        if node.op_type in _STANDARD and not node.domain:
            return _Cell(self, node).nodes() if _plain(node, self.numbers) else [node]
        copied = onnx.empty("NodeProto")
        copied.CopyFrom(node)
        for attribute in copied.attribute:
            if attribute.HasField("g"):
                attribute.g.CopyFrom(self.graph(attribute.g))
        return [copied]

    def _product(self, node: onnx.Message) -> list[onnx.Message]:
        kernel = self.numbers.get(node.input[1])
        if kernel is None or kernel.ndim != 2 or kernel.dtype != np.float32 or kernel.size < FEWEST:
            return [node]
        if node.op_type == "MatMul":
            return [self.product(node.input[0], kernel.T, node.output[0])]
        flags = [onnx.attribute(node, k, d) for k, d in (("alpha", 1.0), ("beta", 1.0), ("transA", 0))]
        if flags != [1.0, 1.0, 0]:
            return [node]
        kernel = kernel if onnx.attribute(node, "transB", 0) else kernel.T
        if len(node.input) < 3 or not node.input[2]:
            return [self.product(node.input[0], kernel, node.output[0])]
        name = self.fresh("product")
        return [self.product(node.input[0], kernel, name), onnx.node("Add", [name, node.input[2]], [node.output[0]])]

    def product(self, value: str, matrix: Array, output: str) -> onnx.Message:
        """The product value · matrixᵀ for a matrix [O, D]."""
        if matrix.size < FEWEST:
            return onnx.node("MatMul", [value, self.weight("kernel", matrix.T)], [output])
        held, scales = blocks(matrix, self.bits)
        inputs = [value, self.weight("blocks", held), self.weight("scales", scales)]
        sizes = {"K": matrix.shape[1], "N": matrix.shape[0], "bits": self.bits, "block_size": BLOCK}
        return onnx.node("MatMulNBits", inputs, [output], DOMAIN, accuracy_level=4, **sizes)

    def weight(self, name: str, array: Array) -> str:
        """The name of an array that the graph uses."""
        fresh = self.fresh(name)
        self.made[fresh] = np.ascontiguousarray(array)
        return fresh

    def fresh(self, name: str) -> str:
        """A name that no other value has."""
        self._count += 1
        return f"quantised.{name}.{self._count}"


def _plain(node: onnx.Message, numbers: dict[str, Array]) -> bool:
    """Whether a recurrent operator is one that `_Cell` writes."""
    inputs = [*node.input, *[""] * (8 - len(node.input))]
    weights = [numbers.get(name) for name in inputs[1:4] if name]
    states = inputs[5:7] if node.op_type == "LSTM" else inputs[5:6]
    names = tuple(a.decode().capitalize() for a in onnx.attribute(node, "activations", []))
    return (
        all(w is not None and w.dtype == np.float32 and len(w) == 1 for w in weights)
        and all(states)
        and not (inputs[4] or inputs[7])
        and names in ((), _STANDARD[node.op_type])
        and onnx.attribute(node, "direction", b"forward") == b"forward"
        and not any(onnx.attribute(node, name, 0) for name in ("clip", "input_forget", "layout"))
        and weights[1] is not None
        and weights[1].size >= FEWEST
    )


class _Cell:
    """A recurrent operator as a Scan over the equations of its cell; gates are in ONNX's order."""

    def __init__(self, rewriting: _Rewriting, node: onnx.Message) -> None:
        self._all = rewriting
        self._node = node
        self._width = int(onnx.attribute(node, "hidden_size"))
        self._kernel, self._recurrent = (rewriting.numbers[name][0] for name in node.input[1:3])
        rows = len(self._kernel)
        bias = rewriting.numbers[node.input[3]][0] if len(node.input) > 3 and node.input[3] else np.zeros(2 * rows, "f")
        self._outer, self._inner = bias[:rows], bias[rows:]
        self._after = bool(onnx.attribute(node, "linear_before_reset", 0))
        self._body: list[onnx.Message] = []
        if node.op_type != "GRU" or not self._after:  # both biases are only ever added, so the first takes both
            self._outer, self._inner = self._outer + self._inner, np.zeros(rows, "f")

    def nodes(self) -> list[onnx.Message]:
        """What stands for the operator."""
        names = ["h", "c"] if self._node.op_type == "LSTM" else ["h"]
        states = [self._all.fresh(name) for name in names]
        zero, one = (self._all.weight("axis", np.asarray([n], np.int64)) for n in (0, 1))
        made = [onnx.node("Squeeze", [v, zero], [s]) for v, s in zip(self._node.input[5:7], states, strict=False)]
        product, entry = self._all.fresh("product"), self._all.fresh("entry")
        made.append(self._all.product(self._node.input[0], self._kernel, product))
        made.append(onnx.node("Add", [product, self._all.weight("bias", self._outer)], [entry]))
        ends, rows = [self._all.fresh(name) for name in names], self._all.fresh("rows")
        body = self._scan(len(names))
        made.append(onnx.node("Scan", [*states, entry], [*ends, rows], body=body, num_scan_inputs=1))
        outputs = [*self._node.output, "", "", ""]
        for value, axis, output in zip([rows, *ends], [one, zero, zero], outputs, strict=False):
            if output:
                made.append(onnx.node("Unsqueeze", [value, axis], [output]))
        return made

    def _scan(self, states: int) -> onnx.Message:
        inputs = [self._all.fresh("before") for _ in range(states)]
        entry = self._all.fresh("step")
        outputs = self._step(entry, *inputs)
        last = self._all.fresh("row")
        self._body.append(onnx.node("Identity", [outputs[0]], [last]))
        info = [onnx.value_info(name, onnx.ELEMENT_TYPES["float32"], None) for name in (*inputs, entry)]
        ends = [onnx.value_info(name, onnx.ELEMENT_TYPES["float32"], None) for name in (*outputs, last)]
        return onnx.graph(self._body, "cell", info, ends)

    def _step(self, x: str, h: str, c: str = "") -> list[str]:
        """The next states, h first."""
        match self._node.op_type:
            case "LSTM":
                return self._lstm(x, h, c)
            case "GRU":
                return self._gru(x, h)
        return [self._op("Tanh", self._op("Add", self._times(h, self._recurrent), x))]

    def _lstm(self, x: str, h: str, c: str) -> list[str]:
        before = self._op("Add", self._times(h, self._recurrent), x)
        gates, candidate = self._split(before, 3)
        i, o, f = self._split(self._op("Sigmoid", gates), 1, 1)
        kept, new = self._op("Mul", f, c), self._op("Mul", i, self._op("Tanh", candidate))
        c = self._op("Add", kept, new)
        return [self._op("Mul", o, self._op("Tanh", c)), c]

    def _gru(self, x: str, h: str) -> list[str]:
        split = 2 * self._width
        of_gates, of_candidate = self._split(x, 2)
        if self._after:
            product = self._op("Add", self._times(h, self._recurrent), self._all.weight("bias", self._inner))
            gates, candidate = self._split(product, 2)
        else:
            gates, candidate = self._times(h, self._recurrent[:split]), ""
        z, r = self._split(self._op("Sigmoid", self._op("Add", gates, of_gates)), 1)
        if self._after:
            reset = self._op("Mul", r, candidate)
        else:
            reset = self._times(self._op("Mul", r, h), self._recurrent[split:])
        g = self._op("Tanh", self._op("Add", reset, of_candidate))
        return [self._op("Add", g, self._op("Mul", z, self._op("Sub", h, g)))]

    def _op(self, op: str, *inputs: str) -> str:
        output = self._all.fresh(op.lower())
        self._body.append(onnx.node(op, inputs, [output]))
        return output

    def _times(self, value: str, matrix: Array) -> str:
        output = self._all.fresh("product")
        self._body.append(self._all.product(value, matrix, output))
        return output

    def _split(self, value: str, *first: int) -> list[str]:
        """The gates of a value: so many in each part, and the one that is left in the last."""
        sizes = [n * self._width for n in (*first, 1)]
        parts = [self._all.fresh("part") for _ in sizes]
        lengths = self._all.weight("sizes", np.asarray(sizes, np.int64))
        self._body.append(onnx.node("Split", [value, lengths], parts, axis=-1))
        return parts
