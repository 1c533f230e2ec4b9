"""ATen's operators that compute one number of many, along axes, as ONNX.

Sources: aten/src/ATen/native/native_functions.yaml (2.13), the ONNX operator documentation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from reprise.formats._torch.aten import layout
from reprise.formats._torch.aten.arithmetic import binary, cast, clamp, div, mul, square, sub, unary
from reprise.formats._torch.aten.values import AtenTensor, Builder, RefusedError, known_number, product

#: A correction that a call does not have, where None stands for the usual one.
_UNSAID = object()


def sum_(b: Builder, self: AtenTensor, dim: Any = None, keepdim: bool = False, dtype: int | None = None) -> AtenTensor:
    kind = layout.dtype_of(dtype, "float32" if self.dtype == "float32" else "int64")
    return _reduced("ReduceSum", b, cast(b, self, kind), dim, keepdim)


def mean(b: Builder, self: AtenTensor, dim: Any = None, keepdim: bool = False, dtype: int | None = None) -> AtenTensor:
    return _reduced("ReduceMean", b, cast(b, self, layout.dtype_of(dtype, self.dtype)), dim, keepdim)


def reduced(op: str, b: Builder, self: AtenTensor, dim: Any = None, keepdim: bool = False) -> AtenTensor:
    return _reduced(op, b, self, dim, keepdim)


def _reduced(op: str, b: Builder, self: AtenTensor, dim: Any, keepdim: bool) -> AtenTensor:
    axes = [*range(self.rank)] if dim is None or dim == [] else [self.axis(k) for k in _listed(dim)]
    sizes = [1 if k in axes else n for k, n in enumerate(self.sizes) if keepdim or k not in axes]
    if op == "ReduceSum":
        return b.node(op, [self, b.ints(axes)], self.dtype, sizes, keepdims=int(keepdim))
    return b.node(op, [self], self.dtype, sizes, axes=axes, keepdims=int(keepdim))


def _listed(dim: Any) -> list[int]:
    return list(dim) if isinstance(dim, (list, tuple)) else [dim]


def variance(
    b: Builder,
    self: AtenTensor,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    correction: Any = _UNSAID,
) -> AtenTensor:
    """The mean square of the differences from the mean; the sum is divided by the count without `correction`."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    less = int(unbiased) if correction is _UNSAID else 1 if correction is None else correction
    axes = [*range(self.rank)] if dim is None or dim == [] else [self.axis(k) for k in _listed(dim)]
    counts = [known_number(self.sizes[k]) for k in axes]
    if less and not all(isinstance(n, int) for n in counts):
        raise RefusedError("a variance along an axis whose size is free")
    around = mean(b, square(b, sub(b, self, mean(b, self, axes, keepdim=True))), axes, keepdim)
    count = product(counts)
    return mul(b, around, count / (count - less)) if less else around


def deviation(b: Builder, self: AtenTensor, *how: Any, **named: Any) -> AtenTensor:
    return unary("Sqrt", b, variance(b, self, *how, **named))


def norm(
    b: Builder, self: AtenTensor, p: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> AtenTensor:
    """The length of vectors along axes."""
    taken = cast(b, self, "float32")
    if p == math.inf:
        return _reduced("ReduceMax", b, unary("Abs", b, taken), dim, keepdim)
    lengths = {None: "ReduceL2", 2: "ReduceL2", 1: "ReduceL1"}
    if p not in lengths:
        raise RefusedError(f"a norm of the order {p}")
    return _reduced(lengths[p], b, taken, dim, keepdim)


def vector_norm(
    b: Builder, self: AtenTensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> AtenTensor:
    return norm(b, self, ord, dim, keepdim)


def weight_norm(b: Builder, v: AtenTensor, g: AtenTensor, dim: int = 0) -> AtenTensor:
    """Weights by their direction and their length: v·g / ‖v‖ over all axes but one."""
    others = [k for k in range(v.rank) if k != v.axis(dim)]
    return mul(b, v, div(b, g, norm(b, v, 2, others, keepdim=True)))  # type: ignore[no-any-return]


def some(op: str, b: Builder, self: AtenTensor, dim: Any = None, keepdim: bool = False) -> AtenTensor:
    """Whether any number, or each, is other than zero."""
    return cast(b, _reduced(op, b, cast(b, cast(b, self, "bool"), "int32"), dim, keepdim), "bool")


def cosine_similarity(b: Builder, x1: AtenTensor, x2: AtenTensor, dim: int = 1, eps: float = 1e-8) -> AtenTensor:
    one, other = (div(b, x, clamp(b, norm(b, x, 2, dim, True), eps)) for x in (x1, x2))
    return sum_(b, mul(b, one, other), dim)


def cumsum(b: Builder, self: AtenTensor, dim: int, dtype: int | None = None) -> AtenTensor:
    kind = layout.dtype_of(dtype, "float32" if self.dtype == "float32" else "int64")
    return b.node("CumSum", [cast(b, self, kind), b.ints([self.axis(dim)])], kind, self.sizes)


def topk(
    b: Builder, self: AtenTensor, k: Any, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[AtenTensor, AtenTensor]:
    """The largest numbers along an axis, and their indices."""
    axis = self.axis(dim)
    sizes = tuple(known_number(k) if at == axis else n for at, n in enumerate(self.sizes))
    inputs = [b.read(self), b.ints([k])]
    values, indices = b.emit("TopK", inputs, 2, axis=axis, largest=int(largest), sorted=int(sorted))
    return AtenTensor(values, self.dtype, sizes), AtenTensor(indices, "int64", sizes)


def extreme(op: str, b: Builder, self: Any, other: Any = None, keepdim: bool = False) -> Any:
    """`max` and `min`: of two tensors, of all numbers, or along an axis with the indices."""
    if isinstance(other, AtenTensor):
        return binary(op, b, self, other)
    if other is None:
        return _reduced(f"Reduce{op}", b, self, None, False)
    indices = argument(f"Arg{op}", b, self, other, keepdim)
    return _reduced(f"Reduce{op}", b, self, other, keepdim), indices


def argument(op: str, b: Builder, self: AtenTensor, dim: int | None = None, keepdim: bool = False) -> AtenTensor:
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
    "var": variance,
    "std": deviation,
    "norm": norm,
    "linalg_vector_norm": vector_norm,
    "_weight_norm": weight_norm,
    "any": partial(some, "ReduceMax"),
    "all": partial(some, "ReduceMin"),
    "cosine_similarity": cosine_similarity,
    "logsumexp": partial(reduced, "ReduceLogSumExp"),
    "cumsum": cumsum,
    "topk": topk,
    "amax": partial(reduced, "ReduceMax"),
    "amin": partial(reduced, "ReduceMin"),
}
