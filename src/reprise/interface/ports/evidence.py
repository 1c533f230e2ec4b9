"""What tells that the interface is what it is, in the names of the file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from reprise.graph import Graph, Value
from reprise.interface.loops.recurrences import Recurrence
from reprise.interface.ports import names
from reprise.interface.steps.axes import Axes
from reprise.operators import types
from reprise.structure import Carried, Structure


def of_steps(structure: Structure, steps: Sequence[Recurrence], file: Graph) -> Iterator[str]:
    """What each recurrence carries, reads and writes; what a rewriting added is not in the file, and left out."""
    frames = {node.attributes.get("frame_name") for node in file if node.op == "Enter"}
    for r in steps:
        known = r.loop.name in file or r.loop.name.encode() in frames
        where = f"loop {r.loop.name!r}: " if known else ""
        yield f"{where}the next values of {_finals(structure, r.states)} are computed from their last"
        for read in r.reads:
            rows = _in_file(structure, read.stacked, file)
            if rows is not None:
                yield f"{rows} is read one row at each step"
        yield from (f"{w.element} is written at each step" for w in r.writes if w.element.node in file)


def of_loops_before(structure: Structure, before: Sequence[Recurrence], inner: Collection[Recurrence]) -> Iterator[str]:
    """Which loops run to their end `before` the first step, or within each."""
    for r in before:
        when = "within each step" if r in inner else "before the first step"
        yield f"loop {r.loop.name!r} runs to its end {when}, so {_finals(structure, r.states)} are carried nowhere"


def of_wider_types(structure: Structure, steps: Sequence[Recurrence]) -> Iterator[str]:
    """The types of states whose numbers are computed in a wider one, for which processors have arithmetic."""
    kinds = {types.dtype(structure, c.entering) for r in steps for c in r.states} & {"float16", "bfloat16"}
    yield from (f"{kind} numbers are computed in float32, more exactly than TensorFlow does" for kind in sorted(kinds))


def of_uneven_steps(axes: Axes, inputs: Sequence[Value], outputs: Sequence[Value]) -> Iterator[str]:
    """The outputs that have more or fewer steps than an input."""
    timed = {v: axis for v in (*inputs, *outputs) if (axis := axes.time_axis(v)) is not None}
    sizes = {v: (axes.facts.shape(v) or ())[axis] for v, axis in timed.items()}
    for output, given in ((y, x) for y in outputs for x in inputs if {x, y} <= set(timed)):
        more = axes.facts.sizes.apart(sizes[output], sizes[given])
        if more:
            yield f"{output} has {more:+d} steps, counted from those of {given}"


def _finals(structure: Structure, states: Sequence[Carried]) -> str:
    return ", ".join(names.of_final(structure, c) or str(c.leaving) for c in states)


def _in_file(structure: Structure, value: Value, file: Graph) -> Value | None:
    """`value`, or what nodes that a rewriting added make it of."""
    while value.node not in file:
        inputs = structure.graph[value.node].inputs
        if not inputs:
            return None
        value = inputs[0]
    return value
