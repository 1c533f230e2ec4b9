"""Where values come from outside of a graph."""

from __future__ import annotations

from collections.abc import Iterable

from reprise.graph import Value
from reprise.operators import Tag, named
from reprise.structure import Structure

#: Where values come from outside the graph. Each output of such a node is a source of its own.
SOURCES = named(Tag.SOURCE)


def sources(structure: Structure) -> tuple[Value, ...]:
    """All values that come from outside: placeholders, queues, iterators."""
    found = []
    for node in structure.graph:
        if node.op in SOURCES:
            count = max(
                (v.index for n in structure.consumers[node.name] for v in _from(structure, n, node.name)), default=0
            )
            found += [Value(node.name, k) for k in range(count + 1)]
    return tuple(found)


def _from(structure: Structure, consumer: str, producer: str) -> Iterable[Value]:
    return (v for v in structure.graph[consumer].inputs if v.node == producer)
