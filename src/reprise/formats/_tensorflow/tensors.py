"""TensorFlow's element types, shapes and `TensorProto`, as ours."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from reprise import bounds
from reprise.errors import DamagedFile
from reprise.graph import ShapeAttribute
from reprise.tensors import DTYPES, Array, Tensor

#: The numbers of TensorFlow's DataType (`types.proto`). A quantized number is the whole number that it is kept as; what
#: it stands for, the operators say that are given its range.
DATA_TYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    11: "int8",
    12: "uint8",
    13: "int32",
    14: "bfloat16",
    15: "int16",
    16: "uint16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    20: "resource",
    21: "variant",
    22: "uint32",
    23: "uint64",
}

#: The field of a TensorProto that holds the elements of a type one by one.
_VALUE_FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "int32": "int_val",
    "uint8": "int_val",
    "int16": "int_val",
    "int8": "int_val",
    "uint16": "int_val",
    "string": "string_val",
    "complex64": "scomplex_val",
    "int64": "int64_val",
    "bool": "bool_val",
    "bfloat16": "half_val",
    "complex128": "dcomplex_val",
    "float16": "half_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
}

_MOST_ELEMENTS = 2**48


def dtype_name(number: int) -> str:
    """The name of a DataType; a reference to a type (number + 100) has the name of the type."""
    return DATA_TYPES.get(number % 100, f"DataType {number}")


def shape_attribute(proto: Any) -> ShapeAttribute:
    """A TensorShapeProto; a size of -1 is free."""
    if proto.unknown_rank:
        return ShapeAttribute(None)
    return ShapeAttribute(tuple(None if d.size < 0 else d.size for d in proto.dim))


def known_shape(proto: Any, what: str, path: Path) -> tuple[int, ...]:
    """The shape of a stored tensor, whose sizes must all be there.

    Raises:
        DamagedFile: One is not, or their product is beyond any file.
    """
    shape = tuple(d.size for d in proto.dim)
    too_many = len(shape) > bounds.AXES or math.prod(shape) > _MOST_ELEMENTS
    if proto.unknown_rank or min(shape, default=0) < 0 or too_many:
        raise DamagedFile(
            f"{path}: {what} has the shape {list(shape)}, which no stored tensor can have. Copy the file again."
        )
    return shape


def lazy_tensor(proto: Any, what: str, path: Path) -> Tensor:
    """A TensorProto as a lazy tensor; `what` names it in messages.

    Raises:
        DamagedFile: Its values contradict its type or shape.
    """
    return content_tensor(proto, proto.tensor_content, what, path)


def content_tensor(proto: Any, content: bytes | memoryview, what: str, path: Path) -> Tensor:
    """A TensorProto whose packed elements, if any, are `content`."""
    dtype = dtype_name(proto.dtype)
    shape = known_shape(proto.tensor_shape, what, path)
    load: Callable[[], Array]
    if dtype not in DTYPES:
        load = _refusal(f"{path}: {what} is of type {dtype}, which has no numbers to read.")
    elif content:
        array = packed_array(content, dtype, shape, what, path)
        load = partial(_same, array)
    else:
        load = partial(_filled, _listed(proto, dtype, shape, what, path), shape, f"{path}: {what}")
    return Tensor(dtype, shape, load, f"{path}: {what}")


def _same(array: Array) -> Array:
    return array


def packed_array(content: Any, dtype: str, shape: tuple[int, ...], what: str, path: Path) -> Array:
    """A view of little-endian elements.

    Raises:
        DamagedFile: Their number contradicts the shape.
    """
    expected = math.prod(shape) * DTYPES[dtype].itemsize
    if dtype == "string" or len(content) != expected:
        raise DamagedFile(
            f"{path}: {what} of {dtype} {list(shape)} has {len(content)} bytes, expected {expected}. Copy it again."
        )
    return np.frombuffer(content, DTYPES[dtype]).reshape(shape)


def _listed(proto: Any, dtype: str, shape: tuple[int, ...], what: str, path: Path) -> Array:
    """The elements that are listed one by one: all, or fewer, the last of which fills the shape."""
    values = _values(getattr(proto, _VALUE_FIELDS[dtype]), dtype)
    count = math.prod(shape)
    if len(values) > count:
        raise DamagedFile(f"{path}: {what} holds {len(values)} values, its shape {list(shape)} has room for {count}.")
    return values


def _values(stored: Any, dtype: str) -> Array:
    kind = DTYPES[dtype]
    if dtype == "string":
        array = np.empty(len(stored), object)
        array[:] = list(stored)
        return array
    if dtype in ("float16", "bfloat16"):
        return np.array(stored, np.int64).astype(np.uint16).view(kind)
    if kind.kind == "c":
        parts = np.array(stored, np.float64)
        return (parts[0 : len(parts) // 2 * 2 : 2] + 1j * parts[1::2]).astype(kind)
    if kind.kind in "iu":
        return np.array(stored, np.uint64 if dtype == "uint64" else np.int64).astype(kind)
    return np.array(stored, kind)


def _filled(values: Array, shape: tuple[int, ...], what: str) -> Array:
    """The elements, the last one repeated as often as the shape asks (none at all are zeros)."""
    count = math.prod(shape)
    if len(values) == count:
        return values.reshape(shape)
    bounds.check(count * values.itemsize, bounds.SPREAD, f"{what} holds {len(values)} values of {list(shape)}; bytes")
    if len(values) <= 1:
        only = values[0] if len(values) else (b"" if values.dtype == object else values.dtype.type(0))
        return np.broadcast_to(np.array(only, values.dtype), shape)
    return np.concatenate([values, np.full(count - len(values), values[-1], values.dtype)]).reshape(shape)


def _refusal(message: str) -> Callable[[], Array]:
    def load() -> Array:
        raise DamagedFile(message)

    return load
