"""Slices of stored tensors: their bounds, and the keys they have in a checkpoint's table.

A key is the tensor's name and the bounds in the ordered code of `tensorflow/core/lib/strings/ordered_code.cc`, written
by `EncodeTensorNameSlice` in `saved_tensor_slice_util.cc`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile

_FULL = -1


def slice_bounds(proto: Any, shape: tuple[int, ...], name: str, file: Path) -> tuple[slice, ...]:
    """The part of `shape` that a TensorSliceProto means; an extent without length is the whole axis.

    Raises:
        DamagedFile: It reaches outside.
    """
    where = tuple(
        slice(e.start, e.start + e.length) if e.length > 0 else slice(0, size)
        for e, size in zip(proto.extent, shape, strict=False)
    )
    if len(proto.extent) != len(shape) or any(
        not 0 <= s.start <= s.stop <= size for s, size in zip(where, shape, strict=True)
    ):
        raise DamagedFile(
            f"{file}: a slice of tensor {name} reaches outside its shape {list(shape)}. Copy the file again."
        )
    return where


def slice_key(name: bytes, proto: Any) -> bytes:
    """The key of a slice of the tensor `name` in the table."""
    key = _unsigned(0) + name.replace(b"\0", b"\0\xff") + b"\0\1" + _unsigned(len(proto.extent))
    for extent in proto.extent:
        key += _signed(extent.start) + _signed(extent.length if extent.length > 0 else _FULL)
    return key


def _unsigned(number: int) -> bytes:
    size = (number.bit_length() + 7) // 8
    return bytes([size]) + number.to_bytes(size, "big")


def _signed(number: int) -> bytes:
    """As many ones as there are bytes, then seven bits for each; all inverted if the number is negative."""
    size = (~number if number < 0 else number).bit_length() // 7 + 1
    header = ((1 << size) - 1) << (7 * size)
    return (header ^ number % (1 << 8 * size)).to_bytes(size, "big")
