"""The engine behind `Facts`: it asks the rule of each operator, in the order of the data, and keeps the answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from reprise.fold import FOLDABLE, fold
from reprise.graph import Node, ShapeAttribute, Value
from reprise.interface.analysis import malformed
from reprise.operators.rules.sizes import Dim, Equalities, dim
from reprise.structure import RESULTS, Structure, is_loop_merge
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


class Inference:
    """Facts of the values of one graph, worked out on demand and kept.

    Attributes:
        rules: By operator. An operator without one gives unknown shapes and fixes the baked sizes that it touches.
        sizes: Which symbols are equal to what.
    """

    rules: ClassVar[Mapping[str, Rule]] = {}

    def __init__(self, structure: Structure, *, lasting: bool = False) -> None:
        """`lasting` is that of `Equalities`."""
        self.structure = structure
        self.sizes = Equalities(lasting=lasting)
        self._known: dict[Value, Fact] = {}

    def give(self, value: Value, shape: Dims | None) -> None:
        """States the shape of a value that is cut off from its source: an input, or a state that enters."""
        self._known[value] = Fact(shape)

    def know(self, value: Value, content: Array) -> None:
        """States the numbers of a value: a setting that is built in. Before anything is asked."""
        self._known[value] = Fact(tuple(Dim(n) for n in content.shape), content)

    def shape(self, value: Value) -> Dims | None:
        """The sizes of `value` in terms of what is known by now."""
        found = self.of(value).shape
        return None if found is None else tuple(self.sizes.resolve(d) for d in found)

    def content(self, value: Value) -> Array | None:
        """The elements of `value` if all of them are plain numbers, else None."""
        found = self.of(value).content
        return None if found is None else self._numbers(found)

    def _numbers(self, found: Array) -> Array | None:
        """Content in which every size is known by now, as numbers."""
        if found.dtype != object:
            return found
        resolved = [self.sizes.resolve(d) if isinstance(d, Dim) else d for d in found.ravel()]
        if any(isinstance(d, Dim) and not d.known for d in resolved):
            return None
        numbers = [d.scale if isinstance(d, Dim) else int(d) for d in resolved]
        return np.asarray(numbers, np.int64).reshape(found.shape)

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
        self.sizes.place = node.name
        inputs = [self._known.get(v, UNKNOWN) for v in node.inputs]
        if node.op in FOLDABLE:
            contents = [n for f in inputs if f.content is not None and (n := self._numbers(f.content)) is not None]
            folded = fold(node, contents) if len(contents) == len(inputs) else None
            if folded is not None:
                return [Fact(tuple(dim(n) for n in a.shape), a if a.size <= SMALL else None) for a in folded]
        rule = self.rules.get(node.op)
        if rule is None:
            self._fix(inputs)
            return [self.declared(node)]
        try:
            return rule(self, node, inputs)
        except malformed.FAULTS as fault:
            raise malformed.refusal(node, fault) from fault

    def declared(self, node: Node) -> Fact:
        """The shape that the file itself states in `_output_shapes`, sizes unknown where it leaves them free."""
        shapes = node.attributes.get("_output_shapes")
        if isinstance(shapes, tuple) and shapes and isinstance(shapes[0], ShapeAttribute):
            return Fact(self.symbols(node.name, shapes[0].dims))
        return UNKNOWN

    def _fix(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            for size in fact.shape or ():
                self.sizes.fix(size)

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

    def bake_places(self, sizes: Iterable[Dim], places: Value) -> None:
        """States that sizes are the numbers of the file where what is looked up along their axes are known places.

        The last of six has place 5, and not that of the last of seven; only the first has the same place in any.
        """
        content, node = self.of(places).content, self.structure.graph.nodes.get(self.structure.origin(places).node)
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


Rule = Callable[[Inference, Node, list[Fact]], list[Fact]]


def _waiting(value: Value, pending: list[Value]) -> bool:
    """Whether `value` is being worked out already (a cycle that only a damaged file can have)."""
    return len(pending) > 10_000 and value in pending


def known_axis(fact: Fact, rank: int) -> int | None:
    """The axis that an operator is given, counted from the front; None where it is computed at run time."""
    if fact.content is None or fact.content.dtype == object:
        return None
    axis = int(fact.content.ravel()[0])
    return axis + rank if axis < 0 else axis
