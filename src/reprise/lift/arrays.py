"""Arrays that loops write → scan outputs, row by row in the order of the iterations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reprise.graph import Node, Value
from reprise.operators.arrays import written_value
from reprise.operators.rules.site import Site
from reprise.structure import Carried
from reprise.wire import onnx


@dataclass(frozen=True, slots=True)
class ArrayRow:
    """What a loop writes into one of its arrays in each iteration.

    Attributes:
        node: The writing node.
        index: The place of the row.
        element: The row.
        flow: The array before it was written.
    """

    node: Node
    index: Value
    element: Value
    flow: Value


def written_row(site: Site, carried: Carried) -> ArrayRow | None:
    """The row that a loop variable is made by writing, None where it is no array."""
    structure = site.emitter.structure
    node = structure.graph.nodes.get(structure.source(carried.leaving).node)
    element = None if node is None else written_value(node)
    if node is None or element is None:
        return None
    return ArrayRow(node, node.inputs[1], element, node.inputs[3 if node.op.startswith("TensorArray") else 0])


def check_row(site: Site, carried: Carried, row: ArrayRow, numbers: Sequence[Carried]) -> None:
    """A scan output holds the rows in the order of the iterations.

    Raises:
        LiftError: The loop writes them in another order, or several in one iteration.
    """
    structure = site.emitter.structure
    if structure.source(row.index) not in {c.entering for c in numbers}:
        raise site.emitter.refusal(row.node, "writes rows in another order than that of the iterations")
    if structure.source(row.flow) != carried.entering:
        raise site.emitter.refusal(row.node, "writes to one array several times in an iteration")


def padded(site: Site, rows: str, size: Value, row: ArrayRow) -> str:
    """The rows with zeros after them, as many as the array was made for."""
    element = site.emitter.facts.shape(row.element)
    if element is None:
        raise site.refusal("gives an array whose unwritten rows have an unknown shape")
    block = site.block
    known = site.emitter.known(size)
    total = (
        site.block.ints(int(known.item()))
        if known is not None
        else block.one("Reshape", block.one("Cast", site.emitter.name(size, block), to=onnx.INT64), block.ints(1))
    )
    have = block.one("Slice", block.one("Shape", rows), block.ints(0), block.ints(1))
    missing = block.one("Max", block.one("Sub", total, have), block.ints(0))
    rank = len(element) + 1
    before = block.ints(*[0] * rank)
    after = block.ints(*[0] * (rank - 1))
    pads = (
        block.one("Concat", before, missing, after, axis=0)
        if rank > 1
        else block.one("Concat", before, missing, axis=0)
    )
    return block.one("Pad", rows, pads)
