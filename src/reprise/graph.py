"""A graph in the operator names of the program that saved it: nothing is translated here.

A value is written as TensorFlow writes it: `node:k` is output k of a node, and `node` alone is `node:0`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Value(NamedTuple):
    """Output `index` of node `node`."""

    node: str
    index: int = 0  # type: ignore[assignment]  # shadows tuple.index, which nobody calls on a value

    def __str__(self) -> str:
        return f"{self.node}:{self.index}"

    @classmethod
    def parse(cls, text: str) -> Value:
        """`"a/b:1"` → `Value("a/b", 1)`; without a colon it is output 0."""
        node, colon, index = text.rpartition(":")
        return cls(node, int(index)) if colon and index.isascii() and index.isdigit() else cls(text, 0)


@dataclass(frozen=True, slots=True)
class Node:
    """One operation.

    Attributes:
        name: Unique in its graph.
        op: The operator, in the source's words (`MatMul`, `Enter`, `BlockLSTM`).
        inputs: The values it reads, in order.
        controls: Names of nodes that must run before it.
        attributes: By name: bool, int, float, bytes, tuples of these, a dtype name (`str`, a key of `DTYPES`),
            a `Shape` or None for an unknown rank (wrapped in `ShapeAttribute`), a `Tensor`, or a `FunctionName`.
    """

    name: str
    op: str
    inputs: tuple[Value, ...] = ()
    controls: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


class ShapeAttribute(NamedTuple):
    """A shape as an attribute: `dims` is None where even the rank is unknown, a None in it is a free size."""

    dims: tuple[int | None, ...] | None


class FunctionName(NamedTuple):
    """The name of a function of the graph's library, as an attribute."""

    name: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the library: a graph with arguments and results.

    Its nodes refer to an argument as output 0 of a node of operator `_Arg` that carries the argument's name.

    Attributes:
        name: Unique in the library.
        arguments: Names of the `_Arg` nodes, in calling order.
        results: The values returned, in order.
        nodes: By name, arguments included.
    """

    name: str
    arguments: tuple[str, ...]
    results: tuple[Value, ...]
    nodes: Mapping[str, Node]


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by name, in the order of the file, and the functions they call."""

    nodes: Mapping[str, Node]
    functions: Mapping[str, Function] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def __contains__(self, name: str) -> bool:
        return name in self.nodes

    def producer(self, value: Value) -> Node:
        """The node that makes `value`."""
        return self.nodes[value.node]

    @classmethod
    def of(cls, nodes: Iterable[Node], functions: Mapping[str, Function] | None = None) -> Graph:
        """A graph of these nodes."""
        return cls({n.name: n for n in nodes}, functions or {})
