"""Rules of loops, branches and the arrays of rows that they read and write."""

from __future__ import annotations

import numpy as np

from reprise.graph import VARIABLES, Node, Value
from reprise.interface.analysis.facts.inference import UNKNOWN, Dims, Fact, Inference, Rule
from reprise.operators.rules.sizes import Dim, dim
from reprise.structure import Carried, Structure, is_loop_merge

#: How the names of operators begin that take one row out of an array.
READS = ("TensorArrayRead", "TensorListGetItem")


def _same(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    return [inputs[0]] if inputs else [UNKNOWN]


def _identity(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """A variable of any shape has the one that the program set where it is read, as the file remembers."""
    held = facts.structure.graph.nodes.get(facts.structure.origin(node.inputs[0]).node) if node.inputs else None
    unknown = held is not None and held.op in VARIABLES and inputs[0].shape is None
    return [facts.declared(node)] if unknown else _same(facts, node, inputs)


def _merge(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    if is_loop_merge(node, facts.structure.graph):
        return [Fact(_at_every_step(facts, node, inputs[0].shape))]
    shape = inputs[0].shape
    for other in inputs[1:]:
        shape = facts.equate(shape, other.shape)
    return [Fact(shape), Fact(())]


def _at_every_step(facts: Inference, merge: Node, first: Dims | None) -> Dims | None:
    """The shape of a loop variable: what begins with nothing along an axis gets longer."""
    return first and tuple(facts.fresh(merge, i) if d == Dim(0) else d for i, d in enumerate(first))


def _switch(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    fact = Fact(inputs[0].shape) if facts.structure.is_loop_switch(node.name) else inputs[0]
    return [fact, fact]


def _array_read(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
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


def _array_stack(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """After a loop: as many rows as the array has, each like the element that the loop writes."""
    carried = _carried_behind(facts, array_of(node))
    if carried is None:
        return [_filled(facts, node)]
    write = facts.structure.graph.nodes.get(facts.structure.source(carried.leaving).node)
    element = None if write is None else written_value(write)
    shape = None if element is None else facts.of(element).shape
    return [UNKNOWN] if shape is None else [Fact((_rows(facts, node, inputs, carried), *shape))]


def _filled(facts: Inference, node: Node) -> Fact:
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
    if dim(content.item()).known:  # so many places, whatever the number of rows
        facts.sizes.fix_ones(shape[0])
    return Fact((dim(content.item()), *shape[1:]))


def _rows(facts: Inference, node: Node, inputs: list[Fact], carried: Carried) -> Dim:
    """How many rows are taken: all of them, or those that are asked for one by one."""
    size = allocated_size(facts, carried.initial)
    content = None if size is None else facts.of(size).content
    rows = Dim(1, (grown_size(facts.structure, carried),)) if content is None else dim(content.item())
    if not node.op.startswith("TensorArrayGather") or not inputs[1].shape or takes_all(facts, node):
        return rows
    facts.bake_places([rows], node.inputs[1])
    return inputs[1].shape[0]


def takes_all(facts: Inference, node: Node) -> bool:
    """Whether a node that takes rows out of an array by their places takes all, in their order."""
    places, count = facts.content(node.inputs[1]), _counted(facts, node.inputs[1])
    if not is_in_order(facts, node.inputs[1]):
        return False
    size = allocated_size(facts, node.inputs[0])
    if count is not None and (count == size or facts.structure.graph[count.node].op.startswith("TensorArraySize")):
        return True
    have = None if size is None else facts.of(size).content
    taken = places.size if places is not None else None if count is None else facts.of(count).content
    return have is not None and taken is not None and bool(have == taken)


def is_in_order(facts: Inference, places: Value) -> bool:
    """Whether places are 0, 1, 2 and so on."""
    known = facts.content(places)
    return _counted(facts, places) is not None if known is None else bool((known == np.arange(known.size)).all())


def _counted(facts: Inference, places: Value) -> Value | None:
    """The number up to which a Range counts from 0 by 1, None where places are something else."""
    node = facts.structure.graph.nodes.get(facts.structure.origin(places).node)
    if node is None or node.op != "Range":
        return None
    start, step = (facts.content(node.inputs[i]) for i in (0, 2))
    counts = start is not None and step is not None and start.item() == 0 and step.item() == 1
    return facts.structure.origin(node.inputs[1]) if counts else None


#: What makes an array → which input is its size.
SIZED = {"TensorArray": 0, "TensorArrayV2": 0, "TensorArrayV3": 0, "TensorListReserve": 1}


def allocated_size(facts: Inference, array: Value) -> Value | None:
    """The size that an array was made with; None where that is 0, so that it grows as it is written."""
    made = facts.structure.graph.nodes.get(facts.structure.origin(array).node)
    if made is None or made.op not in SIZED:
        return None
    size = facts.structure.origin(made.inputs[SIZED[made.op]])
    content = facts.of(size).content
    return None if content is not None and content.item() == 0 else size


def _carried_behind(facts: Inference, flow: Value) -> Carried | None:
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


def _array_count(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    size = allocated_size(facts, node.inputs[0])
    return [Fact((), None if size is None else facts.of(size).content)]


def _nothing(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Operators that store values: their own results have no shape to speak of."""
    return [UNKNOWN, UNKNOWN]


_STORING = (
    "TensorArray TensorArrayV2 TensorArrayV3 TensorArrayWrite TensorArrayWriteV2 TensorArrayWriteV3 "
    "TensorArrayScatter TensorArrayScatterV2 TensorArrayScatterV3 TensorArrayUnpack TensorListReserve "
    "TensorListSetItem TensorListFromTensor EmptyTensorList TensorListPushBack StackPush StackPushV2"
)
_PASSING = (
    "StopGradient PreventGradient CheckNumerics EnsureShape Snapshot Enter Exit "
    "NextIteration Cast ReadVariableOp CheckNumericsV2 GuaranteeConst Print"
)

ARRAYS: dict[str, Rule] = {
    **dict.fromkeys(_PASSING.split(), _same),
    "Identity": _identity,
    "Switch": _switch,
    "Merge": _merge,
    **dict.fromkeys(_STORING.split(), _nothing),
    **dict.fromkeys(("TensorArrayReadV3", "TensorArrayReadV2", "TensorArrayRead", "TensorListGetItem"), _array_read),
    **dict.fromkeys(
        ("TensorArrayGatherV3", "TensorArrayGatherV2", "TensorArrayGather", "TensorArrayPack", "TensorListStack"),
        _array_stack,
    ),
    **dict.fromkeys(("TensorArraySizeV3", "TensorArraySizeV2", "TensorArraySize", "TensorListLength"), _array_count),
}
