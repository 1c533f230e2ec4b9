"""What the ONNX rule of an operator works with: a node, the ONNX nodes around it, and what is known of its inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from reprise.errors import LiftError
from reprise.graph import Node, Value
from reprise.operators.rules.block import Block, Names, computed_type
from reprise.operators.rules.shapes import Dims, Shapes
from reprise.operators.rules.sizes import Dim
from reprise.structure import Structure
from reprise.tensors import Array


class Emission(Protocol):
    """One source graph on its way into one ONNX model."""

    @property
    def structure(self) -> Structure:
        """The source."""

    @property
    def facts(self) -> Shapes:
        """What is known of its values."""

    @property
    def names(self) -> Names:
        """Names and constants of the model."""

    def name(self, value: Value, block: Block) -> str:
        """The ONNX name of `value`, emitting what it needs first."""

    def known(self, value: Value) -> Array | None:
        """The numbers of `value` where they follow from the graph alone."""

    def numbers(self, value: Value) -> Array | None:
        """The numbers of `value` where they follow from the graph and the stored weights."""

    def size(self, size: Dim, block: Block) -> str | None:
        """A free size as an int64 vector of one element, read from the inputs; None where it is not one of theirs."""

    def variable(self, node: Node) -> str:
        """The initializer of a variable node."""

    def loop(self, site: Site) -> None:
        """Emits the loop that an Exit leaves, and names its final values."""

    def refusal(self, node: Node, why: str = "") -> LiftError:
        """The error for a node that has no translation."""


@dataclass(frozen=True, slots=True)
class Site:
    """One source node, and the block that it is emitted into: what an operator's function works with."""

    emitter: Emission
    node: Node
    block: Block

    def refusal(self, why: str = "") -> LiftError:
        """The error for a node that has no translation."""
        return self.emitter.refusal(self.node, why)

    def input(self, index: int) -> str:
        """The ONNX name of an input."""
        return self.emitter.name(self.node.inputs[index], self.block)

    def inputs(self) -> list[str]:
        """The ONNX names of all inputs."""
        return [self.emitter.name(v, self.block) for v in self.node.inputs]

    def known(self, index: int) -> Array | None:
        """The numbers of an input where they follow from the file."""
        return self.emitter.known(self.node.inputs[index])

    def must_know(self, index: int, what: str) -> Array:
        """The numbers of an input.

        Raises:
            LiftError: They are computed at run time.
        """
        numbers = self.known(index)
        if numbers is None:
            raise self.refusal(f"computes its {what} at run time, which has no translation")
        return numbers

    def shape(self, index: int) -> Dims | None:
        """The sizes of an input, as far as they are known."""
        return self.emitter.facts.shape(self.node.inputs[index])

    def result_shape(self) -> Dims | None:
        """The sizes of the first output, as far as they are known."""
        return self.emitter.facts.shape(Value(self.node.name))

    def rank(self, index: int) -> int:
        """The number of axes of an input.

        Raises:
            LiftError: It is not known.
        """
        shape = self.shape(index)
        if shape is None:
            raise self.refusal(f"reads {self.node.inputs[index]}, whose rank is not known")
        return len(shape)

    def axis(self, index: int, of: int, extra: int = 0) -> int:
        """A known axis, counted from the front."""
        axis = int(self.must_know(index, "axis").ravel()[0])
        return axis + self.rank(of) + extra if axis < 0 else axis

    def one(self, op: str, *inputs: str, **attributes: object) -> str:
        """Emits an ONNX node of one output, named after the source node."""
        return self.block.one(op, *inputs, hint=self.node.name, **attributes)

    def constant(self, array: object, dtype: str | None = None) -> str:
        """A constant."""
        return self.block.names.constant(np.asarray(array, dtype))

    def dtype(self, index: int = 0) -> str:
        """The element type of an input."""
        return self.emitter.facts.dtype(self.node.inputs[index])

    def int64(self, index: int) -> str:
        """An input as int64, in which ONNX wants sizes."""
        known = self.known(index)
        if known is not None:
            return self.constant(known, "int64")
        name = self.input(index)
        return name if self.dtype(index) == "int64" else self.block.one("Cast", name, to=7)


#: Emits a node; gives the ONNX name of each output (None for outputs that have no translation).
OnnxRule = Callable[[Site], tuple[str | None, ...] | str]


def same(op: str, **attributes: object) -> OnnxRule:
    """An operator of equal meaning in ONNX."""
    return lambda site: site.one(op, *site.inputs(), **attributes)


def number(site: Site, value: float) -> str:
    """A constant of the type in which the operator computes."""
    return site.constant(value, computed_type(site.dtype()))


def is_real(site: Site) -> bool:
    """Whether the operator computes with real numbers."""
    return computed_type(site.dtype()).startswith("float")


def first_input(site: Site) -> str:
    """Nothing is emitted: the value is the first input."""
    return site.input(0)
