"""ATen's operators that take numbers from places, and put them into another order, as ONNX.

Sources: aten/src/ATen/native/native_functions.yaml (2.13), the ONNX operator documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from reprise.formats._torch.aten import layout
from reprise.formats._torch.aten.layers import index as ids
from reprise.formats._torch.aten.values import AtenTensor, Builder, RefusedError, known_number

#: Before the first number, for a slice that goes back.
_BEFORE_FIRST = -(2**63) + 1


def index(b: Builder, self: AtenTensor, indices: Sequence[AtenTensor | None]) -> AtenTensor:
    """Rows of one axis by their numbers, as `x[:, rows]` takes them."""
    chosen = [(k, rows) for k, rows in enumerate(indices) if rows is not None]
    if len(chosen) != 1 or chosen[0][0] >= self.rank:
        raise RefusedError("numbers taken by several tensors of places")
    ((axis, rows),) = chosen
    if rows.dtype in ("bool", "uint8"):
        raise RefusedError("numbers chosen by truth values, as many as there are")
    sizes = (*self.sizes[:axis], *rows.sizes, *self.sizes[axis + 1 :])
    return b.node("Gather", [self, ids(rows)], self.dtype, sizes, axis=axis)


def index_select(b: Builder, self: AtenTensor, dim: int, index_: AtenTensor) -> AtenTensor:
    if index_.rank != 1:
        raise RefusedError("index_select by a tensor of other than one axis")
    return index(b, self, [*([None] * self.axis(dim)), index_])


def gather(b: Builder, self: AtenTensor, dim: int, index: AtenTensor, sparse_grad: bool = False) -> AtenTensor:
    if index.rank != self.rank:
        raise RefusedError(f"gather of {self.rank} axes by {index.rank}")
    return b.node("GatherElements", [self, ids(index)], self.dtype, index.sizes, axis=self.axis(dim))


def one_hot(b: Builder, self: AtenTensor, num_classes: Any = -1) -> AtenTensor:
    count = known_number(num_classes)
    if not isinstance(count, int) or count < 1:
        raise RefusedError("one_hot of as many classes as there are ids")
    levels = b.constant(np.asarray([0, 1]), "int64")
    return b.node("OneHot", [ids(self), b.ints([count]), levels], "int64", (*self.sizes, count), axis=-1)


def roll(b: Builder, self: AtenTensor, shifts: Any, dims: Any = ()) -> AtenTensor:
    """Numbers moved along axes; what leaves one end enters at the other."""
    moved, axes = ([n] if isinstance(n, int) else list(n) for n in (shifts, dims))
    if len(moved) != len(axes) or not axes:
        raise RefusedError("a roll of all numbers, or along fewer axes than it has shifts")
    result = self
    for shift, axis in zip(moved, axes, strict=True):
        result = _rolled(b, result, known_number(shift), self.axis(axis))
    return result


def _rolled(b: Builder, value: AtenTensor, shift: Any, axis: int) -> AtenTensor:
    size = known_number(value.sizes[axis])
    if isinstance(size, int) and isinstance(shift, int):
        shift %= max(size, 1)
    elif shift not in (1, -1):
        raise RefusedError("a roll by more than one along an axis whose size is free")
    if shift == 0:
        return value
    ends = [_part(b, value, axis, -shift, layout.LAST), _part(b, value, axis, 0, -shift)]
    return b.node("Concat", ends, value.dtype, value.sizes, axis=axis)


def _part(b: Builder, value: AtenTensor, axis: int, begin: int, end: int) -> str:
    return b.emit("Slice", [b.read(value), b.ints([begin]), b.ints([end]), b.ints([axis])])[0]


def flip(b: Builder, self: AtenTensor, dims: Sequence[int]) -> AtenTensor:
    result = self
    for axis in map(self.axis, dims):
        ints = [b.ints([n]) for n in (-1, _BEFORE_FIRST, axis, -1)]
        result = b.node("Slice", [result, *ints], self.dtype, self.sizes)
    return result


OPERATORS: Mapping[str, Callable[..., Any]] = {
    "index": index,
    "index_select": index_select,
    "gather": gather,
    "one_hot": one_hot,
    "roll": roll,
    "flip": flip,
}
