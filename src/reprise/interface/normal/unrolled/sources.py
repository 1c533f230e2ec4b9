"""What a step may read its states from: what is fed, parts of that, and variables that the step sets."""

from __future__ import annotations

from collections.abc import Iterator

from reprise.graph import VARIABLES, Node, Value
from reprise.interface.analysis.influence import ancestors
from reprise.interface.normal.unrolled.cells import KnownCell
from reprise.interface.normal.unrolled.flow import StateSource
from reprise.interface.normal.unrolled.step_copies import row_of
from reprise.interface.normal.unrolled.steps import View
from reprise.operators.types import FLOATS, dtype

#: What takes a value apart, or passes it on in another shape.
PARTS = frozenset("Identity Split SplitV Slice StridedSlice Unpack Squeeze Reshape GatherV2 Gather".split())
_ASSIGNMENTS = ("Assign", "AssignVariableOp")
#: Zeros of a batch of states are looked at up to this many.
_LARGEST = 1 << 20
#: What is done with a value and no step computes.
_ABOUT = frozenset(
    (*_ASSIGNMENTS, "ReadVariableOp", "IsVariableInitialized", "VarIsInitializedOp", "PlaceholderWithDefault")
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
    """Zeros of more than one axis that something computes with, as steps that are to be carried on by hand begin."""
    found = (_source(view, Value(node.name)) for node in view.graph if _is_zero(view, node))
    return [s for s in found if s.slots and len(view.facts.shape(s.initial) or ()) > 1]


def _is_zero(view: View, node: Node) -> bool:
    if node.op == "Fill":
        return view.structure.number(node.inputs[1]) == 0
    tensor = node.constant if node.op == "Const" else None
    small = tensor is not None and len(tensor.shape) > 1 and tensor.dtype in FLOATS and 1 < tensor.size <= _LARGEST
    return tensor is not None and small and not tensor.load().any()


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
    for node in view.graph:
        if node.op not in _ASSIGNMENTS or len(node.inputs) < 2:
            continue
        held, value = view.structure.origin(node.inputs[0]), view.structure.source(node.inputs[1])
        kept = view.graph.nodes.get(held.node)
        shape = view.facts.shape(value)
        if kept is None or kept.op not in VARIABLES or not shape or len(shape) < 2 or not view.masks.get(value.node):
            continue
        above = ancestors(view.structure, [value])
        if any(view.graph.nodes[n].op.startswith("Placeholder") for n in above):
            found |= {s: value for s in _reads(view, held) if any(n in above for n, _ in s.slots)}
    return found


def _reads(view: View, variable: Value) -> Iterator[StateSource]:
    """What is computed with a variable, wherever it is read."""
    values = [variable] if view.graph.nodes[variable.node].op != "VarHandleOp" else []
    passing = (n for n, _ in view.readers.get(variable, ()) if view.graph.nodes[n].op in ("Identity", "ReadVariableOp"))
    for value in (*values, *map(Value, passing)):
        source = _source(view, value)
        if source.slots:
            yield source
