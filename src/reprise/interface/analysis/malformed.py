"""Nodes that are not what their operator must be: a changed byte may still be a readable graph."""

from __future__ import annotations

from reprise.errors import DiscoveryError
from reprise.graph import Graph, Node

#: What reading a node's inputs and attributes raises when they are not those of its operator.
FAULTS = (LookupError, AttributeError, TypeError, ValueError, ArithmeticError, RecursionError)

#: How many inputs the operators of control flow have, at least.
_INPUTS = {
    **dict.fromkeys(("Switch", "Merge"), 2),
    **dict.fromkeys(("Enter", "Exit", "NextIteration", "LoopCond", "Identity"), 1),
    **dict.fromkeys(("TensorArrayReadV3", "TensorArrayGatherV3", "TensorListGetItem", "TensorListSetItem"), 3),
    **dict.fromkeys(("TensorArrayWriteV3", "TensorArrayScatterV3"), 4),
}


def refusal(node: Node, fault: Exception) -> DiscoveryError:
    """The error for a node whose inputs or attributes are not those of its operator."""
    return DiscoveryError(
        f"operator {node.op!r} (node {node.name!r}) is not written as TensorFlow writes it "
        f"({type(fault).__name__}: {fault}); the file is damaged, or changed by a program that Reprise does not know"
    )


def check(graph: Graph) -> None:
    """Holds that every input exists and that control flow has its inputs, on which the analysis of loops relies.

    Raises:
        DiscoveryError: A node reads what is not there.
    """
    for node in graph:
        missing = next((v for v in node.inputs if v.node not in graph), None)
        if missing is not None:
            raise DiscoveryError(
                f"node {node.name!r} ({node.op}) reads {missing}, which is not in the graph; the file is cut or changed"
            )
        if len(node.inputs) < _INPUTS.get(node.op, 0):
            raise DiscoveryError(
                f"node {node.name!r}: {node.op} has {len(node.inputs)} inputs where it needs {_INPUTS[node.op]}; "
                "the file is changed"
            )
