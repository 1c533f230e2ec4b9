"""FlatBuffers, read field by field: every offset and length is held against the bytes that there are.

A table is a place in the bytes; four bytes there lead back to its vtable, which tells where each field lies. The format
is https://flatbuffers.dev/internals/. A buffer that ends early, or points outside of itself, raises `Cut`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from reprise.tensors import Array
from reprise.wire.varint import Cut


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a buffer.

    Attributes:
        data: The whole buffer.
        place: Where the table lies.
    """

    data: memoryview
    place: int

    @classmethod
    def root(cls, data: memoryview) -> Table:
        """The table that a buffer begins with."""
        return cls(data, _unsigned(data, 0))

    def number(self, field: int, kind: str, default: Any = 0) -> Any:
        """A number, in the letters of `struct` (`b`, `B`, `i`, `I`, `q`, `Q`, `f`, `?`)."""
        at = self._field(field)
        return default if at is None else _number(self.data, at, f"<{kind}")

    def flag(self, field: int, *, default: bool = False) -> bool:
        """A flag."""
        return bool(self.number(field, "?", default))

    def table(self, field: int) -> Table | None:
        """A table, None where it is absent."""
        at = self._field(field)
        return None if at is None else Table(self.data, at + _unsigned(self.data, at))

    def tables(self, field: int) -> list[Table]:
        """A vector of tables."""
        start, count = self._vector(field, 4)
        places = range(start, start + 4 * count, 4)
        return [Table(self.data, at + _unsigned(self.data, at)) for at in places]

    def numbers(self, field: int, dtype: str) -> Array | None:
        """A vector of numbers of a little-endian NumPy type, None where it is absent."""
        if self._field(field) is None:
            return None
        start, count = self._vector(field, np.dtype(dtype).itemsize)
        return np.frombuffer(self.data, dtype, count, start)

    def integers(self, field: int) -> tuple[int, ...]:
        """A vector of whole numbers of four bytes."""
        found = self.numbers(field, "<i4")
        return () if found is None else tuple(found.tolist())

    def content(self, field: int) -> memoryview:
        """A vector of bytes."""
        start, count = self._vector(field, 1)
        return self.data[start : start + count]

    def text(self, field: int) -> str:
        """A string, empty where it is absent."""
        return bytes(self.content(field)).decode("utf-8", "replace")

    def _field(self, field: int) -> int | None:
        vtable = self.place - _number(self.data, self.place, "<i")
        size = _number(self.data, vtable, "<H")
        slot = 4 + 2 * field
        offset = _number(self.data, vtable + slot, "<H") if slot + 2 <= size else 0
        return self.place + offset if offset else None

    def _vector(self, field: int, width: int) -> tuple[int, int]:
        """Where the elements of a vector begin, and how many there are."""
        at = self._field(field)
        if at is None:
            return 0, 0
        start = at + _unsigned(self.data, at)
        count = _unsigned(self.data, start)
        if start + 4 + count * width > len(self.data):
            raise Cut(f"a vector of {count} elements at byte {start} does not fit into {len(self.data)} bytes")
        return start + 4, count


def _unsigned(data: memoryview, at: int) -> int:
    return int(_number(data, at, "<I"))


def _number(data: memoryview, at: int, kind: str) -> Any:
    if not 0 <= at <= len(data) - struct.calcsize(kind):
        raise Cut(f"byte {at} is not among the {len(data)} that there are")
    return struct.unpack_from(kind, data, at)[0]


def flex_strings(data: memoryview) -> Iterator[bytes]:
    """The strings of a FlexBuffer that is a vector of them, as LiteRT files describe operators of TensorFlow."""
    width = _number(data, len(data) - 1, "<B")
    root = len(data) - 2 - width
    if width not in (1, 2, 4, 8):
        raise Cut(f"a FlexBuffer cannot have numbers of {width} bytes")
    start = root - _sized(data, root, width)
    inner = 1 << (_number(data, len(data) - 2, "<B") & 3)
    count = _sized(data, start - inner, inner)
    for k in range(min(count, len(data))):
        at = start + k * inner
        place = at - _sized(data, at, inner)
        kind = _number(data, start + count * inner + k, "<B")
        length = _sized(data, place - (1 << (kind & 3)), 1 << (kind & 3))
        if place + length > len(data):
            raise Cut(f"a string of {length} bytes does not fit")
        yield bytes(data[place : place + length])


def _sized(data: memoryview, at: int, width: int) -> int:
    return int(_number(data, at, {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}[width]))
