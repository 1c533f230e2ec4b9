"""Short unique names for what a user feeds and fetches."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from reprise.frame import NEXT_VALUE
from reprise.graph import Value
from reprise.structure import Carried, Structure

# What TensorFlow calls a node whose author gave no name.
_UNNAMED = re.compile(
    r"(Placeholder|PlaceholderWithDefault|Add|add|xw_plus_b|Softmax|Reshape|transpose|BiasAdd|MatMul|Identity|Squeeze|"
    r"strided_slice|concat|stack|TensorArrayStack|TensorArrayGatherV3|TensorListStack|IteratorGetNext)(_\d+)?"
)


def unique(wanted: Sequence[str], taken: Collection[str] = ()) -> list[str]:
    """The names with numbers appended where they repeat."""
    used: set[str] = set(taken)
    result = []
    for name in wanted:
        candidate, k = name, 1
        while candidate in used:
            k += 1
            candidate = f"{name}{k}"
        used.add(candidate)
        result.append(candidate)
    return result


def _last(value: Value) -> str:
    return value.node.rsplit("/", 1)[-1]


def of_input(value: Value, role: str) -> str:
    """The author's own name where there is one, else the role."""
    last = _last(value)
    return role if _UNNAMED.fullmatch(last) else last


def of_output(value: Value, role: str) -> str:
    """As for inputs; a score is called by its role, whatever its node is called."""
    last = _last(value)
    return role if role in ("logits", "probabilities") or _UNNAMED.fullmatch(last) else last


def of_setting(value: Value) -> str:
    """The last part of the placeholder's name."""
    return _last(value)


def of_initial(structure: Structure, carried: Carried) -> str:
    """The tensor that holds the first value of a state, alone or with others."""
    value = structure.origin(carried.initial)
    if structure.graph.results and structure.graph[value.node].op == "ReadVariableOp":
        value = structure.decider(value)
    return str(structure.graph[value.node].attributes.get("_whole", value))


def of_final(structure: Structure, carried: Carried) -> str | None:
    """The tensor that TensorFlow fetches for the last value of `carried`, inside the loop where there is no other."""
    if carried.final is None:
        return None
    attributes = structure.graph[carried.final.node].attributes
    if NEXT_VALUE in attributes:
        return None if attributes[NEXT_VALUE] is None else str(attributes[NEXT_VALUE])
    consumers = structure.consumers[carried.final.node]
    whole = next((w for n in consumers if (w := structure.graph[n].attributes.get("_whole")) is not None), None)
    if whole is not None:
        return str(whole)
    shown = [n for n in consumers if structure.graph[n].op == "_Results" and n in structure.graph]
    if shown:
        node = structure.graph[shown[0]]
        result = Value(node.name, node.inputs.index(carried.final))
        return _identity_of(structure, result) or str(result)
    return str(carried.final)


def _identity_of(structure: Structure, value: Value) -> str | None:
    """`rnn/while/Identity_4` for `rnn/while:4`: TensorFlow fetches the results of While through Identity nodes."""
    for name in structure.consumers[value.node]:
        node = structure.graph[name]
        if node.op == "Identity" and node.inputs[0] == value and name.startswith(value.node + "/"):
            return f"{name}:0"
    return None
