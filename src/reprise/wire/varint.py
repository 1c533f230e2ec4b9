"""Variable-length integers: seven bits a byte, the lowest first, the top bit set on all but the last."""

from __future__ import annotations


class Cut(Exception):
    """A structure ends, or contradicts itself, before it is whole; the caller knows the file and says so."""


def varint(data: bytes | memoryview, position: int, end: int | None = None) -> tuple[int, int]:
    """The number at `position` and the position after it.

    Raises:
        Cut: The data ends first, or the number has more than 64 bits.
    """
    end = len(data) if end is None else end
    value = shift = 0
    while position < end and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise Cut(f"a number at byte {position} does not end")
