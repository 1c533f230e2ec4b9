"""Tensor bundles, the storage of Saver V2 and SavedModel: an index table, and data shards that are memory-mapped.

The format is `tensorflow/core/util/tensor_bundle/tensor_bundle.h`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate, combinations, pairwise
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from reprise.errors import DamagedFile, MissingFile
from reprise.files import MAPPED, opened, read_whole
from reprise.formats._tensorflow.slices import slice_bounds, slice_key
from reprise.formats._tensorflow.tensors import dtype_name, known_shape, packed_array
from reprise.tensors import DTYPES, Array, Tensor
from reprise.wire import messages, sstable
from reprise.wire.varint import Cut, varint

_HEADER_KEY = b""
_CHECKSUM = 4
_OBJECT_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
_OBJECTS = "TensorFlow 2 saved these weights by object; their names are paths through the objects of its program"


@dataclass(frozen=True, slots=True)
class Bundle:
    """The tensors of a bundle.

    Attributes:
        tensors: By name.
        files: The files they lie in.
        notes: What is to be said of them.
        objects: What TensorFlow 2 stores beside them: a string, the message TrackableObjectGraph.
    """

    tensors: Mapping[str, Tensor]
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    objects: Tensor | None = None


#: No tensors at all: a graph that was saved alone.
NOTHING = Bundle({}, ())


def read(prefix: Path, *, may_lack_data: bool = False) -> Bundle:
    """The bundle `prefix.index` with its shards.

    Args:
        prefix: What the names of the files begin with.
        may_lack_data: If no shard at all is there, give tensors that say so when they are loaded.

    Raises:
        MissingFile: The index or a shard is not there.
        DamagedFile: The index is not whole, or a shard is shorter than the index says.
    """
    index = prefix.with_name(prefix.name + ".index")
    table = dict(sstable.entries(_content(index), index))
    if _HEADER_KEY not in table:
        raise DamagedFile(f"{index}: the table has no bundle header, so it is not the index of a checkpoint.")
    header = messages.parse("BundleHeaderProto", table.pop(_HEADER_KEY), index)
    if header.endianness != 0:
        raise DamagedFile(f"{index}: was written by a big-endian machine, whose numbers Reprise does not read.")
    entries = {key: messages.parse("BundleEntryProto", value, index) for key, value in table.items()}
    shards = _shards(prefix, header.num_shards, entries.values())
    there = [file for file in shards.values() if file.is_file()]
    tensors = _assemble(entries, shards, index)
    objects = tensors.pop(_OBJECT_GRAPH_KEY, None)
    notes = () if objects is None else (_OBJECTS,)
    if may_lack_data and not there:
        lacking = f"{_lacking(shards, index)} Running the model is not possible."
        return Bundle(tensors, (index,), (*notes, lacking), objects)
    if len(there) < len(shards):
        raise MissingFile(_lacking(shards, index))
    _check_lengths(entries.values(), shards)
    return Bundle(tensors, (index, *shards.values()), notes, objects)


def _content(index: Path) -> bytes:
    try:
        return read_whole(index)
    except OSError as error:
        raise MissingFile(
            f"{index}: cannot be read ({error.strerror}). A checkpoint is the .index file, its .data files and, for "
            "the graph, the .meta file; copy all of them."
        ) from error


def _shards(prefix: Path, count: int, entries: Iterable[Any]) -> dict[int, Path]:
    """The data files that the entries lie in."""
    used = sorted({entry.shard_id for entry in entries if not entry.slices})
    return {i: prefix.with_name(f"{prefix.name}.data-{i:05d}-of-{count:05d}") for i in used}


def _lacking(shards: Mapping[int, Path], index: Path) -> str:
    names = [file.name for file in shards.values() if not file.is_file()]
    return (
        f"{index}: the weights lie in {', '.join(names[:4])}{' …' if len(names) > 4 else ''}, not found beside it. "
        "Half a checkpoint was copied; copy the .data files too."
    )


def _check_lengths(entries: Iterable[Any], shards: Mapping[int, Path]) -> None:
    ends: dict[int, int] = {}
    for entry in entries:
        if not entry.slices:
            ends[entry.shard_id] = max(ends.get(entry.shard_id, 0), entry.offset + entry.size)
    for i, end in ends.items():
        size = shards[i].stat().st_size
        if size < end:
            raise DamagedFile(
                f"{shards[i]}: has {size} bytes, expected at least {end}. The file is cut; copy it again."
            )


def _assemble(entries: Mapping[bytes, Any], shards: Mapping[int, Path], index: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for key, entry in entries.items():
        if key.startswith(b"\0"):
            continue  # a slice: its tensor's own entry finds it
        name = _text(key, index)
        if entry.slices:
            tensors[name] = _partitioned(name, key, entry, entries, shards, index)
        else:
            tensors[name] = _stored(name, entry, shards, index)
    return tensors


def _text(key: bytes, index: Path) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError as error:
        raise DamagedFile(f"{index}: the tensor name {key!r} is not UTF-8. Copy the file again.") from error


def _stored(name: str, entry: Any, shards: Mapping[int, Path], index: Path) -> Tensor:
    dtype, shape = dtype_name(entry.dtype), known_shape(entry.shape, f"tensor {name}", index)
    file = shards[entry.shard_id]
    if entry.offset < 0 or entry.size < 0:
        raise DamagedFile(
            f"{index}: tensor {name} lies at byte {entry.offset} with {entry.size} bytes. Copy the file again."
        )
    if dtype in DTYPES and dtype != "string" and entry.size != math.prod(shape) * DTYPES[dtype].itemsize:
        raise DamagedFile(f"{index}: tensor {name} of {dtype} {list(shape)} cannot have {entry.size} bytes.")
    source = f"{file} at byte {entry.offset}"
    return Tensor(dtype, shape, lambda: _load(name, dtype, shape, entry, file), source)


def _load(name: str, dtype: str, shape: tuple[int, ...], entry: Any, file: Path) -> Array:
    what = f"tensor {name}"
    if dtype not in DTYPES:
        raise DamagedFile(f"{file}: {what} is of type {dtype}, which has no numbers to read.")
    if not file.is_file():
        raise MissingFile(
            f"{file}: not found; {what} lies in it. Half a checkpoint was copied; copy the .data files too."
        )
    if entry.size == 0 and dtype != "string":
        return np.empty(shape, DTYPES[dtype])
    try:
        content = _bytes(file, entry.offset, entry.size)
    except (OSError, ValueError) as error:
        raise MissingFile(f"{file}: {what} cannot be read any more ({error}). Was the file moved or cut?") from error
    if dtype == "string":
        array, found = _strings(bytes(content), shape, what, file)
    else:
        array, found = packed_array(content, dtype, shape, what, file), sstable.masked_crc32c(content)
    if found != entry.crc32c:
        raise DamagedFile(
            f"{file}: {what} at byte {entry.offset} has checksum {found:#010x}, expected {entry.crc32c:#010x}. "
            "The file was changed, or belongs to another checkpoint; copy it again."
        )
    return array


def _bytes(file: Path, offset: int, size: int) -> bytes | memoryview:
    """A part of a shard: read, or mapped where it is large."""
    if size > MAPPED:
        return np.memmap(file, np.uint8, "r", offset, (size,)).data
    with opened(file) as stream:
        stream.seek(offset)
        return stream.read(size)


def _strings(content: bytes, shape: tuple[int, ...], what: str, file: Path) -> tuple[Array, int]:
    """Strings as a bundle stores them: all lengths, four bytes of checksum, all bytes; and the checksum of the whole.

    The checksum goes over the lengths as fixed-width numbers (`WriteStringTensor` in `tensor_bundle.cc`).
    """
    array = np.empty(math.prod(shape), object) if math.prod(shape) <= len(content) else np.empty(0, object)
    sizes, position = [], 0
    try:
        for _ in array:
            size, position = varint(content, position)
            sizes.append(size)
    except Cut as error:
        raise DamagedFile(f"{file}: {what} is cut ({error}). Copy the file again.") from error
    body = position + _CHECKSUM
    if len(sizes) != math.prod(shape) or body + sum(sizes) != len(content):
        raise DamagedFile(f"{file}: {what} of {list(shape)} strings does not fit its {len(content)} bytes.")
    crc = google_crc32c.value(b"".join(struct.pack("<I" if size < 2**32 else "<Q", size) for size in sizes))
    crc = google_crc32c.extend(crc, content[position:])
    for i, (start, end) in enumerate(pairwise(accumulate(sizes, initial=body))):
        array[i] = content[start:end]
    return array.reshape(shape), sstable.mask(crc)


def _partitioned(
    name: str, key: bytes, entry: Any, entries: Mapping[bytes, Any], shards: Mapping[int, Path], index: Path
) -> Tensor:
    """A tensor that was stored as slices, put together when it is loaded."""
    shape, dtype = known_shape(entry.shape, f"tensor {name}", index), dtype_name(entry.dtype)
    parts: list[tuple[tuple[slice, ...], Tensor]] = []
    for proto in entry.slices:
        part = entries.get(slice_key(key, proto))
        if part is None:
            raise DamagedFile(f"{index}: a slice of tensor {name} is not in the table. Copy the file again.")
        parts.append((slice_bounds(proto, shape, name, index), _stored(name, part, shards, index)))
    return join_slices(name, dtype, shape, parts, index)


def join_slices(
    name: str, dtype: str, shape: tuple[int, ...], parts: list[tuple[tuple[slice, ...], Tensor]], file: Path
) -> Tensor:
    """A tensor made of slices that must cover it."""
    for where, part in parts:
        size = tuple(s.stop - s.start for s in where)
        if part.shape != size or part.dtype != dtype:
            raise DamagedFile(
                f"{file}: a slice of tensor {name} is {part.dtype} {list(part.shape)}, expected {dtype} {list(size)}."
            )
    covered = sum(part.size for _, part in parts) == math.prod(shape)
    if not covered or any(_meet(a, b) for (a, _), (b, _) in combinations(parts, 2)):
        raise DamagedFile(
            f"{file}: the slices of tensor {name} do not cover its shape {list(shape)}. Copy the file again."
        )

    def load() -> Array:
        array = np.empty(shape, DTYPES[dtype])
        for where, part in parts:
            array[where] = part.load()
        return array

    return parts[0][1] if len(parts) == 1 else Tensor(dtype, shape, load, f"{file}: {len(parts)} slices")


def _meet(a: tuple[slice, ...], b: tuple[slice, ...]) -> bool:
    """Whether two slices have an element in common."""
    return all(x.start < y.stop and y.start < x.stop for x, y in zip(a, b, strict=True))
