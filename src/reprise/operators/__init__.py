"""What each operator is: one record each, in families by the field's names.

A record holds how shapes and known content follow (`shape`), what becomes of known numbers (`fold`) and of the steps
of a sequence (`steps`), how it is written in ONNX (`onnx`), the element types of its outputs and what kind it is.
To add an operator, add a record to its family; there is no second list.

One rule is not here: how a whole loop is written in ONNX stands in `lift/`, because it needs the recurrences that
`interface/` finds. The record of Exit asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import numpy as np

from reprise import bounds
from reprise.graph import Node
from reprise.operators import (
    arrays,
    blocks,
    cells,
    control,
    convolution,
    elementwise,
    filling,
    functions,
    gathering,
    identity,
    joining,
    layout,
    losses,
    matrix,
    normalisation,
    random,
    reduction,
    scattering,
    searching,
    shape,
    slicing,
    sources,
    spectra,
    tables,
)
from reprise.operators.rules.record import Operator, Tag
from reprise.tensors import Array

__all__ = ["OPERATORS", "Operator", "Tag", "fold", "is_foldable", "named"]

_FAMILIES = (
    arrays,
    blocks,
    cells,
    control,
    convolution,
    elementwise,
    filling,
    functions,
    gathering,
    identity,
    joining,
    layout,
    losses,
    matrix,
    normalisation,
    random,
    reduction,
    scattering,
    searching,
    shape,
    slicing,
    sources,
    spectra,
    tables,
)

#: Every operator that something is known of, by each of its names.
OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {name: record for family in _FAMILIES for record in family.OPERATORS for name in record.names.split()}
)


@cache
def named(*tags: Tag) -> frozenset[str]:
    """The names of all operators of one of these kinds."""
    return frozenset(name for name, record in OPERATORS.items() if not set(tags).isdisjoint(record.tags))


def is_foldable(op: str) -> bool:
    """Whether the outputs of an operator follow from known inputs."""
    record = OPERATORS.get(op)
    return record is not None and record.fold is not None


def _spreads(inputs: list[Array]) -> bool:
    """Whether stretching the inputs to each other's sizes makes far more of them than there is."""
    largest = max((a.size for a in inputs), default=0)
    if largest <= 4096:
        return False
    try:
        together = math.prod(np.broadcast_shapes(*(a.shape for a in inputs)))
    except ValueError:
        return False
    return together > largest and together * inputs[0].itemsize > bounds.SPREAD


def fold(node: Node, inputs: list[Array]) -> list[Array] | None:
    """The outputs of `node` on known inputs, or None where the numbers do not fit the operator, or it has no rule."""
    record = OPERATORS.get(node.op)
    if record is None or record.fold is None or any(a.dtype == object for a in inputs) or _spreads(inputs):
        return None
    try:
        with np.errstate(all="ignore"):
            result = record.fold(node, inputs)
    except (ValueError, IndexError, TypeError, ZeroDivisionError, OverflowError):
        return None
    return result if isinstance(result, list) else [np.asarray(result)]
