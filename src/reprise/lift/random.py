"""Random numbers that inference does not need: the masks of dropout when nothing is dropped."""

from __future__ import annotations

from collections.abc import Callable

from reprise.graph import Value
from reprise.interface.structure import Structure
from reprise.tensors import Array

Known = Callable[[Value], Array | None]


def certain_mask(structure: Structure, known: Known, value: Value) -> bool:
    """Whether a mask is true everywhere, whatever is drawn: `floor(1 + u)`, or `u >= 0`, for u in [0, 1)."""
    node = structure.graph[value.node]
    if node.op == "Floor":
        added = structure.graph[structure.origin(node.inputs[0]).node]
        if added.op not in ("Add", "AddV2") or len(added.inputs) != 2:
            return False
        return any(
            _number(known, a) == 1.0 and _is_uniform(structure, known, b) for a, b in (added.inputs, added.inputs[::-1])
        )
    if node.op == "GreaterEqual":
        return _number(known, node.inputs[1]) == 0.0 and _is_uniform(structure, known, node.inputs[0])
    return False


def _number(known: Known, value: Value) -> float | None:
    content = known(value)
    return float(content.item()) if content is not None and content.size == 1 else None


def _is_uniform(structure: Structure, known: Known, value: Value) -> bool:
    """Drawn from [0, 1): RandomUniform, perhaps scaled by 1 and moved by 0 as `tf.random_uniform` writes it."""
    node = structure.graph[structure.origin(value).node]
    if node.op in ("RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2"):
        return True
    neutral = {"Add": 0.0, "AddV2": 0.0, "Mul": 1.0}.get(node.op)
    if neutral is None or len(node.inputs) != 2:
        return False
    a, b = node.inputs
    return (_number(known, b) == neutral and _is_uniform(structure, known, a)) or (
        _number(known, a) == neutral and _is_uniform(structure, known, b)
    )
