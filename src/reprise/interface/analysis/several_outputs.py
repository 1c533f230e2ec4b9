"""The outputs of operators that give several of equal standing: parts of a split or unstacked value, a ranking."""

from __future__ import annotations

from reprise.errors import DiscoveryError
from reprise.graph import Node, Value
from reprise.interface.analysis.influence import RANKING

#: Operator → the attribute that says how many outputs it has.
COUNTS = {"Split": "num_split", "SplitV": "num_split", "Unpack": "num"}
_MOST = 1 << 20


def parallel_outputs(node: Node) -> list[Value]:
    """The outputs of an operator that stand beside each other, none for any other operator."""
    if node.op in RANKING:
        return [Value(node.name), Value(node.name, 1)]
    count = node.integer(COUNTS[node.op]) if node.op in COUNTS else 0
    if count > _MOST:
        raise DiscoveryError(f"operator {node.op!r} (node {node.name!r}): {count} outputs, more than any model has")
    return [Value(node.name, k) for k in range(count)]


def divided_input(node: Node) -> Value:
    """What such an operator takes apart."""
    return node.inputs[1 if node.op == "Split" else 0]
