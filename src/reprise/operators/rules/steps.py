"""What the steps rule of an operator works with: which axes are time, and how the inputs of a node depend on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from reprise.graph import Node, Value
from reprise.operators.rules.shapes import Shapes
from reprise.operators.rules.sizes import Dim


class Kind(NamedTuple):
    """How a value depends on time; `why` says what mixes steps."""

    name: str
    why: str = ""


#: No step reaches it; it tells how many steps there are; step t of it is computed from step t; what the last step left.
STILL, COUNT, STEPS, END = Kind("still"), Kind("count"), Kind("steps"), Kind("end")


class TimeAxes(Protocol):
    """Which axes of a graph's values are time."""

    @property
    def facts(self) -> Shapes:
        """The shapes."""

    def timed(self, value: Value) -> list[int]:
        """The axes of `value` that hold time."""

    def holds_time(self, size: Dim) -> bool:
        """Whether the steps of a sequence are among what a size counts."""

    def is_partition(self, value: Value) -> bool:
        """Whether `value` is rows that DynamicPartition sorted, to be put back in order."""

    def operators_behind(self, values: Sequence[Value]) -> set[str]:
        """The operators that `values` are computed with."""


#: The kind of a node's result from the kinds of all its inputs, some of which are rows of steps.
StepsRule = Callable[[TimeAxes, Node, list[Kind]], Kind]


def mixed(node: Node) -> Kind:
    """The kind of what is computed with several steps at once."""
    return Kind("mixed", f"{node.op} {node.name!r} computes with several steps at once")


def has_time(axes: TimeAxes, value: Value) -> bool:
    """Whether an axis of `value` holds time."""
    return bool(axes.timed(value))


def passes(axes: TimeAxes, node: Node, above: list[Kind]) -> Kind:
    """The steps of what is handed on as it is."""
    return STEPS


def keeps(axes: TimeAxes, node: Node, above: list[Kind]) -> Kind:
    """Steps stay apart where an axis of the result is still time."""
    result = Value(node.name)
    return STEPS if has_time(axes, result) or axes.is_partition(result) else mixed(node)


def mixes(axes: TimeAxes, node: Node, above: list[Kind]) -> Kind:
    """What is not known to keep steps apart mixes them."""
    return mixed(node)
