"""Nodes that are not what their operator must be: a changed byte may still be a readable graph."""

from __future__ import annotations

from reprise.errors import DiscoveryError
from reprise.graph import Node

#: What reading a node's inputs and attributes raises when they are not those of its operator.
FAULTS = (LookupError, AttributeError, TypeError, ValueError, ArithmeticError, RecursionError)


def refusal(node: Node, fault: Exception) -> DiscoveryError:
    """The error for a node whose inputs or attributes are not those of its operator."""
    return DiscoveryError(
        f"operator {node.op!r} (node {node.name!r}) is not written as TensorFlow writes it "
        f"({type(fault).__name__}: {fault}); the file is damaged, or changed by a program that Reprise does not know"
    )
