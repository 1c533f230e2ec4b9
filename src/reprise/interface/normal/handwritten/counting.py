"""What a loop counts: numbers of its body as so many times the number of the iteration, and a number from outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from reprise.frame import Scope
from reprise.graph import Node, Value
from reprise.interface.analysis.facts import Facts
from reprise.operators import Tag, named, types
from reprise.operators.rules.sizes import Dim
from reprise.structure import Carried, Loop, Structure

_SUMS = {**dict.fromkeys(named(Tag.ADDITION), 1), "Sub": -1}
#: Which side of a comparison goes up to the other, and by how much an equal pair is one iteration more.
_LIMITS = {"Less": (0, 0), "LessEqual": (0, 1), "Greater": (1, 0), "GreaterEqual": (1, 1)}
#: What the body may compute of values from outside that are then known before the loop.
_FIXED = frozenset("Const Shape Size StridedSlice Pack Cast Add AddV2 Sub Mul FloorDiv Minimum Maximum Squeeze".split())
#: Sums that are nested deeper are no counters that somebody wrote.
_DEPTH = 30


@dataclass(frozen=True, slots=True)
class LoopCount:
    """`each` × the number of the iteration, from 0 on, + `constant` + sizes and numbers from outside the loop.

    Attributes:
        each: How much it goes up at each iteration.
        constant: See above.
        terms: (what, how often): a size where it is known to be one, else the value.
    """

    each: int = 0
    constant: int = 0
    terms: frozenset[tuple[Dim | Value, int]] = field(default_factory=frozenset)

    def plus(self, other: LoopCount, sign: int = 1) -> LoopCount:
        """The sum, or with `sign` -1 the difference."""
        terms = dict(self.terms)
        for key, times in other.terms:
            terms[key] = terms.get(key, 0) + sign * times
        kept = frozenset((k, n) for k, n in terms.items() if n)
        return LoopCount(self.each + sign * other.each, self.constant + sign * other.constant, kept)

    def first(self) -> LoopCount:
        """Its value at the first iteration."""
        return replace(self, each=0)


def of_size(size: Dim) -> LoopCount:
    """A size as a count that stays the same."""
    return LoopCount(constant=size.scale) if size.known else LoopCount(terms=frozenset({(size, 1)}))


class Counting:
    """The counters of one loop."""

    def __init__(self, structure: Structure, facts: Facts, loop: Loop) -> None:
        self._structure = structure
        self._facts = facts
        self._loop = loop
        self._values: dict[Dim | Value, Value] = {}

    def of(self, value: Value, depth: int = 0) -> LoopCount | None:
        """`value` as a count, None where it is none."""
        value = self._structure.plain(value)
        node = self._structure.graph.nodes.get(value.node)
        if node is None or depth > _DEPTH or not types.dtype(self._structure, value).startswith("int"):
            return None
        outside = self._structure.origin(value)
        if self._is_fixed(outside):
            return self._sum(outside, depth) or self._known(outside) or self._term(outside, outside)
        carried = self._structure.carried_by(value)
        if carried is None or carried not in self._loop.carried:
            return self._sum(value, depth)
        first, step = self.of(carried.initial, depth + 1), self.step(carried)
        return None if first is None or step is None else replace(first, each=step)

    def _is_fixed(self, value: Value) -> bool:
        """Whether a value is made outside the loop, or of nothing but what is: `tf.shape(x)[0]` in the condition."""
        pending, seen = [value], set[str]()
        while pending:
            at = self._structure.origin(pending.pop())
            if at.node in seen or not self._structure.is_inside(at, self._loop):
                continue
            node = self._structure.graph[at.node]
            if node.op not in _FIXED or len(seen) > _DEPTH:
                return False
            seen.add(at.node)
            pending.extend(node.inputs)
        return True

    def _known(self, value: Value) -> LoopCount | None:
        """A number that the file has, or a size of a tensor."""
        content = self._facts.of(value).content
        if content is None or content.size != 1:
            return None
        number = content.ravel()[0]
        if not isinstance(number, Dim):
            return LoopCount(constant=int(number))
        size = self._facts.sizes.resolve(number)
        return LoopCount(constant=size.scale) if size.known else self._term(size, value)

    def _term(self, key: Dim | Value, value: Value) -> LoopCount:
        self._values.setdefault(key, value)
        return LoopCount(terms=frozenset({(key, 1)}))

    def _sum(self, value: Value, depth: int) -> LoopCount | None:
        node = self._structure.graph[value.node]
        if node.op == "Cast":
            return self.of(node.inputs[0], depth + 1)
        if node.op not in _SUMS:
            return None
        one, other = (self.of(v, depth + 1) for v in node.inputs)
        return None if one is None or other is None else one.plus(other, _SUMS[node.op])

    def is_number(self, value: Value) -> bool:
        """Whether a value is a loop variable that is the number of the iteration."""
        carried = self._structure.carried_by(self._structure.plain(value))
        return carried in self._loop.carried and self.of(value) == LoopCount(each=1)

    def step(self, carried: Carried) -> int | None:
        """By how much a variable goes up at each iteration, None where that is not always the same."""
        node = self._structure.graph[self._structure.source(carried.leaving).node]
        if node.op not in _SUMS:
            return None
        sides = [self._structure.plain(v) for v in node.inputs]
        if carried.entering not in sides[: 1 if node.op == "Sub" else 2]:
            return None
        content = self._facts.content(self._structure.origin(sides[1 - sides.index(carried.entering)]))
        return None if content is None or content.size != 1 else _SUMS[node.op] * int(content.item())

    def limits(self) -> tuple[list[LoopCount], list[Value]]:
        """After how many iterations the loop ends, by each part of its condition that counts; and the other parts."""
        counts, others = [], []
        for part in self._parts(self._loop.condition):
            limit = self._limit(self._structure.graph[self._structure.source(part).node])
            counts += [] if limit is None else [limit]
            others += [part] if limit is None else []
        least: dict[frozenset[tuple[Dim | Value, int]], LoopCount] = {}
        for count in counts:
            least[count.terms] = min(count, least.get(count.terms, count), key=lambda c: c.constant)
        return list(least.values()), others

    def _parts(self, condition: Value) -> Iterator[Value]:
        node = self._structure.graph[self._structure.source(condition).node]
        if node.op == "LogicalAnd":
            for value in node.inputs:
                yield from self._parts(value)
        else:
            yield condition

    def _limit(self, node: Node) -> LoopCount | None:
        if node.op != "NotEqual" and node.op not in _LIMITS:
            return None
        one, other = (self.of(v) for v in node.inputs[:2])
        if one is None or other is None:
            return None
        low, more = _LIMITS.get(node.op, (int(one.each < 0), 0))
        left = other.plus(one, -1) if low == 0 else one.plus(other, -1)
        return left.first().plus(LoopCount(constant=more)) if left.each == -1 else None

    def emit(self, count: LoopCount, scope: Scope, name: str) -> Value:
        """`count`, which stays the same, as an int32 value outside the loop."""
        total: Value | None = None
        for k, (key, times) in enumerate(sorted(count.terms, key=lambda term: -term[1])):
            value = self._as_int32(self._values[key], scope, f"{name}/cast_{k}")
            if times != 1:
                factor = scope.number(f"{name}/times_{k}", times)
                value = scope.make(f"{name}/product_{k}", "Mul", (value, factor), T="int32")
            total = value if total is None else scope.make(f"{name}/sum_{k}", "Add", (total, value), T="int32")
        if total is None or count.constant:
            constant = scope.number(f"{name}/constant", np.asarray(count.constant))
            total = constant if total is None else scope.make(name, "Add", (total, constant), T="int32")
        return total

    def _hoisted(self, value: Value, scope: Scope) -> Value:
        """A fixed value outside the loop: what the body computes of it is computed there."""
        value = self._structure.origin(value)
        if not self._structure.is_inside(value, self._loop):
            return value
        node = self._structure.graph[value.node]
        inputs = tuple(self._hoisted(v, scope) for v in node.inputs)
        return Value(scope.make(node.name, node.op, inputs, **node.attributes).node, value.index)

    def _as_int32(self, value: Value, scope: Scope, name: str) -> Value:
        kind, before = types.dtype(self._structure, value), self._hoisted(value, scope)
        return before if kind == "int32" else scope.make(name, "Cast", (before,), SrcT=kind, DstT="int32")
