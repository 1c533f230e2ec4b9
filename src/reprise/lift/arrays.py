"""TensorArrays and TensorLists → tensors of their rows.

Reading row i is Gather. A loop writes an array as a scan output, row by row in the order of its iterations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reprise.graph import Node, Value
from reprise.interface.analysis.facts import SIZED, allocated_size, is_in_order, stacked_into, takes_all, written_value
from reprise.lift.emitter import Operator, Site
from reprise.operators.rules.block import computed
from reprise.operators.types import dtype as value_dtype
from reprise.structure import Carried
from reprise.wire import onnx

_NO_TENSOR = "?array"


@dataclass(frozen=True, slots=True)
class Row:
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


def written_row(site: Site, carried: Carried) -> Row | None:
    """The row that a loop variable is made by writing, None where it is no array."""
    structure = site.emitter.structure
    node = structure.graph.nodes.get(structure.source(carried.leaving).node)
    element = None if node is None else written_value(node)
    if node is None or element is None:
        return None
    return Row(node, node.inputs[1], element, node.inputs[3 if node.op.startswith("TensorArray") else 0])


def check_row(site: Site, carried: Carried, row: Row, numbers: Sequence[Carried]) -> None:
    """A scan output holds the rows in the order of the iterations.

    Raises:
        LiftError: The loop writes them in another order, or several in one iteration.
    """
    structure = site.emitter.structure
    if structure.source(row.index) not in {c.entering for c in numbers}:
        raise site.emitter.refusal(row.node, "writes rows in another order than that of the iterations")
    if structure.source(row.flow) != carried.entering:
        raise site.emitter.refusal(row.node, "writes to one array several times in an iteration")


def padded(site: Site, rows: str, size: Value, row: Row) -> str:
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


def _array(site: Site) -> tuple[str | None, ...]:
    """An array that is only allocated has no rows; its handle and flow are never tensors."""
    return (_NO_TENSOR, _NO_TENSOR)


def _rows(site: Site) -> str:
    """The rows put in from a tensor, in order."""
    stacked = stacked_into(site.node)
    if stacked is None:
        raise site.refusal()
    if site.node.op.startswith("TensorArrayScatter") and not is_in_order(site.emitter.facts, site.node.inputs[1]):
        return _scattered(site, stacked)
    return site.emitter.name(stacked, site.block)


def _scattered(site: Site, stacked: Value) -> str:
    """Rows put in at places computed at run time; the others are zeros."""
    allocated = allocated_size(site.emitter.facts, site.node.inputs[0])
    if allocated is None:
        raise site.refusal("fills an array whose size is not known")
    rows = site.emitter.name(stacked, site.block)
    size = site.emitter.name(allocated, site.block)
    count = site.one("Reshape", site.one("Cast", size, to=onnx.INT64), site.block.ints(1))
    inner = site.one("Slice", site.one("Shape", rows), site.block.ints(1), site.block.ints(np.iinfo(np.int64).max))
    zero = site.constant(0, computed(value_dtype(site.emitter.structure, stacked)))
    empty = site.one("Expand", zero, site.one("Concat", count, inner, axis=0))
    places = site.one("Unsqueeze", site.int64(1), site.block.ints(1))
    return site.one("ScatterND", empty, places, rows)


def _read_row(site: Site) -> str:
    flow, index = (2, 1) if site.node.op.startswith("TensorArray") else (0, 1)
    return site.one("Gather", _array_rows(site, flow), site.input(index), axis=0)


def _array_rows(site: Site, index: int) -> str:
    """The tensor of an array's rows."""
    name = site.input(index)
    if name == _NO_TENSOR:
        raise site.refusal("reads an array that nothing has filled before")
    return name


def _stack_rows(site: Site) -> tuple[str | None, ...]:
    """All rows, or those that are asked for."""
    if not site.node.op.startswith("TensorArray"):
        return (_array_rows(site, 0),)
    rows = _array_rows(site, len(site.node.inputs) - 1)
    if site.node.op.startswith("TensorArrayGather") and not takes_all(site.emitter.facts, site.node):
        return (site.one("Gather", rows, site.input(1), axis=0),)
    return (rows,)


def _concat_rows(site: Site) -> tuple[str | None, ...]:
    """TensorArrayConcat: rows of equal shape joined along their first axis."""
    rows = _array_rows(site, len(site.node.inputs) - 1)
    shape = site.one("Shape", rows)
    rest = site.one("Slice", shape, site.block.ints(2), site.block.ints(np.iinfo(np.int64).max))
    return (site.one("Reshape", rows, site.one("Concat", site.block.ints(-1), rest, axis=0)), None)


def _array_size(site: Site) -> str:
    size = allocated_size(site.emitter.facts, site.node.inputs[0])
    if size is not None:
        return site.emitter.name(size, site.block)
    rows = _array_rows(site, len(site.node.inputs) - 1)
    count = site.one("Gather", site.one("Shape", rows), site.constant(0, "int64"), axis=0)
    return site.one("Cast", count, to=onnx.INT32)


ARRAYS: dict[str, Operator] = {
    **dict.fromkeys((*SIZED, "EmptyTensorList"), Operator(_array, lazy=(0, 1))),
    **dict.fromkeys(
        ("TensorArrayScatterV3", "TensorArrayScatterV2", "TensorArrayScatter"), Operator(_rows, lazy=(0, 1, 3))
    ),
    "TensorArrayUnpack": Operator(_rows, lazy=(0, 2)),
    "TensorListFromTensor": Operator(_rows, lazy=(1,)),
    **dict.fromkeys(("TensorArrayReadV3", "TensorArrayReadV2", "TensorArrayRead"), Operator(_read_row, lazy=(0,))),
    "TensorListGetItem": Operator(_read_row, lazy=(2,)),
    **dict.fromkeys(
        ("TensorArrayGatherV3", "TensorArrayGatherV2", "TensorArrayGather"), Operator(_stack_rows, lazy=(0, 1))
    ),
    "TensorArrayPack": Operator(_stack_rows, lazy=(0,)),
    "TensorListStack": Operator(_stack_rows, lazy=(1,)),
    **dict.fromkeys(
        ("TensorArrayConcatV3", "TensorArrayConcatV2", "TensorArrayConcat"), Operator(_concat_rows, lazy=(0,))
    ),
    **dict.fromkeys(
        ("TensorArraySizeV3", "TensorArraySizeV2", "TensorArraySize", "TensorListLength"),
        Operator(_array_size, lazy=(0, 1)),
    ),
}
