"""ATen's operators that compute one number of many, along axes, as ONNX.

Sources: aten/src/ATen/native/native_functions.yaml (2.13), the ONNX operator documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from reprise.formats._torch.aten import layout
from reprise.formats._torch.aten.arithmetic import binary, cast
from reprise.formats._torch.aten.values import Builder, RefusedError, Value


def sum_(b: Builder, self: Value, dim: Any = None, keepdim: bool = False, dtype: int | None = None) -> Value:
    kind = layout.dtype_of(dtype, "float32" if self.dtype == "float32" else "int64")
    return _reduced("ReduceSum", b, cast(b, self, kind), dim, keepdim)


def mean(b: Builder, self: Value, dim: Any = None, keepdim: bool = False, dtype: int | None = None) -> Value:
    return _reduced("ReduceMean", b, cast(b, self, layout.dtype_of(dtype, self.dtype)), dim, keepdim)


def reduced(op: str, b: Builder, self: Value, dim: Any = None, keepdim: bool = False) -> Value:
    return _reduced(op, b, self, dim, keepdim)


def _reduced(op: str, b: Builder, self: Value, dim: Any, keepdim: bool) -> Value:
    axes = [*range(self.rank)] if dim is None or dim == [] else [self.axis(k) for k in _listed(dim)]
    sizes = [1 if k in axes else n for k, n in enumerate(self.sizes) if keepdim or k not in axes]
    if op == "ReduceSum":
        return b.node(op, [self, b.ints(axes)], self.dtype, sizes, keepdims=int(keepdim))
    return b.node(op, [self], self.dtype, sizes, axes=axes, keepdims=int(keepdim))


def _listed(dim: Any) -> list[int]:
    return list(dim) if isinstance(dim, (list, tuple)) else [dim]


def extreme(op: str, b: Builder, self: Any, other: Any = None, keepdim: bool = False) -> Any:
    """`max` and `min`: of two tensors, of all numbers, or along an axis with the places."""
    if isinstance(other, Value):
        return binary(op, b, self, other)
    if other is None:
        return _reduced(f"Reduce{op}", b, self, None, False)
    places = argument(f"Arg{op}", b, self, other, keepdim)
    return _reduced(f"Reduce{op}", b, self, other, keepdim), places


def argument(op: str, b: Builder, self: Value, dim: int | None = None, keepdim: bool = False) -> Value:
    if dim is None:
        raise RefusedError("the place of the largest of all numbers")
    axis = self.axis(dim)
    sizes = [1 if k == axis else n for k, n in enumerate(self.sizes) if keepdim or k != axis]
    return b.node(op, [self], "int64", sizes, axis=axis, keepdims=int(keepdim))


OPERATORS: Mapping[str, Callable[..., Any]] = {
    "max": partial(extreme, "Max"),
    "min": partial(extreme, "Min"),
    "argmax": partial(argument, "ArgMax"),
    "argmin": partial(argument, "ArgMin"),
    "sum": sum_,
    "mean": mean,
    "amax": partial(reduced, "ReduceMax"),
    "amin": partial(reduced, "ReduceMin"),
}
