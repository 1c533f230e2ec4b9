"""Lua Torch's binary files (`.t7`) as data: nothing that they name is loaded, no function of a file is run.

Source: torch7/File.lua and torch7/lib/TH (binary mode): each object is a number for its kind and its content.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from reprise.errors import DamagedFile, MissingFile
from reprise.tensors import DTYPES, Array, Tensor
from reprise.wire.varint import Cut

_NIL, _NUMBER, _STRING, _TABLE, _OBJECT, _BOOLEAN = 0, 1, 2, 3, 4, 5
#: The most axes of a tensor.
_MOST_AXES = 32
#: How deep objects may lie in each other.
_DEEPEST = 120
#: The element types of tensors and storages, by the beginning of their class.
_KINDS = {
    "Float": "float32",
    "Double": "float64",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Cuda": "float32",
}


@dataclass(slots=True)
class Object:
    """An object of a class that is no tensor.

    Attributes:
        name: The class, such as `nn.LSTM`.
        fields: What it holds by name.
    """

    name: str
    fields: Any = None


@dataclass(frozen=True, slots=True)
class _Storage:
    """Numbers in the file: their type, where they begin and how many they are."""

    dtype: str
    begin: int
    count: int


def begins(head: bytes) -> bool:
    """Whether a file begins as a table or an object in binary form does, with the first index."""
    return head[:4] in (b"\x03\0\0\0", b"\x04\0\0\0") and head[4:8] == b"\1\0\0\0"


def read(path: Path) -> Any:
    """The object in a file: tables as dicts, numbers, text, tensors whose numbers stay in the file, other objects.

    Raises:
        MissingFile: It cannot be read.
        DamagedFile: It is not a whole file of Lua Torch.
    """
    try:
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise MissingFile(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise DamagedFile(f"{path}: is empty; copy it again.") from error
    reader = _Reader(data, path.name)
    try:
        return reader.value(0)
    except (Cut, struct.error, UnicodeDecodeError, ValueError, TypeError) as error:
        raise DamagedFile(f"{path}: is not a whole file of Lua Torch ({error}). Copy it again.") from error


@dataclass(slots=True)
class _Reader:
    """Reads one object after the other; those that are named again by their index are the same."""

    data: memoryview
    file: str
    at: int = 0
    known: dict[int, Any] = field(default_factory=dict)

    def value(self, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError(f"objects lie more than {_DEEPEST} deep in each other")
        kind = self._number("<i")
        reader = _READERS.get(kind)
        if reader is None:
            raise ValueError(f"byte {self.at - 4} begins an object of the unknown kind {kind}")
        return reader(self, depth)

    def _number(self, form: str) -> Any:
        (found,) = struct.unpack(form, self._bytes(struct.calcsize(form)))
        return found

    def _bytes(self, count: int) -> memoryview:
        if count < 0 or self.at + count > len(self.data):
            raise Cut(f"{count} bytes are wanted at {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count : self.at]

    def text(self) -> str:
        return bytes(self._bytes(self._number("<i"))).decode("utf-8", "surrogateescape")

    def table(self, depth: int) -> Any:
        index = self._number("<i")
        if index in self.known:
            return self.known[index]
        self.known[index] = made = {}
        for _ in range(self._number("<i")):
            key = self.value(depth + 1)
            made[key if isinstance(key, (str, int, float, bool)) else str(key)] = self.value(depth + 1)
        return made

    def object(self, depth: int) -> Any:
        index = self._number("<i")
        if index in self.known:
            return self.known[index]
        name = self.text()
        name = self.text() if name.startswith("V ") else name
        kind = _KINDS.get(name.removeprefix("torch.").removesuffix("Tensor").removesuffix("Storage"))
        if name.endswith("Storage") and kind:
            found: Any = self._storage(kind)
        elif name.endswith("Tensor") and kind:
            found = self._tensor(kind, depth)
        else:
            self.known[index] = found = Object(name)
            found.fields = self.value(depth + 1)
        self.known[index] = found
        return found

    def _storage(self, dtype: str) -> _Storage:
        count = self._number("<q")
        begin = self.at
        self._bytes(count * DTYPES[dtype].itemsize)
        return _Storage(dtype, begin, count)

    def _tensor(self, dtype: str, depth: int) -> Tensor:
        axes = self._number("<i")
        if not 0 <= axes <= _MOST_AXES:
            raise ValueError(f"a tensor of {axes} axes")
        shape = tuple(self._number("<q") for _ in range(axes))
        strides = tuple(self._number("<q") for _ in range(axes))
        offset = self._number("<q") - 1
        storage = self.value(depth + 1)
        return Tensor(dtype, shape, self._loader(storage, shape, strides, offset), self.file)

    def _loader(
        self, storage: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
    ) -> Callable[[], Array]:
        data, file = self.data, self.file

        def load() -> Array:
            last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
            inside = isinstance(storage, _Storage) and min((offset, *shape, *strides)) >= 0 and last < storage.count
            if not inside or not shape:
                raise DamagedFile(f"{file}: a tensor of shape {list(shape)} is not inside its storage; copy it again.")
            kind = DTYPES[storage.dtype].newbyteorder("<")
            flat = np.frombuffer(data, kind, storage.count, storage.begin)
            steps = tuple(s * kind.itemsize for s in strides)
            return np.ascontiguousarray(np.lib.stride_tricks.as_strided(flat[offset:], shape, steps))

        return load


_READERS: Mapping[int, Callable[[_Reader, int], Any]] = {
    _NIL: lambda _reader, _depth: None,
    _NUMBER: lambda reader, _depth: reader._number("<d"),
    _STRING: lambda reader, _depth: reader.text(),
    _TABLE: _Reader.table,
    _OBJECT: _Reader.object,
    _BOOLEAN: lambda reader, _depth: bool(reader._number("<i")),
}
