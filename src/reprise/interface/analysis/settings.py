"""Scalars that steer a model, and the value that inference uses."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from reprise.graph import Node, Value
from reprise.interface.analysis.influence import reachable
from reprise.operators import Tag, fold, is_foldable, named
from reprise.operators.types import dtype
from reprise.structure import InBranch, Structure
from reprise.tensors import Array

#: Operators that draw random numbers, those that draw symbols from scores aside.
RANDOM = named(Tag.RANDOM)
PLACEHOLDERS = named(Tag.PLACEHOLDER)


def is_setting(structure: Structure, value: Value) -> bool:
    """Whether a source is a scalar number or flag."""
    node = structure.graph[value.node]
    if node.op not in PLACEHOLDERS or dtype(structure, value) == "string":
        return False
    return _rank(node, structure) == 0


def _rank(node: Node, structure: Structure) -> int | None:
    """The number of axes of a placeholder; 0 where the graph uses it as one number and states no shape."""
    dims = node.declared()
    if dims is None and node.op == "PlaceholderWithDefault":
        default = _default(structure, node)
        return None if default is None else default.ndim
    if dims is None and any(used(structure, node.name) for used in _AS_ONE_NUMBER):
        return 0
    return None if dims is None else len(dims)


def inference_value(structure: Structure, value: Value) -> tuple[float | int | bool | None, str]:
    """The number that inference uses for the setting `value`, None where nothing tells, and what tells."""
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


def _default(structure: Structure, node: Node) -> Array | None:
    if node.op != "PlaceholderWithDefault":
        return None
    made = structure.graph[structure.origin(node.inputs[0]).node]
    return None if made.constant is None else made.constant.load()


def _flag(structure: Structure, value: Value) -> tuple[bool, str]:
    """A flag that chooses between branches: inference takes the side without random numbers."""
    random = dict.fromkeys((0, 1), False)
    for name in structure.order:
        if structure.graph[name].op in RANDOM:
            for element in structure.context(Value(name)):
                if isinstance(element, InBranch) and structure.decider(element.predicate) == value:
                    random[element.side] = True
    if random[0] and not random[1]:
        return True, "a flag: its other side draws random numbers"
    if random[1]:
        return False, "a flag: its other side draws random numbers"
    default = _default(structure, structure.graph[value.node])
    if default is not None and default.size == 1:
        return bool(default.item()), "the default in the file"
    return False, "a flag: taken for 'is training'"


def _passing_nodes(structure: Structure, name: str) -> dict[str, bool]:
    """A node and those that only pass its value on, into loops and branches too; True for `1 - value`."""
    found, pending = {name: False}, [name]
    while pending:
        at = pending.pop()
        for consumer in structure.consumers[at]:
            node = structure.graph[consumer]
            turned = node.op == "Sub" and node.inputs[1].node == at and structure.number(node.inputs[0]) == 1
            if consumer not in found and (turned or node.op in _PASSING):
                found[consumer] = found[at] != turned
                pending.append(consumer)
    return found


_PASSING = named(Tag.LAYOUT).union("Identity Enter Switch Cast Merge Fill".split())


def _keeps_probability(structure: Structure, name: str) -> bool:
    return _meets_random(structure, name, {"Add": False, "AddV2": False, "GreaterEqual": True, "Greater": True})


def _drops_probability(structure: Structure, name: str) -> bool:
    return _meets_random(structure, name, {"Add": True, "AddV2": True, "GreaterEqual": False, "Greater": False})


def _meets_random(structure: Structure, name: str, turned_at: Mapping[str, bool]) -> bool:
    """Whether a probability makes the mask of a dropout.

    `floor(keep + uniform)` in TensorFlow 1, `uniform >= rate` since 1.13; `turned_at` says for each operator whether it
    takes the value or one minus the value.
    """
    for passed, turned in _passing_nodes(structure, name).items():
        for consumer in structure.consumers[passed]:
            if turned_at.get(structure.graph[consumer].op) == turned and _is_random(structure, consumer):
                return True
    return False


def baked_dropouts(structure: Structure, needed: Collection[str]) -> tuple[str, ...]:
    """What to say of dropout whose probability the file bakes in: inference cannot turn it off."""
    kept: dict[float, list[str]] = {}
    for name in (n for n in structure.order if n in needed):
        node = structure.graph[name]
        if node.op not in ("Floor", "GreaterEqual"):
            continue
        mixed = structure.origin(node.inputs[0]).node if node.op == "Floor" else name
        given = [n for v in structure.graph[mixed].inputs if (n := _folded(structure, v)) is not None]
        if len(given) == 1 and 0 < given[0] < 1 and _is_random(structure, mixed):
            kept.setdefault(given[0] if node.op == "Floor" else 1 - given[0], []).append(name)
    return tuple(
        f"dropout {names[0]!r} keeps a share of {keep:.3g} in every call: the file bakes in what training used, so no "
        "two calls give the same numbers"
        for keep, names in kept.items()
    )


def _folded(structure: Structure, value: Value, depth: int = 0) -> float | None:
    """The number that the file's constants make of `value`, such as what TensorFlow 1.13 keeps: `1 - rate`."""
    known = structure.number(value)
    node = structure.graph[structure.origin(value).node]
    if known is not None or not is_foldable(node.op) or depth > _DEPTH:
        return known
    parts = [_folded(structure, v, depth + 1) for v in node.inputs]
    if None in parts:
        return None
    made = fold(node, [np.asarray(n, np.float64) for n in parts])
    return made[0].item() if made and made[0].size == 1 else None


#: A probability is a few operators of constants; a longer way to it is not followed.
_DEPTH = 4
_NEAR_RANDOM = named(Tag.ADDITION).union("Mul Sub Identity GreaterEqual Greater Cast Enter".split())


def _is_random(structure: Structure, name: str) -> bool:

    def near(at: str) -> list[str]:
        node = structure.graph[at]
        return [v.node for v in node.inputs] if node.op in _NEAR_RANDOM else []

    return any(structure.graph[at].op in RANDOM for at in reachable([name], near))


def _divides(structure: Structure, name: str) -> bool:
    return bool(_quotients(structure, name))


def _quotients(structure: Structure, name: str) -> list[str]:
    """The nodes that divide by a value."""
    read = ((passed, c) for passed in _passing_nodes(structure, name) for c in structure.consumers[passed])
    return [c for passed, c in read if (n := structure.graph[c]).op in _DIVISIONS and n.inputs[1].node == passed]


def _tempers(structure: Structure, name: str) -> bool:
    """Whether scores are divided by a value before they are turned into probabilities or drawn from."""

    def moved(at: str) -> list[str]:
        return [c for c in structure.consumers[at] if structure.graph[c].op in ("Identity", "Reshape", "Squeeze")]

    quotients = reachable(_quotients(structure, name), moved)
    return any(structure.graph[c].op in _CHOICES for q in quotients for c in structure.consumers[q])


def _decides(structure: Structure, name: str) -> bool:
    """Whether a flag chooses a branch, alone or with others."""

    def passed_on(at: str) -> list[str]:
        return [c for c in structure.consumers[at] if structure.graph[c].op in _PASSING_FLAGS]

    read = ((at, structure.graph[c]) for at in reachable([name], passed_on) for c in structure.consumers[at])
    return any(node.op == "Switch" and node.inputs[1].node == at for at, node in read)


_DIVISIONS = ("Div", "RealDiv")
_CHOICES = frozenset("Softmax LogSoftmax Multinomial ArgMax Exp".split())
_PASSING_FLAGS = frozenset("Identity Enter Squeeze LogicalNot LogicalAnd LogicalOr".split())
#: What is done with one number alone, where a file does not tell the shape.
_AS_ONE_NUMBER = (_keeps_probability, _drops_probability, _decides, _tempers)
