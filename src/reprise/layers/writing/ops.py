"""Nodes of one layer under construction, outside of loops and inside of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from reprise.frame import Frame, Scope
from reprise.graph import Node, ShapeAttribute, Value
from reprise.tensors import DTYPES, Shape, Tensor, in_memory


@dataclass(frozen=True, slots=True)
class TypedValue:
    """A value of the graph with what is known of it: its sizes, None where free, and its element type."""

    value: Value
    shape: Shape
    dtype: str

    @property
    def rank(self) -> int:
        """The number of its axes."""
        return len(self.shape)


class Ops(Protocol):
    """Where operators are written: outside of all loops, or in the body of one."""

    @property
    def dtype(self) -> str:
        """The element type of the numbers that are computed with."""

    def op(self, op: str, *inputs: Value, **attributes: Any) -> Value:
        """Adds an operator; gives its first output. Its attribute `T` is `dtype` where none is given."""

    def number(self, value: Any, dtype: str = "") -> Value:
        """A constant of the type `dtype`, or of that of the numbers."""


class Variables:
    """The weights of a graph under construction, each tensor once however many layers share it.

    Attributes:
        tensors: Variable node → its tensor.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._values: dict[int, Value] = {}
        self.tensors: dict[str, Tensor] = {}

    def value(self, name: str, tensor: Tensor) -> Value:
        """The variable that holds `tensor`, of this name unless it is there already."""
        found = self._values.get(id(tensor))
        if found is None:
            attributes = {"dtype": tensor.dtype, "shape": ShapeAttribute(tensor.shape)}
            found = self._scope.add(Node(name, "VariableV2", (), (), attributes))
            self._values[id(tensor)] = found
            self.tensors[name] = tensor  # kept, so that no other tensor gets its id
        return found


class Outside:
    """Operators of a layer outside of all loops; its nodes are called `layer/operator`."""

    def __init__(self, scope: Scope, variables: Variables, dtype: str) -> None:
        self.scope, self._variables, self.dtype = scope, variables, dtype

    def op(self, op: str, *inputs: Value, **attributes: Any) -> Value:
        """Adds an operator; gives its first output."""
        return self.scope.make(_unused(self.scope, op), op, inputs, **{"T": self.dtype, **attributes})

    def number(self, value: Any, dtype: str = "") -> Value:
        """A constant."""
        return self.scope.array(_unused(self.scope, "constant"), np.asarray(value, DTYPES[dtype or self.dtype]))

    def whole(self, value: int | Sequence[Any]) -> Value:
        """An int32 constant, such as an axis or sizes."""
        return self.number(value, "int32")

    def weight(self, name: str, tensor: Tensor) -> Value:
        """A weight of the layer, in the type of the numbers."""
        found = self._variables.value(f"{self.scope.name}/{name}", tensor)
        return found if tensor.dtype == self.dtype else self.op("Cast", found, SrcT=tensor.dtype, DstT=self.dtype)

    def transposed(self, value: Value, axes: Sequence[int], dtype: str = "") -> Value:
        """The axes in another order."""
        return self.op("Transpose", value, self.whole(axes), T=dtype or self.dtype, Tperm="int32")

    def reshaped(self, value: Value, sizes: Sequence[int], dtype: str = "") -> Value:
        """Other sizes, of which one may be -1."""
        return self.op("Reshape", value, self.whole(sizes), T=dtype or self.dtype, Tshape="int32")

    def size(self, value: Value, axis: int) -> Value:
        """One size, an int32 scalar."""
        shape = self.op("Shape", value, out_type="int32")
        bounds = (self.whole([axis]), self.whole([axis + 1]), self.whole([1]))
        return self.op("StridedSlice", shape, *bounds, shrink_axis_mask=1, T="int32", Index="int32")

    def cast(self, output: TypedValue) -> Value:
        """A value in the type of the numbers."""
        if output.dtype == self.dtype:
            return output.value
        return self.op("Cast", output.value, SrcT=output.dtype, DstT=self.dtype)


class Inside:
    """Operators of a step, in the body of a loop."""

    def __init__(self, frame: Frame, prefix: str, dtype: str) -> None:
        self._frame, self._prefix, self.dtype = frame, prefix, dtype

    def op(self, op: str, *inputs: Value, **attributes: Any) -> Value:
        """Adds an operator to the body; gives its first output."""
        name = _unused(self._frame, f"{self._prefix}/{op}")
        return self._frame.make(name, op, inputs, **{"T": self.dtype, **attributes})

    def number(self, value: Any, dtype: str = "") -> Value:
        """A constant, from outside the loop."""
        content = in_memory(np.asarray(value, DTYPES[dtype or self.dtype]))
        name = _unused(self._frame, f"{self._prefix}/constant")
        return self._frame.constant(self._frame.make(name, "Const", dtype=content.dtype, value=content))

    def constant(self, value: Value) -> Value:
        """A value from outside, as the body sees it."""
        return self._frame.constant(value)


def _unused(scope: Scope, name: str) -> str:
    return next(n for n in _numbered(name) if f"{scope.name}/{n}" not in scope.nodes)


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 1
    while True:
        yield f"{name}_{number}"
        number += 1
