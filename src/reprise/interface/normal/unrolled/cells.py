"""The cells of LSTM and GRU in a step whose states are zeros or variables, and fused cells.

LSTM (Gers et al. 2000): c' = σ(f)·c + σ(i)·act(g), h' = σ(o)·act(c'). GRU (Cho et al. 2014): h' = u·h + (1 − u)·act(…).
Zeros are read like any constant, perhaps by several states: only these equations show that they are one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reprise.graph import Node, Value
from reprise.interface.analysis.influence import reachable
from reprise.interface.normal.unrolled.chains import weight_of
from reprise.interface.normal.unrolled.steps import CarriedState, View
from reprise.interface.normal.unrolled.updates import ACTIVATIONS, CLIPS, SUMS
from reprise.operators import Tag, named
from reprise.operators.rules.sizes import Dim

_PRODUCTS = named(Tag.PRODUCT)
_BEFORE_A_GATE = SUMS | named(Tag.SLICE) | {"Sigmoid", "BiasAdd", "Split", "Unpack", "Reshape"}
_BLOCKS = {"LSTMBlockCell": ((1, 1), (2, 6)), "GRUBlockCell": ((1, 3),)}


@dataclass(frozen=True, slots=True)
class KnownCell:
    """A recognised cell.

    Attributes:
        states: What it carries.
        slots: Where it reads its states: (node, input slot) → state.
    """

    states: tuple[CarriedState, ...]
    slots: dict[tuple[str, int], CarriedState]


def find_cells(view: View, repeated: int) -> Iterator[KnownCell]:
    """The cells outside of loops that rest on none of the weights in `repeated`, which are read again and again."""
    for name in view.structure.order:
        if view.structure.context(Value(name)) or view.masks[name] & repeated:
            continue
        cell = _cell(view, view.graph.nodes[name])
        if cell is not None and not any(view.masks.get(s.initial.node, 0) for s in cell.states):
            yield _before_reset(view, cell)


def _before_reset(view: View, cell: KnownCell) -> KnownCell:
    """The cell with the factor of each row that clears its states where an episode has ended: c · (1 − done)."""
    slots = dict[tuple[str, int], CarriedState]()
    for slot, state in cell.slots.items():
        node, shape = _producer(view, state.initial), view.facts.shape(state.initial)
        sizes = [view.facts.shape(v) for v in node.inputs] if node.op == "Mul" else []
        flags = [i for i, size in enumerate(sizes) if size and size[-1] == Dim(1)]
        if shape is None or len(flags) != 1 or sizes[1 - flags[0]] != shape:
            slots[slot] = state
        else:
            slots[node.name, 1 - flags[0]] = CarriedState(node.inputs[1 - flags[0]], state.next)
    return KnownCell(tuple(dict.fromkeys(slots.values())), slots)


def _cell(view: View, node: Node) -> KnownCell | None:
    """The cell that ends in a node."""
    if node.op in _BLOCKS:
        return _block(node)
    return (_lstm(view, node) or _gru(view, node)) if node.op in SUMS else None


def _block(node: Node) -> KnownCell:
    slots = {
        (node.name, slot): CarriedState(node.inputs[slot], Value(node.name, output))
        for slot, output in _BLOCKS[node.op]
    }
    return KnownCell(tuple(slots.values()), slots)


def _producer(view: View, value: Value) -> Node:
    return view.graph.nodes[value.node]


def _is_gate(view: View, value: Value) -> bool:
    """Whether a value is a sigmoid, or a part of one."""
    node = _producer(view, value)
    while node.op in ("Split", "Slice", "StridedSlice", "Unpack") and len(node.inputs) > 1:
        node = _producer(view, node.inputs[node.op == "Split"])
    return node.op == "Sigmoid"


def _lstm(view: View, total: Node) -> KnownCell | None:
    """The LSTM whose c' is the sum `total`, read as c' = σ(f)·c + σ(i)·act(g) with its h; None if it is another sum."""
    for kept, new in (total.inputs[:2], total.inputs[1::-1]):
        forget, written = _producer(view, kept), _producer(view, new)
        if forget.op != "Mul" or written.op != "Mul":
            continue
        slot = next(
            (i for i in (0, 1) if _is_gate(view, forget.inputs[1 - i]) and not _is_gate(view, forget.inputs[i])), None
        )
        active = [_producer(view, v).op in ACTIVATIONS or _is_gate(view, v) for v in written.inputs]
        if slot is None or not all(active) or not any(_is_gate(view, v) for v in written.inputs):
            continue
        cell = _clipped(view, Value(total.name))
        hidden = _hidden_of(view, cell)
        read = None if hidden is None else _recurrent_operand(view, forget.inputs[1 - slot], hidden)
        if hidden is not None and read is not None:
            c = CarriedState(forget.inputs[slot], cell)
            h = CarriedState(_producer(view, Value(read[0])).inputs[read[1]], hidden)
            return KnownCell((c, h), {(forget.name, slot): c, read: h})
    return None


def _clipped(view: View, value: Value) -> Value:
    """The cell state after it is clipped, where it is."""
    while True:
        after = [n for n, _ in view.readers.get(value, ()) if view.graph.nodes[n].op in CLIPS]
        if len(after) != 1:
            return value
        value = Value(after[0])


def _hidden_of(view: View, cell: Value) -> Value | None:
    """Reads h' = σ(o)·act(c')."""
    for name, _ in view.readers.get(cell, ()):
        if view.graph.nodes[name].op not in ACTIVATIONS:
            continue
        for product, slot in view.readers.get(Value(name), ()):
            node = view.graph.nodes[product]
            if node.op == "Mul" and _is_gate(view, node.inputs[1 - slot]):
                return Value(product)
    return None


def _recurrent_operand(view: View, gate: Value, hidden: Value) -> tuple[str, int] | None:
    """Where the gate's weights read h: the operand as wide as h', the last one where there are two."""
    shape = view.facts.shape(hidden)
    if shape is None:
        return None
    operands = [operand for product in _products(view, gate) for operand in _operands(view, product)]
    wide = []
    for name, slot in operands:
        value = view.graph.nodes[name].inputs[slot]
        operand = view.facts.shape(value)
        if operand is not None and operand[-1] == shape[-1] and not view.masks.get(value.node):
            wide.append((name, slot))
    together = len({name for name, _ in wide}) == 1
    return wide[-1] if wide and (together or len(wide) == 1) else None


def _products(view: View, gate: Value) -> list[str]:
    """The products with weights that a gate is the nearest made of."""

    def above(value: Value) -> list[Value]:
        node = _producer(view, value)
        return [v for v in node.inputs if view.masks.get(v.node)] if node.op in _BEFORE_A_GATE else []

    made = [_producer(view, v) for v in reachable([gate], above)]
    return list(dict.fromkeys(n.name for n in made if n.op in _PRODUCTS))


def _operands(view: View, product: str) -> list[tuple[str, int]]:
    """What a product multiplies with weights: the parts of a concatenation, or one value."""
    node = view.graph.nodes[product]
    slot = next((i for i, v in enumerate(node.inputs) if weight_of(view.graph, v) is None), 0)
    joined = _producer(view, node.inputs[slot])
    if joined.op == "ConcatV2":
        return [(joined.name, i) for i in range(len(joined.inputs) - 1)]
    if joined.op == "Concat":
        return [(joined.name, i) for i in range(1, len(joined.inputs))]
    return [(product, slot)]


def _gru(view: View, total: Node) -> KnownCell | None:
    """Reads h' = u·h + (1 − u)·act(…)."""
    for kept, new in (total.inputs[:2], total.inputs[1::-1]):
        first, second = _producer(view, kept), _producer(view, new)
        if first.op != "Mul" or second.op != "Mul":
            continue
        rest = next((_producer(view, v) for v in second.inputs if _producer(view, v).op == "Sub"), None)
        if rest is None or view.structure.number(rest.inputs[0]) != 1 or not _is_gate(view, rest.inputs[1]):
            continue
        slot = next((i for i in (0, 1) if first.inputs[1 - i] == rest.inputs[1]), None)
        if slot is None or not any(_producer(view, v).op in ACTIVATIONS for v in second.inputs):
            continue
        state = CarriedState(first.inputs[slot], Value(total.name))
        return KnownCell((state,), {(first.name, slot): state})
    return None
