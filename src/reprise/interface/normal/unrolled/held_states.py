"""What states of a step are kept in, or begin with: variables that the step sets to what it computes, and zeros."""

from __future__ import annotations

from collections.abc import Mapping

from reprise.graph import VARIABLES, Node, Value
from reprise.interface.analysis.gradients import gradient_seeds
from reprise.interface.analysis.influence import ancestors
from reprise.operators.types import FLOATS
from reprise.structure import Structure

ASSIGNMENTS = ("Assign", "AssignVariableOp")
#: Zeros of a batch of states are looked at up to this many.
_LARGEST = 1 << 20


def set_by_a_step(structure: Structure) -> Mapping[Value, Value]:
    """Variable → what it is set to, computed from it and from what is read, where that is no step of a gradient."""
    found = {}
    for node in structure.graph:
        if node.op not in ASSIGNMENTS or len(node.inputs) < 2:
            continue
        held, value = structure.origin(node.inputs[0]), structure.source(node.inputs[1])
        kept = structure.graph.nodes.get(held.node)
        if kept is None or kept.op not in VARIABLES:
            continue
        above = ancestors(structure, [value])
        read = any(structure.graph.nodes[n].op.startswith("Placeholder") for n in above)
        if read and held.node in above and above.isdisjoint(gradient_seeds(structure)):
            found[held] = value
    return found


def is_blank(structure: Structure, node: Node) -> bool:
    """Whether a node is zeros, as many as a batch of states may have."""
    if node.op == "Fill":
        return structure.number(node.inputs[1]) == 0
    tensor = node.constant if node.op == "Const" else None
    small = tensor is not None and len(tensor.shape) > 1 and tensor.dtype in FLOATS and 1 < tensor.size <= _LARGEST
    return tensor is not None and small and not tensor.load().any()
