"""What lies between the cells of a loop, when it can be computed for all time steps at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from reprise.graph import Node, Value
from reprise.lift.emitter import Emitter
from reprise.lift.recurrent.lengths import WrittenRow
from reprise.lift.recurrent.matching import MatchedCell
from reprise.operators import Tag, named
from reprise.operators.arrays import array_of, stacked_into
from reprise.operators.random import certain_mask
from reprise.structure import Loop

#: Operators that do to [T, N, D] what they do to each [N, D]: they look at single elements, or at the last axis alone.
_POINTWISE = frozenset(
    "Add AddV2 AddN Sub Mul Div RealDiv Maximum Minimum Square SquaredDifference Rsqrt Sqrt Exp Log Neg Abs Sign Pow "
    "Sigmoid Tanh Relu Relu6 Elu Selu LeakyRelu Softplus Softsign Floor Round Rint Reciprocal Inv Cast ClipByValue "
    "Softmax LogSoftmax BiasAdd".split()
)
_LOOKUPS = {**dict.fromkeys(named(Tag.LOOKUP), 1), "OneHot": 0}


@dataclass(frozen=True, slots=True)
class NoSequencePlan:
    """Why a loop is not computed by recurrent operators."""

    reason: str


@dataclass(frozen=True, slots=True)
class SequencePlan:
    """How the whole sequences of a loop are computed.

    Attributes:
        order: Values of the body, each after those that it needs; of a cell, its output.
        reads: Reading node's value → the whole sequence, a value outside the loop.
        rows: What is written at each step.
        lengths: How many steps each row of the batch has, a value outside the loop; None where all have as many.
    """

    order: tuple[Value, ...]
    reads: Mapping[Value, Value]
    rows: tuple[WrittenRow, ...]
    lengths: Value | None


class Walk:
    """Finds out whether some values of a loop's body can be computed for all steps at once."""

    def __init__(self, emitter: Emitter, loop: Loop, numbers: Collection[Value], cells: Sequence[MatchedCell]) -> None:
        """`numbers` are values that hold the number of the iteration."""
        self._emitter = emitter
        self._structure = emitter.structure
        self._loop = loop
        self._numbers = numbers
        self._cells = {c.output: c for c in cells}
        self._order: dict[Value, bool] = {}  # value → whether it differs from step to step
        self._reads: dict[Value, Value] = {}

    def plan(self, rows: Sequence[WrittenRow], lengths: Value | None) -> SequencePlan | NoSequencePlan:
        """The plan for `rows` and for every cell, in an order in which they can be computed."""
        targets = [*(self._structure.source(r.value) for r in rows), *self._cells]
        for value in targets:
            miss = self._reach(value)
            if miss is not None:
                return miss
        still = next((v for v in targets if not self._varies(v)), None)
        if still is not None:
            return NoSequencePlan(f"{still} is the same at every step")
        return SequencePlan(tuple(self._order), self._reads, tuple(rows), lengths)

    def _varies(self, value: Value) -> bool:
        return self._order.get(self._structure.source(value), False)

    def _reach(self, target: Value) -> NoSequencePlan | None:
        pending, open_values = [target], set()
        while pending:
            value = pending[-1]
            needs = [] if value in self._order else self._needs(value)
            if isinstance(needs, NoSequencePlan):
                return needs
            missing = [v for v in needs if v not in self._order]
            if not missing:
                miss = self._settle(value, needs)
                if miss is not None:
                    return miss
                pending.pop()
                continue
            if value in open_values:
                return NoSequencePlan(f"{value} depends on itself")
            open_values.add(value)
            pending += missing
        return None

    def _needs(self, value: Value) -> list[Value] | NoSequencePlan:
        """The values of the body that `value` is computed from, where it is computed as it should be."""
        if value in self._cells:
            return [self._structure.source(f) for f in self._cells[value].factors]
        node = self._structure.graph[value.node]
        if self._is_still(value) or self._is_read(value, node):
            return []
        if self._structure.carried_by(value) is not None:
            return NoSequencePlan(f"{value}, carried from the last step, is used outside of its cell")
        inputs = [self._structure.source(v) for v in node.inputs]
        if node.op in _POINTWISE or node.op == "MatMul":
            return inputs
        if node.op in _LOOKUPS:
            return [inputs[_LOOKUPS[node.op]]]
        return NoSequencePlan(f"operator {node.op!r} (node {node.name!r}) between the cells")

    def _settle(self, value: Value, needs: Sequence[Value]) -> NoSequencePlan | None:
        if value in self._order:
            return None
        node = self._structure.graph[value.node]
        if value in self._cells:
            still = next((v for v in needs if not self._varies(v)), None)
            self._order[value] = True
            return NoSequencePlan(f"{still}, which a cell reads, is the same at every step") if still else None
        if value in self._reads:
            self._order[value] = True
            return None
        self._order[value] = varies = any(self._varies(v) for v in needs)
        return self._check(value, node, needs) if varies else None

    def _check(self, value: Value, node: Node, needs: Sequence[Value]) -> NoSequencePlan | None:
        """Whether an axis of time before the others changes nothing."""
        shapes = {v: self._emitter.facts.shape(v) for v in (value, *needs)}
        unknown = next((v for v, shape in shapes.items() if shape is None), None)
        if unknown is not None:
            return NoSequencePlan(f"{unknown} has an unknown number of axes")
        ranks = {v: len(shape or ()) for v, shape in shapes.items()}
        if node.op == "MatMul":
            transposed = node.flag("transpose_a") or self._varies(needs[1])
            return NoSequencePlan(f"{value} is not a product with a fixed matrix") if transposed else None
        if node.op in _LOOKUPS:
            return self._check_lookup(value, node)
        if node.op == "BiasAdd" and node.text("data_format", "NHWC") == "NCHW":
            return NoSequencePlan(f"{value} adds a bias to another axis than the last")
        if any(ranks[v] != ranks[value] if self._varies(v) else ranks[v] > ranks[value] for v in needs):
            return NoSequencePlan(f"{value} joins values of unlike axes")
        return None

    def _check_lookup(self, value: Value, node: Node) -> NoSequencePlan | None:
        axis = self._emitter.known(node.inputs[2]) if node.op == "GatherV2" else None
        fixed = node.op == "OneHot" or self._is_outside(self._structure.source(node.inputs[0]))
        if node.op == "OneHot" and node.integer("axis", -1) != -1:
            return NoSequencePlan(f"{value} spreads ids along another axis than the last")
        if not fixed or node.integer("batch_dims", 0) or (axis is not None and axis.item() != 0):
            return NoSequencePlan(f"{value} looks up in another way than by rows of a fixed table")
        return None

    def _is_still(self, value: Value) -> bool:
        """Whether a value is the same at every step for a reason that needs no look at its inputs."""
        return (
            self._is_outside(value)
            or self._emitter.known(value) is not None
            or self._structure.unchanged(value) is not None
            or certain_mask(self._structure, self._emitter.known, value)
        )

    def _is_outside(self, value: Value) -> bool:
        return value in self._loop.constants or not self._structure.is_inside(value, self._loop)

    def _is_read(self, value: Value, node: Node) -> bool:
        """Whether it is the row of this iteration of a sequence that was there before the loop."""
        if node.op not in named(Tag.READ):
            return False
        origin = self._structure.origin(array_of(node))
        filled = self._structure.graph.nodes.get(origin.node)
        if (
            filled is None
            or stacked_into(filled) is None
            or self._structure.source(node.inputs[1]) not in self._numbers
        ):
            return False
        self._reads[value] = origin
        return True
