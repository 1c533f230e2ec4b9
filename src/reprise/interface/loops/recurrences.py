"""Loops that carry recurrent state, and which of their variables are that state.

A loop variable is recurrent state when its next value depends on it through computation, or when it keeps something of
this step (its input, a state) for the next, and it is neither the number of the step, a TensorArray, a flag nor a
running sum that nothing else in the loop reads. What only fetches the input of the next step ahead of time is no state.
Loops of the gradient are no candidates: they pop the stacks that the forward loop pushed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reprise.graph import Node, Value
from reprise.interface.analysis.gradients import is_of_gradient
from reprise.interface.analysis.influence import DISCRETE, RANKING, SHAPE_ONLY, Influence, reachable
from reprise.operators import Tag, named
from reprise.operators.arrays import stacked_by, written_value
from reprise.operators.types import FLOATS, dtype
from reprise.structure import Carried, Loop, Structure

_ADDITIONS = named(Tag.ADDITION)
_WRITES = ("TensorArrayWrite", "TensorListSetItem", "TensorListPushBack", "TensorListPopBack")


@dataclass(frozen=True, slots=True)
class Read:
    """A sequence that the loop reads, one row at each step.

    Attributes:
        node: The reading node.
        index: The row that is read, a value inside the loop.
        stacked: The whole sequence, time first, a value outside the loop.
    """

    node: str
    index: Value
    stacked: Value


@dataclass(frozen=True, slots=True)
class Write:
    """A sequence that the loop writes, one row at each step.

    Attributes:
        node: The writing node.
        index: The row that is written, a value inside the loop.
        element: The row, a value inside the loop.
        carried: The loop variable that holds the array.
    """

    node: str
    index: Value
    element: Value
    carried: Carried


@dataclass(frozen=True, slots=True, eq=False)
class Recurrence:
    """A loop with recurrent state.

    Attributes:
        loop: The frame.
        states: Its state variables, in the order of the file.
        counters: Variables that go up by one at each iteration.
        fed_back: Variables whose next value is a symbol drawn from this step's output.
        reads: Sequences that it consumes.
        writes: Sequences that it produces.
    """

    loop: Loop
    states: tuple[Carried, ...]
    counters: tuple[Carried, ...]
    fed_back: tuple[Carried, ...]
    reads: tuple[Read, ...]
    writes: tuple[Write, ...]


def find(structure: Structure) -> tuple[Recurrence, ...]:
    """All loops of `structure` that carry recurrent state, inner loops of other loops left out."""
    found = (recurrence(structure, loop) for loop in structure.loops.values() if len(loop.context) == 1)
    return tuple(r for r in found if r is not None)


def recurrence(structure: Structure, loop: Loop) -> Recurrence | None:
    """What `loop` carries, or None where it carries no state or belongs to a gradient."""
    body = structure.body(loop)
    if is_of_gradient(body):
        return None
    soft = Influence(structure, [c.entering for c in loop.carried], SHAPE_ONLY | DISCRETE, within=loop.name)
    numeric = [c for c in loop.carried if _may_be_state(structure, loop, c, soft)]
    cyclic = _in_cycles({c: [d for d in numeric if soft.mask(c.leaving) & soft.mask(d.entering)] for c in numeric})
    if not cyclic:
        return None
    reads = tuple(_reads(structure, loop, body))
    kept = handed_to_next_step(structure, loop, [c for c in numeric if c not in cyclic], reads)
    states = tuple(c for c in numeric if c in (*cyclic, *kept))
    counters = tuple(c for c in loop.carried if c not in states and is_counter(structure, c))
    return Recurrence(
        loop,
        states,
        counters,
        tuple(c for c in loop.carried if c not in states and c not in counters and _is_fed_back(structure, c)),
        reads,
        tuple(_writes(structure, loop, body)),
    )


def handed_to_next_step(
    structure: Structure, loop: Loop, candidates: Sequence[Carried], reads: Sequence[Read]
) -> list[Carried]:
    """Those of `candidates` that hand something of this step to the next, which computes with it."""
    now = {c.entering for c in loop.carried if is_counter(structure, c)}
    rows = [Value(r.node) for r in reads if structure.plain(r.index) in now]
    # Flags aside: whether all rows have ended decides if a decoder reads its next input, not which it is.
    entering = [c.entering for c in loop.carried if c.entering not in now and dtype(structure, c.entering) != "bool"]
    made_of = Influence(structure, [*rows, *entering], within=loop.name)
    computing = [c for c in loop.carried if not _is_put_aside(structure, c)]
    used = {v for c in computing for v in made_of.of(c.leaving) if v != c.entering}
    return [c for c in candidates if c.entering in used and made_of.mask(c.leaving) and not _is_fed_back(structure, c)]


def _is_put_aside(structure: Structure, carried: Carried) -> bool:
    """Whether a variable is a stack on which a value of each step is put for the gradient."""
    made = structure.graph.nodes.get(structure.source(carried.leaving).node)
    return made is not None and made.op == "TensorListPushBack"


def is_counter(structure: Structure, carried: Carried) -> bool:
    """Whether a variable goes up by the constant one at each iteration."""
    made = structure.graph.nodes.get(structure.source(carried.leaving).node)
    if made is None or made.op not in _ADDITIONS:
        return False
    sides = [structure.source(v) for v in made.inputs]
    if carried.entering not in sides:
        return False
    other = made.inputs[1 - sides.index(carried.entering)]
    return structure.number(other) == 1


def _may_be_state(structure: Structure, loop: Loop, carried: Carried, soft: Influence) -> bool:
    return dtype(structure, carried.entering) in FLOATS and not (
        structure.source(carried.leaving) == carried.entering
        or _is_array(structure, carried)
        or grows(structure, carried)
        or _is_sum(structure, loop, carried, soft)
        or (is_counter(structure, carried) and soft.mask(loop.condition) & soft.mask(carried.entering))
    )


def _in_cycles(depends: Mapping[Carried, Sequence[Carried]]) -> set[Carried]:
    """Those that, over some iterations, depend on themselves."""
    return {c for c in depends if c in reachable(depends[c], depends.__getitem__)}


def _is_array(structure: Structure, carried: Carried) -> bool:
    """A TensorArray's flow, or a list: its next value is made by writing an element."""
    made = structure.graph.nodes.get(structure.source(carried.leaving).node)
    return made is not None and made.op.startswith(_WRITES)


def grows(structure: Structure, carried: Carried) -> bool:
    """Whether a variable is put together with something new at each step: a collection, of no size of its own."""
    made = structure.graph.nodes.get(structure.source(carried.leaving).node)
    joined = made is not None and made.op in named(Tag.JOIN)
    return made is not None and joined and carried.entering in [structure.source(v) for v in made.inputs]


def _is_sum(structure: Structure, loop: Loop, carried: Carried, soft: Influence) -> bool:
    """`x ← x + …` where nothing else reads x: a loss, a count, the sum of gradients."""
    made = structure.graph.nodes.get(structure.source(carried.leaving).node)
    if made is None or made.op not in (*_ADDITIONS, "AddN"):
        return False
    own = soft.mask(carried.entering)
    if carried.entering not in [structure.source(v) for v in made.inputs]:
        return False
    others = [c for c in loop.carried if c != carried and soft.mask(c.leaving) & own]
    addends = [v for v in made.inputs if structure.source(v) != carried.entering]
    return not others and not any(soft.mask(v) & own for v in addends)


#: What may lie between a draw and the next input: which of their inputs is the symbol or what is looked up with it.
_LOOKED_UP = {
    **dict.fromkeys((*named(Tag.LOOKUP), *"Cast Reshape Squeeze StridedSlice OneHot Merge".split()), slice(None)),
    **dict.fromkeys(named(Tag.SELECT), slice(1, None)),
    "Switch": slice(1),
}


def _is_fed_back(structure: Structure, carried: Carried) -> bool:
    """Whether a variable's next value is drawn by a discrete choice (perhaps looked up in an embedding)."""

    def further(value: Value) -> list[Value]:
        node = structure.graph.nodes[value.node]
        return [structure.source(v) for v in node.inputs[_LOOKED_UP.get(node.op, slice(0))]]

    drawn = reachable([structure.source(carried.leaving)], further)
    return any(structure.graph[v.node].op in DISCRETE | RANKING for v in drawn)


def _reads(structure: Structure, loop: Loop, body: list[Node]) -> Iterator[Read]:
    for node in body:
        stacked = stacked_by(structure, node) if node.op in named(Tag.READ) else None
        if stacked is not None and not structure.is_inside(stacked, loop):  # else a loop inside this one reads it
            yield Read(node.name, node.inputs[1], stacked)


def _writes(structure: Structure, loop: Loop, body: list[Node]) -> Iterator[Write]:
    by_leaving = {structure.source(c.leaving): c for c in loop.carried}
    for node in body:
        element = written_value(node)
        carried = by_leaving.get(Value(node.name))
        if element is not None and carried is not None:
            yield Write(node.name, node.inputs[1], element, carried)


def ranking_node(structure: Structure, recurrence: Recurrence) -> Node | None:
    """The node by which each iteration of a loop goes on with the best of several candidates, as a search does."""
    return next((n for n in structure.body(recurrence.loop) if n.op in RANKING), None)


def array_sizes(structure: Structure, recurrence: Recurrence) -> list[Value]:
    """The sizes that the arrays were made with which a recurrence writes."""
    made = [structure.graph[structure.origin(w.carried.initial).node] for w in recurrence.writes]
    return [n.inputs[1 if n.op == "TensorListReserve" else 0] for n in made if n.inputs]
