"""What a step may read its states from: what is fed, parts of that, and variables that the step sets."""

from __future__ import annotations

from collections.abc import Iterator

from reprise.graph import Value
from reprise.interface.analysis.influence import ancestors
from reprise.interface.normal.unrolled.cells import KnownCell
from reprise.interface.normal.unrolled.chains import weight_of
from reprise.interface.normal.unrolled.flow import PARTS, StateSource
from reprise.interface.normal.unrolled.held_states import ASSIGNMENTS, is_blank, set_by_a_step
from reprise.interface.normal.unrolled.step_copies import row_of
from reprise.interface.normal.unrolled.steps import View
from reprise.interface.normal.unrolled.updates import SUMS
from reprise.operators.types import FLOATS, dtype

#: Operators that give every row of a batch the same numbers.
_REPEATING = ("Tile", "BroadcastTo")
#: What is done with a value and no step computes.
_ABOUT = frozenset(
    (*ASSIGNMENTS, "ReadVariableOp", "IsVariableInitialized", "VarIsInitializedOp", "PlaceholderWithDefault")
)


def fed_sources(view: View) -> list[StateSource]:
    """Placeholders of more than one axis, and what is sliced out of them; the row of a step's input is none."""
    found = []
    for name in view.structure.order:
        whole = Value(name)
        if not view.graph.nodes[name].op.startswith("Placeholder") or dtype(view.structure, whole) not in FLOATS:
            continue
        if len(view.facts.shape(whole) or ()) > 1:
            parts = list(_parts(view, whole))
            rows = {v for v in parts if _is_row(view, v)}
            values = [v for v in (*([] if rows else [whole]), *parts) if v not in rows]
            found += [s for v in values if (s := _source(view, v)).slots]
    return found


def zero_sources(view: View) -> list[StateSource]:
    """Zeros of more than one axis that something computes with, as steps that are to be carried on by hand begin.

    Numbers that are learned, the same for every row, are like zeros here.
    """
    found = [_source(view, _first(view, Value(node.name))) for node in view.graph if is_blank(view.structure, node)]
    repeated = (Value(node.name) for node in view.graph if node.op in _REPEATING)
    found += [_source(view, v) for v in repeated if weight_of(view.graph, view.graph.producer(v).inputs[0]) is not None]
    return [s for s in found if s.slots and len(view.facts.shape(s.initial) or ()) > 1]


def _first(view: View, value: Value) -> Value:
    """The first state that zeros are made into: weights added to them alone are where it was learned to begin."""
    reading = [view.graph.nodes[name] for name, _ in _source(view, value).slots]
    if len(reading) != 1 or reading[0].op not in SUMS:
        return value
    added = [v for v in reading[0].inputs if v != value]
    return Value(reading[0].name) if all(weight_of(view.graph, v) is not None for v in added) else value


def _source(view: View, value: Value) -> StateSource:
    """A value, wherever the graph computes with it outside of loops."""
    reading = (p for p in view.readers.get(value, ()) if view.graph.nodes[p[0]].op not in _ABOUT)
    return StateSource(value, frozenset(p for p in reading if not view.structure.context(Value(p[0]))))


def _parts(view: View, whole: Value) -> Iterator[Value]:
    """What is sliced out of a placeholder and out of its parts, inner ones first, where something computes with it."""
    outer = [(whole, _cut_from(view, whole))]
    while outer:
        value, parts = outer[-1]
        part = next(parts, None)
        if part is None:
            outer.pop()
            if outer and any(view.graph.nodes[n].op not in PARTS for n, _ in view.readers.get(value, ())):
                yield value
        elif _is_row(view, part):
            yield part
        else:
            outer.append((part, _cut_from(view, part)))


def _cut_from(view: View, value: Value) -> Iterator[Value]:
    for name, slot in view.readers.get(value, ()):
        node = view.graph.nodes[name]
        if node.op in PARTS and slot == (node.op == "Split"):
            yield from view.read_outputs(name)


def _is_row(view: View, part: Value) -> bool:
    """Whether a part of a placeholder is its only row along an axis of time."""
    return view.graph.nodes[part.node].op == "Squeeze" or row_of(view, part).axis >= 0


def cell_sources(view: View, cells: list[KnownCell]) -> dict[StateSource, Value]:
    """What known cells read from no placeholder, and the next value of each by their equations."""
    initials = [state.initial for cell in cells for state in cell.states]
    found = {}
    for cell in cells:
        for slot, state in cell.slots.items():
            shared = initials.count(state.initial) > 1
            slots = frozenset({slot}) if shared else _source(view, state.initial).slots
            found[StateSource(state.initial, slots)] = state.next
    return found


def assigned_sources(view: View) -> dict[StateSource, Value]:
    """Variables that a step sets to what it computes from them and from its input."""
    found: dict[StateSource, Value] = {}
    for variable, value in set_by_a_step(view.structure).items():
        shape = view.facts.shape(value)
        if shape and len(shape) > 1 and view.masks.get(value.node):
            above = ancestors(view.structure, [value])
            reads = [s for s in _reads(view, variable) if any(n in above for n, _ in s.slots)]
            if reads:
                found[StateSource(reads[0].initial, frozenset().union(*(s.slots for s in reads)))] = value
    return found


def _reads(view: View, variable: Value) -> Iterator[StateSource]:
    """What is computed with a variable, wherever it is read."""
    passing = [n for n, _ in view.readers.get(variable, ()) if view.graph.nodes[n].op in ("Identity", "ReadVariableOp")]
    for value in (variable, *map(Value, passing)):
        slots = frozenset(p for p in _source(view, value).slots if p[0] not in passing)
        if slots:
            yield StateSource(value, slots)
