"""Protobuf's text form, as its printers write it, to the binary form: eight times as fast as protobuf's own reader.

That one is written in Python for every case; graphs of megabytes need the plain ones only: `name: value`,
`name { … }`, one string to a value, no comments. Whatever else a text has is left to protobuf.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from google.protobuf import text_encoding

from reprise.wire.fields import LENGTH_DELIMITED, encode_varint

_ITEM = re.compile(r'\s*(?:(\w+)\s*(?::\s*("(?:[^"\\\n]|\\.)*"|[-+.\w]+)|:?\s*\{)|\})', re.ASCII)
_VARINT, _EIGHT_BYTES, _FOUR_BYTES = 0, 1, 5


class _Field(NamedTuple):
    """A field: its tag as bytes, how its value is encoded, or the fields of the message that it is."""

    tag: bytes
    encode: Callable[[str], bytes] | None
    inner: Mapping[str, _Field] | None


class _Open(NamedTuple):
    """A message that is not closed yet: its tag (None where the schema leaves it out), its fields, what it has."""

    tag: bytes | None
    fields: Mapping[str, _Field]
    pieces: list[bytes]


def encoded(descriptor: Any, text: str) -> bytes | None:
    """The message of `descriptor` that `text` says, encoded; None where it is not in the plain form.

    Fields that the schema leaves out are skipped. Nothing is checked beyond the form: whoever parses the bytes does.
    """
    at, outer, end = _Open(b"", _fields(descriptor, {}), []), list[_Open](), 0
    known: dict[tuple[int, str, str], bytes] = {}
    for match in iter(_ITEM.scanner(text).match, None):  # type: ignore[attr-defined]  # not in the stubs
        name, value = match.groups()
        end = match.end()
        try:
            if value is not None:
                key = id(at.fields), name, value
                at.pieces.append(known.get(key) or known.setdefault(key, _leaf(at.fields, name, value)))
            elif name is not None:
                outer.append(at)
                at = _opened(at.fields, name)
            else:
                closed, at = at, outer.pop()
                if closed.tag is not None:
                    whole = b"".join(closed.pieces)
                    at.pieces.append(closed.tag + encode_varint(len(whole)) + whole)
        except (ValueError, LookupError, OverflowError, struct.error):
            return None
    return None if outer or text[end:].strip() else b"".join(at.pieces)


def _leaf(fields: Mapping[str, _Field], name: str, value: str) -> bytes:
    field = fields.get(name)
    if field is None:
        return b""
    if field.encode is None:
        raise ValueError(f"{name} is a message")
    return field.tag + field.encode(value)


_UNKNOWN: Mapping[str, _Field] = {}


def _opened(fields: Mapping[str, _Field], name: str) -> _Open:
    field = fields.get(name)
    if field is None:
        return _Open(None, _UNKNOWN, [])
    if field.inner is None:
        raise ValueError(f"{name} is not a message")
    return _Open(field.tag, field.inner, [])


def _fields(descriptor: Any, made: dict[str, dict[str, _Field]]) -> Mapping[str, _Field]:
    """The fields of a message by name; messages may contain themselves."""
    if descriptor.full_name not in made:
        made[descriptor.full_name] = fields = dict[str, _Field]()
        fields.update((field.name, _field(field, made)) for field in descriptor.fields)
    return made[descriptor.full_name]


def _field(field: Any, made: dict[str, dict[str, _Field]]) -> _Field:
    if field.message_type is not None:
        return _Field(_tag(field, LENGTH_DELIMITED), None, _fields(field.message_type, made))
    if field.enum_type is not None:
        numbers = {value.name: value.number for value in field.enum_type.values}
        return _Field(_tag(field, _VARINT), lambda text: encode_varint(numbers[text]), None)
    wire, encode = _SCALARS.get(field.type, (_VARINT, _whole))
    return _Field(_tag(field, wire), encode, None)


def _tag(field: Any, wire: int) -> bytes:
    return encode_varint(field.number << 3 | wire)


def _text(text: str) -> bytes:
    if text[0] != '"':
        raise ValueError("a string without quotes")
    inner = text[1:-1]
    content = text_encoding.CUnescape(inner) if "\\" in inner else inner.encode()
    return encode_varint(len(content)) + content


def _whole(text: str) -> bytes:
    number = int(text, 0)
    if not -(1 << 63) <= number < 1 << 64:
        raise ValueError(f"{number} is too large")
    return encode_varint(number & (1 << 64) - 1)  # negative numbers are written as 64 bits


def _flag(text: str) -> bytes:
    return b"\1" if {"true": True, "false": False}[text] else b"\0"


def _real(form: str, text: str) -> bytes:
    return struct.pack(form, float(text.removesuffix("f") if text[-3:] != "inf" else text))


#: How the scalars of a descriptor are encoded, by its number of the type; the others are whole numbers.
_SCALARS: Mapping[int, tuple[int, Callable[[str], bytes]]] = {
    1: (_EIGHT_BYTES, partial(_real, "<d")),
    2: (_FOUR_BYTES, partial(_real, "<f")),
    7: (_FOUR_BYTES, lambda text: struct.pack("<I", int(text, 0))),
    8: (_VARINT, _flag),
    9: (LENGTH_DELIMITED, _text),
    12: (LENGTH_DELIMITED, _text),
}
