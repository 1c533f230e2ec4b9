"""One step with nothing to compare it to: a graph that was built for sampling alone.

Without repetition only the cell's own equations tell what is state. LSTM (Gers et al. 2000): c' = σ(f)·c + σ(i)·act(g),
h' = σ(o)·act(c'). GRU (Cho et al. 2014): h' = u·h + (1 − u)·act(…). The states must come from outside of every weight:
zeros, something fed, a variable. An RNN without gates looks like any dense layer and is not recognised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reprise.graph import Node, Value
from reprise.interface.analysis.influence import DISCRETE, SHAPE_ONLY, ancestors, descendants, reachable
from reprise.interface.normal.unrolled.chains import Chain, weight_of
from reprise.interface.normal.unrolled.collected import outputs_of
from reprise.interface.normal.unrolled.replacements import Plan, frame_name
from reprise.interface.normal.unrolled.step_copies import row_of
from reprise.interface.normal.unrolled.steps import IMPURE, MADE, SAME, Role, Row, State, Steps, View
from reprise.interface.normal.unrolled.time_slices import content_of
from reprise.operators.rules.sizes import Dim

_SUMS = ("Add", "AddV2")
_ACTIVATIONS = frozenset("Tanh Sigmoid Relu Relu6 Softsign Elu Selu Softplus".split())
_CLIPS = ("Minimum", "Maximum", "ClipByValue")
_PRODUCTS = ("MatMul", "BatchMatMul", "BatchMatMulV2")
_BEFORE_A_GATE = frozenset(("Sigmoid", "BiasAdd", "Split", "Slice", "StridedSlice", "Unpack", *_SUMS))
#: Operators that make the row of a step of this step's number or id alone.
_ROW_BY_ROW = ("Gather", "GatherV2", "ResourceGather", "OneHot", "Cast", "Identity")
_BLOCKS = {"LSTMBlockCell": ((1, 1), (2, 6)), "GRUBlockCell": ((1, 3),)}


@dataclass(frozen=True, slots=True)
class Cell:
    """A recognised cell.

    Attributes:
        states: What it carries.
        slots: Where it reads its states: (node, input slot) → state.
    """

    states: tuple[State, ...]
    slots: dict[tuple[str, int], State]


def plans(view: View, single: Iterable[Chain], known: set[str]) -> Iterator[Plan]:
    """A plan for every model of one step, all its cells together.

    Its weights are all read by `single`; nodes in `known` belong to other recurrences.
    """
    read_once = sum(c.mask for c in single)
    cells = [c for c in _cells(view, ~read_once) if not any(s.next.node in known for s in c.states)]
    for group in _connected(view, cells):
        steps = None if _is_only_measured(view, group) else _Step(view, group).steps()
        if steps is not None:
            used, _ = steps.needed(view.graph, [Value(a) for a in steps.anchors])
            yield Plan(frame_name(view, steps), steps, outputs_of(view, steps, used))


def _is_only_measured(view: View, cells: Sequence[Cell]) -> bool:
    """Whether nothing is made of the numbers of a step: a loop begins with zeros of the shape that one gives."""
    graph, consumers = view.graph, view.structure.consumers

    def readers(name: str) -> tuple[str, ...]:
        return () if graph[name].op in SHAPE_ONLY else consumers[name]

    behind = reachable([s.next.node for c in cells for s in c.states], readers)
    return all(consumers[name] or graph[name].op in SHAPE_ONLY for name in behind)


def _cells(view: View, repeated: int) -> Iterator[Cell]:
    """The cells outside of loops that rest on none of the weights in `repeated`, which are read again and again."""
    for name in view.structure.order:
        if view.structure.context(Value(name)) or view.masks[name] & repeated:
            continue
        cell = _cell(view, view.graph.nodes[name])
        if cell is not None and not any(view.masks.get(s.initial.node, 0) for s in cell.states):
            yield _before_reset(view, cell)


def _before_reset(view: View, cell: Cell) -> Cell:
    """The cell with the factor of each row that clears its states where an episode has ended: c · (1 − done)."""
    slots = dict[tuple[str, int], State]()
    for place, state in cell.slots.items():
        node, shape = _made(view, state.initial), view.facts.shape(state.initial)
        sizes = [view.facts.shape(v) for v in node.inputs] if node.op == "Mul" else []
        flags = [i for i, size in enumerate(sizes) if size and size[-1] == Dim(1)]
        if shape is None or len(flags) != 1 or sizes[1 - flags[0]] != shape:
            slots[place] = state
        else:
            slots[node.name, 1 - flags[0]] = State(node.inputs[1 - flags[0]], state.next)
    return Cell(tuple(dict.fromkeys(slots.values())), slots)


def _cell(view: View, node: Node) -> Cell | None:
    """The cell that ends in a node."""
    if node.op in _BLOCKS:
        return _block(node)
    return (_lstm(view, node) or _gru(view, node)) if node.op in _SUMS else None


def _block(node: Node) -> Cell:
    slots = {(node.name, slot): State(node.inputs[slot], Value(node.name, output)) for slot, output in _BLOCKS[node.op]}
    return Cell(tuple(slots.values()), slots)


def _made(view: View, value: Value) -> Node:
    return view.graph.nodes[value.node]


def _gate(view: View, value: Value) -> bool:
    """Whether a value is a sigmoid, or a part of one."""
    node = _made(view, value)
    while node.op in ("Split", "Slice", "StridedSlice", "Unpack") and len(node.inputs) > 1:
        node = _made(view, node.inputs[node.op == "Split"])
    return node.op == "Sigmoid"


def _lstm(view: View, total: Node) -> Cell | None:
    """Reads c' = σ(f)·c + σ(i)·act(g)."""
    for kept, new in (total.inputs[:2], total.inputs[1::-1]):
        forget, written = _made(view, kept), _made(view, new)
        if forget.op != "Mul" or written.op != "Mul":
            continue
        slot = next(
            (i for i in (0, 1) if _gate(view, forget.inputs[1 - i]) and not _gate(view, forget.inputs[i])), None
        )
        active = [_made(view, v).op in _ACTIVATIONS or _gate(view, v) for v in written.inputs]
        if slot is None or not all(active) or not any(_gate(view, v) for v in written.inputs):
            continue
        cell = _clipped(view, Value(total.name))
        hidden = _exposed(view, cell)
        read = None if hidden is None else _recurrent(view, forget.inputs[1 - slot], hidden)
        if hidden is not None and read is not None:
            c = State(forget.inputs[slot], cell)
            h = State(_made(view, Value(read[0])).inputs[read[1]], hidden)
            return Cell((c, h), {(forget.name, slot): c, read: h})
    return None


def _clipped(view: View, value: Value) -> Value:
    """The cell state after it is clipped, where it is."""
    while True:
        after = [n for n, _ in view.readers.get(value, ()) if view.graph.nodes[n].op in _CLIPS]
        if len(after) != 1:
            return value
        value = Value(after[0])


def _exposed(view: View, cell: Value) -> Value | None:
    """Reads h' = σ(o)·act(c')."""
    for name, _ in view.readers.get(cell, ()):
        if view.graph.nodes[name].op not in _ACTIVATIONS:
            continue
        for product, slot in view.readers.get(Value(name), ()):
            node = view.graph.nodes[product]
            if node.op == "Mul" and _gate(view, node.inputs[1 - slot]):
                return Value(product)
    return None


def _recurrent(view: View, gate: Value, hidden: Value) -> tuple[str, int] | None:
    """Where the gate's weights read h: the operand as wide as h', the last one where there are two."""
    shape = view.facts.shape(hidden)
    if shape is None:
        return None
    places = [place for product in _products(view, gate) for place in _operands(view, product)]
    wide = []
    for name, slot in places:
        operand = view.facts.shape(view.graph.nodes[name].inputs[slot])
        if operand is not None and operand[-1] == shape[-1]:
            wide.append((name, slot))
    together = len({name for name, _ in wide}) == 1
    return wide[-1] if wide and (together or len(wide) == 1) else None


def _products(view: View, gate: Value) -> list[str]:
    """The products with weights that a gate is the nearest made of."""

    def above(value: Value) -> list[Value]:
        node = _made(view, value)
        return [v for v in node.inputs if view.masks.get(v.node)] if node.op in _BEFORE_A_GATE else []

    made = [_made(view, v) for v in reachable([gate], above)]
    return list(dict.fromkeys(n.name for n in made if n.op in _PRODUCTS))


def _operands(view: View, product: str) -> list[tuple[str, int]]:
    """What a product multiplies with weights: the parts of a concatenation, or one value."""
    node = view.graph.nodes[product]
    slot = next((i for i, v in enumerate(node.inputs) if weight_of(view.graph, v) is None), 0)
    joined = _made(view, node.inputs[slot])
    if joined.op == "ConcatV2":
        return [(joined.name, i) for i in range(len(joined.inputs) - 1)]
    if joined.op == "Concat":
        return [(joined.name, i) for i in range(1, len(joined.inputs))]
    return [(product, slot)]


def _gru(view: View, total: Node) -> Cell | None:
    """Reads h' = u·h + (1 − u)·act(…)."""
    for kept, new in (total.inputs[:2], total.inputs[1::-1]):
        first, second = _made(view, kept), _made(view, new)
        if first.op != "Mul" or second.op != "Mul":
            continue
        rest = next((_made(view, v) for v in second.inputs if _made(view, v).op == "Sub"), None)
        if rest is None or content_of(view.graph, rest.inputs[0]) != 1 or not _gate(view, rest.inputs[1]):
            continue
        slot = next((i for i in (0, 1) if first.inputs[1 - i] == rest.inputs[1]), None)
        if slot is None or not any(_made(view, v).op in _ACTIVATIONS for v in second.inputs):
            continue
        state = State(first.inputs[slot], Value(total.name))
        return Cell((state,), {(first.name, slot): state})
    return None


def _connected(view: View, cells: list[Cell]) -> list[list[Cell]]:
    """Cells in groups: one that rests on another belongs to the same model."""
    groups: list[tuple[set[str], list[Cell]]] = []
    for cell in cells:
        reached = ancestors(view.structure, [s.next for s in cell.states])
        below = [g for g in groups if any(s.next.node in reached for c in g[1] for s in c.states)]
        groups = [g for g in groups if g not in below]
        groups.append((reached.union(*(g[0] for g in below)), [*(c for g in below for c in g[1]), cell]))
    return [group for _, group in groups]


class _Step:
    """Tells what every input of a step is, from the states back to what comes from outside."""

    def __init__(self, view: View, cells: list[Cell]) -> None:
        self._view = view
        self._slots = {place: state for c in cells for place, state in c.slots.items()}
        self._states = tuple(s for c in cells for s in c.states)
        self._initial = {s.initial: s for s in self._states}
        self._shared = len(self._initial) < len(self._states)
        self._late = self._downstream()
        self._roles: dict[tuple[str, int], Role] = {}
        self._rows: set[Value] = set()

    def _downstream(self) -> set[str]:
        """Nodes of the step that rest on a state."""
        behind = ancestors(self._view.structure, [s.next for s in self._states])
        found = {name for name, _ in self._slots}
        for name in sorted(behind, key=self._view.place.__getitem__):
            values = self._view.graph.nodes[name].inputs
            if any(v.node in found or (not self._shared and v in self._initial) for v in values):
                found.add(name)
        return found

    def steps(self) -> Steps | None:
        """The step, None where a state could not be told from another, or nothing else is read from outside."""
        pending, seen = [s.next.node for s in self._states], set[str]()
        while pending:
            name = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            for slot, value in enumerate(self._view.graph.nodes[name].inputs):
                role = self._role(name, slot, value)
                if role is None:
                    return None
                self._roles[name, slot] = role
                pending += [value.node] if role == MADE else []
        if not any(isinstance(role, Row) for role in self._roles.values()):
            return None
        self._extend(seen)
        order = tuple(sorted(seen, key=self._view.place.__getitem__))
        members = {r: (r.first,) for r in self._roles.values() if isinstance(r, Row) and r.source is None}
        anchors = tuple(dict.fromkeys(s.next.node for s in self._states))
        return Steps(self._roles, ({n: n for n in seen},), order, anchors, members, {})

    def _extend(self, seen: set[str]) -> None:
        """Adds what is computed from the step with nothing but weights and constants: its scores."""
        after = descendants(self._view.structure, [s.next.node for s in self._states])
        for name in sorted(after - seen, key=self._view.place.__getitem__):
            node = self._view.graph.nodes[name]
            roles = [MADE if v.node in seen else self._fixed(v) for v in node.inputs]
            if node.op not in DISCRETE and not node.op.startswith(IMPURE) and None not in roles:
                seen.add(name)
                self._roles.update({(name, slot): role for slot, role in enumerate(roles) if role is not None})

    def _fixed(self, value: Value) -> Role | None:
        constant = self._view.graph.nodes[value.node].op == "Const" or weight_of(self._view.graph, value) is not None
        return SAME if constant else None

    def _role(self, name: str, slot: int, value: Value) -> Role | None:
        if (name, slot) in self._slots:
            return self._slots[name, slot]
        if value in self._initial:
            return None if self._shared else self._initial[value]
        return MADE if value.node in self._late else self._from_outside(name, value)

    def _from_outside(self, name: str, value: Value) -> Role:
        """What `name` reads that rests on no state."""
        graph = self._view.graph
        node = graph.nodes[value.node]
        if weight_of(graph, value) is not None or node.op == "Const":
            return SAME
        if node.op in (*_PRODUCTS, *_SUMS, "BiasAdd") and self._view.masks.get(value.node):
            return MADE  # the input's own product with weights, apart from that of the state
        if graph.nodes[name].op in (*_PRODUCTS, *_BLOCKS, *_ROW_BY_ROW, "Concat", "ConcatV2"):
            self._rows.add(value)
        if value not in self._rows:
            # What is not multiplied with weights (a keep probability, a sequence's length) is the same for all steps.
            return SAME
        row = row_of(self._view, value)
        return MADE if row.axis < 0 and row.source is not None and node.op in _ROW_BY_ROW else row
