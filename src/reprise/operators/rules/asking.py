"""What an operator asks of the shape of an input: the way back, where the shape rule goes forward.

A rule is given what is asked of the results and what is known of the other inputs. It answers None where the operator
takes any number of axes, and None for a size that may be any.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from reprise.graph import Node

Sizes = tuple[int | None, ...]


class Asking(ABC):
    """One input of a node that is asked about.

    Attributes:
        node: The node.
        index: Which of its inputs.
    """

    def __init__(self, node: Node, index: int) -> None:
        self.node, self.index = node, index

    @abstractmethod
    def result(self, output: int | None = None) -> Sizes | None:
        """What is asked of an output of the node; of all of them together where none is named."""

    @abstractmethod
    def shape(self, index: int) -> Sizes | None:
        """What is known of the shape of another input."""

    @abstractmethod
    def numbers(self, index: int) -> list[int] | None:
        """The numbers of another input, where the file knows them."""

    @abstractmethod
    def layout(self, index: int) -> Sizes | None:
        """The shape that another input holds, where an operator that lays out anew may ask for what it gives."""

    @abstractmethod
    def readers(self) -> list[Node]:
        """The nodes that read a result."""

    @abstractmethod
    def producer(self, index: int) -> Node:
        """The node that makes another input, seen through those that pass it on or add a constant."""


AskRule = Callable[[Asking], Sizes | None]


def as_result(asking: Asking) -> Sizes | None:
    """The rule of an operator whose results have the shape of its first input."""
    return asking.result() if asking.index == 0 else None


def of_ranks(*ranks: int) -> AskRule:
    """The rule of an operator whose first inputs have so many axes."""

    def rule(asking: Asking) -> Sizes | None:
        return (None,) * ranks[asking.index] if asking.index < len(ranks) and ranks[asking.index] else None

    return rule


def of_as_many_axes_as(index: int) -> AskRule:
    """The rule of an operator whose first input has as many axes as another one has rows."""

    def rule(asking: Asking) -> Sizes | None:
        rows = asking.shape(index)
        return None if asking.index or not rows or rows[0] is None else (None,) * rows[0]

    return rule


def both(first: Sizes | None, second: Sizes | None) -> Sizes | None:
    """What two ask for together; the first where they contradict each other."""
    if first is None or second is None or len(first) != len(second):
        return second if first is None else first
    return tuple(b if a is None else a for a, b in zip(first, second, strict=True))


def without(sizes: Sequence[int | None] | None, axis: int) -> Sizes | None:
    """The sizes of the other axes."""
    if sizes is None or not -len(sizes) <= axis < len(sizes):
        return None
    axis %= len(sizes)
    return (*sizes[:axis], *sizes[axis + 1 :])


def inserted(sizes: Sequence[int | None] | None, axis: int, size: int | None) -> Sizes | None:
    """The sizes with one axis more, which becomes the one at `axis`."""
    if sizes is None or not -len(sizes) - 1 <= axis <= len(sizes):
        return None
    axis %= len(sizes) + 1
    return (*sizes[:axis], size, *sizes[axis:])
