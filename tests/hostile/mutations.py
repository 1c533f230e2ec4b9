"""Ways to damage a file: each takes its bytes and a source of random numbers, and gives other bytes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from reprise.errors import RepriseError
from reprise.formats import onnx
from reprise.wire import sstable
from reprise.wire.fields import LENGTH_DELIMITED, encode_varint, fields
from reprise.wire.varint import Cut
from tests.wire.test_sstable import table

LARGE = [0, 1, 0x7F, 0xFF, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**48, 2**63 - 1, 2**64 - 1]


def bits_flipped(data, draw):
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8))):
        out[draw.randrange(len(out))] ^= 1 << draw.randrange(8)
    return bytes(out)


def byte_set(data, draw):
    at = draw.randrange(len(data))
    return data[:at] + bytes([draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))]) + data[at + 1 :]


def cut(data, draw):
    return data[: draw.randrange(len(data))]


def part_removed(data, draw):
    at = draw.randrange(len(data))
    return data[:at] + data[at + draw.choice((1, 2, 4, 8, 64)) :]


def part_repeated(data, draw):
    at, size = draw.randrange(len(data)), draw.choice((1, 4, 16, 256))
    return data[:at] + data[at : at + size] * draw.choice((2, 2, 9)) + data[at + size :]


def parts_swapped(data, draw):
    a, b = sorted(draw.randrange(len(data)) for _ in range(2))
    size = min(draw.choice((1, 4, 16, 64)), b - a)
    return data[:a] + data[b : b + size] + data[a + size : b] + data[a : a + size] + data[b + size :]


def number_blown_up(data, draw):
    number, at, width = draw.choice(LARGE), draw.randrange(len(data)), draw.choice((1, 2, 4, 8))
    return data[:at] + (number & (1 << 8 * width) - 1).to_bytes(width, "little") + data[at + width :]


def varint_blown_up(data, draw):
    at = draw.randrange(len(data))
    return data[:at] + encode_varint(draw.choice(LARGE)) + data[at + 1 :]


def digits_blown_up(data, draw):
    places = [i for i, byte in enumerate(data[:65536]) if 48 <= byte < 58]
    at = draw.choice(places) if places else 0
    return data[:at] + draw.choice((b"-1", b"99999999999", b"1e400", b"4" * 5000, b"NaN")) + data[at + 1 :]


def text_poisoned(data, draw):
    """A name with what a terminal would obey."""
    places = [i for i, byte in enumerate(data[:65536]) if 97 <= byte < 123]
    at = draw.choice(places) if places else 0
    poison = draw.choice((b"\x1b[2J", b"\xff\xfe", b"\0", b"\n", b"\xe2\x80\xae", b"/../"))
    return data[:at] + poison + data[at + len(poison) :]


BYTES = (
    bits_flipped, byte_set, cut, part_removed, part_repeated, parts_swapped, number_blown_up, varint_blown_up,
    digits_blown_up, text_poisoned,
)  # fmt: skip


def any_of_them(data, draw):
    return draw.choice(BYTES)(data, draw) if data else b"\0"


def message_changed(data, draw, depth=0):
    """Protobuf: a field changed somewhere in the tree of messages, the lengths around it made right."""
    parts = list(fields(data))
    if not parts:
        return any_of_them(data, draw)
    field = draw.choice(parts)
    content = bytes(data[field.start : field.end])
    if field.kind == LENGTH_DELIMITED and depth < 12 and draw.random() < 0.9:
        try:
            content = message_changed(content, draw, depth + 1)
        except (Cut, RecursionError):
            content = any_of_them(content, draw)
        tag = encode_varint(field.number << 3 | LENGTH_DELIMITED)
        return data[: field.begin] + tag + encode_varint(len(content)) + content + data[field.end :]
    whole = data[field.begin : field.end]
    other = draw.choice(parts)
    swapped = data[other.begin : other.end]
    new = draw.choice(
        (b"", whole * 2, whole * 40, swapped, encode_varint(field.number << 3) + encode_varint(draw.choice(LARGE)))
    )
    return data[: field.begin] + new + data[field.end :]


def table_changed(data, draw):
    """A table of a checkpoint with one entry changed, its checksums made right."""
    pairs = dict(sstable.entries(data, Path("table")))
    key = draw.choice(list(pairs))
    value = pairs.pop(key)
    try:
        value = message_changed(value, draw)
    except Cut:
        value = any_of_them(value, draw)
    pairs[any_of_them(key, draw) if draw.random() < 0.2 else key] = value
    return table(pairs, per_block=draw.choice((1, 4, 100)))


def archive_changed(data, draw):
    """A zip archive with one of its files changed, its checksums made right."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {info.filename: archive.read(info) for info in archive.infolist()}
    name = draw.choice(list(files))
    files[name] = any_of_them(files[name], draw)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for each, content in files.items():
            archive.writestr(each, content)
    return out.getvalue()


def sealed(data, draw):
    """An ONNX file of ours, changed, its checksum made right."""
    body = data[: -len(onnx._seal(b""))]
    body = message_changed(body, draw)
    return body + onnx._seal(body)


def changed(name, data, draw):
    """`data`, the content of a file of this name, damaged in one of the ways that fit it."""
    ways = [any_of_them, any_of_them]
    if name.endswith(".index") or data.endswith(sstable.MAGIC):
        ways += [table_changed] * 4
    elif data[:2] == b"PK":
        ways += [archive_changed] * 4
    elif name.endswith(".onnx") and b"reprise.crc32c" in data:
        ways += [sealed] * 6
    elif name.endswith((".meta", ".pb", ".onnx")):
        ways += [message_changed] * 4
    try:
        return draw.choice(ways)(data, draw)
    except (Cut, RepriseError, RecursionError, zipfile.BadZipFile):
        return any_of_them(data, draw)
