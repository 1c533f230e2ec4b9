"""Attributes of operators: declared once in a record, with kind and default, and read through the declaration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Generic, TypeVar

from reprise.graph import Node
from reprise.tensors import Tensor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Attribute(Generic[T]):
    """An attribute.

    Called with a node, it gives the value that the node has, and raises `DiscoveryError` where that is of another kind,
    or absent without a default.

    Attributes:
        name: Its name in the node.
        default: What holds where a node does not have it, as TensorFlow gives it; None where every node must.
        expected: What it is, in words.
        kind: The type of its value, or of each element of a list.
    """

    name: str
    default: T | None = None
    expected: ClassVar[str]
    kind: ClassVar[type]
    is_list: ClassVar[bool] = False
    _read: ClassVar[Callable[..., Any]]

    def __call__(self, node: Node) -> T:
        """The value that `node` has."""
        found: T = self._read(node, self.name, self.default)
        return found

    def fits(self, value: Any) -> bool:
        """Whether a value is of this kind."""
        if not self.is_list:
            return isinstance(value, self.kind)
        return isinstance(value, tuple) and all(isinstance(one, self.kind) for one in value)


class Integer(Attribute[int]):
    """A whole number."""

    expected, kind, _read = "a whole number", Integral, staticmethod(Node.integer)


class Integers(Attribute[tuple[int, ...]]):
    """A list of whole numbers."""

    expected, kind, is_list, _read = "a list of whole numbers", Integral, True, staticmethod(Node.integers)


class Number(Attribute[float]):
    """A number."""

    expected, kind, _read = "a number", Real, staticmethod(Node.number)


class Numbers(Attribute[tuple[float, ...]]):
    """A list of numbers."""

    expected, kind, is_list, _read = "a list of numbers", Real, True, staticmethod(Node.numbers)


@dataclass(frozen=True, slots=True)
class Flag(Attribute[bool]):
    """A flag."""

    default: bool = False
    expected, kind = "true or false", Integral

    def __call__(self, node: Node) -> bool:
        """The value that `node` has."""
        return node.flag(self.name, default=self.default)


class Text(Attribute[str]):
    """A text, which the file holds as bytes."""

    expected, kind, _read = "text", bytes, staticmethod(Node.text)


class ElementType(Attribute[str]):
    """An element type."""

    expected, kind, _read = "an element type", str, staticmethod(Node.dtype)


class Constant(Attribute[Tensor]):
    """A tensor."""

    expected, kind = "a tensor", Tensor

    def __call__(self, node: Node) -> Tensor:
        """The value that `node` has."""
        return node.tensor(self.name)
