"""HDF5 as groups, attributes and tensors; knows no model.

`pyfive` reads the structure, from a file object that bounds how much it may read: what a file makes it do more often
than its length allows (a tree whose nodes name each other, a heap without an end) ends there. Numbers are read here,
from the bytes of the file, so that no size that the file states is allocated before it is checked. Links to other
files and filters other than deflate, shuffle and Fletcher's checksum are not followed.

The format: HDF5 File Format Specification 3.0, https://support.hdfgroup.org/documentation/hdf5/latest/_s_p_e_c.html
"""

from __future__ import annotations

import math
import mmap
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from reprise.errors import DamagedFile, MissingFile
from reprise.tensors import DTYPES, Array, Tensor

#: The first bytes of a file.
SIGNATURE = b"\x89HDF\r\n\x1a\n"

_DEEPEST, _MOST_OBJECTS = 32, 20_000
#: How many times its length a file may be read for its structure, and in how many pieces.
_TIMES, _PIECES = 8, 400_000
#: How many times its length the numbers of one tensor may take where they are compressed.
_MOST_RATIO = 100
_Read = TypeVar("_Read")
_UNDEFINED = 2**64 - 1
_CONTIGUOUS, _CHUNKED = 1, 2
_DEFLATE, _SHUFFLE, _FLETCHER = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Group:
    """A group: its attributes (text as str, lists as tuples, the rest as arrays), its groups and its tensors."""

    attributes: Mapping[str, Any]
    groups: Mapping[str, Group]
    tensors: Mapping[str, Tensor]

    def tensor(self, path: str) -> Tensor | None:
        """The tensor at a path below the group, such as `lstm/kernel:0`."""
        group: Group | None = self
        *through, last = [part for part in path.split("/") if part]
        for part in through:
            group = None if group is None else group.groups.get(part)
        return None if group is None else group.tensors.get(last)

    def every(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """All tensors below the group with their paths."""
        yield from ((f"{prefix}{name}", tensor) for name, tensor in self.tensors.items())
        for name, group in self.groups.items():
            yield from group.every(f"{prefix}{name}/")


def mapped(path: Path) -> memoryview:
    """The bytes of a file, which stay on disk until they are read.

    Raises:
        MissingFile: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise MissingFile(f"{path}: cannot be read ({error}).") from error


def read(content: memoryview, source: str) -> Group:
    """The groups of a file; numbers are loaded when they are asked for.

    Raises:
        DamagedFile: It is not HDF5, or not whole.
    """
    from pyfive import File  # noqa: PLC0415 - it takes a tenth of a second, which other formats need not wait

    reader = _Bounded(content)

    def structure() -> Group:
        return _Reading(content, source).group(File(reader), 0)

    return _guarded(structure, source)


def _guarded(task: Callable[[], _Read], source: str) -> _Read:
    """What a task of pyfive gives; whatever it stumbles over is damage of the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return task()
    except (DamagedFile, MissingFile):
        raise
    except Exception as error:
        line = str(error).splitlines()[0][:120] if str(error) else ""
        why = f"{type(error).__name__}: {line}" if line else type(error).__name__
        raise DamagedFile(f"{source}: cannot be read as HDF5 ({why}). It is cut or changed; copy it again.") from error


class _Bounded:
    """A file object over bytes that gives them out only so often."""

    closed = False  # pyfive asks, and refuses what is

    def __init__(self, content: memoryview) -> None:
        self._content, self._place = content, 0
        self._left, self._pieces = _TIMES * len(content) + 2**20, _PIECES

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        end = len(self._content) if size < 0 else min(len(self._content), self._place + size)
        found = bytes(self._content[self._place : end])
        self._left, self._pieces = self._left - len(found), self._pieces - 1
        if self._left < 0 or self._pieces < 0:
            raise ValueError("its parts name each other without an end")
        self._place = max(self._place, end)
        return found

    def seek(self, place: int, whence: int = 0) -> int:
        """Where the next bytes are read from."""
        self._place = max(0, place + (0, self._place, len(self._content))[whence])
        return self._place

    def tell(self) -> int:
        """Where that is."""
        return self._place


class _Reading:
    """The objects of one file, counted."""

    def __init__(self, content: memoryview, source: str) -> None:
        self._content, self._source = content, source
        self._objects = 0

    def group(self, found: Any, depth: int) -> Group:
        """A group with everything below it."""
        groups: dict[str, Group] = {}
        tensors: dict[str, Tensor] = {}
        for name in found:
            self._objects += 1
            if depth >= _DEEPEST or self._objects > _MOST_OBJECTS:
                raise ValueError(f"groups nested more than {_DEEPEST} deep, or more than {_MOST_OBJECTS} objects")
            item = found.get_lazy_view(name)
            if hasattr(item, "get_lazy_view"):
                groups[name] = self.group(item, depth + 1)
            elif hasattr(item, "id"):
                tensor = self._tensor(item)
                if tensor is not None:
                    tensors[name] = tensor
        return Group({str(k): _plain(v) for k, v in found.attrs.items()}, groups, tensors)

    def _tensor(self, item: Any) -> Tensor | None:
        """A data set of numbers, None where it holds others."""
        kind, shape = np.dtype(item.dtype), item.shape
        name = next((n for n, d in DTYPES.items() if d == kind.newbyteorder("=") and n != "string"), None)
        if name is None or shape is None or kind.names:
            return None
        source = f"{self._source}, data set {item.name}"
        sizes = tuple(int(n) for n in shape)
        return Tensor(name, sizes, lambda: _guarded(lambda: self._load(item, kind, sizes), source), source)

    def _load(self, item: Any, kind: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        size = math.prod(shape) * kind.itemsize
        chunked = item.id.layout_class == _CHUNKED
        if size > len(self._content) * (_MOST_RATIO if chunked else 1) + 2**16 * chunked:
            raise ValueError(f"{size} bytes are stated in a file of {len(self._content)}")
        if not size:
            return np.empty(shape, kind.newbyteorder("="))
        if chunked:
            flat = self._chunked(item, kind, shape)
        elif item.id.layout_class == _CONTIGUOUS:
            flat = self._part(item.id.data_offset, size, kind)
        else:
            flat = np.asarray(item[()], kind)
        return flat.reshape(shape).astype(kind.newbyteorder("="), copy=False)

    def _part(self, offset: int, size: int, kind: np.dtype[Any]) -> Array:
        if offset == _UNDEFINED or offset + size > len(self._content):
            raise ValueError(f"its {size} bytes lie beyond the end of the file")
        return np.frombuffer(self._content[offset : offset + size], kind)

    def _chunked(self, item: Any, kind: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        """Chunks are as large as each other, also at the edges, where what sticks out is dropped."""
        whole, chunk = np.zeros(shape, kind), tuple(item.chunks)
        size = math.prod(chunk) * kind.itemsize
        if size > _MOST_RATIO * len(self._content) + 2**16 or len(chunk) != len(shape) or 0 in chunk:
            raise ValueError(f"chunks of {size} bytes in a file of {len(self._content)}")
        for number in range(item.id.get_num_chunks()):
            info = item.id.get_chunk_info(number)
            stored = bytes(self._part(info.byte_offset, info.size, np.dtype(np.uint8)))
            content = _unfiltered(stored, item.id.filter_pipeline or (), info.filter_mask, size, kind.itemsize)
            place = tuple(slice(o, min(o + c, n)) for o, c, n in zip(info.chunk_offset, chunk, shape, strict=True))
            inside = tuple(slice(0, s.stop - s.start) for s in place)
            whole[place] = np.frombuffer(content, kind, math.prod(chunk)).reshape(chunk)[inside]
        return whole


def _unfiltered(stored: bytes, pipeline: Any, mask: int, size: int, itemsize: int) -> bytes:
    """A chunk of at most `size` bytes before its filters, the last of which is undone first."""
    for number, one in reversed(list(enumerate(pipeline))):
        if mask & 1 << number:
            continue
        if one["filter_id"] == _DEFLATE:
            stored = zlib.decompressobj().decompress(stored, size + 4)
        elif one["filter_id"] == _SHUFFLE:
            whole = len(stored) - len(stored) % itemsize
            stored = np.frombuffer(stored, np.uint8, whole).reshape(itemsize, -1).T.tobytes() + stored[whole:]
        elif one["filter_id"] == _FLETCHER:
            stored = stored[:-4]
        else:
            raise ValueError(f"filter {one['filter_id']} is not known")
    return stored


def _plain(value: Any) -> Any:
    """An attribute: text as str, a list of texts as a tuple of them, a single number as itself."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray) and value.dtype.kind in "OSU":
        return tuple(_plain(one) for one in value.ravel().tolist())
    return value.item() if isinstance(value, np.generic) else value
