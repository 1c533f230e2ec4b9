"""Names and kinds of recurrent states: which is c, which is h, which belong together.

Told apart by the equations of the LSTM, h' = o ⊙ act(c') (Hochreiter & Schmidhuber 1997; Gers et al. 2000): the next h
is made from the next c by element-wise operators, perhaps projected or clipped, while c' is not made from h'.
"""

from __future__ import annotations

from collections.abc import Iterator

from reprise.frame import CALLED, StateName
from reprise.graph import Node, Value
from reprise.interface.analysis.influence import reachable
from reprise.interface.loops.recurrences import Recurrence, Write
from reprise.operators import Tag, named
from reprise.structure import Carried, Structure

_ACTIVATIONS = named(Tag.ACTIVATION).union("Identity Minimum Maximum Cast".split())
_AFTER_THE_GATE = _ACTIVATIONS | named(Tag.JOIN) | {"MatMul"}  # projection, in shards, and clipping
#: Operators that give one of these inputs as it is.
_COPY_THROUGH = {**dict.fromkeys(named(Tag.SELECT), slice(1, 3)), "Merge": slice(None), "Switch": slice(1)}
_SLICES = named(Tag.LAYOUT, Tag.SLICE).union("Split SplitV Unpack Identity Gather GatherV2 Cast".split())
PLACEHOLDERS = named(Tag.PLACEHOLDER) | {"_Arg"}

# Far enough to pass an output gate, a clip, a projection of several shards; not far enough to reach another layer.
_REACH = 9


def names(structure: Structure, recurrences: tuple[Recurrence, ...]) -> list[str]:
    """A name for each state of each recurrence: that of the file's own layer, such as `lstm_1.h`, where it says.

    Else `layer0.c`, `layer0.h`, … in the order of the layers.
    """
    groups = [group for r in recurrences for group in _layers(structure, r)]
    width = len(str(max(len(groups) - 1, 0)))
    named = {}
    for i, group in enumerate(groups):
        for carried, letter in group:
            own = structure.graph[carried.enter].attributes.get(CALLED)
            named[carried] = own.name if isinstance(own, StateName) else f"layer{i:0{width}}.{letter}"
    return [named[c] for r in recurrences for c in r.states]


def _layers(structure: Structure, recurrence: Recurrence) -> list[list[tuple[Carried, str]]]:
    """The states of one recurrence in groups that belong together, each with its letter."""
    pairs = _pairs(structure, recurrence)
    partner = {c: h for h, c in pairs.items()}
    groups: list[list[tuple[Carried, str]]] = []
    for carried in recurrence.states:
        if carried in partner:
            groups.append([(carried, "c"), (partner[carried], "h")])
        elif carried not in pairs:
            groups.append([(carried, _single_letter(structure, carried))])
    return groups


def _single_letter(structure: Structure, carried: Carried) -> str:
    """`state` where several quantities are packed into one tensor, else `h`."""
    made = {structure.graph[v.node].op for v in through_copies(structure, carried.leaving)}
    return "state" if made & (named(Tag.JOIN) | {"Pack"}) else "h"


def _pairs(structure: Structure, recurrence: Recurrence) -> dict[Carried, Carried]:
    """Of every LSTM layer h → c: for each c the nearest state that is a gate times its next value.

    What is made from the same c further on, such as the attention of a decoder, is not its h.
    """
    produced = {v: c for c in recurrence.states for v in through_copies(structure, c.leaving)}
    nearest: dict[Carried, tuple[int, Carried]] = {}
    for h in recurrence.states:
        starts = through_copies(structure, h.leaving)
        block = _block_partner(structure, starts, produced)
        found = (0, block) if block else next(_upstream(structure, starts, produced, h), None)
        if found is not None and found[0] < nearest.get(found[1], (_REACH, h))[0]:
            nearest[found[1]] = found[0], h
    return {h: c for c, (_, h) in nearest.items()}


def _block_partner(structure: Structure, starts: list[Value], produced: dict[Value, Carried]) -> Carried | None:
    """LSTMBlockCell gives c as output 1 and h as output 6 of one node."""
    for value in starts:
        if structure.graph[value.node].op == "LSTMBlockCell" and value.index == 6:
            return produced.get(Value(value.node, 1))
    return None


def through_copies(structure: Structure, value: Value) -> list[Value]:
    """What a next state really is, behind the selects that keep finished rows as they were."""

    def copied(at: Value) -> list[Value]:
        node = structure.graph[at.node]
        if structure.carried_by(at) is not None or node.op not in _COPY_THROUGH:
            return []
        return [structure.source(v) for v in node.inputs[_COPY_THROUGH[node.op]]]

    every = reachable([structure.source(value)], copied)
    return [v for v in every if structure.carried_by(v) is None and structure.graph[v.node].op not in _COPY_THROUGH]


def writes_state(structure: Structure, recurrence: Recurrence, write: Write) -> bool:
    """Whether what a loop writes at each step is one of its states."""
    carried = {v for c in recurrence.states for v in through_copies(structure, c.leaving)}
    return bool(carried & set(through_copies(structure, write.element)))


def _upstream(
    structure: Structure, starts: list[Value], produced: dict[Value, Carried], h: Carried
) -> Iterator[tuple[int, Carried]]:
    """How far back each state is that is gated into `starts`, nearest first: to the gate's product, then on to c'."""
    level = [(value, False) for value in starts]
    for distance in range(_REACH):
        following = []
        for value, gated in level:
            node = structure.graph[value.node]
            if gated and value in produced and produced[value] is not h:
                yield distance, produced[value]
            elif node.op == "Mul" and not gated:
                following += [(structure.source(v), True) for v in node.inputs]
            elif node.op in (_ACTIVATIONS if gated else _AFTER_THE_GATE):
                following += [(structure.source(v), gated) for v in _data_inputs(node)]
        level = [pair for pair in dict.fromkeys(following) if pair[0].node in structure.graph]


def _data_inputs(node: Node) -> tuple[Value, ...]:
    return node.inputs[:1] if node.op in ("MatMul", "Cast") else node.inputs


def fed_through(structure: Structure, carried: Carried) -> str | None:
    """The placeholder that a state is a part of, or None: only slicing lies between them."""
    value = structure.origin(carried.initial)
    while True:
        node = structure.graph.nodes.get(value.node)
        if node is None:
            return None
        if node.op in PLACEHOLDERS:
            return str(value)
        if node.op not in _SLICES or not node.inputs:
            return None
        value = structure.origin(node.inputs[1] if node.op == "Split" else node.inputs[0])
