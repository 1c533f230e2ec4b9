"""What the shape rule of an operator works with: the facts of its inputs, and the equalities of sizes.

A rule is given the facts of all inputs of a node and gives those of its outputs. On the way it states which sizes must
be equal, and which hold for the number of the file alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from reprise.graph import Node, ShapeAttribute, Value
from reprise.operators.rules.sizes import Dim, Equalities
from reprise.structure import Structure
from reprise.tensors import Array

Dims = tuple[Dim, ...]

#: Content is followed for tensors of at most so many elements: shapes, permutations, axes; never weights.
SMALL = 256


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of one value.

    Attributes:
        shape: Its sizes, or None where even the rank is unknown.
        content: Its elements, numbers or `Dim`s (an object array), or None.
    """

    shape: Dims | None = None
    content: Array | None = None


UNKNOWN = Fact()


class Shapes(ABC):
    """The facts of the values of one graph, as rules ask and extend them.

    Attributes:
        structure: The graph.
        sizes: Which symbols are equal to what.
    """

    def __init__(self, structure: Structure, sizes: Equalities) -> None:
        self.structure = structure
        self.sizes = sizes

    @abstractmethod
    def of(self, value: Value) -> Fact:
        """What is known of `value`."""

    @abstractmethod
    def dtype(self, value: Value) -> str:
        """The element type of `value`."""

    @abstractmethod
    def stated(self, value: Value) -> tuple[int | None, ...] | None:
        """The sizes that the file states for a value that is given; those of a setting where it states none."""

    def shape(self, value: Value) -> Dims | None:
        """The sizes of `value` in terms of what is known by now."""
        found = self.of(value).shape
        return None if found is None else tuple(self.sizes.resolve(d) for d in found)

    def content(self, value: Value) -> Array | None:
        """The elements of `value` if all of them are plain numbers, else None."""
        found = self.of(value).content
        return None if found is None else self.numbers(found)

    def numbers(self, found: Array) -> Array | None:
        """Content in which every size is known by now, as numbers; None where one is not."""
        if found.dtype != object:
            return found
        resolved = [self.sizes.resolve(d) if isinstance(d, Dim) else d for d in found.ravel()]
        if any(isinstance(d, Dim) and not d.known for d in resolved):
            return None
        numbers = [d.scale if isinstance(d, Dim) else int(d) for d in resolved]
        return np.asarray(numbers, np.int64).reshape(found.shape)

    def declared(self, node: Node) -> Fact:
        """The shape that the file itself states in `_output_shapes`, sizes unknown where it leaves them free."""
        shapes = node.attributes.get("_output_shapes")
        if isinstance(shapes, tuple) and shapes and isinstance(shapes[0], ShapeAttribute):
            return Fact(self.symbols(node.name, shapes[0].dims))
        return UNKNOWN

    def symbols(self, name: str, dims: Sequence[int | None] | None, free: Collection[int] = ()) -> Dims | None:
        """Sizes for a source value: plain numbers, and a symbol `name.axis` where the file leaves the size free.

        On the axes in `free` numbers become symbols too, whose nominal size is the number.
        """
        if dims is None:
            return None
        return tuple(
            Dim(n) if n is not None and axis not in free else self.sizes.symbol(f"{name}.{axis}", n)
            for axis, n in enumerate(dims)
        )

    def fresh(self, node: Node, axis: int | str) -> Dim:
        """A size of which nothing is known."""
        return self.sizes.symbol(f"?{node.name}.{axis}")

    def unknown(self, number: Value) -> Array:
        """A scalar that nothing is known of, as content: the same size wherever it is a size."""
        return np.asarray(self.sizes.symbol(f"?{self.structure.origin(number)}"), object)

    def bake_indices(self, sizes: Iterable[Dim], indices: Value) -> None:
        """States that sizes are the numbers of the file where known indices are looked up along their axes.

        The last of six has index 5, and not that of the last of seven; only the first has the same index in any.
        """
        content, node = self.of(indices).content, self.structure.graph.nodes.get(self.structure.origin(indices).node)
        unseen = content is None and node is not None and node.op == "Const"
        if unseen or (content is not None and any(not isinstance(p, Dim) and p for p in content.ravel())):
            for size in sizes:
                self.sizes.bake(size)

    def equate(self, first: Dims | None, second: Dims | None) -> Dims | None:
        """Two shapes that must agree."""
        if first is None or second is None:
            return first if second is None else second
        if len(first) != len(second):
            return None
        return tuple(self.sizes.equate(a, b) for a, b in zip(first, second, strict=True))

    def broadcast(self, first: Dims | None, second: Dims | None) -> Dims | None:
        """The shape of an element-wise result (NumPy's rule); equal sizes become known to be equal."""
        if first is None or second is None:
            return None
        rank = max(len(first), len(second))
        a = (Dim(1),) * (rank - len(first)) + first
        b = (Dim(1),) * (rank - len(second)) + second
        return tuple(self._wider(x, y) for x, y in zip(a, b, strict=True))

    def _wider(self, a: Dim, b: Dim) -> Dim:
        """The size of an axis whose operands have the sizes `a` and `b`, one of which may be 1 and stretch."""
        a, b = self.sizes.resolve(a), self.sizes.resolve(b)
        if a == Dim(1):
            return b
        if b == Dim(1):
            return a
        # A free size may be 1 and stretch, so a known size other than 1 says nothing about it; beside another size that
        # the file bakes in it does stretch. Two free sizes of a recurrent graph are the same axis, and a baked size is
        # the number it is baked to.
        one, other = self.sizes.nominal(a), self.sizes.nominal(b)
        if None not in (one, other) and (one == 1) != (other == 1):
            small, large = (a, b) if one == 1 else (b, a)
            if not large.known:
                self.sizes.fix(small)
            return large
        return self.sizes.equate(a, b)


#: The facts of a node's outputs from those of its inputs.
ShapeRule = Callable[[Shapes, Node, list[Fact]], list[Fact]]


def known_axis(fact: Fact, rank: int) -> int | None:
    """The axis that an operator is given, counted from the front; None where it is computed at run time."""
    if fact.content is None or fact.content.dtype == object:
        return None
    axis = int(fact.content.ravel()[0])
    return axis + rank if axis < 0 else axis


def first_fact(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """The result is the first input."""
    return [inputs[0]] if inputs else [UNKNOWN]


def first_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """The result has the shape of the first input."""
    return [Fact(inputs[0].shape)]
