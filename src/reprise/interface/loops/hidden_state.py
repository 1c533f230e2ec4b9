"""Whether the body of a loop knows nothing but its inputs and states: no number of the step, no memory left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from reprise.graph import Value
from reprise.interface.analysis.influence import ORDERINGS, SHAPE_ONLY, Influence, ancestors, reachable
from reprise.interface.loops.recurrences import Read, Recurrence, handed_to_next_step
from reprise.operators import Tag, named
from reprise.operators.arrays import stacked_by
from reprise.operators.types import dtype
from reprise.structure import Carried, Structure

_INDEXED = ("TensorArrayRead", "TensorArrayWrite", "TensorListGet", "TensorListSet")


def obstacle(structure: Structure, recurrence: Recurrence, outputs: Sequence[Value]) -> str:
    """What in the body of a loop depends on the number of the iteration."""
    counters = {c.entering for c in recurrence.counters}
    for read in recurrence.reads:
        if structure.plain(read.index) not in counters and not _is_lagged(structure, recurrence, read):
            return f"loop {recurrence.loop.name!r} reads its input in another order than that of time ({read.node})"
    blocked = SHAPE_ONLY | _indexed(structure)
    influence = Influence(
        structure, [*counters, *_end_tests(structure, recurrence)], blocked, within=recurrence.loop.name
    )
    if any(counters & set(influence.of(v)) for v in _results(recurrence)):
        return f"loop {recurrence.loop.name!r} computes with the number of the step"
    for lost in (*_unaccounted(structure, recurrence, outputs), *remembering_flags(structure, recurrence)):
        return f"loop {recurrence.loop.name!r} keeps {lost.final or lost.entering}, which cannot be held as a state"
    return ""


def _unaccounted(structure: Structure, recurrence: Recurrence, outputs: Sequence[Value]) -> Iterator[Carried]:
    """What `recurrence` carries that is none of its states, though its results or the `outputs` are made of it."""
    accounted = {
        *recurrence.states,
        *recurrence.counters,
        *recurrence.fed_back,
        *(w.carried for w in recurrence.writes),
    }
    rest = [
        c
        for c in recurrence.loop.carried
        if c not in accounted
        and structure.source(c.leaving) != c.entering
        and dtype(structure, c.entering) not in ("bool", "resource", "variant")
    ]
    yield from handed_to_next_step(structure, recurrence.loop, rest, recurrence.reads)
    own = Influence(structure, [c.entering for c in rest], SHAPE_ONLY, within=recurrence.loop.name)
    wanted = ancestors(structure, outputs)
    yield from (c for c in rest if c.final and c.final.node in wanted and c.entering in own.of(c.leaving))


def remembering_flags(structure: Structure, recurrence: Recurrence, aside: Collection[str] = ()) -> list[Carried]:
    """Flags that tell of what was computed, and that the results are made of; `aside` are operators not to look behind.

    Flags of rows that end by their length are none. What is done when all rows have ended (`All`) is not seen: the loop
    ends there too.
    """
    carried = recurrence.loop.carried
    flags = [c for c in carried if dtype(structure, c.entering) == "bool" and structure.source(c.leaving) != c.entering]
    others = [c.entering for c in carried if c not in (*recurrence.counters, *recurrence.fed_back)]
    made = [Value(r.node) for r in recurrence.reads] + others
    computed = Influence(structure, made, SHAPE_ONLY.union(aside), within=recurrence.loop.name)
    entering = [c.entering for c in flags]
    used = Influence(structure, entering, SHAPE_ONLY | {"All"}, within=recurrence.loop.name)
    read = {v for result in _results(recurrence) for v in used.of(result)}
    return [c for c in flags if c.entering in read and any(computed.mask(v) for v in _causes(structure, c))]


def _causes(structure: Structure, flag: Carried) -> Iterator[Value]:
    """What sets a flag, that it was set before aside."""

    def parts(value: Value) -> list[Value]:
        node = structure.graph[value.node]
        return [structure.source(v) for v in node.inputs] if node.op == "LogicalOr" else []

    every = reachable([structure.source(flag.leaving)], parts)
    return (v for v in every if v != flag.entering and structure.graph[v.node].op != "LogicalOr")


def _results(recurrence: Recurrence) -> list[Value]:
    """What an iteration gives: the next states, and what is written."""
    return [c.leaving for c in recurrence.states] + [w.element for w in recurrence.writes]


def _end_tests(structure: Structure, recurrence: Recurrence) -> Iterator[Value]:
    """What asks whether the loop or a row has ended: the number of this step or the next beside one from outside."""
    numbers = {structure.source(v) for c in recurrence.counters for v in (c.entering, c.leaving)}
    for node in structure.body(recurrence.loop):
        if node.op == "LoopCond":
            yield Value(node.name)
        elif node.op in ORDERINGS and numbers & {structure.plain(v) for v in node.inputs}:
            # A single number of the file is a step of its own, not the length of a row.
            yield from [Value(node.name)] if all(structure.number(v) is None for v in node.inputs) else []


def _is_lagged(structure: Structure, recurrence: Recurrence, read: Read) -> bool:
    """`raw_rnn` and a decoder's helper read row t+1 at the end of step t, and row 0 before the loop."""
    if not _is_next(structure, recurrence, structure.plain(read.index)):
        return False
    firsts = [
        n
        for c in recurrence.loop.carried
        for n in ancestors(structure, [c.initial])
        if structure.graph[n].op in named(Tag.READ)
    ]
    return any(stacked_by(structure, structure.graph[n]) == read.stacked for n in firsts)


def _is_next(structure: Structure, recurrence: Recurrence, index: Value) -> bool:
    """Whether a value is the number of the step, and one."""
    node = structure.graph[index.node]
    sides = [structure.plain(v) for v in node.inputs]
    counted = [i for i, side in enumerate(sides) if side in {c.entering for c in recurrence.counters}]
    return node.op in named(Tag.ADDITION) and len(counted) == 1 and structure.number(node.inputs[1 - counted[0]]) == 1


def _indexed(structure: Structure) -> frozenset[str]:
    """Operators that read and write arrays by the number of the step."""
    return frozenset(n.op for n in structure.graph if n.op.startswith(_INDEXED))
