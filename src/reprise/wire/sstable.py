"""Sorted string tables, the container of TensorFlow checkpoints: keys and values in checksummed blocks.

The format is LevelDB's (`doc/table_format.md`): data blocks, an index block that points at them, and a footer of 48
bytes that points at the index. Keys share prefixes with the key before them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import google_crc32c

from reprise.errors import DamagedFile
from reprise.wire import snappy
from reprise.wire.varint import Cut, varint

MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER = 48
_TRAILER = 5  # one byte of compression, four of checksum
_PLAIN, _SNAPPY = 0, 1
_CHUNK = 2**18
#: Keys share what they begin with; all of them together are at most so many times as long as the block they are in.
_MOST_SHARED = 64


class _Handle(NamedTuple):
    offset: int
    size: int


def masked_crc32c(data: bytes | memoryview) -> int:
    """The checksum of `data` in the rotated form that LevelDB and TensorFlow store."""
    crc = 0
    for start in range(0, len(data), _CHUNK):
        crc = google_crc32c.extend(
            crc, bytes(data[start : start + _CHUNK])
        )  # it takes bytes alone, so a little at a time
    return mask(crc)


def mask(crc: int) -> int:
    """A CRC-32C in its stored form."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def entries(data: bytes, path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Every key and value of a table, in the order of the keys.

    Raises:
        DamagedFile: No table, or a block whose checksum or structure is wrong.
    """
    if len(data) < _FOOTER or not data.endswith(MAGIC):
        raise DamagedFile(
            f"{path}: expected a table that ends in {MAGIC.hex()}, found {data[-8:].hex() or 'nothing'} at the end of "
            f"{len(data)} bytes. The file is cut or is not a checkpoint; copy it again."
        )
    try:
        position = varint(data, varint(data, len(data) - _FOOTER)[1])[1]  # skips the metaindex handle
        index = _pairs(_block(data, _handle(data, position), path))
        for handle in _apart(_handle(value, 0) for _, value in index):
            yield from _pairs(_block(data, handle, path))
    except Cut as error:
        raise DamagedFile(f"{path}: the table contradicts itself ({error}). Copy the file again.") from error


def _apart(handles: Iterable[_Handle]) -> Iterator[_Handle]:
    """The handles, which must lie one after the other: the same bytes would be read as often as they are named."""
    end = 0
    for handle in handles:
        if handle.offset < end:
            raise Cut(f"the block at byte {handle.offset} begins within the one before it")
        end = handle.offset + handle.size
        yield handle


def _handle(data: bytes, position: int) -> _Handle:
    offset, position = varint(data, position)
    return _Handle(offset, varint(data, position)[0])


def _block(data: bytes, handle: _Handle, path: Path) -> bytes:
    end = handle.offset + handle.size
    if end + _TRAILER > len(data):
        raise Cut(f"a block ends at byte {end + _TRAILER} of {len(data)}")
    stored = struct.unpack_from("<I", data, end + 1)[0]
    found = masked_crc32c(data[handle.offset : end + 1])
    if stored != found:
        raise DamagedFile(
            f"{path}: the block at byte {handle.offset} has checksum {found:#010x}, expected {stored:#010x}. "
            "The file was changed after it was written; copy it again."
        )
    compression = data[end]
    if compression == _SNAPPY:
        return snappy.decompress(data[handle.offset : end])
    if compression != _PLAIN:
        raise Cut(f"a block has compression {compression}, known are 0 (none) and 1 (snappy)")
    return data[handle.offset : end]


def _pairs(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(block) < 4:
        raise Cut("a block without restart points")
    end = len(block) - 4 * (1 + struct.unpack_from("<I", block, len(block) - 4)[0])
    if end < 0:
        raise Cut("more restart points than the block has room for")
    key, position, keys = b"", 0, 0
    while position < end:
        shared, position = varint(block, position)
        fresh, position = varint(block, position)
        size, position = varint(block, position)
        if shared > len(key) or position + fresh + size > end:
            raise Cut("an entry is longer than its block")
        key = key[:shared] + block[position : position + fresh]
        position += fresh
        keys += len(key)
        if keys > _MOST_SHARED * len(block):
            raise Cut(f"the keys of a block of {len(block)} bytes are longer than {keys} together")
        yield key, block[position : position + size]
        position += size
