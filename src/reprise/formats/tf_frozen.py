"""Graphs of TensorFlow 1 in one file: a GraphDef whose weights are constants, binary (`.pb`) or as text (`.pbtxt`)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile, MissingFile
from reprise.files import first_bytes, view
from reprise.formats import _sidecars
from reprise.formats._base import Format, StoredModel
from reprise.formats._tensorflow import graphdef
from reprise.formats._tensorflow.tensors import content_tensor
from reprise.tensors import Tensor
from reprise.wire import messages
from reprise.wire.fields import LENGTH_DELIMITED, Field, encode_varint, fields
from reprise.wire.varint import Cut, varint

_HEAD = 4096
_LARGE = 1 << 16
_NODE_NAME = re.compile(rb"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")
_OPERATOR = re.compile(rb"[A-Z_][A-Za-z0-9_>]*")
_TEXT = re.compile(rb"(\s|#[^\n]*\n)*(node|library|versions)\s*\{")
#: The fields that lead to the bytes of a constant: node, attr, (map) value, tensor, tensor_content.
_TO_CONTENT = (1, 5, 2, 8, 4)
_NODE, _NAME, _OP = 1, 1, 2


def sniff(path: Path) -> str | None:
    """Evidence of a GraphDef: it begins with a node, which begins with its name and its operator."""
    head = first_bytes(path, _HEAD)
    if _TEXT.match(head):
        return "it begins as a GraphDef in text form"
    try:
        name, op = _first_node(head)
    except Cut:
        return None
    if _NODE_NAME.fullmatch(name) and _OPERATOR.fullmatch(op):
        return f"it begins with the node {name.decode()} of operator {op.decode()}"
    return None


def _first_node(head: bytes) -> tuple[bytes, bytes]:
    start, _ = _leading(head, 0, _NODE)
    start, end = _leading(head, start, _NAME)
    op_start, op_end = _leading(head, end, _OP)
    return head[start:end], head[op_start:op_end]


def _leading(head: bytes, position: int, number: int) -> tuple[int, int]:
    """Where the content of the field `number` at `position` lies; it may end beyond the head."""
    tag, position = varint(head, position)
    if tag != number << 3 | LENGTH_DELIMITED:
        raise Cut(f"byte {position} does not begin field {number}")
    size, position = varint(head, position)
    return position, position + size


def read(path: Path) -> StoredModel:
    """The graph in a `.pb` or `.pbtxt` file; large constants of a binary one stay on disk until they are asked for."""
    try:
        data = view(path)
    except OSError as error:
        raise MissingFile(f"{path}: cannot be read ({error.strerror}).") from error
    constants: dict[int, Tensor] = {}
    if _TEXT.match(data[:_HEAD]):
        definition = messages.parse_text("GraphDef", bytes(data), path)
    else:
        definition = _binary(memoryview(data), constants, path)
    if not definition.node:
        raise DamagedFile(f"{path}: holds no graph. The file is cut or changed; copy it again.")
    graph = graphdef.graph(definition, path, constants)
    beside = _sidecars.find(path.parent)
    return StoredModel(
        path=path,
        format=FORMAT.name,
        evidence=sniff(path) or "it is a GraphDef",
        graph=graph,
        vocabulary=beside.vocabulary,
        vocabulary_source=beside.source,
        files=(path,),
        notes=beside.notes,
        metadata={"producer": definition.versions.producer} if definition.versions.producer else {},
    )


def _binary(data: memoryview, constants: dict[int, Tensor], path: Path) -> Any:
    """The GraphDef without its large constants, which go to `constants` by the number of their node."""
    try:
        small, cuts = _carve(data)
    except Cut as error:
        raise DamagedFile(
            f"{path}: is not a complete GraphDef ({error}). It is cut or changed; copy it again."
        ) from error
    definition = messages.parse("GraphDef", small, path)
    for i, (start, end) in cuts.items():
        node = definition.node[i]
        constants[i] = content_tensor(node.attr["value"].tensor, data[start:end], f"node {node.name}", path)
    return definition


def _carve(data: memoryview) -> tuple[bytearray, dict[int, tuple[int, int]]]:
    """A GraphDef without large constants, and where those lie by the number of their node."""
    small = bytearray()
    cuts: dict[int, tuple[int, int]] = {}
    number = 0
    for field in fields(data):
        cut: list[tuple[int, int]] = []
        small += _without(data, field, _TO_CONTENT, cut)
        if len(cut) > 1:
            raise Cut(f"node {number} holds several large constants")
        if cut:
            cuts[number] = cut[0]
        number += field.number == _NODE
    return small, cuts


def _without(data: memoryview, field: Field, way: tuple[int, ...], cut: list[tuple[int, int]]) -> bytes | memoryview:
    """A field without the large content at the end of `way`, whose bounds go to `cut`."""
    if field.number != way[0] or field.kind != LENGTH_DELIMITED or field.end - field.start <= _LARGE:
        return data[field.begin : field.end]
    if len(way) == 1:
        cut.append((field.start, field.end))
        return b""
    inner = b"".join(_without(data, f, way[1:], cut) for f in fields(data, field.start, field.end))
    return encode_varint(field.number << 3 | LENGTH_DELIMITED) + encode_varint(len(inner)) + inner


FORMAT = Format(
    name="TensorFlow graph",
    spec="tensorflow/core/framework/graph.proto",
    sniff=sniff,
    read=read,
)
