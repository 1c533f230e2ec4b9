"""Copies of one step: the model that samples, beside the one that was trained over many steps.

One step alone repeats nothing. It is read by its likeness to the first step of an unrolled copy that shares its
weights: what is state, input and output there is so here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from reprise.graph import Value
from reprise.interface.analysis.alike import same_operation
from reprise.interface.normal.unrolled.chains import Chain, weight_of
from reprise.interface.normal.unrolled.collected import Collected, StepOutput
from reprise.interface.normal.unrolled.replacements import FramePlan, frame_name
from reprise.interface.normal.unrolled.steps import (
    SAME,
    CarriedState,
    Computed,
    Role,
    SequenceRow,
    StepCount,
    UnrolledSteps,
    View,
)
from reprise.interface.normal.unrolled.time_slices import content_of, time_slice_of


def adopt(view: View, model: FramePlan, single: Iterable[Chain]) -> Iterator[FramePlan]:
    """Plans for the copies of one step of what `model` is."""
    steps = model.steps
    by_kind: dict[tuple[object, ...], list[str]] = {}
    for chain in single:
        by_kind.setdefault(chain.kind, []).append(chain.anchors[0])
    kinds = {name: by_kind[kind] for name, kind in steps.kinds.items() if kind in by_kind}
    if len(kinds) < len(steps.anchors):
        return
    for first in kinds[steps.anchors[0]]:
        copy = _Copy(view, steps, first, kinds)
        own = copy.result()
        if own is not None:
            yield FramePlan(frame_name(view, own), own, tuple(_outputs(view, model.outputs, copy.images)))


def _outputs(view: View, model: tuple[StepOutput, ...], likeness: dict[str, str]) -> Iterator[StepOutput]:
    """What the rest of the graph takes from a copy of one step, by what it takes from the model."""
    for output in model:
        name = likeness.get(output.value.node)
        if name is None:
            continue
        value = Value(name, output.value.index)
        if output.kind is Collected.SINGLY:
            yield replace(output, value=value, node=name)
        elif output.kind in (Collected.PACKED, Collected.JOINED):
            taken = [replace(output, value=value, node=n, backwards=False) for n in _single_gathers(view, value)]
            yield from taken or [StepOutput(value, Collected.DIRECT, f"{name}/steps", 0, output.rank)]


def _single_gathers(view: View, value: Value) -> Iterator[str]:
    """Nodes that put one value together with nothing: TensorFlow writes the concatenation of one as Identity."""
    for name, _ in view.readers.get(value, ()):
        node = view.graph.nodes[name]
        if node.op == "Identity" or (node.op == "Pack" and len(node.inputs) == 1):
            yield name


class _Copy:
    """Lays one step over the first step of the model."""

    def __init__(self, view: View, model: UnrolledSteps, first: str, kinds: dict[str, list[str]]) -> None:
        self._view, self._nodes, self._model, self._kinds = view, view.graph.nodes, model, kinds
        self._first = first
        self.images: dict[str, str] = {}
        self._roles: dict[tuple[str, int], Role] = {}
        self._outside: dict[Role, Value] = {}
        self._states: list[tuple[tuple[str, int], CarriedState]] = []

    def result(self) -> UnrolledSteps | None:
        """The copy as steps, None if it is unlike the model."""
        taken: set[str] = set()
        for name in self._model.order:
            for candidate in self._candidates(name):
                trial = dict[str, str]()
                if candidate not in taken and self._agrees(name, candidate, trial):
                    self.images.update(trial)
                    taken.add(candidate)
                    break
            else:
                if name in self._model.anchors:
                    return None
        return self._steps()

    def _candidates(self, name: str) -> list[str]:
        for slot, value in enumerate(self._nodes[name].inputs):
            if value.node in self._model.images[0] and value.node in self.images:
                read = self._view.readers.get(Value(self.images[value.node], value.index), [])
                return [reader for reader, at in read if at == slot]
        if name == self._model.anchors[0]:
            return [self._first]
        position = self._view.position
        return sorted(self._kinds.get(name, ()), key=lambda n: abs(position[n] - position[self._first]))

    def _agrees(self, name: str, other: str, trial: dict[str, str]) -> bool:
        one, two = self._nodes[name], self._nodes[other]
        if not same_operation(one, two):
            return False
        trial[name] = other
        return all(
            self._input(self._model.roles[name, slot], u, v, trial)
            for slot, (u, v) in enumerate(zip(one.inputs, two.inputs, strict=True))
        )

    def _input(self, role: Role, u: Value, v: Value, trial: dict[str, str]) -> bool:
        if isinstance(role, Computed):
            image = self.images.get(u.node, trial.get(u.node))
            return u.index == v.index and (image == v.node if image else self._agrees(u.node, v.node, trial))
        if isinstance(role, (CarriedState, SequenceRow, StepCount)):
            return self._outside.setdefault(role, v) == v and (
                not isinstance(role, StepCount) or _is_number(self._view, v)
            )
        return weight_of(self._view.graph, u) == weight_of(self._view.graph, v)

    def _steps(self) -> UnrolledSteps | None:
        own = {role: self._own(role) for role in self._outside}
        if any(s not in self.images for s in self._model.anchors) or None in own.values():
            return None
        roles = {
            (image, slot): own.get(role, role) or SAME
            for name, image in self.images.items()
            for slot in range(len(self._nodes[name].inputs))
            if (role := self._model.roles[name, slot]) is not None
        }
        order = tuple(self.images[n] for n in self._model.order if n in self.images)
        members = {r: (r.first,) for r in own.values() if isinstance(r, SequenceRow) and r.source is None}
        anchors = tuple(self.images[a] for a in self._model.anchors)
        same = {n: n for n in self.images.values()}
        return UnrolledSteps(roles, (same,), order, anchors, members, {}) if self._is_closed(anchors) else None

    def _is_closed(self, anchors: tuple[str, ...]) -> bool:
        """Whether what comes from outside does not rest on the step itself."""
        own = 0
        for name in anchors:
            above = 0
            for value in self._nodes[name].inputs:
                above |= self._view.masks.get(value.node, 0)
            own |= self._view.masks[name] & ~above
        return not any(self._view.masks.get(v.node, 0) & own for v in self._outside.values())

    def _own(self, role: Role) -> Role | None:
        value = self._outside[role]
        if isinstance(role, CarriedState):
            image = self.images.get(role.next.node)
            return None if image is None else CarriedState(value, Value(image, role.next.index))
        if isinstance(role, StepCount):
            content = content_of(self._view.graph, value)
            return None if content is None else replace(role, first=int(content))
        return row_of(self._view, value)


def row_of(view: View, value: Value) -> SequenceRow:
    """What one step reads of its input: the only row of a sequence, or a value that has no axis of time."""
    if view.graph.nodes[value.node].op == "Placeholder":
        return SequenceRow(value, None)
    time_slice = time_slice_of(view.graph, value)
    shape = None if time_slice is None else view.facts.shape(time_slice.source)
    if time_slice is not None and shape is not None and time_slice.axis < len(shape) and not time_slice.index:
        rows = shape[time_slice.axis]
        if time_slice.of == 1 or (rows.known and rows.scale == 1) or (time_slice.of is None and not rows.known):
            return SequenceRow(value, time_slice.source, time_slice.axis, time_slice.kept, of=1)
    return SequenceRow(value, value, -1, of=1)


def _is_number(view: View, value: Value) -> bool:
    content = content_of(view.graph, value)
    return content is not None and content.shape == ()
