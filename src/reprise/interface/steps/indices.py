"""Numbers that belong to positions in time: `x + positions[:T]` is not the same for T steps as for one step T times."""

from __future__ import annotations

from collections.abc import Callable

from reprise.graph import Node, Value
from reprise.interface.analysis.influence import ORDERINGS
from reprise.interface.analysis.settings import RANDOM
from reprise.interface.steps.axes import Axes
from reprise.operators import Tag, named

_REPEATING = named(Tag.REPEATING)


def differ(axes: Axes, value: Value, is_sequence: Callable[[str], bool]) -> bool:
    """Whether `value` is made of fixed numbers that are not one row over and over along the axis of time.

    `is_sequence` tells of a node whether it is made of the steps of an input.
    """
    pending, seen = [axes.structure.result(value)], set[Value]()
    while pending:
        at = pending.pop()
        node = axes.structure.graph[at.node]
        if at in seen or _is_repeated(axes, node):
            continue
        if is_sequence(at.node):
            return False
        seen.add(at)
        timed = [axes.structure.result(v) for v in node.inputs if axes.timed(v)]
        if not timed:
            return True
        pending.extend(timed)
    return False


def _is_repeated(axes: Axes, node: Node) -> bool:
    """Whether a node makes rows that are all alike, or that tell only which rows of the batch have ended."""
    if node.op in ORDERINGS:
        return all(axes.facts.content(v) is None for v in node.inputs)
    if node.constant is not None:
        content = node.constant.load()
        return content.size == 0 or bool((content == content.flat[0]).all())
    return node.op in _REPEATING or node.op in RANDOM
