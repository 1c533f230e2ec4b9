"""Inputs that join the model behind its recurrence: a mask over the steps, noise on the output, features of a row.

A target is joined with what the recurrence makes, too. But from there the way leads into a cost, which has no weights
of its own; what a layer with stored weights reads is still a part of the model.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from reprise.graph import Node, Value
from reprise.interface.analysis.gradients import forward_part, gradient_seeds
from reprise.interface.analysis.influence import Influence, descendants
from reprise.operators import Tag, named
from reprise.structure import Structure

_LAYERS = named(Tag.PRODUCT, Tag.CONVOLUTION)
_STORED = named(Tag.VARIABLE) | {"Const"}
_READS = named(Tag.LAYOUT) | {"Identity", "ReadVariableOp", "Cast"}


def conditions(
    structure: Structure, reached: Influence, from_sources: Influence, losses: Collection[str]
) -> frozenset[Value]:
    """The sources that layers with weights read together with what the recurrences make.

    `reached` tells what the recurrences make, `from_sources` what the sources do; `losses` are nodes where a loss
    begins. What depends on a loss or on the beginning of a gradient is no layer of the model.
    """
    trained = descendants(
        structure, {*losses, *(gradient_seeds(structure) - forward_part(structure, reached.seeds, losses))}
    )
    mask = 0
    for node in structure.graph:
        if node.op in _LAYERS and node.name not in trained and not structure.context(Value(node.name)):
            mask |= _joined(structure, node, reached, from_sources)
    return frozenset(s for i, s in enumerate(from_sources.seeds) if mask >> i & 1)


def _joined(structure: Structure, layer: Node, reached: Influence, from_sources: Influence) -> int:
    """The sources that meet a recurrence in the input of `layer`, as bits; none where no operand is stored weights."""
    one, other = layer.inputs[:2]
    if _is_weights(structure, one):
        one, other = other, one
    if not _is_weights(structure, other) or not reached.mask(one):
        return 0
    return from_sources.mask(one)


def _is_weights(structure: Structure, value: Value) -> bool:
    node = structure.graph.producer(structure.graph.through(value, _READS))
    return node.op in _STORED and not _is_even(node)


def _is_even(node: Node) -> bool:
    """Whether a constant holds one number only, as the ones by which a cost is summed."""
    tensor = node.constant
    return tensor is not None and bool(tensor.size) and not np.ptp(tensor.load())
