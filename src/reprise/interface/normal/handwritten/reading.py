"""Rows that a loop takes of sequences by a count of its own: `x[t]`, `x[:, T - k]`, an array from its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from reprise.graph import Node, Value
from reprise.interface.analysis.facts import Facts
from reprise.interface.normal.handwritten.counting import Counting, LoopCount
from reprise.interface.normal.handwritten.sequences import RewrittenLoop
from reprise.operators import Tag, named, types
from reprise.operators.arrays import stacked_by
from reprise.structure import Loop, Structure


@dataclass(frozen=True, slots=True)
class TakenRow:
    """A row that the body takes.

    Attributes:
        node: The taking node.
        whole: What it takes the row of, a value outside the loop.
        axis: Along which axis.
        index: Which row.
        keeps: Whether the axis stays, with size 1.
    """

    node: Node
    whole: Value
    axis: int
    index: LoopCount
    keeps: bool


def taken_rows(
    structure: Structure, facts: Facts, loop: Loop, counting: Counting, body: list[Node]
) -> Iterator[TakenRow]:
    """The rows that the `body` of `loop` takes of sequences from outside, at an index that `counting` knows.

    Plain reads at the number of the iteration are left alone.
    """
    ahead = {structure.source(c.leaving) for c in loop.carried}
    for node in body:
        if node.op in named(Tag.READ):
            stacked, index = stacked_by(structure, node), counting.of(node.inputs[1])
            plain = counting.is_number(node.inputs[1]) or structure.plain(node.inputs[1]) in ahead
            plain = plain or structure.context(Value(node.name)) != loop.context  # in a branch: there may be no row
            if stacked is not None and index is not None and index.each and not plain:
                yield TakenRow(node, stacked, 0, index, keeps=False)
        elif node.op in _CUTS:
            whole = structure.origin(node.inputs[0])
            if not structure.is_inside(whole, loop):
                taken = _CUTS[node.op](_Part(structure, facts, counting, node, whole))
                yield from [taken] if taken is not None else []


def read_in_order(site: RewrittenLoop, taken: TakenRow) -> dict[str, Node]:
    """The taking node as a read at the number of the iteration; nothing where their order is not known."""
    name, kind = f"read/{taken.node.name}", types.dtype(site.structure, taken.whole)
    shape = site.facts.shape(taken.whole)
    if shape is None:
        return {}
    order = [taken.axis, *(i for i in range(len(shape)) if i != taken.axis)]
    first = site.moved(name, taken.whole, order, kind)
    stacked = site.in_order(name, first, shape[taken.axis], taken.index, kind)
    if stacked is None:
        return {}
    row = site.frame.read(name, stacked, kind)
    if not taken.keeps:
        return {taken.node.name: Node(taken.node.name, "Identity", (row,), (), {"T": kind})}
    axis = site.frame.constant(site.frame.number(f"{name}/kept", taken.axis))
    return {taken.node.name: Node(taken.node.name, "ExpandDims", (row, axis), (), {"T": kind})}


@dataclass(frozen=True, slots=True)
class _Part:
    """A node that cuts a part out of `whole`."""

    structure: Structure
    facts: Facts
    counting: Counting
    node: Node
    whole: Value

    def counts(self, at: int) -> list[LoopCount | None]:
        """The elements of an input that holds a place along each axis."""
        value = self.structure.plain(self.node.inputs[at])
        content = self.facts.content(value)
        if content is not None:
            return [LoopCount(constant=int(n)) for n in content.ravel()]
        node = self.structure.graph[value.node]
        return [self.counting.of(v) for v in node.inputs] if node.op == "Pack" else []

    def mask(self, name: str) -> int:
        return int(self.node.attributes.get(f"{name}_mask", 0))

    def row_at(self, axis: int, index: LoopCount | None, *, keeps: bool) -> TakenRow | None:
        return None if index is None or not index.each else TakenRow(self.node, self.whole, axis, index, keeps)


def _strided(part: _Part) -> TakenRow | None:
    begin, end = part.counts(1), part.counts(2)
    moving = [i for i, b in enumerate(begin) if b is None or b.each]
    if len(moving) != 1 or len(end) != len(begin) or part.mask("new_axis") or part.mask("ellipsis"):
        return None
    axis, index, stop = moving[0], begin[moving[0]], end[moving[0]]
    whole = (part.mask("begin") & part.mask("end")) | 1 << axis
    one = index is not None and stop is not None and stop == index.plus(LoopCount(constant=1))
    shrunk = part.mask("shrink_axis")
    if whole != (1 << len(begin)) - 1 or shrunk not in (0, 1 << axis) or not (one or shrunk):
        return None
    return part.row_at(axis, index, keeps=not shrunk)


def _slice(part: _Part) -> TakenRow | None:
    begin, size = part.counts(1), part.counts(2)
    shape = part.facts.shape(part.whole)
    moving = [i for i, b in enumerate(begin) if b is None or b.each]
    if len(moving) != 1 or shape is None or len(size) != len(shape) or size[moving[0]] != LoopCount(constant=1):
        return None
    rest = [(begin[i], size[i], d) for i, d in enumerate(shape) if i != moving[0]]
    whole = all(
        b == LoopCount() and (n == LoopCount(constant=-1) or (d.known and n == LoopCount(constant=d.scale)))
        for b, n, d in rest
    )
    return part.row_at(moving[0], begin[moving[0]], keeps=True) if whole else None


def _gathered(part: _Part) -> TakenRow | None:
    axis = part.facts.content(part.node.inputs[2]) if len(part.node.inputs) > 2 else None
    shape, index = part.facts.shape(part.whole), part.facts.shape(part.node.inputs[1])
    if (
        shape is None
        or index != ()
        or part.node.attributes.get("batch_dims")
        or (axis is None and len(part.node.inputs) > 2)
    ):
        return None
    return part.row_at(
        0 if axis is None else int(axis.item()) % len(shape), part.counting.of(part.node.inputs[1]), keeps=False
    )


_CUTS: Mapping[str, Callable[[_Part], TakenRow | None]] = {
    "StridedSlice": _strided,
    "Slice": _slice,
    "Gather": _gathered,
    "GatherV2": _gathered,
}
