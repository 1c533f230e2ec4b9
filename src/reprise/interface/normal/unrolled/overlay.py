"""How the steps of an unrolled recurrence correspond.

The second step is laid over the first: nodes that follow from corresponding nodes correspond. Where the first step
reads something from before the recurrence and the second something that the first made, a value is carried: recurrent
state. Where they read neighbouring rows of one sequence, that is an input. Everything else must be the same value.
All further steps must then agree, or nothing is concluded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from reprise.graph import Value
from reprise.interface.analysis.influence import DISCRETE
from reprise.interface.normal.unrolled.chains import Chain
from reprise.interface.normal.unrolled.first_steps import FirstSteps
from reprise.interface.normal.unrolled.steps import (
    COMPUTED,
    SAME,
    CarriedState,
    Computed,
    Role,
    SequenceRow,
    StepCount,
    UnrolledSteps,
    View,
)
from reprise.interface.normal.unrolled.time_slices import TimeSlice, content_of, may_be_steps


def correspond(view: View, cluster: tuple[Chain, ...], *, wide: bool = True) -> UnrolledSteps | None:
    """The steps of a cluster of chains, or None where they are not alike.

    With `wide`, what the first step makes of the first states alone may be a part of it.
    """
    pair = FirstSteps(view, cluster)
    while (steps := _laid_over(pair, view, cluster)) is None and wide and pair.widen():
        pass
    return steps


def _laid_over(pair: FirstSteps, view: View, cluster: tuple[Chain, ...]) -> UnrolledSteps | None:
    if not pair.derive():
        return None
    overlay = _Overlay(pair)
    images: list[dict[str, str]] = [{n: n for n in pair.images}]
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
    """Lays the further steps of one cluster over its first step, whose inputs are known."""

    def __init__(self, pair: FirstSteps) -> None:
        self._pair, self._view, self._nodes = pair, pair.view, pair.nodes
        self._members: dict[SequenceRow, list[Value]] = {}

    def follow(
        self, step: int, before: Mapping[str, str], anchors: list[str], without: Collection[str] = ()
    ) -> dict[str, str]:
        """Node of the first step → its counterpart in step number `step`, those of `without` left out.

        `before` are the counterparts in the step before, `anchors` those of the seeds in this one.
        """
        seeds = dict(zip(self._pair.seeds, anchors, strict=True))
        images: dict[str, str] = {}
        taken: set[str] = set()
        for name in self._pair.region:
            if name not in before or name in without:
                continue
            for candidate in self._pair.candidates(name, images, seeds, before):
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
        if not self._pair.alike(name, other):
            return False
        trial[name] = other
        for slot, (u, v) in enumerate(zip(self._nodes[name].inputs, self._nodes[other].inputs, strict=True)):
            role = self._pair.roles[name, slot]
            if not isinstance(role, Computed):
                if not self._plays(role, u, v, step, before):
                    return False
                continue
            image = images.get(u.node, trial.get(u.node))
            if u.index != v.index or (image is not None and image != v.node):
                return False
            unseen = image is None
            if unseen and not (self._pair.early(u) and self._agrees(u.node, v.node, step, before, images, trial)):
                return False
        return True

    def _plays(self, role: Role, u: Value, v: Value, step: int, before: Mapping[str, str]) -> bool:
        """Whether `v` is to this step what `u`, in its role, is to the first."""
        match role:
            case CarriedState():
                return Value(before.get(role.next.node, ""), role.next.index) == v
            case StepCount():
                content = content_of(self._view.graph, v)
                return content is not None and content.shape == () and int(content) == role.first + step * role.delta
            case SequenceRow(source=None):
                return self._joins(role, v, step)
            case SequenceRow():
                at = role.start + step * role.delta
                return self._pair.time_slice(v) == TimeSlice(role.source or u, role.axis, at, role.kept, role.of)
        same = self._pair.match(u, v, 0)
        return same is not None and same.role == SAME

    def _joins(self, role: SequenceRow, v: Value, step: int) -> bool:
        """Whether `v` is the placeholder of this step; the first reader of a step decides."""
        members = self._members.setdefault(role, [role.first])
        if (
            len(members) == step
            and v not in members
            and may_be_steps(self._nodes[role.first.node], self._nodes[v.node])
        ):
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
        roles = {key: role for key, role in self._pair.roles.items() if key[0] in whole}
        order = tuple(n for n in self._pair.region if n in alive & whole)
        members = {row: tuple(values) for row, values in self._members.items()}
        steps = UnrolledSteps(roles, every, order, tuple(self._pair.seeds), members, self._pair.kinds)
        try:
            names, states = steps.needed(self._view.graph, [Value(a) for a in self._pair.seeds])
            if not states:  # no weights are multiplied with a state
                carried = (role.next.node for role in roles.values() if isinstance(role, CarriedState))
                steps = replace(steps, anchors=tuple(dict.fromkeys((*self._pair.seeds, *carried))))
                names, states = steps.needed(self._view.graph, [Value(a) for a in steps.anchors])
        except KeyError:  # something that the anchors rest on has no counterpart in some step
            return None
        if any(_ends_before(row, len(every)) for row in steps.rows(self._view.graph, names)):
            return None
        if self._reads_a_state_again(names, states, every[1]):
            return None
        return steps if states and self._changes(names) else None

    def _reads_a_state_again(
        self, names: Collection[str], states: Collection[CarriedState], second: Mapping[str, str]
    ) -> bool:
        """Whether the second step reads, besides its states, what the first had as one of them: the last but one."""
        initials = {state.initial for state in states}
        read = (
            (self._nodes[name].inputs[slot], self._nodes[second[name]].inputs[slot])
            for name in names
            for slot in range(len(self._nodes[name].inputs))
            if not isinstance(self._pair.roles[name, slot], (CarriedState, Computed))
        )
        return any(now in initials and now != before for before, now in read)

    def _closed(self, names: set[str]) -> set[str]:
        """Those of `names` that are made of nothing but each other and of what comes from outside of the step."""
        found = names
        while True:
            names, found = found, {n for n in found if self._parts(n) <= found}
            if found == names:
                return names

    def _parts(self, name: str) -> set[str]:
        """What makes the inputs of a node, in this step or in the one before."""
        inputs = [(self._pair.roles[name, i], v) for i, v in enumerate(self._nodes[name].inputs)]
        made = {v.node for role, v in inputs if isinstance(role, Computed)}
        return made | {role.next.node for role, _ in inputs if isinstance(role, CarriedState)}

    def idle(self, images: list[dict[str, str]]) -> set[str]:
        """Nodes that all steps have, and in the one before the last only such as the last does not have read them."""
        missing = {image for name, image in images[-2].items() if name not in images[-1]}
        found: set[str] = set()
        for name in reversed(self._pair.region):
            image = images[-2].get(name, "") if name not in self._pair.seeds else ""
            readers = self._view.structure.consumers[image] if image else ()
            if readers and missing.issuperset(readers):
                missing.add(image)
                found |= {name} & images[-1].keys()
        return found

    def _is_replaced(self, last: Mapping[str, str], alive: set[str], late: set[str]) -> bool:
        """Whether the last step makes something else of what the nodes `late` of the others read, its states aside."""
        states = {role.next for role in self._pair.roles.values() if isinstance(role, CarriedState)}
        made = {v for n in late for i, v in enumerate(self._nodes[n].inputs) if self._pair.roles[n, i] == COMPUTED}
        kept = [Value(last[v.node], v.index) for v in made - states if v.node in alive]
        return any(reader not in last.values() for v in kept for reader, _ in self._view.readers.get(v, ()))

    def _drawn(self, late: set[str]) -> set[str]:
        """Those of the nodes that the last step has not which only draw the input of the next step."""
        handed = {n for n in late if not self._moves([n])}
        drawn = set[str]()
        for name in sorted(handed, key=self._view.position.__getitem__):
            made = [v.node for i, v in enumerate(self._nodes[name].inputs) if self._pair.roles[name, i] == COMPUTED]
            if self._nodes[name].op in DISCRETE or (made and drawn.issuperset(made)):
                drawn.add(name)
        carried = {role.next.node for role in self._pair.roles.values() if isinstance(role, CarriedState)}
        return handed - (carried - drawn)

    def _changes(self, names: set[str]) -> bool:
        """Whether anything but the state changes from step to step; else it may be one layer applied many times."""
        return self._moves(names) or any(self._nodes[n].op in DISCRETE for n in names)

    def _moves(self, names: Collection[str]) -> bool:
        """Whether any of these nodes reads rows or counts steps."""
        roles = (self._pair.roles[n, i] for n in names for i in range(len(self._nodes[n].inputs)))
        return any(isinstance(r, (SequenceRow, StepCount)) for r in roles)


def _ends_before(row: SequenceRow, steps: int) -> bool:
    """Whether a sequence has no row for the last of so many steps: the last one may lack what the others make."""
    last = row.start + row.delta * (steps - 1)
    return row.source is not None and row.of is not None and row.axis >= 0 and not 0 <= last < row.of
