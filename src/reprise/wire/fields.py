"""Protobuf's wire format without a schema: enough to leave large contents where they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reprise.wire.varint import Cut, varint

_VARINT, _FIXED64, LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}


class Field(NamedTuple):
    """One field of a message: from `begin` (its tag) to `end`; what it holds begins at `start`."""

    number: int
    kind: int
    begin: int
    start: int
    end: int


def fields(data: bytes | memoryview, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """The fields of the message in `data[start:end]`, in their order.

    Raises:
        Cut: It is not a message.
    """
    end = len(data) if end is None else end
    position = start
    while position < end:
        begin = position
        tag, position = varint(data, position, end)
        kind = tag & 7
        if kind == LENGTH_DELIMITED:
            size, position = varint(data, position, end)
            start, position = position, position + size
        elif kind == _VARINT:
            start, position = position, varint(data, position, end)[1]
        elif kind in _SIZES:
            start, position = position, position + _SIZES[kind]
        else:
            raise Cut(f"byte {begin} has the wire type {kind}")
        if position > end or tag < 8:
            raise Cut(f"the field at byte {begin} does not end in its message")
        yield Field(tag >> 3, kind, begin, start, position)


def encode_varint(number: int) -> bytes:
    """The inverse of `varint`."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
