"""A step whose states are known, as the steps of a recurrence: what each of its nodes reads."""

from __future__ import annotations

from collections.abc import Mapping

from reprise.graph import Value
from reprise.interface.analysis.influence import DISCRETE, SHAPE_ONLY, ancestors, descendants
from reprise.interface.normal.unrolled.chains import weight_of
from reprise.interface.normal.unrolled.flow import PRODUCTS
from reprise.interface.normal.unrolled.step_copies import row_of
from reprise.interface.normal.unrolled.steps import (
    COMPUTED,
    IMPURE,
    RANDOM,
    SAME,
    CarriedState,
    Role,
    SequenceRow,
    UnrolledSteps,
    View,
)
from reprise.interface.normal.unrolled.updates import SUMS

_JOINS = ("Concat", "ConcatV2", "Pack", "Reshape", "ExpandDims", "Identity")
_BLOCKS = ("LSTMBlockCell", "GRUBlockCell")
#: What chooses by the scores of a step, and what reads none of its numbers.
_AFTERWARDS = DISCRETE | SHAPE_ONLY
#: What is another value at each call.
_VARYING = tuple(op for op in IMPURE if op != "Variable")
#: Operators that take a part of a row: the input of a group of units.
_PARTS = ("Slice", "StridedSlice", "Split", "SplitV")
#: Operators that make the row of a step of this step's number or id alone.
_ROW_BY_ROW = ("Gather", "GatherV2", "ResourceGather", "OneHot", "Cast", "Identity")


class OneStep:
    """Tells what every input of a step is, from the states back to what comes from outside."""

    def __init__(self, view: View, states: Mapping[tuple[str, int], CarriedState]) -> None:
        """`states` says for each place (node, input slot) that reads a state which it is."""
        self._view, self._nodes = view, view.graph.nodes
        self._slots = dict(states)
        self._states = tuple(dict.fromkeys(states.values()))
        self._late = self._downstream()
        self._roles: dict[tuple[str, int], Role] = {}
        self._rows: dict[Value, SequenceRow] = {}
        self._seen: set[str] = set()

    def _downstream(self) -> set[str]:
        """Nodes of the step that rest on a state."""
        found = {name for name, _ in self._slots}
        for name in self._ordered(ancestors(self._view.structure, [s.next for s in self._states])):
            if any(v.node in found for v in self._nodes[name].inputs):
                found.add(name)
        return found

    def _ordered(self, names: set[str]) -> list[str]:
        return sorted(names, key=self._view.position.__getitem__)

    def steps(self) -> UnrolledSteps | None:
        """The step, None where a state could not be told from another, or nothing else is read from outside."""
        self._walk()  # tells the rows of the input, whatever reads them first
        if not self._walk() or not any(isinstance(role, SequenceRow) for role in self._roles.values()):
            return None
        self._extend()
        order = tuple(self._ordered(self._seen))
        members = {r: (r.first,) for r in self._roles.values() if isinstance(r, SequenceRow) and r.source is None}
        anchors = tuple(dict.fromkeys(s.next.node for s in self._states))
        return UnrolledSteps(self._roles, ({n: n for n in self._seen},), order, anchors, members, {})

    def _walk(self) -> bool:
        """Tells what the nodes read that make the next states; False where a state could not be told from another."""
        self._seen.clear()
        pending = [s.next.node for s in self._states]
        while pending:
            name = pending.pop()
            if name in self._seen:
                continue
            self._seen.add(name)
            for slot, value in enumerate(self._nodes[name].inputs):
                role = self._role(name, slot, value)
                if role is None:
                    return False
                self._roles[name, slot] = role
                pending += [value.node] if role == COMPUTED else []
        return True

    def _role(self, name: str, slot: int, value: Value) -> Role | None:
        if (name, slot) in self._slots:
            return self._slots[name, slot]
        if any(value == s.initial for s in self._states):
            return None  # zeros that several states start from
        return COMPUTED if value.node in self._late else self._from_outside(name, value)

    def _from_outside(self, name: str, value: Value) -> Role:
        """The role of `value`, which rests on no state, as an input of the node `name`."""
        node = self._nodes[value.node]
        if self._is_fixed(value):
            return COMPUTED if self._is_drawn(value) else SAME
        if self._view.masks.get(value.node) and (node.op in (*PRODUCTS, *SUMS, "BiasAdd") or self._is_flat(value)):
            return COMPUTED  # what the input alone is made into with weights, apart from the state
        if node.op in _PARTS and row_of(self._view, value).axis < 0:
            whole = node.inputs[node.op == "Split"]
            row = row_of(self._view, whole)
            if row.axis >= 0:
                self._rows[whole] = row
                return COMPUTED
        reads_rows = self._nodes[name].op in (*PRODUCTS, *_BLOCKS, *_ROW_BY_ROW, "Concat", "ConcatV2")
        if value not in self._rows and not reads_rows:
            # What is not multiplied with weights (a keep probability, a sequence's length) is the same for all steps.
            return SAME
        row = self._rows.setdefault(value, row_of(self._view, value))
        return COMPUTED if row.axis < 0 and row.source is not None and node.op in _ROW_BY_ROW else row

    def _is_flat(self, value: Value) -> bool:
        """Whether a value is one vector for each row of the batch, as what attention looks at is not."""
        return len(self._view.facts.shape(value) or ()) == 2

    def _is_fixed(self, value: Value) -> bool:
        """Whether a value is a constant, a weight or made of these alone, with random numbers or without."""
        if self._nodes[value.node].op == "Const" or weight_of(self._view.graph, value) is not None:
            return True
        above = ancestors(self._view.structure, [value])
        varying = (self._nodes[n] for n in above if self._nodes[n].op.startswith(_VARYING))
        # A single number that is given, such as a keep probability, is the same for all steps.
        return above.isdisjoint(self._late) and all(
            n.op.startswith("Placeholder") and n.declared() == () for n in varying
        )

    def _is_drawn(self, value: Value) -> bool:
        """Whether a value is made of random numbers, new ones at each step."""
        above = ancestors(self._view.structure, [value])
        return any(self._nodes[name].op in RANDOM for name in above)

    def _packed(self) -> set[str]:
        """What is put together of the next states alone, to be fetched and fed: it is made of the last ones."""
        found, joined = {s.next.node for s in self._states}, set[str]()
        for name in self._view.structure.order:
            values = [v.node for v in self._nodes[name].inputs if self._nodes[v.node].op != "Const"]
            if values and self._nodes[name].op in _JOINS and found.union(joined).issuperset(values):
                joined.add(name)
        read = {name for name in joined if not joined.issuperset(self._view.structure.consumers[name])}
        while left := {v.node for n in read for v in self._nodes[n].inputs} & joined - read:
            read |= left
        return joined - read

    def _extend(self) -> None:
        """Adds what is computed from the step with nothing but weights, constants and its input: its scores."""
        after = descendants(self._view.structure, {name for name, _ in self._slots}) - self._packed()
        for name in self._ordered(after - self._seen):
            self._include(name)

    def _include(self, name: str) -> bool:
        """Adds a node and what it needs of the input to the step, if it needs nothing else."""
        node = self._nodes[name]
        if node.op in _AFTERWARDS or node.op.startswith(IMPURE) or (node.op == "Pack" and len(node.inputs) == 1):
            return False  # the only step put together as if there were several: so are all steps
        roles = {}
        for slot, value in enumerate(node.inputs):
            role = self._beyond(name, slot, value)
            if role is None:
                return False
            roles[name, slot] = role
        self._seen.add(name)
        self._roles.update(roles)
        return True

    def _beyond(self, name: str, slot: int, value: Value) -> Role | None:
        if (name, slot) in self._slots:
            return self._slots[name, slot]
        if value.node in self._seen:
            return COMPUTED
        if self._is_fixed(value):
            return SAME if not self._is_drawn(value) else COMPUTED if self._include(value.node) else None
        if value in self._rows:
            row = self._rows[value]
            return None if row.axis < 0 and self._nodes[value.node].op in _ROW_BY_ROW else row
        made = self._view.masks.get(value.node) and self._is_of_rows(value) and self._include(value.node)
        return COMPUTED if made else None

    def _is_of_rows(self, value: Value) -> bool:
        """Whether a value is computed from the input of the step and from nothing that it makes."""
        above = ancestors(self._view.structure, [value])
        late = {s.next.node for s in self._states}
        return above.isdisjoint(late) and any(row.node in above for row in self._rows)
