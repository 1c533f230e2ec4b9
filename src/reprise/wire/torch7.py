"""Lua Torch's binary files (`.t7`) as data: nothing that they name is loaded, no function of a file is run.

Source: torch7/File.lua and torch7/lib/TH (binary mode): each object is a number for its kind and its content.
"""

from __future__ import annotations

import functools
import mmap
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from reprise.errors import DamagedFile, MissingFile
from reprise.tensors import DTYPES, Array, Tensor
from reprise.wire.varint import Cut

_NIL, _NUMBER, _STRING, _TABLE, _OBJECT, _BOOLEAN = 0, 1, 2, 3, 4, 5
#: The most axes of a tensor.
_MOST_AXES = 32
#: The element types of tensors and storages, by the beginning of their class; those of a GPU begin with its kind.
_KINDS = {
    "Float": "float32",
    "Double": "float64",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "": "float32",
}
_CLASS = re.compile(r"torch\.(?P<device>Cuda|Cl)?(?P<kind>[A-Z][a-z]+)??(?P<what>Tensor|Storage)")


@dataclass(slots=True)
class Object:
    """An object of a class that is no tensor.

    Attributes:
        name: The class, such as `nn.LSTM`.
        fields: What it holds by name.
    """

    name: str
    fields: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """What a table is looked up by where that is no text and no number: equal to itself alone, as in Lua."""

    value: Any


@dataclass(frozen=True, slots=True)
class Storage:
    """Numbers in the file: their type, where they begin and how many they are."""

    data: memoryview
    dtype: str
    begin: int
    count: int

    def load(self) -> Array:
        """All of them, in one row, as they lie in the file."""
        return np.frombuffer(self.data, DTYPES[self.dtype].newbyteorder("<"), self.count, self.begin)


def begins(head: bytes) -> bool:
    """Whether a file begins as a table or an object in binary form does, with the first index."""
    return head[:4] in (b"\x03\0\0\0", b"\x04\0\0\0") and head[4:8] == b"\1\0\0\0"


def read(path: Path) -> Any:
    """The object in a file: tables as dicts, numbers, text, tensors whose numbers stay in the file, other objects.

    Raises:
        MissingFile: It cannot be read.
        DamagedFile: It is not a complete file of Lua Torch.
    """
    try:
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise MissingFile(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise DamagedFile(f"{path}: is empty; copy it again.") from error
    try:
        return _Reader(data, path.name).whole()
    except (Cut, struct.error, UnicodeDecodeError, ValueError, TypeError) as error:
        raise DamagedFile(f"{path}: is not a complete file of Lua Torch ({error}). Copy it again.") from error


class _Filled(Protocol):
    """An object whose parts follow it in the file."""

    left: int

    def put(self, part: Any) -> None:
        """Takes the next part."""


@dataclass(slots=True)
class _Single:
    """What is filled by one part: the fields of an object, or the file by its root."""

    put: Callable[[Any], None]
    left: int = 1


@dataclass(slots=True)
class _Table:
    """A table, whose keys and values follow each other."""

    made: dict[Any, Any]
    left: int
    key: Any = None

    def put(self, part: Any) -> None:
        if self.left % 2:  # of a pair, counted down before its part is put
            self.key = part if isinstance(part, (str, int, float, bool)) else Key(part)
        else:
            self.made[self.key] = part


@dataclass(slots=True)
class _Reader:
    """Reads one object after the other; those that are named again by their index are the same.

    A graph of modules lies as deep in the file as it is long, so what is open is kept in a list.
    """

    data: memoryview
    file: str
    at: int = 0
    known: dict[int, Any] = field(default_factory=dict)

    def whole(self) -> Any:
        """The first object, with everything in it."""
        root: list[Any] = []
        unfilled: list[_Filled] = [_Single(root.append)]
        while unfilled:
            filled = unfilled[-1]
            if not filled.left:
                unfilled.pop()
                continue
            filled.left -= 1
            part, inner = self._one()
            filled.put(part)
            unfilled += [inner] if inner else []
        return root[0]

    def _one(self) -> tuple[Any, _Filled | None]:
        """The next object, and what of it is still to be filled."""
        kind = self._number("<i")
        if kind in _PLAIN:
            return _PLAIN[kind](self), None
        if kind not in (_TABLE, _OBJECT):
            raise ValueError(f"byte {self.at - 4} begins an object of the unknown kind {kind}")
        index = self._number("<i")
        if index in self.known:
            return self.known[index], None
        self.known[index], inner = self._table() if kind == _TABLE else self._object()
        return self.known[index], inner

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

    def _table(self) -> tuple[dict[Any, Any], _Filled]:
        count = self._number("<i")
        if count < 0:
            raise ValueError(f"a table of {count} entries")
        made: dict[Any, Any] = {}
        return made, _Table(made, 2 * count)

    def _object(self) -> tuple[Any, _Filled | None]:
        name = self.text()
        name = self.text() if name.startswith("V ") else name
        match = _CLASS.fullmatch(name)
        dtype = _KINDS.get(match["kind"] or "") if match and (match["device"] or match["kind"]) else None
        if match is None or dtype is None:
            found = Object(name)
            return found, _Single(functools.partial(setattr, found, "fields"))
        return (self._storage(dtype) if match["what"] == "Storage" else self._tensor(dtype)), None

    def _storage(self, dtype: str) -> Storage:
        count = self._number("<q")
        begin = self.at
        self._bytes(count * DTYPES[dtype].itemsize)
        return Storage(self.data, dtype, begin, count)

    def _tensor(self, dtype: str) -> Tensor:
        axes = self._number("<i")
        if not 0 <= axes <= _MOST_AXES:
            raise ValueError(f"a tensor of {axes} axes")
        shape = tuple(self._number("<q") for _ in range(axes))
        strides = tuple(self._number("<q") for _ in range(axes))
        offset = self._number("<q") - 1
        storage, inner = self._one()
        if inner is not None:
            raise ValueError("a tensor whose numbers are no storage")
        return Tensor(dtype, shape, self._loader(storage, shape, strides, offset), self.file)

    def _loader(
        self, storage: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
    ) -> Callable[[], Array]:
        file = self.file

        def load() -> Array:
            last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
            inside = isinstance(storage, Storage) and min((offset, *shape, *strides)) >= 0 and last < storage.count
            if not inside or not shape:
                raise DamagedFile(f"{file}: a tensor of shape {list(shape)} is not inside its storage; copy it again.")
            flat = storage.load()
            steps = tuple(s * flat.dtype.itemsize for s in strides)
            return np.ascontiguousarray(np.lib.stride_tricks.as_strided(flat[offset:], shape, steps))

        return load


_PLAIN: Mapping[int, Callable[[_Reader], Any]] = {
    _NIL: lambda _reader: None,
    _NUMBER: lambda reader: reader._number("<d"),
    _STRING: _Reader.text,
    _BOOLEAN: lambda reader: bool(reader._number("<i")),
}
