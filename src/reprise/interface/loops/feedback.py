"""Loops that draw their own next input, opened: the symbol becomes an input again.

A sampler inside the graph starts from a first symbol, draws the next from its own scores and ends after so many steps
or at an end mark. To a caller who holds the state, the drawn symbol is the input of the next step. So the loop variable
that holds it is replaced by a row of a sequence, and the loop runs once for each row, whatever ended it before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from reprise.frame import Scope
from reprise.graph import Node, ShapeAttribute, Value
from reprise.interface.analysis.facts import Facts
from reprise.interface.analysis.influence import DISCRETE
from reprise.interface.building.rewritten import Rewritten
from reprise.interface.loops.hidden_state import remembering_flags
from reprise.interface.loops.recurrences import Recurrence, Write, array_sizes
from reprise.interface.loops.states import through_copies
from reprise.operators import Tag, named
from reprise.operators.types import dtype
from reprise.structure import Carried, Structure

_LOOKUPS = named(Tag.LOOKUP)
_PLACEHOLDERS = named(Tag.PLACEHOLDER)


def open_feedback(structure: Structure, found: tuple[Recurrence, ...]) -> Rewritten:
    """The graph with every loop opened that draws its own input.

    A loop that also reads a sequence (a decoder that may mix in its own draws) stays as it is.
    """
    closed = [r for r in found if r.fed_back and not r.reads and r.counters]
    if not closed:
        return Rewritten(structure.graph)
    nodes = dict(structure.graph.nodes)
    for recurrence in closed:
        _open(structure, recurrence, nodes)
    notes = tuple(
        f"loop {r.loop.name!r} draws its own next input; here the caller gives it "
        f"({', '.join(str(c.initial) for c in r.fed_back)})"
        for r in closed
    )
    return Rewritten(replace(structure.graph, nodes=nodes), notes)


def _open(structure: Structure, recurrence: Recurrence, nodes: dict[str, Node]) -> None:
    """Rewrites one loop of `nodes` so that it reads its symbols from a sequence, one row for each iteration.

    `recurrence` is the loop as it is in the graph, which draws each symbol itself.
    """
    scope = Scope(f"{recurrence.loop.name}/opened", nodes)
    sequences = [_sequence(structure, c, nodes) for c in recurrence.fed_back]
    rows = scope.rows(sequences[0])
    for k, (carried, sequence) in enumerate(zip(recurrence.fed_back, sequences, strict=True)):
        own = Scope(f"{scope.name}/{k}", nodes)
        filled = own.filled("array", rows, own.range("indices", rows), sequence, dtype(structure, carried.entering))
        _read_from_array(structure, recurrence, carried, filled, own)
    _loop_over_rows(structure, recurrence, rows, scope)
    _freeze_end_flags(structure, recurrence, nodes)
    sizes = array_sizes(structure, recurrence)
    for write in recurrence.writes:  # the arrays that the loop writes hold as many rows as the sequence has
        _rewire(nodes, structure.origin(write.carried.initial).node, dict.fromkeys(sizes, rows))
        for limit, name in _stacked_by(structure, write):
            if limit in sizes or structure.number(limit) in {structure.number(s) for s in sizes} - {None}:
                _rewire(nodes, name, {limit: rows})


def _stacked_by(structure: Structure, write: Write) -> Iterator[tuple[Value, str]]:
    """How many rows of what a loop wrote are numbered to be stacked, and the node that numbers them."""
    readers = structure.consumers[write.carried.final.node] if write.carried.final is not None else ()
    for gather in (structure.graph[n] for n in readers):
        numbered = structure.graph[structure.origin(gather.inputs[1]).node] if len(gather.inputs) > 1 else gather
        if gather.op.startswith("TensorArrayGather") and numbered.op == "Range":
            yield numbered.inputs[1], numbered.name


def _sequence(structure: Structure, carried: Carried, nodes: dict[str, Node]) -> Value:
    """The symbols of all steps as the loop takes them: looked up in a table where the loop looks up its draws."""
    lookup = _lookup(structure, carried)
    if lookup is None:
        return _symbols(structure, carried, carried.initial, nodes)
    symbols = _symbols(structure, carried, lookup.inputs[1], nodes)
    table = structure.origin(lookup.inputs[0])
    inputs = (table, symbols, *lookup.inputs[2:])
    return Scope(carried.enter, nodes).make("looked_up", lookup.op, inputs, **lookup.attributes)


def _lookup(structure: Structure, carried: Carried) -> Node | None:
    """How the first symbol is looked up, where draws are looked up in the same table."""
    first = structure.graph[structure.origin(carried.initial).node]
    if first.op not in _LOOKUPS:
        return None
    draws = (structure.graph[v.node] for v in through_copies(structure, carried.leaving))
    tables = {structure.origin(n.inputs[0]) for n in draws if n.op in _LOOKUPS}
    return first if tables == {structure.origin(first.inputs[0])} else None


def _symbols(structure: Structure, carried: Carried, entering: Value, nodes: dict[str, Node]) -> Value:
    """A placeholder for the symbols of all steps, under the name of the first symbol's placeholder where it has one."""
    first = structure.origin(entering)
    node = structure.graph[first.node]
    shape = Facts(structure).shape(first)
    sizes = None if shape is None else (None, *(d.scale if d.known else None for d in shape))
    attributes: dict[str, Any] = {"dtype": dtype(structure, first), "shape": ShapeAttribute(sizes)}
    if node.op in _PLACEHOLDERS and set(structure.consumers[node.name]) <= _nodes_between(structure, carried, first):
        nodes[node.name] = Node(node.name, "Placeholder", (), (), attributes)
        _read_first_row(structure, first, Scope(carried.enter, nodes))
        return first
    return Scope(carried.enter, nodes).make("symbols", "Placeholder", **attributes)


def _read_first_row(structure: Structure, symbols: Value, scope: Scope) -> None:
    """What read the first symbol reads that of a sequence: how many rows there are may be asked of it."""
    first = scope.part("first/row", symbols, [0], [1], T=dtype(structure, symbols), shrink_axis_mask=1)
    for consumer in structure.consumers[symbols.node]:
        _rewire(scope.nodes, consumer, {symbols: first})


def _nodes_between(structure: Structure, carried: Carried, first: Value) -> set[str]:
    """The nodes between a first symbol and its loop."""
    names, value = {carried.enter}, carried.initial
    while value != first:
        node = structure.graph[value.node]
        names.add(value.node)
        value = node.inputs[1 if node.op in _LOOKUPS else 0]
    return names


def _read_from_array(
    structure: Structure, recurrence: Recurrence, carried: Carried, filled: tuple[Value, Value], scope: Scope
) -> None:
    """Inside the loop the variable's Identity becomes a read of this step's row of an array that is `filled`."""
    array, flow = (_entered(structure, carried, v, f"held/{k}", scope) for k, v in enumerate(filled))
    inputs = (array, _in_body(structure, recurrence.counters[0]), flow)
    read = scope.make("read", "TensorArrayReadV3", inputs, dtype=dtype(structure, carried.entering))
    _replace_in_body(structure, carried, read, scope.nodes)
    for name in (carried.enter, carried.entering.node):
        scope.nodes.pop(name, None)


def _entered(structure: Structure, carried: Carried, value: Value, name: str, scope: Scope) -> Value:
    """A value from outside as the body of the loop of `carried` sees it."""
    frame = structure.graph[carried.enter].attributes["frame_name"]
    return scope.make(name, "Enter", (value,), frame_name=frame, is_constant=True)


def _replace_in_body(structure: Structure, carried: Carried, value: Value, nodes: dict[str, Node]) -> None:
    """What reads a variable in the body reads `value`."""
    for name in _switches(structure, carried):
        for consumer in structure.consumers[name]:
            _rewire(nodes, consumer, {Value(name, 1): value})


def _switches(structure: Structure, carried: Carried) -> list[str]:
    return [n for n in structure.consumers[carried.entering.node] if structure.is_loop_switch(n)]


def _in_body(structure: Structure, counter: Carried) -> Value:
    """A counter as the body sees it."""
    return Value(_switches(structure, counter)[0], 1)


def _loop_over_rows(structure: Structure, recurrence: Recurrence, rows: Value, scope: Scope) -> None:
    """The loop's condition becomes: as long as there is a row."""
    counter = recurrence.counters[0]
    bound = _entered(structure, counter, rows, "bound", scope)
    below = scope.make("below", "Less", (counter.entering, bound), T="int32")
    for node in list(scope.nodes.values()):
        if node.op == "LoopCond" and node.inputs[0] == recurrence.loop.condition:
            scope.add(replace(node, inputs=(below,)))


def _freeze_end_flags(structure: Structure, recurrence: Recurrence, nodes: dict[str, Node]) -> None:
    """Flags of the rows that have drawn an end mark stay as they begin: the caller decides when a text ends."""
    kept = remembering_flags(structure, recurrence, aside=DISCRETE)
    for carried in recurrence.loop.carried:
        if dtype(structure, carried.entering) == "bool" and carried not in kept:
            first = _entered(structure, carried, carried.initial, "kept", Scope(carried.enter, nodes))
            _replace_in_body(structure, carried, first, nodes)


def _rewire(nodes: dict[str, Node], name: str, replaced: Mapping[Value, Value]) -> None:
    node = nodes.get(name)
    if node is not None:
        nodes[name] = replace(node, inputs=tuple(replaced.get(v, v) for v in node.inputs))
