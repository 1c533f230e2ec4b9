"""TensorArrays and TensorLists: the sequences that loops read and write, row by row.

In ONNX an array is the tensor of its rows: reading row i is Gather, and a loop writes an array as a scan output.
"""

from __future__ import annotations

import numpy as np

from reprise.graph import Node, Value
from reprise.operators.rules.asking import Asking, Sizes, inserted, without
from reprise.operators.rules.block import computed_type
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import UNKNOWN, Fact, Shapes
from reprise.operators.rules.site import Site
from reprise.operators.rules.sizes import Dim, dim
from reprise.structure import Carried, Structure
from reprise.wire import onnx


def _read_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    stacked = stacked_by(facts.structure, node)
    shape = None if stacked is None else facts.of(stacked).shape
    return [Fact(None if shape is None else shape[1:])]


def array_of(node: Node) -> Value:
    """The array that a node takes rows out of: a TensorArray is what its last input holds, a list is its first."""
    return node.inputs[-1] if node.op.startswith("TensorArray") else node.inputs[0]


def stacked_by(structure: Structure, taking: Node) -> Value | None:
    """The sequence behind the array that a node takes rows out of, None where it is filled in another way."""
    filled = structure.graph.nodes.get(structure.origin(array_of(taking)).node)
    return None if filled is None else stacked_into(filled)


def stacked_into(node: Node) -> Value | None:
    """The tensor whose rows a node puts into a TensorArray or list, None if it is another node."""
    if node.op.startswith(("TensorArrayScatter", "TensorArrayUnpack")):
        return node.inputs[2] if node.op.startswith("TensorArrayScatter") else node.inputs[1]
    return node.inputs[0] if node.op == "TensorListFromTensor" else None


def written_value(node: Node) -> Value | None:
    """The element that a node writes into a TensorArray or list, None if it is another node."""
    if node.op.startswith("TensorArrayWrite"):
        return node.inputs[2]
    return node.inputs[2] if node.op == "TensorListSetItem" else None


def _stack_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """After a loop: as many rows as the array has, each like the element that the loop writes."""
    carried = _carried_behind(facts, array_of(node))
    if carried is None:
        return [_filled_fact(facts, node)]
    write = facts.structure.graph.nodes.get(facts.structure.source(carried.leaving).node)
    element = None if write is None else written_value(write)
    shape = None if element is None else facts.of(element).shape
    return [UNKNOWN] if shape is None else [Fact((_row_count(facts, node, inputs, carried), *shape))]


def _filled_fact(facts: Shapes, node: Node) -> Fact:
    """All rows of an array that is filled outside of loops are the tensor that it is filled from."""
    filled = facts.structure.graph.nodes.get(facts.structure.origin(array_of(node)).node)
    stacked = None if filled is None else stacked_into(filled)
    shape = None if stacked is None else facts.of(stacked).shape
    if filled is None or not shape or not filled.op.startswith("TensorArrayScatter"):
        return Fact(shape)
    size = allocated_size(facts, filled.inputs[0])
    content = None if size is None else facts.of(size).content
    if content is None:
        return Fact(shape)
    if dim(content.item()).known:  # so many indices, whatever the number of rows
        facts.sizes.fix_ones(shape[0])
    return Fact((dim(content.item()), *shape[1:]))


def _row_count(facts: Shapes, node: Node, inputs: list[Fact], carried: Carried) -> Dim:
    """How many rows are taken: all of them, or those that are asked for one by one."""
    size = allocated_size(facts, carried.initial)
    content = None if size is None else facts.of(size).content
    rows = Dim(1, (grown_size(facts.structure, carried),)) if content is None else dim(content.item())
    if not node.op.startswith("TensorArrayGather") or not inputs[1].shape or takes_all(facts, node):
        return rows
    facts.bake_indices([rows], node.inputs[1])
    return inputs[1].shape[0]


def takes_all(facts: Shapes, node: Node) -> bool:
    """Whether a node that takes rows out of an array by their indices takes all, in their order."""
    indices, count = facts.content(node.inputs[1]), _counted(facts, node.inputs[1])
    if not is_in_order(facts, node.inputs[1]):
        return False
    size = allocated_size(facts, node.inputs[0])
    if count is not None and (count == size or facts.structure.graph[count.node].op.startswith("TensorArraySize")):
        return True
    have = None if size is None else facts.of(size).content
    taken = indices.size if indices is not None else None if count is None else facts.of(count).content
    return have is not None and taken is not None and bool(have == taken)


def is_in_order(facts: Shapes, indices: Value) -> bool:
    """Whether indices are 0, 1, 2 and so on."""
    known = facts.content(indices)
    return _counted(facts, indices) is not None if known is None else bool((known == np.arange(known.size)).all())


def _counted(facts: Shapes, indices: Value) -> Value | None:
    """The number up to which a Range counts from 0 by 1, None where indices are something else."""
    node = facts.structure.graph.nodes.get(facts.structure.origin(indices).node)
    if node is None or node.op != "Range":
        return None
    start, step = (facts.content(node.inputs[i]) for i in (0, 2))
    counts = start is not None and step is not None and start.item() == 0 and step.item() == 1
    return facts.structure.origin(node.inputs[1]) if counts else None


#: What makes an array → which input is its size.
SIZED = {"TensorArray": 0, "TensorArrayV2": 0, "TensorArrayV3": 0, "TensorListReserve": 1}


def allocated_size(facts: Shapes, array: Value) -> Value | None:
    """The size that an array was made with; None where that is 0, so that it grows as it is written."""
    made = facts.structure.graph.nodes.get(facts.structure.origin(array).node)
    if made is None or made.op not in SIZED:
        return None
    size = facts.structure.origin(made.inputs[SIZED[made.op]])
    content = facts.of(size).content
    return None if content is not None and content.item() == 0 else size


def _carried_behind(facts: Shapes, flow: Value) -> Carried | None:
    """The loop variable whose last value an array is."""
    structure = facts.structure
    node = structure.graph.nodes.get(structure.source(flow).node)
    if node is None or node.op != "Exit":
        return None
    switch = structure.graph.nodes.get(node.inputs[0].node)
    return None if switch is None else structure.carried_by(switch.inputs[0])


def grown_size(structure: Structure, carried: Carried) -> str:
    """The symbol for the number of rows of an array whose size the file does not tell."""
    return f"?{structure.origin(carried.initial).node}.size"


def _count_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    size = allocated_size(facts, node.inputs[0])
    return [Fact((), None if size is None else facts.of(size).content)]


def _handle_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Operators that store values: their own results have no shape to speak of."""
    return [UNKNOWN, UNKNOWN]


_NO_TENSOR = "?array"


def _allocate_onnx(site: Site) -> tuple[str | None, ...]:
    """An array that is only allocated has no rows; its handle and flow are never tensors."""
    return (_NO_TENSOR, _NO_TENSOR)


def _scatter_onnx(site: Site) -> str:
    """The rows put in from a tensor, in order."""
    stacked = stacked_into(site.node)
    if stacked is None:
        raise site.refusal()
    if site.node.op.startswith("TensorArrayScatter") and not is_in_order(site.emitter.facts, site.node.inputs[1]):
        return _scattered(site, stacked)
    return site.emitter.name(stacked, site.block)


def _scattered(site: Site, stacked: Value) -> str:
    """Rows put in at indices computed at run time; the others are zeros."""
    allocated = allocated_size(site.emitter.facts, site.node.inputs[0])
    if allocated is None:
        raise site.refusal("fills an array whose size is not known")
    rows = site.emitter.name(stacked, site.block)
    size = site.emitter.name(allocated, site.block)
    count = site.one("Reshape", site.one("Cast", size, to=onnx.INT64), site.block.ints(1))
    inner = site.one("Slice", site.one("Shape", rows), site.block.ints(1), site.block.ints(np.iinfo(np.int64).max))
    zero = site.constant(0, computed_type(site.emitter.facts.dtype(stacked)))
    empty = site.one("Expand", zero, site.one("Concat", count, inner, axis=0))
    indices = site.one("Unsqueeze", site.int64(1), site.block.ints(1))
    return site.one("ScatterND", empty, indices, rows)


def _read_onnx(site: Site) -> str:
    flow, index = (2, 1) if site.node.op.startswith("TensorArray") else (0, 1)
    return site.one("Gather", _array_rows(site, flow), site.input(index), axis=0)


def _array_rows(site: Site, index: int) -> str:
    """The tensor of an array's rows."""
    name = site.input(index)
    if name == _NO_TENSOR:
        raise site.refusal("reads an array that was never filled")
    return name


def _stack_onnx(site: Site) -> tuple[str | None, ...]:
    """All rows, or those that are asked for."""
    if not site.node.op.startswith("TensorArray"):
        return (_array_rows(site, 0),)
    rows = _array_rows(site, len(site.node.inputs) - 1)
    if site.node.op.startswith("TensorArrayGather") and not takes_all(site.emitter.facts, site.node):
        return (site.one("Gather", rows, site.input(1), axis=0),)
    return (rows,)


def _concat_onnx(site: Site) -> tuple[str | None, ...]:
    """TensorArrayConcat: rows of equal shape joined along their first axis."""
    rows = _array_rows(site, len(site.node.inputs) - 1)
    shape = site.one("Shape", rows)
    rest = site.one("Slice", shape, site.block.ints(2), site.block.ints(np.iinfo(np.int64).max))
    return (site.one("Reshape", rows, site.one("Concat", site.block.ints(-1), rest, axis=0)), None)


def _count_onnx(site: Site) -> str:
    size = allocated_size(site.emitter.facts, site.node.inputs[0])
    if size is not None:
        return site.emitter.name(size, site.block)
    rows = _array_rows(site, len(site.node.inputs) - 1)
    count = site.one("Gather", site.one("Shape", rows), site.constant(0, "int64"), axis=0)
    return site.one("Cast", count, to=onnx.INT32)


def _scatter_asks(asking: Asking) -> Sizes | None:
    """Rows of what is asked of the flow of the array, whose shape stands for that of one row."""
    if asking.node.op == "TensorListFromTensor":
        return inserted(asking.result(), 0, None) if asking.index == 0 else None
    flow = len(asking.node.inputs) - 1
    return {flow - 1: inserted(asking.result(), 0, None), flow: asking.result()}.get(asking.index)


def _write_asks(asking: Asking) -> Sizes | None:
    flow = 0 if asking.node.op == "TensorListSetItem" else 3
    return asking.result() if asking.index in (2, flow) else None


def _read_asks(asking: Asking) -> Sizes | None:
    flow = 0 if asking.node.op == "TensorListGetItem" else 2
    return asking.result() if asking.index == flow else None


def _stack_asks(asking: Asking) -> Sizes | None:
    flow = 0 if asking.node.op == "TensorListStack" else len(asking.node.inputs) - 1
    return without(asking.result(), 0) if asking.index == flow else None


OPERATORS = (
    Operator("TensorArray TensorArrayV2", shape=_handle_shape, onnx=_allocate_onnx, lazy=(0, 1)),
    Operator("TensorListReserve EmptyTensorList", 2, shape=_handle_shape, onnx=_allocate_onnx, lazy=(0, 1)),
    Operator("TensorArrayV3", shape=_handle_shape, onnx=_allocate_onnx, lazy=(0, 1), outputs="handle flow"),
    Operator("TensorArrayWrite TensorArrayWriteV2 TensorArrayWriteV3", 4, shape=_handle_shape, asks=_write_asks),
    Operator("TensorListSetItem", 3, shape=_handle_shape, asks=_write_asks),
    Operator("TensorListPushBack StackPush StackPushV2", 2, shape=_handle_shape, tags=(Tag.SIDE_EFFECT,)),
    Operator(
        "TensorArrayScatter TensorArrayScatterV2 TensorArrayScatterV3",
        4,
        shape=_handle_shape,
        onnx=_scatter_onnx,
        lazy=(0, 1, 3),
        asks=_scatter_asks,
    ),
    Operator("TensorArrayUnpack", 3, shape=_handle_shape, onnx=_scatter_onnx, lazy=(0, 2), asks=_scatter_asks),
    Operator("TensorListFromTensor", 2, shape=_handle_shape, onnx=_scatter_onnx, lazy=(1,), asks=_scatter_asks),
    Operator(
        "TensorArrayRead TensorArrayReadV2 TensorArrayReadV3",
        3,
        shape=_read_shape,
        onnx=_read_onnx,
        lazy=(0,),
        tags=(Tag.READ,),
        asks=_read_asks,
    ),
    Operator("TensorListGetItem", 3, shape=_read_shape, onnx=_read_onnx, lazy=(2,), tags=(Tag.READ,), asks=_read_asks),
    Operator(
        "TensorArrayGather TensorArrayGatherV2 TensorArrayGatherV3",
        3,
        shape=_stack_shape,
        onnx=_stack_onnx,
        lazy=(0, 1),
        asks=_stack_asks,
    ),
    Operator("TensorArrayPack", 2, shape=_stack_shape, onnx=_stack_onnx, lazy=(0,), asks=_stack_asks),
    Operator("TensorListStack", 2, shape=_stack_shape, onnx=_stack_onnx, lazy=(1,), asks=_stack_asks),
    Operator(
        "TensorArrayConcat TensorArrayConcatV2 TensorArrayConcatV3",
        2,
        onnx=_concat_onnx,
        lazy=(0,),
        outputs="value lengths",
    ),
    Operator(
        "TensorArraySize TensorArraySizeV2 TensorArraySizeV3",
        2,
        shape=_count_shape,
        onnx=_count_onnx,
        lazy=(0, 1),
        types=("int32",),
        tags=(Tag.SHAPE_ONLY,),
    ),
    Operator(
        "TensorListLength",
        shape=_count_shape,
        onnx=_count_onnx,
        lazy=(0, 1),
        types=("int32",),
        tags=(Tag.SHAPE_ONLY,),
    ),
    Operator("TensorListElementShape", tags=(Tag.SHAPE_ONLY,)),
    Operator("TensorListPopBack", 2, outputs="output_handle tensor"),
    Operator("TensorListConcat", outputs="tensor lengths"),
    Operator("TensorListConcatV2", 3, outputs="tensor lengths"),
    Operator("TensorArrayGradV3", 2, outputs="grad_handle flow_out"),
)
