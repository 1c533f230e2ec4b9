"""A decoder of snappy blocks (`format_description.txt` of google/snappy), bounded by what a block can hold."""

from __future__ import annotations

from reprise.wire.varint import Cut, varint

#: A copy of at most 64 bytes takes three bytes of input, so nothing expands further.
_MOST_EXPANSION = 32


def decompress(data: bytes) -> bytes:
    """The plain bytes of one block.

    Raises:
        Cut: The block is not whole, or promises more than it can hold.
    """
    size, position = varint(data, 0)
    if size > _MOST_EXPANSION * len(data):
        raise Cut(f"{len(data)} compressed bytes promise {size}")
    out = bytearray()
    while position < len(data):
        tag = data[position]
        position = (_literal if tag & 3 == 0 else _copy)(data, position, out)
        if len(out) > size:
            break
    if len(out) != size:
        raise Cut(f"a compressed block gives {len(out)} bytes, it promised {size}")
    return bytes(out)


def _literal(data: bytes, position: int, out: bytearray) -> int:
    length = data[position] >> 2
    position += 1
    if length >= 60:
        width = length - 59
        length = int.from_bytes(data[position : position + width], "little")
        position += width
    end = position + length + 1
    if end > len(data):
        raise Cut("a literal of a compressed block is cut")
    out += data[position:end]
    return end


def _copy(data: bytes, position: int, out: bytearray) -> int:
    tag = data[position]
    width = (0, 1, 2, 4)[tag & 3]
    if position + 1 + width > len(data):
        raise Cut("a copy of a compressed block is cut")
    offset = int.from_bytes(data[position + 1 : position + 1 + width], "little")
    length = (tag >> 2) + 1
    if tag & 3 == 1:
        offset |= (tag >> 5) << 8
        length = (tag >> 2 & 7) + 4
    if not 0 < offset <= len(out):
        raise Cut("a copy of a compressed block begins before the block")
    start = len(out) - offset
    pattern = bytes(out[start : start + length])
    out += (pattern * (length // len(pattern) + 1))[:length]
    return position + 1 + width
