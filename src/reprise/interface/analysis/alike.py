"""What two nodes must share that compute the same."""

from __future__ import annotations

from typing import Any

from reprise.graph import Node

_SEEDS = frozenset(("seed", "seed2"))


def comparable_attributes(node: Node) -> dict[str, Any]:
    """What must agree between two steps: not the seeds, nor what TensorFlow notes for itself."""
    return {k: v for k, v in node.attributes.items() if not k.startswith("_") and k not in _SEEDS}


def same_operation(one: Node, two: Node) -> bool:
    """Whether two nodes do the same to as many inputs."""
    same = one.op == two.op and len(one.inputs) == len(two.inputs)
    return same and comparable_attributes(one) == comparable_attributes(two)
