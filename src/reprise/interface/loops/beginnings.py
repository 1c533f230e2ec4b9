"""First states that the cell itself makes: a captioner applies it once to a picture, and feeds what comes of it.

Outside of the loop stand nodes that compute, with the same weights, from constants and something else, what an
iteration computes from its states and a row. Their results have the place of the next states, and the placeholders of
the states wait for them: so these are what a placeholder holds that nobody feeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from reprise.frame import REPLACED
from reprise.graph import Graph, Node, Value
from reprise.interface.analysis.alike import same_operation
from reprise.interface.analysis.facts import Facts
from reprise.interface.analysis.influence import Influence, ancestors, reachable
from reprise.interface.analysis.sources import sources
from reprise.interface.building.rewritten import Rewritten
from reprise.interface.loops.recurrences import Recurrence
from reprise.interface.loops.states import fed_through, through_copies
from reprise.structure import RESULTS, Carried, Structure
from reprise.tensors import Array

_PRODUCTS = frozenset("MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 Conv2D LSTMBlockCell GRUBlockCell".split())
_JOINS = frozenset("Concat ConcatV2 Pack Reshape ExpandDims Transpose".split())

Firsts = Mapping[Carried, Value]


def default_first_states(structure: Structure, found: tuple[Recurrence, ...]) -> Rewritten:
    """The graph in which every placeholder of a state has the value as its default that the cell itself makes first."""
    nodes, notes = dict(structure.graph.nodes), list[str]()
    for recurrence in found:
        fed = {c: Value.parse(name) for c in recurrence.states if (name := fed_through(structure, c)) is not None}
        if len(fed) < len(recurrence.states) or any(structure.graph.producer(v).inputs for v in fed.values()):
            continue
        firsts = list(_firsts(structure, recurrence)) if fed else []
        if len(firsts) == 1 and (values := _defaults_of(structure, fed, firsts[0])) is not None:
            nodes |= {p.node: _with_default(nodes[p.node], value) for p, value in values.items()}
            notes += [f"{p} begins with {value}, which the cell makes of something else" for p, value in values.items()]
    return Rewritten(Graph(nodes, structure.graph.functions) if notes else structure.graph, tuple(notes))


def _with_default(placeholder: Node, value: Value) -> Node:
    return replace(placeholder, op="PlaceholderWithDefault", inputs=(value,))


@dataclass(frozen=True, slots=True)
class _Likeness:
    """Nodes outside of a loop that compute what its body does.

    Attributes:
        images: Node of the body → the one outside.
        given: What the body reads of its states, rows and the rest → what is in its place outside.
    """

    images: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[Value, Value] = field(default_factory=dict)


def _firsts(structure: Structure, recurrence: Recurrence) -> Iterator[Firsts]:
    """Each way to compute all next states outside of the loop, once; the value of each."""
    body = _Body(structure, recurrence)
    found: list[tuple[_Likeness, dict[Carried, Value]]] = [(_Likeness(), {})]
    for carried in recurrence.states:
        found = [
            (more, {**made, carried: value})
            for likeness, made in found
            for value, more in body.outside(carried, likeness)
        ]
    seen = set[tuple[Value, ...]]()
    for likeness, made in found:
        if tuple(made.values()) not in seen and body.begins(likeness):
            seen.add(tuple(made.values()))
            yield made


class _Body:
    """The body of a loop, to be laid over nodes outside."""

    def __init__(self, structure: Structure, recurrence: Recurrence) -> None:
        self._structure, self._graph = structure, structure.graph
        entering = [c.entering for c in recurrence.states]
        self._states = set(entering)
        self._late = Influence(structure, entering, within=recurrence.loop.name)
        self._known = Influence(structure, sources(structure))
        after = {c.final.node for c in recurrence.loop.carried if c.final is not None}
        self._outside: dict[str, list[str]] = {}
        for node in self._graph:
            if not structure.context(Value(node.name)) and REPLACED not in node.attributes and node.name not in after:
                self._outside.setdefault(node.op, []).append(node.name)

    def outside(self, carried: Carried, so_far: _Likeness) -> Iterator[tuple[Value, _Likeness]]:
        """What outside of the loop is computed as the next value of a state is."""
        for made in through_copies(self._structure, carried.leaving):
            known = so_far.images.get(made.node)
            for name in [known] if known else self._outside.get(self._graph[made.node].op, ()):
                value = Value(name, made.index)
                likeness = self._overlaid(made, value, so_far)
                if likeness is not None:
                    yield value, likeness

    def _overlaid(self, inner: Value, outer: Value, so_far: _Likeness) -> _Likeness | None:
        """The likeness of a value and what it is computed from, None where anything differs."""
        images, given, pending = dict(so_far.images), dict(so_far.given), [(inner, outer)]
        while pending:
            one, two = (self._structure.source(v) for v in pending.pop())
            if one in self._states or not self._late.mask(one):
                if (known := given.setdefault(one, two)) != two and not _equal(self._structure, known, two):
                    return None
            elif one.node not in images:
                if one.index != two.index or not self._alike(one.node, two.node):
                    return None
                images[one.node] = two.node
                pending += zip(self._graph[one.node].inputs, self._graph[two.node].inputs, strict=True)
            elif Value(images[one.node], one.index) != two:
                return None
        return _Likeness(images, given)

    def _alike(self, inner: str, outer: str) -> bool:
        one, two = self._graph[inner], self._graph[outer]
        return same_operation(one, two) and outer in self._outside.get(two.op, ())

    def begins(self, likeness: _Likeness) -> bool:
        """Whether the same weights make products outside too, of states that are constants there."""
        others = {one: two for one, two in likeness.given.items() if one not in self._states}
        products = [n for n in likeness.images if self._graph[n].op in _PRODUCTS]
        weights = [v for n in products for v in self._graph[n].inputs if self._is_constant(self._structure.source(v))]
        constant = [likeness.given.get(v) for v in self._states]
        return (
            bool(weights)
            and all(v is not None and not self._known.mask(v) for v in constant)
            and all(self._is_same(one, two) for one, two in others.items() if self._is_constant(one))
        )

    def _is_constant(self, inner: Value) -> bool:
        """Whether the body reads the same at every iteration: a variable, a constant."""
        return self._graph[inner.node].op in ("Enter", "Const", "ReadVariableOp")

    def _is_same(self, inner: Value, outer: Value) -> bool:
        one, two = (self._structure.decider(v) for v in (inner, outer))
        return one == two or _equal(self._structure, one, two)


def _defaults_of(structure: Structure, fed: Mapping[Carried, Value], firsts: Firsts) -> dict[Value, Value] | None:
    """What each placeholder begins with, where the file has it in the layout in which the placeholder wants it."""
    packed: dict[Value, Value] | None = None
    found: dict[Value, Value] = {}
    for carried, placeholder in fed.items():
        if structure.origin(carried.initial) == placeholder:
            found[placeholder] = firsts[carried]
            continue
        packed = _packed(structure, firsts) if packed is None else packed
        parts = [firsts[c] for c in fed if fed[c] == placeholder]
        whole = [v for v in packed.values() if _fits(structure, placeholder, v, parts)]
        if len(whole) != 1:
            return None
        found[placeholder] = whole[0]
    return found


def _packed(structure: Structure, firsts: Firsts) -> dict[Value, Value]:
    """What is put together of the last states of a loop → what is put together in the same way of the first ones."""
    pairs = {c.final: structure.source(v) for c, v in firsts.items() if c.final is not None}
    pending = list(pairs)
    for last in pending:
        twins = list(_joining(structure, pairs[last]))
        for node in _joining(structure, last):
            twin = next((n for n in twins if _joins_alike(structure, node, n, pairs)), None)
            if twin is not None and Value(node.name) not in pairs:
                pairs[Value(node.name)] = Value(twin.name)
                pending.append(Value(node.name))
    return pairs


def _joining(structure: Structure, value: Value) -> Iterator[Node]:
    """The nodes that put a value together with others or lay it out, seen through those that pass it on."""

    def passed(name: str) -> list[str]:
        return [n for n in structure.consumers[name] if structure.graph[n].op in ("Identity", RESULTS)]

    read = (structure.graph[n] for at in reachable([value.node], passed) for n in structure.consumers[at])
    yield from (n for n in read if n.op in _JOINS and any(structure.source(v) == value for v in n.inputs))


def _joins_alike(structure: Structure, one: Node, two: Node, pairs: Mapping[Value, Value]) -> bool:
    if not same_operation(one, two):
        return False
    inputs = [(structure.source(a), structure.source(b)) for a, b in zip(one.inputs, two.inputs, strict=True)]
    return all(pairs.get(a) == b or _equal(structure, a, b) for a, b in inputs)


def _equal(structure: Structure, one: Value, two: Value) -> bool:
    """Whether two values are constants of the same numbers; one number over and over may be one element."""
    first, second = (_numbers(structure, v) for v in (one, two))
    return first is not None and second is not None and np.array_equal(first, second)


def _numbers(structure: Structure, value: Value) -> Array | None:
    """The numbers of a constant; of what is filled, or the same all over, the one."""
    node = structure.graph.producer(structure.origin(value))
    if node.op == "Fill":
        return _numbers(structure, node.inputs[1])
    content = None if node.constant is None else node.constant.load()
    even = content is not None and content.size and (content == content.flat[0]).all()
    return content.reshape(-1)[0] if even and content is not None else content


def _fits(structure: Structure, placeholder: Value, value: Value, parts: Iterable[Value]) -> bool:
    """Whether `value` is put together of all `parts` and has the shape that the placeholder declares."""
    wanted, found = Facts(structure).shape(placeholder), Facts(structure).shape(value)
    behind = ancestors(structure, [value])
    if wanted is None or found is None or len(wanted) != len(found) or not behind.issuperset(v.node for v in parts):
        return False
    return all(a == b or not (a.known and b.known) for a, b in zip(wanted, found, strict=True))
