"""What every input of the first step is, by its counterpart in the second, which is laid over it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reprise.graph import Value
from reprise.interface.analysis.alike import comparable_attributes
from reprise.interface.analysis.influence import ancestors, reachable
from reprise.interface.normal.unrolled.chains import Chain, weight_of
from reprise.interface.normal.unrolled.steps import (
    COMPUTED,
    IMPURE,
    RANDOM,
    SAME,
    CarriedState,
    Role,
    SequenceRow,
    StepCount,
    View,
)
from reprise.interface.normal.unrolled.time_slices import (
    TimeSlice,
    content_of,
    holds_batches,
    may_be_steps,
    time_slice_of,
)
from reprise.operators import Tag, named

# Nodes between a row of the input and the cell; the walk is recursive.
MAX_DEPTH = 100

_JOINS = named(Tag.JOIN) | {"Pack"}


@dataclass(frozen=True, slots=True)
class _Match:
    """What a pair of values of two steps is.

    Attributes:
        role: As an input.
        states: The carried values below it.
        fresh: Whether it changes from step to step for another reason: rows, counts, random numbers.
        forced: Whether a carried value was cut between nodes of the same operator, which may be too deep.
    """

    role: Role
    states: frozenset[CarriedState] = frozenset()
    fresh: bool = False
    forced: bool = False


class FirstSteps:
    """The first two steps of one cluster, laid over each other.

    Attributes:
        view: The graph.
        nodes: Its nodes.
        seeds: The anchors of the first step.
        kinds: Anchor of the first step → the kind of its chain.
        images: Node of the first step → its counterpart in the second.
        roles: (node of the first step, input slot) → what that input is.
        region: Nodes that depend on the first step and no later one, inputs first.
    """

    def __init__(self, view: View, cluster: tuple[Chain, ...]) -> None:
        self.view, self.nodes = view, view.graph.nodes
        self._all = sum(c.mask for c in cluster)
        self._first = sum(c.bits[0] for c in cluster)
        self.kinds = {c.anchors[0]: c.kind for c in cluster}
        self.seeds = list(self.kinds)
        self._second = {c.anchors[0]: c.anchors[1] for c in cluster}
        self._attributes: dict[str, dict[str, Any]] = {}
        self._next: dict[Value, Value] = {}
        self._ahead: frozenset[str] = frozenset()
        self._begin()

    def _begin(self) -> None:
        self.images: dict[str, str] = {}
        self.roles: dict[tuple[str, int], Role] = {}
        self._known: dict[tuple[Value, Value], _Match | None] = {}
        self._apart: dict[Value, Value] = {}
        self.region = tuple(self._region())

    def early(self, value: Value) -> bool:
        """Whether a value is made before the recurrence, as far as it is concerned."""
        return not self.view.masks.get(value.node, 0) & self._all and value.node not in self._ahead

    def widen(self) -> bool:
        """Takes into the first step what it makes of the first states alone, for the second to read; whether it can.

        Where the next value of a state is made of the last value of another, no weight of the first step is behind it.
        """
        states = {r.initial: r.next for r in self.roles.values() if isinstance(r, CarriedState)} | self._apart
        ahead = set[str]()
        for name in sorted(ancestors(self.view.structure, self._apart.values()), key=self.view.position.__getitem__):
            if any(v in states or v.node in ahead for v in self.nodes[name].inputs):
                ahead.add(name)
        if ahead <= self._ahead:
            return False
        self._ahead |= ahead
        self._next = {first: following for first, following in states.items() if first.node not in ahead}
        self._begin()
        return True

    def _region(self) -> list[str]:
        """Nodes that depend on the first step and no later one, inputs first."""
        later, consumers = self._all & ~self._first, self.view.structure.consumers
        found = reachable(self.seeds, lambda name: (r for r in consumers[name] if not self.view.masks[r] & later))
        return sorted({*found, *self._ahead}, key=self.view.position.__getitem__)

    def derive(self) -> bool:
        """Finds what every input of the first step is, by its counterpart in the second."""
        taken: set[str] = set()  # equal nodes of one step go to equal nodes of the other, each to its own
        for name in self.region:
            for candidate in self.candidates(name, self.images, self._second, {}):
                matches = None if candidate in taken else self._inputs(name, candidate)
                if matches is not None:
                    taken.add(candidate)
                    self._record(name, candidate, matches)
                    break
            else:
                if name in self._second:
                    return False
        self._forget_trials()
        return True

    def _forget_trials(self) -> None:
        """Leaves only pairs that the step itself is made of."""
        kept: set[str] = set()
        pending = [name for name in self.region if name in self.images]
        while pending:
            name = pending.pop()
            if name not in kept:
                kept.add(name)
                inputs = self.nodes[name].inputs
                pending += [v.node for i, v in enumerate(inputs) if self.roles[name, i] == COMPUTED]
        # What prepares the second step depends on the first alone, but is no part of it.
        second = {self.images[name] for name in kept}
        self.images = {name: self.images[name] for name in kept - second}

    def candidates(
        self, name: str, images: Mapping[str, str], seeds: Mapping[str, str], before: Mapping[str, str]
    ) -> Iterator[str]:
        """Nodes that may be the counterpart of `name` in a step.

        `images` are the counterparts that are known there, `seeds` those of the anchors, `before` those of the step
        before, whose states it reads.
        """
        if name in seeds:
            yield seeds[name]
            return
        for slot, value in enumerate(self.nodes[name].inputs):
            carried = self._next.get(value)
            if not self.early(value) or carried is not None:
                image = images.get(value.node) if carried is None else before.get(carried.node, carried.node)
                index = value.index if carried is None else carried.index
                read = [] if image is None else self.view.readers.get(Value(image, index), [])
                yield from (reader for reader, at in read if at == slot)
                return

    def alike(self, name: str, other: str) -> bool:
        """Whether two nodes do the same to as many inputs."""
        one, two = self.nodes[name], self.nodes[other]
        if one.op != two.op or len(one.inputs) != len(two.inputs):
            return False
        if name not in self._attributes:
            self._attributes[name] = comparable_attributes(one)
        return self._attributes[name] == comparable_attributes(two)

    def _inputs(self, name: str, other: str, depth: int = 0) -> list[_Match] | None:
        if depth > MAX_DEPTH or not self.alike(name, other):
            return None
        matches = []
        for u, v in zip(self.nodes[name].inputs, self.nodes[other].inputs, strict=True):
            match = self.match(u, v, depth)
            if match is None:
                return None
            matches.append(match)
        return matches

    def _record(self, name: str, other: str, matches: list[_Match]) -> None:
        self.images[name] = other
        self.roles.update({(name, slot): m.role for slot, m in enumerate(matches)})

    def match(self, u: Value, v: Value, depth: int) -> _Match | None:
        """What `u` of the first step and `v` of another are as inputs of corresponding nodes, None where unlike."""
        if (u, v) not in self._known:
            self._known[u, v] = None
            self._known[u, v] = self._matched(u, v, depth)
        return self._known[u, v]

    def _matched(self, u: Value, v: Value, depth: int) -> _Match | None:
        if not self.early(u):
            return _Match(COMPUTED) if u.index == v.index and self.images.get(u.node) == v.node else None
        if u == v:
            return _Match(SAME)
        return self._both_early(u, v, depth) if self.early(v) else self._carried(u, v, depth)

    def _both_early(self, u: Value, v: Value, depth: int) -> _Match | None:
        a, b = content_of(self.view.graph, u), content_of(self.view.graph, v)
        if a is not None and b is not None:
            if a.dtype == b.dtype and np.array_equal(a, b):
                return _Match(SAME)
            counts = a.shape == b.shape == () and a.dtype == b.dtype and a.dtype.kind == "i"
            return _Match(StepCount(int(a), int(b) - int(a), a.dtype.name), fresh=True) if counts else None
        row = self._row(u, v)
        match = _Match(row, fresh=True) if row is not None else self._below(u, v, depth)
        if match is None and not self.alike(u.node, v.node):
            self._apart.setdefault(u, v)
        return match

    def _row(self, u: Value, v: Value) -> SequenceRow | None:
        one, two = self.time_slice(u), self.time_slice(v)
        if one is not None and two is not None:
            step = two.index - one.index
            if replace(two, index=one.index) == one and abs(step) == 1:
                return SequenceRow(u, one.source, one.axis, one.kept, one.index, step, one.of)
        placeholders = not u.index and not v.index and may_be_steps(self.nodes[u.node], self.nodes[v.node])
        return SequenceRow(u, None) if placeholders else None

    def time_slice(self, value: Value) -> TimeSlice | None:
        """`value` as one row of a sequence, None where it is none."""
        stacked = self.view.stacked.get(value)
        if stacked is not None:
            return stacked
        time_slice = time_slice_of(self.view.graph, value)
        return (
            None if time_slice is None or weight_of(self.view.graph, time_slice.source) else self._measured(time_slice)
        )

    def _measured(self, time_slice: TimeSlice) -> TimeSlice | None:
        """The slice with the number of rows that the file states; None where it may be more than one row."""
        shape = self.view.facts.shape(time_slice.source)
        if shape is None:
            return time_slice if time_slice.axis == 0 and not time_slice.kept else None
        if time_slice.axis >= len(shape):
            return None
        rows = shape[time_slice.axis].scale if shape[time_slice.axis].known else None
        if time_slice.of is None:
            return replace(time_slice, of=rows)
        return (
            None
            if time_slice.kept and rows != time_slice.of and not holds_batches(shape, time_slice.axis, time_slice.of)
            else time_slice
        )

    def _below(self, u: Value, v: Value, depth: int) -> _Match | None:
        """Whether two nodes before the cell do the same to corresponding values."""
        node = self.nodes[u.node]
        if u.index != v.index or not node.inputs or node.op.startswith(IMPURE) or v.node in self._second.values():
            return None
        if v.node in self.seeds or self.images.get(u.node, v.node) != v.node:
            return None
        matches = self._inputs(u.node, v.node, depth + 1)
        if matches is None:
            return None
        states = frozenset(s for m in matches for s in m.states)
        fresh = node.op in RANDOM or any(m.fresh for m in matches)
        if not states and not fresh:
            return _Match(SAME)
        self._record(u.node, v.node, matches)
        return _Match(COMPUTED, states, fresh, any(m.forced for m in matches))

    def _carried(self, u: Value, v: Value, depth: int) -> _Match | None:
        """A carried value, cut as deep as the packing and slicing of one value goes and no deeper."""
        below = self._below(u, v, depth)
        joins = self.nodes[u.node].op in _JOINS
        if below is not None and (joins or (not below.forced and (below.fresh or len(below.states) == 1))):
            return below
        if self.view.masks[v.node] & self._all & ~self._first:
            return None
        state = CarriedState(u, v)
        return _Match(state, frozenset((state,)), forced=self.nodes[u.node].op == self.nodes[v.node].op)
