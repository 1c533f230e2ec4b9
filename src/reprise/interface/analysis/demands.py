"""Which shape the operators that read a value ask of it, followed from the readers back to what they read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from reprise.graph import Node, Value
from reprise.interface.analysis.facts import Facts
from reprise.operators import OPERATORS
from reprise.operators.rules.asking import Asking, Sizes, both
from reprise.operators.rules.sizes import Dim
from reprise.structure import RESULTS, Structure

#: Readers of readers are followed so far.
_MOST_READERS = 60


@dataclass(frozen=True, slots=True)
class Demands:
    """The sizes that readers ask of values, worked out where they are wanted.

    Attributes:
        structure: The graph.
        facts: What is known of its values from what they are made of.
        laid_out: Whether what lays out anew asks for the shape that it gives: any other would be laid out alike.
        known: What was worked out.
    """

    structure: Structure
    facts: Facts
    laid_out: bool = False
    known: dict[Value, Sizes | None] = field(default_factory=dict)

    def of(self, value: Value, depth: int = 0) -> Sizes | None:
        """The sizes that all readers of `value` together ask for; None where none says how many axes there are."""
        if value not in self.known and depth < _MOST_READERS:
            self.known[value] = None  # what goes round in a loop asks for nothing new
            for node, index in self._readers(value):
                self.known[value] = both(self.known[value], self._demand_of(node, index, depth + 1))
        return self.known.get(value)

    def shape(self, value: Value) -> Sizes | None:
        """The sizes that are known of `value` from what it is made of."""
        found = self.facts.shape(value)
        return None if found is None else tuple(d.scale if d.known else None for d in found)

    def _demand_of(self, node: Node, index: int, depth: int) -> Sizes | None:
        if node.op == RESULTS:
            return self.of(Value(node.name, index), depth)
        record = OPERATORS.get(node.op)
        return None if record is None or record.asks is None else record.asks(_Asking(self, node, index, depth))

    def _readers(self, value: Value) -> Iterator[tuple[Node, int]]:
        """The nodes that read a value, with the index of the input that does."""
        for name in self.structure.consumers[value.node]:
            node = self.structure.graph[name]
            yield from ((node, index) for index, read in enumerate(node.inputs) if read == value)


class _Asking(Asking):
    """One input of a node in a graph; `depth` readers lie between it and where the question began."""

    def __init__(self, demands: Demands, node: Node, index: int, depth: int) -> None:
        super().__init__(node, index)
        self._demands, self._depth = demands, depth

    def result(self, output: int | None = None) -> Sizes | None:
        if output is not None:
            return self._demands.of(Value(self.node.name, output), self._depth)
        read = sorted({v.index for n in self.readers() for v in n.inputs if v.node == self.node.name})
        found: Sizes | None = None
        for one in read:
            found = both(found, self.result(one))
        return found

    def shape(self, index: int) -> Sizes | None:
        return self._demands.shape(self.node.inputs[index]) if index < len(self.node.inputs) else None

    def numbers(self, index: int) -> list[int] | None:
        content = self._demands.facts.content(self.node.inputs[index]) if index < len(self.node.inputs) else None
        return None if content is None else [int(n) for n in content.ravel()]

    def layout(self, index: int) -> Sizes | None:
        facts = self._demands.facts
        content = facts.of(self.node.inputs[index]).content if self._demands.laid_out else None
        if content is None:
            return None
        sizes = [facts.sizes.resolve(n) if isinstance(n, Dim) else n for n in content.ravel()]
        known = [n.scale if isinstance(n, Dim) and n.known else n for n in sizes]
        return tuple(int(n) if isinstance(n, (int, np.integer)) and n >= 0 else None for n in known)

    def readers(self) -> list[Node]:
        return [self._demands.structure.graph[name] for name in self._demands.structure.consumers[self.node.name]]

    def producer(self, index: int) -> Node:
        graph = self._demands.structure.graph
        return graph[graph.through(self.node.inputs[index], ("Identity", "Add", "AddV2")).node]
