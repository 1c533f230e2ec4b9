"""What can be known of values without running the graph: symbolic shapes, and the content of small tensors.

The content matters because TensorFlow computes shapes and permutations inside the graph; the shapes matter because they
say which axis is time, which is batch, and whether a size that the file baked in can be set free. The rules are
those of the operators' records; this is the engine that asks them, in the order of the data, and keeps the answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reprise import operators
from reprise.graph import Node, Value
from reprise.interface.analysis import malformed
from reprise.interface.analysis.settings import PLACEHOLDERS, is_setting
from reprise.operators import OPERATORS, types
from reprise.operators.rules.shapes import SMALL, UNKNOWN, Dims, Fact, Shapes
from reprise.operators.rules.sizes import Dim, Equalities, dim
from reprise.structure import RESULTS, Structure, is_loop_merge
from reprise.tensors import Array


class Facts(Shapes):
    """Facts of the values of one graph, worked out on demand and kept."""

    def __init__(self, structure: Structure, *, lasting: bool = False) -> None:
        """`lasting` is that of `Equalities`."""
        super().__init__(structure, Equalities(lasting=lasting))
        self._known: dict[Value, Fact] = {}

    def give(self, value: Value, shape: Dims | None) -> None:
        """States the shape of a value that is cut off from its source: an input, or a state that enters."""
        self._known[value] = Fact(shape)

    def know(self, value: Value, content: Array) -> None:
        """States the numbers of a value: a setting that is built in. Before anything is asked."""
        self._known[value] = Fact(tuple(Dim(n) for n in content.shape), content)

    def of(self, value: Value) -> Fact:
        """What is known of `value`."""
        if value in self._known:
            return self._known[value]
        pending = [value]
        while pending:
            top = pending[-1]
            if top in self._known:
                pending.pop()
                continue
            node = self.structure.graph.nodes.get(top.node)
            if node is None:
                self._known[top] = UNKNOWN
                continue
            missing = [v for v in self._needed(node, top) if v not in self._known and v not in pending[-1:]]
            missing = [v for v in missing if not _waiting(v, pending)]
            if missing:
                pending.extend(missing)
                continue
            self._settle(node, top)
            pending.pop()
        return self._known[value]

    def _needed(self, node: Node, asked: Value) -> Sequence[Value]:
        if node.op == RESULTS:
            return node.inputs[asked.index : asked.index + 1]
        if is_loop_merge(node, self.structure.graph):
            return node.inputs[:1]
        return node.inputs

    def _settle(self, node: Node, asked: Value) -> None:
        if node.op == RESULTS:
            passed = next(iter(self._needed(node, asked)), None)
            self._known[asked] = UNKNOWN if passed is None else self._known.get(passed, UNKNOWN)
            return
        outputs = self._outputs(node)
        for index, fact in enumerate(outputs):
            self._known.setdefault(Value(node.name, index), fact)
        self._known.setdefault(asked, UNKNOWN)

    def _outputs(self, node: Node) -> list[Fact]:
        """The facts of a node's outputs, by folding known inputs or by the shape rule of its operator."""
        self.sizes.place = node.name
        inputs = [self._known.get(v, UNKNOWN) for v in node.inputs]
        record = OPERATORS.get(node.op)
        if record is not None and record.fold is not None:
            contents = [n for f in inputs if f.content is not None and (n := self.numbers(f.content)) is not None]
            folded = operators.fold(node, contents) if len(contents) == len(inputs) else None
            if folded is not None:
                return [Fact(tuple(dim(n) for n in a.shape), a if a.size <= SMALL else None) for a in folded]
        if record is None or record.shape is None:
            self._fix(inputs)
            return [self.declared(node)]
        try:
            return record.shape(self, node, inputs)
        except malformed.FAULTS as fault:
            raise malformed.refusal(node, fault) from fault

    def dtype(self, value: Value) -> str:
        """The element type of `value`."""
        return types.dtype(self.structure, value)

    def stated(self, value: Value) -> tuple[int | None, ...] | None:
        """The sizes that the file states for a value that is given; those of a setting where it states none."""
        return stated(self.structure, value)

    def _fix(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            for size in fact.shape or ():
                self.sizes.fix(size)


def _waiting(value: Value, pending: list[Value]) -> bool:
    """Whether `value` is being worked out already (a cycle that only a damaged file can have)."""
    return len(pending) > 10_000 and value in pending


def stated(structure: Structure, value: Value) -> tuple[int | None, ...] | None:
    """The sizes that the file states for a value that is given; those of a setting where it states none."""
    node = structure.graph[value.node]
    dims = node.declared(value.index)
    if dims is not None or node.op not in PLACEHOLDERS:
        return dims
    return () if is_setting(structure, value) else None
