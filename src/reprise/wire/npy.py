"""NumPy's files of one array (`.npy`), read from memory; what is pickled in one is never run.

The format is numpy/lib/format.py, versions 1 to 3.
"""

from __future__ import annotations

import io
import warnings
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.lib import format as npy

from reprise.tensors import Array
from reprise.wire import pickle
from reprise.wire.varint import Cut

#: What NumPy raises for a head that is damaged: it is Python text.
_FAULTS = (ValueError, TypeError, EOFError, SyntaxError, TokenError, MemoryError, RecursionError, OverflowError)


def array(data: bytes, name: str) -> Array:
    """The array of a file, where that is as large as its head says; never one of objects. `name` is for messages.

    Raises:
        Cut: It is no such file.
    """
    found = array_or_objects(data, name)
    if not isinstance(found, np.ndarray):
        raise Cut(f"{name}: its elements are objects, which are not read")
    return found


def array_or_objects(data: bytes, name: str) -> Any:
    """As `array`; of one of objects these as plain data, in a list, or alone where it has no axes.

    Raises:
        Cut: It is no such file.
    """
    try:
        shape, by_columns, dtype, begin = _head(data)
        if dtype.hasobject:
            return _objects(data[begin:], shape)
        count = int(np.prod(shape, dtype=object))
        if count * dtype.itemsize > len(data) - begin:
            raise ValueError(f"says {count * dtype.itemsize} bytes and has {len(data) - begin}")
        return np.frombuffer(data, dtype, count, begin).reshape(shape, order="F" if by_columns else "C")
    except _FAULTS as error:
        raise Cut(f"{name} {error}") from error


def _objects(data: bytes, shape: tuple[int, ...]) -> Any:
    held = pickle.load(data, arrays=True)
    objects = held[0] if len(held) == 1 else held
    return objects[0] if shape == () and isinstance(objects, list) and len(objects) == 1 else objects


def _head(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """The shape of an array, whether it lies column by column, its element type, and where its elements begin."""
    file = io.BytesIO(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files that Python 2 wrote: they only take longer
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, by_columns, dtype = read(file)
    return shape, by_columns, dtype, file.tell()
