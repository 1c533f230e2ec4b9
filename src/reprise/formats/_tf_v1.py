"""Saver V1 checkpoints: one table whose first value lists the tensors and whose others hold their slices.

The format is `tensorflow/core/util/saved_tensor_slice.proto`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile, MissingFile
from reprise.formats._tf_bundle import Bundle, joined
from reprise.formats._tf_slices import bounds, slice_key
from reprise.formats._tf_tensors import dtype_name, known_shape, tensor
from reprise.tensors import Array, Tensor
from reprise.wire import messages, sstable

_META_KEY = b""


def read(file: Path) -> Bundle:
    """The tensors of a V1 checkpoint.

    Raises:
        MissingFile: It cannot be read.
        DamagedFile: It is not whole.
    """
    try:
        table = dict(sstable.entries(file.read_bytes(), file))
    except OSError as error:
        raise MissingFile(f"{file}: cannot be read ({error.strerror}).") from error
    if _META_KEY not in table:
        raise DamagedFile(f"{file}: the table does not list its tensors, so it is not a Saver V1 checkpoint.")
    listed = messages.parse("SavedTensorSlices", table[_META_KEY], file).meta.tensor
    return Bundle({one.name: _tensor(one, table, file) for one in listed}, (file,))


def _tensor(listed: Any, table: dict[bytes, bytes], file: Path) -> Tensor:
    name, dtype = listed.name, dtype_name(listed.type)
    shape = known_shape(listed.shape, f"tensor {name}", file)
    parts = []
    for proto in listed.slice:
        where = bounds(proto, shape, name, file)
        size = tuple(s.stop - s.start for s in where)
        parts.append((where, _slice(name, listed.type, size, table.get(slice_key(name.encode(), proto)), file)))
    return joined(name, dtype, shape, parts, file)


def _slice(name: str, dtype: int, shape: tuple[int, ...], value: bytes | None, file: Path) -> Tensor:
    if value is None:
        raise DamagedFile(f"{file}: a slice of tensor {name} is not in the table. Copy the file again.")
    return Tensor(dtype_name(dtype), shape, lambda: _values(name, dtype, shape, value, file), str(file))


def _values(name: str, dtype: int, shape: tuple[int, ...], value: bytes, file: Path) -> Array:
    data = messages.parse("SavedTensorSlices", value, file).data.data
    data.dtype = dtype  # a slice lists its values and no more; type and shape are the tensor's
    del data.tensor_shape.dim[:]
    for size in shape:
        data.tensor_shape.dim.add(size=size)
    return tensor(data, f"tensor {name}", file).load()
