"""Rules of loops, branches and the arrays of rows that they read and write."""

from __future__ import annotations

from reprise.graph import Node, Value
from reprise.interface.facts.inference import UNKNOWN, Dims, Fact, Inference, Rule
from reprise.interface.sizes import Dim, dim
from reprise.interface.structure import Carried, Structure, is_loop_merge


def _same(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    return [inputs[0]] if inputs else [UNKNOWN]


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
    flow = node.inputs[2] if node.op.startswith("TensorArray") else node.inputs[0]
    source = facts.structure.graph.nodes.get(facts.structure.origin(flow).node)
    if source is None:
        return [UNKNOWN]
    stacked = stacked_into(source)
    shape = None if stacked is None else facts.of(stacked).shape
    return [Fact(None if shape is None else shape[1:])]


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
    carried = _carried_behind(facts, node.inputs[-1] if node.op.startswith("TensorArray") else node.inputs[0])
    if carried is None:
        return [_filled(facts, node)]
    write = facts.structure.graph.nodes.get(facts.structure.source(carried.leaving).node)
    element = None if write is None else written_value(write)
    shape = None if element is None else facts.of(element).shape
    return [UNKNOWN] if shape is None else [Fact((_rows(facts, node, inputs, carried), *shape))]


def _filled(facts: Inference, node: Node) -> Fact:
    """All rows of an array that is filled outside of loops are the tensor that it is filled from."""
    flow = node.inputs[-1] if node.op.startswith("TensorArray") else node.inputs[0]
    filled = facts.structure.graph.nodes.get(facts.structure.origin(flow).node)
    stacked = None if filled is None else stacked_into(filled)
    shape = None if stacked is None else facts.of(stacked).shape
    if filled is None or not shape or not filled.op.startswith("TensorArrayScatter"):
        return Fact(shape)
    made = facts.structure.graph.nodes.get(facts.structure.origin(filled.inputs[0]).node)
    size = facts.of(made.inputs[0]).content if made is not None and made.inputs else None
    if size is None:
        return Fact(shape)
    if dim(size.item()).known:  # so many places, whatever the number of rows
        facts.sizes.fix_ones(shape[0])
    return Fact((dim(size.item()), *shape[1:]))


def _rows(facts: Inference, node: Node, inputs: list[Fact], carried: Carried) -> Dim:
    """How many rows are taken: all of them, or those that are asked for one by one."""
    if node.op.startswith("TensorArrayGather") and inputs[1].shape:
        indices = facts.structure.graph.nodes.get(facts.structure.origin(node.inputs[1]).node)
        if indices is not None and indices.op != "Range":
            return inputs[1].shape[0]
    return _array_size(facts, carried)


def _carried_behind(facts: Inference, flow: Value) -> Carried | None:
    """The loop variable whose last value an array is."""
    structure = facts.structure
    node = structure.graph.nodes.get(structure.source(flow).node)
    if node is None or node.op not in ("Exit", "RefExit"):
        return None
    switch = structure.graph.nodes.get(node.inputs[0].node)
    return None if switch is None else structure.carried_by(switch.inputs[0])


def _array_size(facts: Inference, carried: Carried) -> Dim:
    made = facts.structure.graph.nodes[facts.structure.origin(carried.initial).node]
    size = None
    if made.op.startswith("TensorArray"):
        size = facts.of(made.inputs[0]).content
    elif made.op == "TensorListReserve":
        size = facts.of(made.inputs[1]).content
    # A size of 0 is that of an array which grows as it is written.
    if size is None or size.item() == 0:
        return Dim(1, (grown_size(facts.structure, carried),))
    return dim(size.item())


def grown_size(structure: Structure, carried: Carried) -> str:
    """The symbol for the number of rows of an array whose size the file does not tell."""
    return f"?{structure.origin(carried.initial).node}.size"


def _array_count(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    value = facts.structure.origin(node.inputs[0])
    made = facts.structure.graph.nodes.get(value.node)
    if made is not None and made.op in ("TensorArrayV3", "TensorArrayV2", "TensorArray") and made.inputs:
        return [Fact((), facts.of(made.inputs[0]).content)]
    return [Fact(())]


def _nothing(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Operators that store values: their own results have no shape to speak of."""
    return [UNKNOWN, UNKNOWN]


_STORING = (
    "TensorArray TensorArrayV2 TensorArrayV3 TensorArrayWrite TensorArrayWriteV2 TensorArrayWriteV3 "
    "TensorArrayScatter TensorArrayScatterV2 TensorArrayScatterV3 TensorArrayUnpack TensorListReserve "
    "TensorListSetItem TensorListFromTensor EmptyTensorList TensorListPushBack StackPush StackPushV2"
)
_PASSING = (
    "Identity StopGradient PreventGradient CheckNumerics EnsureShape Snapshot Enter RefEnter Exit RefExit "
    "NextIteration RefIdentity Cast ReadVariableOp PlaceholderWithDefault CheckNumericsV2 GuaranteeConst Print"
)

ARRAYS: dict[str, Rule] = {
    **dict.fromkeys(_PASSING.split(), _same),
    **dict.fromkeys(("Switch", "RefSwitch"), _switch),
    **dict.fromkeys(("Merge", "RefMerge"), _merge),
    **dict.fromkeys(_STORING.split(), _nothing),
    **dict.fromkeys(("TensorArrayReadV3", "TensorArrayReadV2", "TensorArrayRead", "TensorListGetItem"), _array_read),
    **dict.fromkeys(
        ("TensorArrayGatherV3", "TensorArrayGatherV2", "TensorArrayGather", "TensorArrayPack", "TensorListStack"),
        _array_stack,
    ),
    **dict.fromkeys(("TensorArraySizeV3", "TensorArraySizeV2", "TensorArraySize"), _array_count),
}
