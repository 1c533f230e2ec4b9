"""ATen's operators that make tensors of one number, or of numbers that are counted, as ONNX.

Source: aten/src/ATen/native/native_functions.yaml (2.13).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reprise.formats._torch.aten.layout import dtype_of, element, sizes_of
from reprise.formats._torch.aten.values import AtenTensor, Builder, RefusedError, RuntimeSize, Size

#: How far is counted at most.
_MOST_COUNTED = 10_000


def filled(b: Builder, shape: Sequence[Size], value: Any, dtype: str) -> AtenTensor:
    number = b.constant(value, dtype)
    if not shape:
        return number
    return b.node("Expand", [number, b.ints(shape)], dtype, shape)


def full(b: Builder, size: Sequence[Size], fill_value: Any, *how: Any, dtype: Any = None, **options: Any) -> AtenTensor:
    kind = "float32" if isinstance(fill_value, float) else "bool" if isinstance(fill_value, bool) else "int64"
    return filled(b, size, fill_value, dtype_of(dtype if dtype is not None else _first(how), kind))


def _first(how: Sequence[Any]) -> Any:
    return how[0] if how else None


def zeros(b: Builder, size: Sequence[Size], *how: Any, dtype: Any = None, **options: Any) -> AtenTensor:
    return filled(b, size, 0, dtype_of(dtype if dtype is not None else _first(how)))


def ones(b: Builder, size: Sequence[Size], *how: Any, dtype: Any = None, **options: Any) -> AtenTensor:
    return filled(b, size, 1, dtype_of(dtype if dtype is not None else _first(how)))


def zeros_like(b: Builder, self: AtenTensor, *how: Any, dtype: Any = None, **options: Any) -> AtenTensor:
    return filled(b, sizes_of(self), 0, dtype_of(dtype if dtype is not None else _first(how), self.dtype))


def ones_like(b: Builder, self: AtenTensor, *how: Any, dtype: Any = None, **options: Any) -> AtenTensor:
    return filled(b, sizes_of(self), 1, dtype_of(dtype if dtype is not None else _first(how), self.dtype))


def new_zeros(
    b: Builder, self: AtenTensor, size: Sequence[Size], *how: Any, dtype: Any = None, **options: Any
) -> AtenTensor:
    return filled(b, size, 0, dtype_of(dtype if dtype is not None else _first(how), self.dtype))


def full_like(
    b: Builder, self: AtenTensor, fill_value: Any, *how: Any, dtype: Any = None, **options: Any
) -> AtenTensor:
    return filled(b, sizes_of(self), fill_value, dtype_of(dtype if dtype is not None else _first(how), self.dtype))


def new_full(
    b: Builder, self: AtenTensor, size: Sequence[Size], fill_value: Any, *how: Any, dtype: Any = None, **options: Any
) -> AtenTensor:
    return filled(b, size, fill_value, dtype_of(dtype if dtype is not None else _first(how), self.dtype))


def new_ones(
    b: Builder, self: AtenTensor, size: Sequence[Size], *how: Any, dtype: Any = None, **options: Any
) -> AtenTensor:
    return new_full(b, self, size, 1, *how, dtype=dtype)


def arange(b: Builder, *bounds: Any, dtype: Any = None, **options: Any) -> AtenTensor:
    """Numbers one after the other: to an end, from a start, and by a step."""
    if not all(isinstance(n, (int, float)) for n in bounds) or not 0 < len(bounds) <= 3:
        raise RefusedError("numbers counted to a size that is free")
    numbers = range(*bounds) if all(isinstance(n, int) for n in bounds) else None
    if numbers is None or len(numbers) > _MOST_COUNTED:
        raise RefusedError(f"numbers counted by {bounds}")
    return b.constant([*numbers], dtype_of(dtype, "int64"))


def tensor(b: Builder, data: Any, *how: Any, dtype: Any = None, **options: Any) -> AtenTensor:
    if isinstance(data, RuntimeSize):
        kind = dtype_of(dtype, "int64")
        size = b.scalar(data)
        return size if kind == "int64" else b.node("Cast", [size], kind, (), to=element(kind))
    if not isinstance(data, (bool, int, float)):
        raise RefusedError("a tensor made of a list")
    kind = "bool" if isinstance(data, bool) else "int64" if isinstance(data, int) else "float32"
    return b.constant(data, dtype_of(dtype, kind))


OPERATORS: Mapping[str, Callable[..., Any]] = {
    "full": full,
    "zeros": zeros,
    "ones": ones,
    "zeros_like": zeros_like,
    "ones_like": ones_like,
    "new_zeros": new_zeros,
    "new_ones": new_ones,
    "new_full": new_full,
    "full_like": full_like,
    "arange": arange,
    "tensor": tensor,
    "scalar_tensor": tensor,
}
