"""What the gates of a cell are computed from: sums of matrix products, peepholes and biases, read as data.

However a cell is written (one product of everything joined, or one for each gate; biases before or after; a split,
slices; a forget bias added on the way), each of its gates is an activation of such a sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from reprise.graph import Node, Value
from reprise.interface.analysis.facts import Facts
from reprise.lift.numbers import KnownNumbers
from reprise.operators import Tag, fold, named
from reprise.structure import Structure
from reprise.tensors import Array

_SUMS = named(Tag.ADDITION) | {"BiasAdd", "BiasAddV1", "AddN"}
_ACTIVATIONS = frozenset({"Sigmoid", "Tanh", "Relu", "Softsign"})  # those that ONNX calls the same
_DIVIDING = {"Split": 1, "SplitV": 0, "StridedSlice": 0, "Slice": 0}  # operator → which input it divides
_ROWS = 1 << 20  # of a view without memory: more than any batch, so that a slice that takes some rows is told apart
_DEPTH = 16  # a gate has a handful of terms; what is nested deeper is not one


@dataclass(frozen=True, slots=True)
class AffineSum:
    """A sum.

    Attributes:
        products: Factor [N, K] → the matrix [K, H] that it is multiplied by.
        peepholes: Factor [N, H] → the vector [H] that it is multiplied by.
        bias: A number or a vector [H].
        rest: Terms that are none of these.
    """

    products: Mapping[Value, Array] = field(default_factory=dict)
    peepholes: Mapping[Value, Array] = field(default_factory=dict)
    bias: Array = field(default_factory=lambda: np.zeros((), np.float32))
    rest: tuple[Value, ...] = ()

    def __add__(self, other: AffineSum) -> AffineSum:
        return AffineSum(
            _added(self.products, other.products),
            _added(self.peepholes, other.peepholes),
            self.bias + other.bias,
            self.rest + other.rest,
        )

    def __neg__(self) -> AffineSum:
        """The sum with every term negated; what is not understood stays so."""
        products = {factor: -matrix for factor, matrix in self.products.items()}
        return AffineSum(
            products, {factor: -vector for factor, vector in self.peepholes.items()}, -self.bias, self.rest
        )

    def columns(self, chosen: Array) -> AffineSum | None:
        """Some columns of it, None where a term cannot be divided."""
        if self.rest or self.peepholes or not chosen.size:
            return None
        in_a_row = len(chosen) == chosen[-1] - chosen[0] + 1 and (np.diff(chosen) == 1).all()
        part = slice(int(chosen[0]), int(chosen[-1]) + 1) if in_a_row else chosen  # a slice copies nothing
        bias = self.bias[part] if self.bias.ndim else self.bias
        return AffineSum({factor: matrix[:, part] for factor, matrix in self.products.items()}, {}, bias)


def _added(one: Mapping[Value, Array], other: Mapping[Value, Array]) -> dict[Value, Array]:
    return {**one, **{k: one[k] + v if k in one else v for k, v in other.items()}}


@dataclass(frozen=True, slots=True)
class OnnxActivation:
    """An activation by ONNX's name, with its parameters where it has some."""

    name: str
    alpha: float | None = None
    beta: float | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """An activation of a sum."""

    activation: OnnxActivation
    sum: AffineSum


class GateReader:
    """Reads gates and sums out of the body of a loop."""

    def __init__(self, structure: Structure, facts: Facts, numbers: KnownNumbers) -> None:
        self.structure = structure
        self.facts = facts
        self.numbers = numbers

    def node(self, value: Value) -> Node:
        """The node behind `value`."""
        return self.structure.graph[self.structure.source(value).node]

    def operands(self, value: Value, *ops: str) -> Iterator[tuple[Value, Value]]:
        """The two inputs of `value` in both orders, nothing where it is made by another operator."""
        node = self.node(value)
        if node.op in ops and len(node.inputs) == 2:
            a, b = (self.structure.source(v) for v in node.inputs)
            yield a, b
            yield b, a

    def gate(self, value: Value) -> Gate | None:
        """`value` as a gate: an activation of a sum, or some columns of one."""
        found = self.activation(value)
        if found is not None:
            return Gate(found[0], self.sum(found[1]))
        cut = self._columns(self.structure.source(value))
        found = None if cut is None else self.activation(cut[0])
        if cut is None or found is None:
            return None
        part = self.sum(found[1]).columns(cut[1])
        return None if part is None else Gate(found[0], part)

    def activation(self, value: Value) -> tuple[OnnxActivation, Value] | None:
        """The activation that makes `value`, and what it is applied to."""
        node = self.node(value)
        if node.op in _ACTIVATIONS:
            return OnnxActivation(node.op), self.structure.source(node.inputs[0])
        return self._hard_sigmoid(value)

    def _hard_sigmoid(self, value: Value) -> tuple[OnnxActivation, Value] | None:
        """`clip(alpha · x + beta, 0, 1)`, as Keras writes it."""
        inside = self._clipped(value)
        for scaled, beta in () if inside is None else self.operands(inside, "Add", "AddV2"):
            for x, alpha in self.operands(scaled, "Mul"):
                a, b = self._number(alpha), self._number(beta)
                if a is not None and b is not None:
                    return OnnxActivation("HardSigmoid", a, b), x
        return None

    def _clipped(self, value: Value) -> Value | None:
        """What is clipped to [0, 1] to give `value`."""
        node = self.node(value)
        if node.op == "ClipByValue":
            bounds = [self._number(v) for v in node.inputs[1:]]
            return self.structure.source(node.inputs[0]) if bounds == [0.0, 1.0] else None
        for outer, outer_bound, inner, inner_bound in (
            ("Maximum", 0.0, "Minimum", 1.0),
            ("Minimum", 1.0, "Maximum", 0.0),
        ):
            for between, bound in self.operands(value, outer):
                for x, other in self.operands(between, inner):
                    if self._number(bound) == outer_bound and self._number(other) == inner_bound:
                        return x
        return None

    def _number(self, value: Value) -> float | None:
        found = self.numbers.of(value)
        return float(found.item()) if found is not None and found.size == 1 else None

    def sum(self, value: Value, depth: int = 0) -> AffineSum:
        """`value` as a sum; what is not understood is its `rest`."""
        value = self.structure.source(value)
        rest = AffineSum(rest=(value,))
        if depth > _DEPTH:
            return rest
        bias = self._row(value)
        if bias is not None:
            return AffineSum(bias=bias)
        node = self.node(value)
        if node.op in _SUMS:
            total = AffineSum()
            for term in node.inputs:
                total += self.sum(term, depth + 1)
            return total
        if node.op == "MatMul":
            return self._product(node) or rest
        if node.op == "Mul":
            return self._peephole(value) or rest
        cut = self._columns(value)
        return rest if cut is None else self.sum(cut[0], depth + 1).columns(cut[1]) or rest

    def _row(self, value: Value) -> Array | None:
        """A number or a vector that is added to every row."""
        numbers = self.numbers.of(value)
        if numbers is None or any(n != 1 for n in numbers.shape[:-1]):
            return None
        return numbers.reshape(numbers.shape[-1:]) if numbers.size > 1 else numbers.reshape(())

    def _product(self, node: Node) -> AffineSum | None:
        matrix = self.numbers.of(node.inputs[1])
        if matrix is None or matrix.ndim != 2 or node.flag("transpose_a"):
            return None
        if node.flag("transpose_b"):
            matrix = matrix.T
        factors = list(self.factors(node.inputs[0], len(matrix)))
        if sum(width for _, width in factors) != len(matrix):
            return None
        products: dict[Value, Array] = {}
        start = 0
        for factor, width in factors:
            products = _added(products, {factor: matrix[start : start + width]})
            start += width
        return AffineSum(products)

    def factors(self, value: Value, width: int) -> Iterator[tuple[Value, int]]:
        """The parts that a value of this width is joined of, and their widths."""
        value = self.structure.source(value)
        node = self.node(value)
        parts = node.inputs[:-1] if node.op == "ConcatV2" else node.inputs[1:] if node.op == "Concat" else ()
        axis = self.numbers.of(node.inputs[-1] if node.op == "ConcatV2" else node.inputs[0]) if parts else None
        if axis is None or int(axis.item()) not in (1, -1):
            yield value, width
            return
        widths = [self._width(part) for part in parts]
        if widths.count(None) > 1:
            yield value, width
            return
        left = width - sum(w for w in widths if w is not None)
        for part, own in zip(parts, widths, strict=True):
            yield from self.factors(part, left if own is None else own)

    def _width(self, value: Value) -> int | None:
        shape = self.facts.shape(value)
        return shape[-1].scale if shape and shape[-1].known else None

    def _peephole(self, value: Value) -> AffineSum | None:
        for factor, vector in self.operands(value, "Mul"):
            row = self._row(vector)
            if row is not None and row.ndim == 1:
                return AffineSum(peepholes={factor: row})
        return None

    def outputs(self, name: str) -> list[Value]:
        """The outputs of a node that divides its input or passes it on, nothing for any other."""
        node = self.structure.graph[name]
        if node.op in _DIVIDING:
            return [Value(name, i) for i in range(node.integer("num_split", 1))]
        passed = [Value(name, i) for i in range(2 if node.op == "Switch" else 1)]
        return [v for v in passed if self.structure.source(v) != v]

    def selected_columns(self, value: Value) -> tuple[Value, Array | None]:
        """What `value` is columns of, however often divided, and which columns; None for all."""
        value = self.structure.source(value)
        cut = self._columns(value)
        if cut is None:
            return value, None
        root, outer = self.selected_columns(cut[0])
        return root, cut[1] if outer is None else outer[cut[1]]

    def _columns(self, value: Value) -> tuple[Value, Array] | None:
        """What `value` is columns of, and which: found by taking them from a row of column numbers."""
        node = self.structure.graph[value.node]
        place = _DIVIDING.get(node.op)
        width = None if place is None else self._width(node.inputs[place])
        if place is None or width is None or len(self.facts.shape(node.inputs[place]) or ()) != 2:
            return None
        others = [self.numbers.of(v) for i, v in enumerate(node.inputs) if i != place]
        if any(o is None for o in others):
            return None
        numbered = np.broadcast_to(np.arange(width), (_ROWS, width))
        taken = _part_taken(node, value.index, numbered, [o for o in others if o is not None])
        if taken is None or taken.ndim != 2 or len(taken) != _ROWS:
            return None
        return self.structure.source(node.inputs[place]), taken[0]


def _is_columns(axis: Array) -> bool:
    """Whether an axis of a matrix is that of its columns; a damaged file may have several axes, or none."""
    return axis.size == 1 and axis.item() in (1, -1)


def _part_taken(node: Node, index: int, rows: Array, others: list[Array]) -> Array | None:
    """Output `index` of a node that divides its input, for an input of equal rows."""
    if node.op == "Split":
        count = node.integer("num_split")
        return np.split(rows, count, 1)[index] if _is_columns(others[0]) and rows.shape[1] % count == 0 else None
    if node.op == "SplitV":
        sizes = others[0].ravel().tolist()
        if not _is_columns(others[1]) or min(sizes) < 0 or sum(sizes) != rows.shape[1]:
            return None
        return np.split(rows, np.cumsum(sizes)[:-1], 1)[index]
    made = fold(node, [rows, *others])
    return None if made is None else made[0]
