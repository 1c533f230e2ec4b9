"""The table of ATen's operators, each with its translation to ONNX; types and sizes.

Source: aten/src/ATen/native/native_functions.yaml (2.13).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from reprise.formats._torch.aten import (
    activations,
    arithmetic,
    convolution,
    filling,
    indexing,
    layers,
    layout,
    recurrent,
    reductions,
)
from reprise.formats._torch.aten.arithmetic import cast
from reprise.formats._torch.aten.values import AtenTensor, Builder, Size


def to(b: Builder, self: AtenTensor, *how: Any, **options: Any) -> AtenTensor:
    """`Tensor.to` of a device, a type or another tensor."""
    for target in (*how, options.get("dtype")):
        if isinstance(target, AtenTensor):
            return as_type(target.dtype, b, self)
        if isinstance(target, int) and not isinstance(target, bool):
            return as_type(layout.dtype_of(target), b, self)
    return self


def as_type(dtype: str, b: Builder, self: AtenTensor) -> AtenTensor:
    """A copy of another type, or the tensor itself; PyTorch may also copy where single precision stands for both."""
    return unchanged_or_copied(b, self) if self.dtype == dtype else cast(b, self, dtype)


def type_as(b: Builder, self: AtenTensor, other: AtenTensor) -> AtenTensor:
    return as_type(other.dtype, b, self)


def one_size(b: Builder, self: AtenTensor, dim: int | None = None) -> Any:
    sizes: list[Size] = list(layout.sizes_of(self))
    return sizes if dim is None else sizes[self.axis(dim)]


def unchanged(b: Builder, self: AtenTensor, *how: Any, **options: Any) -> AtenTensor:
    return self


def unchanged_or_copied(b: Builder, self: AtenTensor, *how: Any, **options: Any) -> AtenTensor:
    """The tensor itself or a copy, by how it lies in memory: its numbers are read, and a change parts the two."""
    return replace(self, name=b.read(self), base=self, seen=self.name, write_back=None, apart=True)


def clone(b: Builder, self: AtenTensor, *how: Any, **options: Any) -> AtenTensor:
    return AtenTensor(b.read(self), self.dtype, self.sizes, loose=self.loose)


def copy(b: Builder, self: AtenTensor, src: AtenTensor, non_blocking: bool = False) -> AtenTensor:
    """Numbers of one tensor in the shape and type of another."""
    return layout.spread(b, cast(b, src, self.dtype), self)


#: Operator without its namespace → its translation. A name that ends in an underscore is the same in place.
OPERATORS: Mapping[str, Callable[..., Any]] = {
    **arithmetic.OPERATORS,
    **activations.OPERATORS,
    **reductions.OPERATORS,
    **indexing.OPERATORS,
    **layers.OPERATORS,
    **convolution.OPERATORS,
    **recurrent.OPERATORS,
    **layout.OPERATORS,
    **filling.OPERATORS,
    "to": to,
    "_to_copy": to,
    "float": partial(as_type, "float32"),
    "double": partial(as_type, "float32"),
    "half": partial(as_type, "float32"),
    "long": partial(as_type, "int64"),
    "int": partial(as_type, "int32"),
    "bool": partial(as_type, "bool"),
    "type_as": type_as,
    "size": one_size,
    "sym_size": one_size,
    "clone": clone,
    "copy": copy,
    "contiguous": unchanged_or_copied,
    "lift_fresh_copy": clone,
    "detach": unchanged,
    "alias": unchanged,
    "cpu": unchanged,
    "cuda": unchanged,
    "requires_grad": unchanged,
}
