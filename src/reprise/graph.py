"""A graph in TensorFlow's operator names with TensorFlow's attributes: our vocabulary, whatever program saved it.

A format that is not TensorFlow's translates its operators into these; `reprise.graph_check` holds that what comes out
is a graph.

A value is written as TensorFlow writes it: `node:k` is output k of a node, and `node` alone is `node:0`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any, NamedTuple

from reprise.errors import DiscoveryError
from reprise.tensors import Tensor

#: A node that stands for several values under one name, each of which is one of its inputs: what is left of a call, a
#: loop or a branch that was opened. No file has it.
RESULTS = "_Results"

#: Operators that are a variable.
VARIABLES = frozenset({"Variable", "VariableV2", "VarHandleOp"})

#: The attribute of arguments and results of a function that tells in which nested structure they stand.
GROUP = "_group"


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
        is_number = index.isascii() and index.isdecimal() and len(index) < 10  # int() has a limit of its own
        return cls(node, int(index)) if colon and is_number else cls(text)


@dataclass(frozen=True, slots=True)
class Node:
    """One operation.

    Attributes by kind come from `integer`, `number` and the like. These raise `DiscoveryError` for an attribute that is
    of another kind, or absent where there is no default: operators have the defaults that TensorFlow gives them, and a
    file may leave those out.

    Attributes:
        name: Unique in its graph.
        op: The operator, in TensorFlow's words (`MatMul`, `Enter`, `BlockLSTM`).
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

    def integer(self, name: str, default: int | None = None) -> int:
        """A whole number."""
        return int(self._attribute(name, default, Integral, "a whole number"))

    def integers(self, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """A list of whole numbers."""
        return tuple(int(n) for n in self._list(name, default, Integral, "a list of whole numbers"))

    def number(self, name: str, default: float | None = None) -> float:
        """A number."""
        return float(self._attribute(name, default, Real, "a number"))

    def numbers(self, name: str, default: tuple[float, ...] | None = None) -> tuple[float, ...]:
        """A list of numbers."""
        return tuple(float(n) for n in self._list(name, default, Real, "a list of numbers"))

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A flag."""
        return bool(self._attribute(name, default, Integral, "true or false"))

    def text(self, name: str, default: str | None = None) -> str:
        """A text, which the file holds as bytes."""
        return bytes(self._attribute(name, None if default is None else default.encode(), bytes, "text")).decode()

    def dtype(self, name: str, default: str | None = None) -> str:
        """An element type, a key of `DTYPES` or the name of one that has no numbers."""
        return str(self._attribute(name, default, str, "an element type"))

    def tensor(self, name: str) -> Tensor:
        """A tensor."""
        found: Tensor = self._attribute(name, None, Tensor, "a tensor")
        return found

    @property
    def constant(self) -> Tensor | None:
        """The tensor that a constant is, None where this is another operator."""
        tensor = self.attributes.get("value") if self.op == "Const" else None
        return tensor if isinstance(tensor, Tensor) else None

    def declared(self, output: int = 0) -> tuple[int | None, ...] | None:
        """The sizes that the file states for an output, None for a free one; None where it does not know how many.

        TensorFlow before 1.0 wrote [] for an unknown shape; the true one stands in `_output_shapes`.
        """
        stated = self.attributes.get("shape")
        dims = stated.dims if isinstance(stated, ShapeAttribute) else None
        if dims is None or (not dims and "_output_shapes" in self.attributes):
            given = (self.attributes.get(name) for name in ("_output_shapes", "output_shapes", "shapes"))
            listed = next(
                (s for s in given if isinstance(s, tuple) and all(isinstance(d, ShapeAttribute) for d in s)), ()
            )
            return listed[output].dims if output < len(listed) else dims
        return dims

    def _list(self, name: str, default: Any, kind: type, expected: str) -> Any:
        found = self._attribute(name, default, tuple, expected)
        return found if all(isinstance(one, kind) for one in found) else self._refuse(name, expected)

    def _attribute(self, name: str, default: Any, kind: type, expected: str) -> Any:
        found = self.attributes.get(name, default)
        return found if isinstance(found, kind) else self._refuse(name, expected)

    def _refuse(self, name: str, expected: str) -> Any:
        found = repr(self.attributes[name]) if name in self.attributes else "none"
        raise DiscoveryError(
            f"operator {self.op!r} (node {self.name!r}): expected {expected} as its attribute {name!r}, found {found}; "
            "the file is damaged, or changed by a program that Reprise does not know"
        )


class LazyAttributes(Mapping[str, Any]):
    """Attributes that a reader converts when they are asked for; it gives each one of the kinds that `Node` names."""

    __slots__ = ()


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

    def placed(self, prefix: str, arguments: Mapping[str, Value]) -> tuple[list[Node], list[Value]]:
        """The nodes under `prefix`, with values in the place of the arguments; and the results."""

        def moved(value: Value) -> Value:
            return arguments[value.node] if value.node in arguments else Value(f"{prefix}/{value.node}", value.index)

        nodes = [
            replace(
                n,
                name=f"{prefix}/{n.name}",
                inputs=tuple(moved(v) for v in n.inputs),
                controls=tuple(f"{prefix}/{c}" for c in n.controls if c not in arguments),
            )
            for n in self.nodes.values()
            if n.name not in arguments
        ]
        return nodes, [moved(v) for v in self.results]


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph of operations.

    Attributes:
        nodes: By name, in the order of the file.
        functions: The library of functions that they call, by name.
        results: What the graph gives, where the file says so: the results of a function.
    """

    nodes: Mapping[str, Node]
    functions: Mapping[str, Function] = field(default_factory=dict)
    results: tuple[Value, ...] = ()

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def __contains__(self, name: str) -> bool:
        return name in self.nodes

    def producer(self, value: Value) -> Node:
        """The node that makes `value`."""
        return self.nodes[value.node]

    def through(self, value: Value, operators: Collection[str]) -> Value:
        """Where `value` comes from, beyond operators that only pass on or lay out their first input."""
        while (node := self.nodes.get(value.node)) is not None and node.op in operators and node.inputs:
            value = node.inputs[0]
        return value

    @classmethod
    def of(cls, nodes: Iterable[Node], functions: Mapping[str, Function] | None = None) -> Graph:
        """A graph of these nodes."""
        return cls({n.name: n for n in nodes}, functions or {})
