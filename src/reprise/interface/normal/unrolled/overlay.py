"""How the steps of an unrolled recurrence correspond.

The second step is laid over the first: nodes that follow from corresponding nodes correspond. Where the first step
reads something from before the recurrence and the second something that the first made, a value is carried: recurrent
state. Where they read neighbouring rows of one sequence, that is an input. Everything else must be the same value.
All further steps must then agree, or nothing is concluded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reprise.graph import Value
from reprise.interface.analysis.alike import comparable_attributes
from reprise.interface.analysis.influence import DISCRETE, ancestors, reachable
from reprise.interface.normal.unrolled.chains import Chain, weight_of
from reprise.interface.normal.unrolled.steps import (
    COMPUTED,
    IMPURE,
    RANDOM,
    SAME,
    CarriedState,
    Computed,
    Role,
    SequenceRow,
    StepCount,
    UnrolledSteps,
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


def correspond(view: View, cluster: tuple[Chain, ...], *, wide: bool = True) -> UnrolledSteps | None:
    """The steps of a cluster of chains, or None where they are not alike.

    With `wide`, what the first step makes of the first states alone may be a part of it.
    """
    overlay = _Overlay(view, cluster)
    while (steps := _laid_over(overlay, view, cluster)) is None and wide and overlay.widen():
        pass
    return steps


def _laid_over(overlay: _Overlay, view: View, cluster: tuple[Chain, ...]) -> UnrolledSteps | None:
    if not overlay.derive():
        return None
    images: list[dict[str, str]] = [{n: n for n in overlay.images}]
    for step in range(1, len(cluster[0].anchors)):
        found = overlay.follow(step, images[-1], [c.anchors[step] for c in cluster])
        kept = tuple(c for c in cluster if c.anchors[0] in found)
        if kept != cluster:  # the last of a weight that draws for the next step may be no part of any step
            return correspond(view, kept) if kept and step + 1 == len(cluster[0].anchors) else None
        images.append(found)
    idle = overlay.idle(images)
    if idle:  # what they were taken for may be something else of the last step
        images[-1] = overlay.follow(step, images[-2], [c.anchors[-1] for c in cluster], idle)
    return overlay.result(images)


class _Overlay:
    """Lays the steps of one cluster over its first step."""

    def __init__(self, view: View, cluster: tuple[Chain, ...]) -> None:
        self.view, self.nodes = view, view.graph.nodes
        self._all = sum(c.mask for c in cluster)
        self._first = sum(c.bits[0] for c in cluster)
        self._kinds = {c.anchors[0]: c.kind for c in cluster}
        self.seeds = list(self._kinds)
        self._second = {c.anchors[0]: c.anchors[1] for c in cluster}
        self._attributes: dict[str, dict[str, Any]] = {}
        self._next: dict[Value, Value] = {}
        self._ahead: frozenset[str] = frozenset()
        self._begin()

    def _begin(self) -> None:
        self.images: dict[str, str] = {}
        self.roles: dict[tuple[str, int], Role] = {}
        self.members: dict[SequenceRow, list[Value]] = {}
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
            for candidate in self._candidates(name, self.images, self._second, {}):
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

    def _candidates(
        self, name: str, images: Mapping[str, str], seeds: Mapping[str, str], before: Mapping[str, str]
    ) -> Iterator[str]:
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

    def _alike(self, name: str, other: str) -> bool:
        one, two = self.nodes[name], self.nodes[other]
        if one.op != two.op or len(one.inputs) != len(two.inputs):
            return False
        if name not in self._attributes:
            self._attributes[name] = comparable_attributes(one)
        return self._attributes[name] == comparable_attributes(two)

    def _inputs(self, name: str, other: str, depth: int = 0) -> list[_Match] | None:
        if depth > MAX_DEPTH or not self._alike(name, other):
            return None
        matches = []
        for u, v in zip(self.nodes[name].inputs, self.nodes[other].inputs, strict=True):
            match = self._match(u, v, depth)
            if match is None:
                return None
            matches.append(match)
        return matches

    def _record(self, name: str, other: str, matches: list[_Match]) -> None:
        self.images[name] = other
        self.roles.update({(name, slot): m.role for slot, m in enumerate(matches)})

    def _match(self, u: Value, v: Value, depth: int) -> _Match | None:
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
        if match is None and not self._alike(u.node, v.node):
            self._apart.setdefault(u, v)
        return match

    def _row(self, u: Value, v: Value) -> SequenceRow | None:
        one, two = self._time_slice(u), self._time_slice(v)
        if one is not None and two is not None:
            step = two.index - one.index
            if replace(two, index=one.index) == one and abs(step) == 1:
                return SequenceRow(u, one.source, one.axis, one.kept, one.index, step, one.of)
        placeholders = not u.index and not v.index and may_be_steps(self.nodes[u.node], self.nodes[v.node])
        return SequenceRow(u, None) if placeholders else None

    def _time_slice(self, value: Value) -> TimeSlice | None:
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

    def follow(
        self, step: int, before: Mapping[str, str], anchors: list[str], without: Collection[str] = ()
    ) -> dict[str, str]:
        """Node of the first step → its counterpart in step number `step`, those of `without` left out.

        `before` are the counterparts in the step before, `anchors` those of the seeds in this one.
        """
        seeds = dict(zip(self.seeds, anchors, strict=True))
        images: dict[str, str] = {}
        taken: set[str] = set()
        for name in self.region:
            if name not in before or name in without:
                continue
            for candidate in self._candidates(name, images, seeds, before):
                trial = dict[str, str]()
                if candidate not in taken and self._agrees(name, candidate, step, before, images, trial):
                    images.update(trial)
                    taken.add(candidate)
                    break
        return images

    def _agrees(
        self,
        name: str,
        other: str,
        step: int,
        before: Mapping[str, str],
        images: Mapping[str, str],
        trial: dict[str, str],
    ) -> bool:
        """Whether `other` does in step number `step` what `name` does in the first; `trial` collects the pairs for it.

        `before` are the counterparts in the step before, `images` those that are known of this one.
        """
        if not self._alike(name, other):
            return False
        trial[name] = other
        for slot, (u, v) in enumerate(zip(self.nodes[name].inputs, self.nodes[other].inputs, strict=True)):
            role = self.roles[name, slot]
            if not isinstance(role, Computed):
                if not self._plays(role, u, v, step, before):
                    return False
                continue
            image = images.get(u.node, trial.get(u.node))
            if u.index != v.index or (image is not None and image != v.node):
                return False
            unseen = image is None
            if unseen and not (self.early(u) and self._agrees(u.node, v.node, step, before, images, trial)):
                return False
        return True

    def _plays(self, role: Role, u: Value, v: Value, step: int, before: Mapping[str, str]) -> bool:
        """Whether `v` is to this step what `u`, in its role, is to the first."""
        match role:
            case CarriedState():
                return Value(before.get(role.next.node, ""), role.next.index) == v
            case StepCount():
                content = content_of(self.view.graph, v)
                return content is not None and content.shape == () and int(content) == role.first + step * role.delta
            case SequenceRow(source=None):
                return self._joins(role, v, step)
            case SequenceRow():
                at = role.start + step * role.delta
                return self._time_slice(v) == TimeSlice(role.source or u, role.axis, at, role.kept, role.of)
        same = self._match(u, v, 0)
        return same is not None and same.role == SAME

    def _joins(self, role: SequenceRow, v: Value, step: int) -> bool:
        """Whether `v` is the placeholder of this step; the first reader of a step decides."""
        members = self.members.setdefault(role, [role.first])
        if len(members) == step and v not in members and may_be_steps(self.nodes[role.first.node], self.nodes[v.node]):
            members.append(v)
        return len(members) == step + 1 and members[step] == v

    def result(self, images: list[dict[str, str]]) -> UnrolledSteps | None:
        """The steps, if what the states need has a counterpart everywhere, as far as another step is to read it."""
        alive = set.intersection(*(set(i) for i in images))
        late = set.intersection(*map(set, images[:-1])) - alive
        steps = self._steps_of(images, alive, self._drawn(late))
        return steps or (None if self._is_replaced(images[-1], alive, late) else self._steps_of(images, alive, late))

    def _steps_of(self, images: list[dict[str, str]], alive: set[str], late: set[str]) -> UnrolledSteps | None:
        """The steps of the nodes `alive`, which have `images` in all steps, and of those `late` that the last lacks.

        None where something that the weights or states need has no counterpart in a step.
        """
        whole = self._closed(alive | late)
        every = tuple({n: i[n] for n in i if n in whole} for i in images)
        roles = {key: role for key, role in self.roles.items() if key[0] in whole}
        order = tuple(n for n in self.region if n in alive & whole)
        members = {row: tuple(values) for row, values in self.members.items()}
        steps = UnrolledSteps(roles, every, order, tuple(self.seeds), members, self._kinds)
        try:
            names, states = steps.needed(self.view.graph, [Value(a) for a in self.seeds])
            if not states:  # no weights are multiplied with a state
                carried = (role.next.node for role in roles.values() if isinstance(role, CarriedState))
                steps = replace(steps, anchors=tuple(dict.fromkeys((*self.seeds, *carried))))
                names, states = steps.needed(self.view.graph, [Value(a) for a in steps.anchors])
        except KeyError:  # something that the anchors rest on has no counterpart in some step
            return None
        if any(_ends_before(row, len(images)) for row in steps.rows(self.view.graph, names)):
            return None
        return steps if states and self._changes(names) else None

    def _closed(self, names: set[str]) -> set[str]:
        """Those of `names` that are made of nothing but each other and of what comes from outside of the step."""
        found = names
        while True:
            names, found = found, {n for n in found if self._parts(n) <= found}
            if found == names:
                return names

    def _parts(self, name: str) -> set[str]:
        """What makes the inputs of a node, in this step or in the one before."""
        inputs = [(self.roles[name, i], v) for i, v in enumerate(self.nodes[name].inputs)]
        made = {v.node for role, v in inputs if isinstance(role, Computed)}
        return made | {role.next.node for role, _ in inputs if isinstance(role, CarriedState)}

    def idle(self, images: list[dict[str, str]]) -> set[str]:
        """Nodes that all steps have, and in the one before the last only such as the last does not have read them."""
        missing = {image for name, image in images[-2].items() if name not in images[-1]}
        found: set[str] = set()
        for name in reversed(self.region):
            image = images[-2].get(name, "") if name not in self.seeds else ""
            readers = self.view.structure.consumers[image] if image else ()
            if readers and missing.issuperset(readers):
                missing.add(image)
                found |= {name} & images[-1].keys()
        return found

    def _is_replaced(self, last: Mapping[str, str], alive: set[str], late: set[str]) -> bool:
        """Whether the last step makes something else of what the nodes `late` of the others read, its states aside."""
        states = {role.next for role in self.roles.values() if isinstance(role, CarriedState)}
        made = {v for n in late for i, v in enumerate(self.nodes[n].inputs) if self.roles[n, i] == COMPUTED}
        kept = [Value(last[v.node], v.index) for v in made - states if v.node in alive]
        return any(reader not in last.values() for v in kept for reader, _ in self.view.readers.get(v, ()))

    def _drawn(self, late: set[str]) -> set[str]:
        """Those of the nodes that the last step has not which only draw the input of the next step."""
        handed = {n for n in late if not self._moves([n])}
        drawn = set[str]()
        for name in sorted(handed, key=self.view.position.__getitem__):
            made = [v.node for i, v in enumerate(self.nodes[name].inputs) if self.roles[name, i] == COMPUTED]
            if self.nodes[name].op in DISCRETE or (made and drawn.issuperset(made)):
                drawn.add(name)
        carried = {role.next.node for role in self.roles.values() if isinstance(role, CarriedState)}
        return handed - (carried - drawn)

    def _changes(self, names: set[str]) -> bool:
        """Whether anything but the state changes from step to step; else it may be one layer applied many times."""
        return self._moves(names) or any(self.nodes[n].op in DISCRETE for n in names)

    def _moves(self, names: Collection[str]) -> bool:
        """Whether any of these nodes reads rows or counts steps."""
        roles = (self.roles[n, i] for n in names for i in range(len(self.nodes[n].inputs)))
        return any(isinstance(r, (SequenceRow, StepCount)) for r in roles)


def _ends_before(row: SequenceRow, steps: int) -> bool:
    """Whether a sequence has no row for the last of so many steps: the last one may lack what the others make."""
    last = row.start + row.delta * (steps - 1)
    return row.source is not None and row.of is not None and row.axis >= 0 and not 0 <= last < row.of
