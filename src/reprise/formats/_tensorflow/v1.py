"""Saver V1 checkpoints: a table, or some, whose first value lists the tensors and whose others hold their slices.

The format is `tensorflow/core/util/saved_tensor_slice.proto`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reprise.bounds import check
from reprise.errors import DamagedFile, MissingFile
from reprise.files import read_whole
from reprise.formats._tensorflow.slices import slice_bounds, slice_key
from reprise.formats._tensorflow.tensor_bundle import Bundle, join_slices
from reprise.formats._tensorflow.tensors import dtype_name, known_shape, lazy_tensor
from reprise.tensors import Array, Tensor
from reprise.wire import messages, sstable

_META_KEY = b""


def read(files: Sequence[Path]) -> Bundle:
    """The tensors of a V1 checkpoint, which may be in several shards.

    Raises:
        MissingFile: A file cannot be read.
        DamagedFile: One is not whole.
    """
    slices: dict[bytes, tuple[bytes, Path]] = {}
    listed: dict[str, list[Any]] = {}
    for file in files:
        table = _table(file)
        for one in messages.parse("SavedTensorSlices", table.pop(_META_KEY), file).meta.tensor:
            listed.setdefault(one.name, []).append(one)
        slices.update((key, (value, file)) for key, value in table.items())
    return Bundle({name: _tensor(parts, slices, files[0]) for name, parts in listed.items()}, tuple(files))


def _table(file: Path) -> dict[bytes, bytes]:
    try:
        table = dict(sstable.entries(read_whole(file), file))
    except OSError as error:
        raise MissingFile(f"{file}: cannot be read ({error.strerror}).") from error
    if _META_KEY not in table:
        raise DamagedFile(f"{file}: the table does not list its tensors, so it is not a Saver V1 checkpoint.")
    return table


def _tensor(listed: list[Any], slices: Mapping[bytes, tuple[bytes, Path]], file: Path) -> Tensor:
    """A tensor from its entries, one in each shard that holds slices of it."""
    name, kind = listed[0].name, listed[0].type
    shape = known_shape(listed[0].shape, f"tensor {name}", file)
    parts = []
    for proto in (proto for one in listed for proto in one.slice):
        where = slice_bounds(proto, shape, name, file)
        size = tuple(s.stop - s.start for s in where)
        stored = slices.get(slice_key(name.encode(), proto))
        if stored is None:
            raise DamagedFile(f"{file}: a slice of tensor {name} is not in the table. Copy the file again.")
        parts.append((where, _slice(name, kind, size, *stored)))
    return join_slices(name, dtype_name(kind), shape, parts, file)


def _slice(name: str, dtype: int, shape: tuple[int, ...], value: bytes, file: Path) -> Tensor:
    check(math.prod(shape), len(value), f"{file}: a slice of tensor {name} lists its values; numbers")
    return Tensor(dtype_name(dtype), shape, lambda: _values(name, dtype, shape, value, file), str(file))


def _values(name: str, dtype: int, shape: tuple[int, ...], value: bytes, file: Path) -> Array:
    data = messages.parse("SavedTensorSlices", value, file).data.data
    data.dtype = dtype  # a slice lists its values and no more; type and shape are the tensor's
    del data.tensor_shape.dim[:]
    for size in shape:
        data.tensor_shape.dim.add(size=size)
    return lazy_tensor(data, f"tensor {name}", file).load()
