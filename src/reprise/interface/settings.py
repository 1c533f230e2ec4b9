"""Scalars that steer a model, and the value that inference uses."""

from __future__ import annotations

from reprise.graph import Node, Value
from reprise.interface.types import dtype
from reprise.interface.structure import Structure
from reprise.tensors import Tensor

_RANDOM = ("Random", "TruncatedNormal", "Dropout", "StatelessRandom")


def is_setting(structure: Structure, value: Value) -> bool:
    """Whether a source is a scalar number or flag."""
    node = structure.graph[value.node]
    if not node.op.startswith("Placeholder") or dtype(structure, value) == "string":
        return False
    return _rank(node, structure) == 0


def _rank(node: Node, structure: Structure) -> int | None:
    shape = node.attributes.get("shape")
    dims = getattr(shape, "dims", None)
    declared = node.attributes.get("_output_shapes")
    if dims in (None, ()) and isinstance(declared, tuple) and declared:
        dims = declared[0].dims
    if dims is None and node.op == "PlaceholderWithDefault":
        default = _default(structure, node)
        return None if default is None else default.ndim
    if dims is None and _keeps_probability(structure, node.name):
        return 0
    return None if dims is None else len(dims)


def inference_value(structure: Structure, value: Value, needed: set[Value]) -> tuple[float | int | bool | None, str]:
    """What inference uses, and why."""
    node = structure.graph[value.node]
    kind = dtype(structure, value)
    if kind == "bool":
        return _flag(structure, value)
    if kind.startswith("float"):
        if _keeps_probability(structure, node.name):
            return 1.0, "a keep probability: inference keeps everything"
        if _drops_probability(structure, node.name):
            return 0.0, "a dropout rate: inference drops nothing"
    default = _default(structure, node)
    if default is not None and default.size == 1:
        return default.item(), "the default in the file"
    if kind.startswith("float") and _divides(structure, node.name):
        return 1.0, "a divisor of scores (temperature): 1 leaves them as they are"
    return None, "the file gives no value for inference"


def _default(structure: Structure, node: Node) -> object:
    if node.op != "PlaceholderWithDefault":
        return None
    made = structure.graph[structure.origin(node.inputs[0]).node]
    tensor = made.attributes.get("value") if made.op == "Const" else None
    return tensor.load() if isinstance(tensor, Tensor) else None


def _flag(structure: Structure, value: Value) -> tuple[bool, str]:
    """A flag that chooses between branches: inference takes the side without random numbers."""
    random = {side: False for side in (0, 1)}
    for name in structure.order:
        if structure.graph[name].op.startswith(_RANDOM):
            for element in structure.context(Value(name)):
                predicate = getattr(element, "predicate", None)
                if predicate is not None and structure.origin(predicate) == value:
                    random[element.side] = True
    if random[0] and not random[1]:
        return True, "a flag: its other side draws random numbers"
    if random[1]:
        return False, "a flag: its other side draws random numbers"
    return False, "a flag: taken for 'is training'"


def _passed_on(structure: Structure, name: str) -> list[str]:
    """A node and those that only pass its value on, into loops and branches too."""
    found, pending = [name], [name]
    while pending:
        for consumer in structure.consumers[pending.pop()]:
            if structure.graph[consumer].op in ("Identity", "Enter", "Switch", "Cast", "Merge") and consumer not in found:
                found.append(consumer)
                pending.append(consumer)
    return found


def _keeps_probability(structure: Structure, name: str) -> bool:
    """`floor(keep + uniform)`, the mask of TensorFlow 1's dropout."""
    for passed in _passed_on(structure, name):
        for consumer in structure.consumers[passed]:
            if structure.graph[consumer].op in ("Add", "AddV2") and _is_random(structure, consumer):
                return True
    return _one_minus_is_rate(structure, name)


def _one_minus_is_rate(structure: Structure, name: str) -> bool:
    for passed in _passed_on(structure, name):
        for consumer in structure.consumers[passed]:
            node = structure.graph[consumer]
            if node.op == "Sub" and node.inputs[1].node == passed and _drops_probability(structure, consumer):
                return True
    return False


def _drops_probability(structure: Structure, name: str) -> bool:
    """`uniform >= rate`, the mask of dropout since TensorFlow 1.13."""
    for passed in _passed_on(structure, name):
        for consumer in structure.consumers[passed]:
            if structure.graph[consumer].op in ("GreaterEqual", "Greater") and _is_random(structure, consumer):
                return True
    return False


def _is_random(structure: Structure, name: str) -> bool:
    pending, seen = [name], set()
    while pending:
        at = pending.pop()
        node = structure.graph[at]
        if node.op.startswith(_RANDOM):
            return True
        if at in seen or (node.op not in ("Mul", "Add", "AddV2", "Sub", "Identity", "GreaterEqual", "Greater", "Cast")):
            continue
        seen.add(at)
        pending.extend(v.node for v in node.inputs)
    return False


def _divides(structure: Structure, name: str) -> bool:
    for passed in _passed_on(structure, name):
        for consumer in structure.consumers[passed]:
            node = structure.graph[consumer]
            if node.op in ("Div", "RealDiv") and node.inputs[1].node == passed:
                return True
    return False
