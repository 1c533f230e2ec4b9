"""What a loop collects.

These are arrays that it fills in an order of its own, or of which it writes one row again and again; tensors that it
makes longer at each step; and tensors of which it exchanges one row at each step, as converters write arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from reprise.graph import Node, Value
from reprise.interface.analysis.facts import Facts
from reprise.interface.analysis.influence import Influence
from reprise.interface.normal.handwritten.counting import Counting, LoopCount, of_size
from reprise.interface.normal.handwritten.sequences import RewrittenLoop
from reprise.operators import Tag, named, types
from reprise.operators.arrays import written_value
from reprise.operators.rules.sizes import Dim
from reprise.structure import Carried, Loop, Structure

_JOINS = named(Tag.JOIN)


@dataclass(frozen=True, slots=True)
class FilledArray:
    """An array that a loop fills at rows of its own count.

    Attributes:
        carried: The loop variable that holds it.
        node: The writing node.
        index: Which row.
        before: What is written before the loop, (row, value) each.
        made: The node that makes the array.
    """

    carried: Carried
    node: Node
    index: LoopCount
    before: tuple[tuple[LoopCount, Value], ...]
    made: Node


@dataclass(frozen=True, slots=True)
class GrownTensor:
    """A tensor that gets longer by one at each step.

    Attributes:
        carried: The loop variable that holds it.
        element: What is put to it.
        axis: Along which axis.
        in_front: Whether it comes first.
    """

    carried: Carried
    element: Value
    axis: int
    in_front: bool


@dataclass(frozen=True, slots=True)
class ExchangedRows:
    """A tensor of which each step exchanges one row: what is before it, the new row, and what is after it, joined.

    Attributes:
        carried: The loop variable that holds it.
        row: The new row, with an axis of one in front.
        index: Which row.
    """

    carried: Carried
    row: Value
    index: LoopCount


def filled_arrays(structure: Structure, loop: Loop, counting: Counting) -> Iterator[FilledArray]:
    """The arrays of a loop that it does not fill in the order of its iterations, from row 0 on."""
    for carried in loop.carried:
        node = structure.graph[structure.source(carried.leaving).node]
        index = counting.of(node.inputs[1]) if written_value(node) is not None else None
        if index is None or carried.final is None:
            continue
        before, made = _rows_before_loop(structure, counting, carried.initial)
        if made is not None and (before or not counting.is_number(node.inputs[1])):
            yield FilledArray(carried, node, index, before, made)


def _rows_before_loop(
    structure: Structure, counting: Counting, flow: Value
) -> tuple[tuple[tuple[LoopCount, Value], ...], Node | None]:
    """What is written into an array before the loop, the first first, and the node that made the array."""
    found: list[tuple[LoopCount, Value]] = []
    node = structure.graph[structure.origin(flow).node]
    while (value := written_value(node)) is not None:
        row = counting.of(node.inputs[1])
        if row is None:
            return (), None
        found.insert(0, (row, value))
        node = structure.graph[structure.origin(node.inputs[0 if node.op == "TensorListSetItem" else 3]).node]
    known = node.op.startswith("TensorArray") and bool(node.inputs)
    return tuple(found), node if known or node.op == "TensorListReserve" else None


def grown_tensors(structure: Structure, facts: Facts, loop: Loop) -> Iterator[GrownTensor]:
    """The variables of a loop that only collect: nothing else in the loop depends on them."""
    for carried in loop.carried:
        node = structure.graph[structure.source(carried.leaving).node]
        if node.op not in _JOINS or len(node.inputs) != 3 or carried.final is None:
            continue
        *parts, axis = node.inputs if node.op == "ConcatV2" else (*node.inputs[1:], node.inputs[0])
        own = [structure.source(v) == carried.entering for v in parts]
        along, shape = facts.content(axis), facts.shape(parts[own.index(False)]) if False in own else None
        if own.count(True) != 1 or along is None or shape is None:
            continue
        at = int(along.item()) % len(shape)
        added = [v for v in node.inputs if structure.source(v) != carried.entering]
        if shape[at].known and shape[at].scale == 1 and _is_apart(structure, loop, carried, added):
            yield GrownTensor(carried, parts[own.index(False)], at, own[1])


def _is_apart(structure: Structure, loop: Loop, carried: Carried, added: Iterable[Value]) -> bool:
    """Whether nothing of the loop, such as the `added` put to a variable, depends on it, by numbers or by shape."""
    influence = Influence(structure, [carried.entering], (), within=loop.name)
    others = [c.leaving for c in loop.carried if c is not carried]
    return not any(influence.mask(v) for v in (loop.condition, *added, *others))


def exchanged_tensors(structure: Structure, facts: Facts, loop: Loop, counting: Counting) -> Iterator[ExchangedRows]:
    """The variables of a loop of which it exchanges the rows, and on which nothing else in the loop depends."""
    for carried in loop.carried:
        node = structure.graph[structure.source(carried.leaving).node]
        if node.op != "ConcatV2" or len(node.inputs) != 4 or carried.final is None:
            continue
        before, row, after = (structure.source(v) for v in node.inputs[:3])
        index, end = (_bound(structure, facts, counting, v, carried, k) for k, v in ((2, before), (1, after)))
        axis, shape = facts.content(node.inputs[3]), facts.shape(row)
        one = bool(shape) and shape is not None and shape[0] == Dim(1)
        if index is None or end != index.plus(LoopCount(constant=1)) or axis is None or axis.any() or not one:
            continue
        if _is_apart(structure, loop, carried, [row]):
            yield ExchangedRows(carried, node.inputs[1], index)


def _bound(
    structure: Structure, facts: Facts, counting: Counting, part: Value, carried: Carried, slot: int
) -> LoopCount | None:
    """Where the part of a variable ends (slot 2, it begins at 0) or begins (slot 1, it goes on to the end)."""
    node = structure.graph[part.node]
    if node.op != "Slice" or structure.source(node.inputs[0]) != carried.entering:
        return None
    joined = structure.graph[structure.source(node.inputs[slot]).node]
    other = facts.content(node.inputs[3 - slot])
    if joined.op != "ConcatV2" or other is None or any(other.ravel() != (0 if slot == 2 else -1)):
        return None
    first = structure.graph[structure.source(joined.inputs[0]).node]
    rest = [facts.content(v) for v in joined.inputs[1:-1]]
    if any(r is None or any(r.ravel() != (-1 if slot == 2 else 0)) for r in rest):
        return None
    return counting.of(first.inputs[0]) if first.op in ("Reshape", "Pack", "ExpandDims") and first.inputs else None


def restack(site: RewrittenLoop, what: ExchangedRows) -> dict[str, Node]:
    """A tensor whose rows are all exchanged, as the rows of all steps; nothing where not all of them are."""
    final, facts = what.carried.final, site.facts
    whole, row = facts.shape(what.carried.initial), facts.shape(what.row)
    if final is None or not whole or not row or site.trips is None or what.index != LoopCount(each=1):
        return {}
    if of_size(facts.sizes.resolve(whole[0])) != site.trips:
        return {}
    name, kind = f"exchanged/{final.node}", types.dtype(site.structure, what.row)
    inner = site.frame.make(f"{name}/row", "Squeeze", (what.row,), T=kind, squeeze_dims=(0,))
    rows = site.frame.write(name, inner, kind)
    return {final.node: Node(final.node, "Identity", (rows,), (), {"T": kind}), **hold_unchanged(site, what.carried)}


def collect(site: RewrittenLoop, what: GrownTensor) -> dict[str, Node]:
    """The nodes that make the growing tensor `what` of the rows of all steps, put together after the loop."""
    final = what.carried.final
    shape, kind = site.facts.shape(what.element), types.dtype(site.structure, what.element)
    start = site.facts.shape(what.carried.initial)
    if final is None or shape is None or start is None:
        return {}
    name, frame = f"grown/{final.node}", site.frame
    row = frame.make(f"{name}/row", "Squeeze", (what.element,), T=kind, squeeze_dims=(what.axis,))
    rows = frame.write(name, row, kind)
    rows = site.backwards(name, rows, kind) if what.in_front else rows
    rows = site.moved(name, rows, [*range(1, what.axis + 1), 0, *range(what.axis + 1, len(shape))], kind)
    if start[what.axis] != Dim(0):
        parts = (rows, what.carried.initial) if what.in_front else (what.carried.initial, rows)
        axis = frame.number(f"{name}/along", what.axis)
        rows = frame.make(f"{name}/whole", "ConcatV2", (*parts, axis), N=2, T=kind)
    return {final.node: Node(final.node, "Identity", (rows,), (), {"T": kind}), **hold_unchanged(site, what.carried)}


def refill(site: RewrittenLoop, what: FilledArray) -> dict[str, Node]:
    """The nodes that make the array `what` of the rows of all steps, put where they belong after the loop.

    None of them where the loop does not fill all of it in one order.
    """
    final, element = what.carried.final, written_value(what.node)
    overwritten = _is_overwritten(site, what)
    if final is None or element is None or not (overwritten or _is_filled(site, what)):
        return {}
    name, kind, frame = f"written/{what.node.name}", types.dtype(site.structure, element), site.frame
    rows = frame.write(name, element, kind)
    if overwritten:
        last = frame.part(f"{name}/last", rows, [-1], [0], shrink_axis_mask=1, end_mask=1, T=kind)
        rows = frame.make(f"{name}/only", "ExpandDims", (last, frame.number(f"{name}/along", 0)), T=kind)
    rows = site.backwards(name, rows, kind) if what.index.each < 0 else rows
    if what.before:
        held = [v for _, v in sorted(what.before, key=lambda pair: pair[0].constant)]
        packed = frame.make(f"{name}/before", "Pack", tuple(held), axis=0, N=len(held), T=kind)
        parts = (packed, rows) if what.index.each > 0 else (rows, packed)
        rows = frame.make(f"{name}/whole", "ConcatV2", (*parts, frame.number(f"{name}/along", 0)), N=2, T=kind)
    if what.made.op == "TensorListReserve":
        filled = Node(final.node, "TensorListFromTensor", (rows, what.made.inputs[0]), (), {"element_dtype": kind})
    else:
        indices = frame.range(f"{name}/indices", what.made.inputs[0])
        inputs = (Value(what.made.name), indices, rows, Value(what.made.name, 1))
        filled = Node(final.node, "TensorArrayScatterV3", inputs, (), {"T": kind})
    return {final.node: filled, **hold_unchanged(site, what.carried)}


def _is_overwritten(site: RewrittenLoop, what: FilledArray) -> bool:
    """Whether every step writes the only row of a list, as a layer does that gives its last output alone."""
    one = what.made.op == "TensorListReserve" and site.counting.of(what.made.inputs[1]) == LoopCount(constant=1)
    return one and what.index == LoopCount() and not what.before


def _is_filled(site: RewrittenLoop, what: FilledArray) -> bool:
    """Whether the rows of the loop and those before it fill the array, all up or all down."""
    size = site.counting.of(what.made.inputs[1 if what.made.op == "TensorListReserve" else 0])
    count = LoopCount(constant=len(what.before))
    if size is None or site.trips is None or site.trips.plus(count) != size or abs(what.index.each) != 1:
        return False
    start = LoopCount() if what.index.each == 1 else size.plus(LoopCount(constant=-1))
    wanted = [start.plus(LoopCount(constant=k), what.index.each) for k in range(len(what.before) + 1)]
    return [*(row for row, _ in what.before), what.index.first()] == wanted


def hold_unchanged(site: RewrittenLoop, carried: Carried) -> dict[str, Node]:
    """A variable that no step changes any more."""
    graph = site.structure.graph
    back = next(v.node for v in graph[carried.entering.node].inputs if v.node != carried.enter)
    switch = next(n for n in site.structure.consumers[carried.entering.node] if site.structure.is_loop_switch(n))
    return {back: replace(graph[back], inputs=(Value(switch, 1),))}
