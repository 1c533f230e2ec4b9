"""Numbers as a file holds them: element types, and tensors that stay on disk until they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

#: A tensor shape; None is a size that the file leaves free.
Shape = tuple[int | None, ...]

#: Element types by the name that the interface shows, as NumPy knows them. Strings are arrays of Python objects.
DTYPES: dict[str, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "int8": np.dtype(np.int8),
    "int16": np.dtype(np.int16),
    "int32": np.dtype(np.int32),
    "int64": np.dtype(np.int64),
    "uint8": np.dtype(np.uint8),
    "uint16": np.dtype(np.uint16),
    "uint32": np.dtype(np.uint32),
    "uint64": np.dtype(np.uint64),
    "bool": np.dtype(np.bool_),
    "complex64": np.dtype(np.complex64),
    "complex128": np.dtype(np.complex128),
    "string": np.dtype(object),
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A stored tensor: what it is, and how to get its numbers.

    Attributes:
        dtype: A key of `DTYPES`.
        shape: Its sizes, all known.
        load: Gives the array, checked against the file's checksum where it has one. A file that is memory-mapped
            is copied at most once. Raises `DamagedFile` or `MissingFile`.
        source: Where the numbers lie, for messages, such as `model.ckpt.data-00000-of-00001 at byte 4096`.
    """

    dtype: str
    shape: tuple[int, ...]
    load: Callable[[], Array]
    source: str = ""

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))


def in_memory(array: Array, source: str = "") -> Tensor:
    """A `Tensor` over an array that is already loaded."""
    names = {dtype: name for name, dtype in DTYPES.items()}
    dtype = names.get(array.dtype, "string")
    return Tensor(dtype, tuple(array.shape), lambda: array, source)
