"""ONNX files, those that Reprise wrote with the interface inside and those of others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c
from google.protobuf.message import DecodeError

from reprise.errors import DamagedFile, MissingFile, VocabularyError
from reprise.files import opened, read_whole
from reprise.formats._base import Format, StoredModel
from reprise.formats._onnx_weights import initializers_of
from reprise.vocabulary import Vocabulary
from reprise.wire import onnx
from reprise.wire.varint import Cut, varint

#: What a file of ours says of itself, in `metadata_props`: each key holds JSON.
VERSION = "reprise.version"
INTERFACE = "reprise.interface"
SETTINGS = "reprise.settings"
FIRST_STATES = "reprise.first_states"
FAST = "reprise.fast"
VOCABULARY = "reprise.vocabulary"
COLUMNS = "reprise.columns"
DRIFT = "reprise.drift"
#: The last entry: the CRC-32C of all bytes before it, since ONNX itself has no checksum.
CHECKSUM = "reprise.crc32c"

#: The layout of the entries above that this program writes, and the highest that it reads.
LAYOUT = 1

_HEAD = 4096
#: IR versions that ONNX has had since its first release; a SavedModel begins alike, with a version of 1.
_IR_VERSIONS = range(3, 100)
#: Fields of ModelProto that may follow the version: producer_name, producer_version, domain, graph, opset_import.
_NEXT_TAGS = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42)


def sniff(path: Path) -> str | None:
    """Evidence of an ONNX model: it begins with the version of its representation, and a field of a model follows."""
    try:
        with opened(path) as file:
            head = file.read(_HEAD)
        if head[:1] != b"\x08":
            return None
        version, after = varint(head, 1)
    except (OSError, Cut):
        return None
    if version not in _IR_VERSIONS or after >= len(head) or head[after] not in _NEXT_TAGS:
        return None
    return f"it begins as an ONNX model of IR version {version}"


def to_bytes(model: onnx.Message) -> bytes:
    """The content of a file: `model`, and a checksum of it at the end."""
    body = model.SerializeToString()
    return bytes(body + _seal(body))


def _seal(body: bytes | memoryview) -> bytes:
    """Messages that are written one after the other are one message, so the entry is a model of its own."""
    end = onnx.empty("ModelProto")
    end.metadata_props.add(key=CHECKSUM, value=f"{google_crc32c.value(bytes(body)):08x}")
    return bytes(end.SerializeToString())


def read(path: Path) -> StoredModel:
    """The model in an ONNX file; the interface is what the file itself says of it."""
    try:
        data = read_whole(path)
    except OSError as error:
        raise MissingFile(f"{path}: cannot be read ({error.strerror}).") from error
    model = onnx.empty("ModelProto")
    try:
        model.ParseFromString(data)
        metadata = {_text(entry.key): _text(entry.value) for entry in model.metadata_props}
        producer = f"{_text(model.producer_name)} {_text(model.producer_version)}".strip()
    except (DecodeError, UnicodeDecodeError) as error:
        raise DamagedFile(
            f"{path}: is not a complete ONNX model ({error}). It is cut or changed; copy it again."
        ) from error
    _check_sum(path, data, metadata)
    model.DiscardUnknownFields()  # what is not read and checked here never reaches ONNX Runtime
    _check_names(path, model)
    _name_outputs_of_loops(model)
    held = {
        key: _json(path, key, text) for key, text in metadata.items() if key.startswith("reprise.") and key != CHECKSUM
    }
    vocabulary = _vocabulary(path, held)
    weights = initializers_of(path, model)
    return StoredModel(
        path=path,
        format=FORMAT.name,
        evidence=sniff(path) or "it is an ONNX model",
        graph=None,
        weights={} if held else weights,
        vocabulary=vocabulary,
        vocabulary_source="the file itself" if vocabulary else "",
        files=(path, *_beside(path, model)),
        notes=() if held else (f"not written by Reprise: {describe(model)}",),
        metadata={
            "producer": producer,
            "columns": _columns(path, held),
            **held,
        },
        foreign=model,
    )


def _text(field: str | bytes) -> str:
    """A string field, which protobuf gives as bytes where they are no UTF-8: decoding them raises the error."""
    return field if isinstance(field, str) else field.decode()


def _check_sum(path: Path, data: bytes, metadata: dict[str, str]) -> None:
    if not any(key.startswith("reprise.") for key in metadata):
        return
    length = len(_seal(b""))
    if data[-length:] != _seal(memoryview(data)[:-length]):
        raise DamagedFile(
            f"{path}: its checksum ({CHECKSUM}) does not fit its content. It is cut or damaged, or another program has "
            "changed it; copy it again, or export the model again."
        )


def _check_names(path: Path, model: onnx.Message) -> None:
    """Refuses names that are no text: protobuf gives them as bytes, and every message would have to expect that."""
    names = (name for graph in _graphs(model) for name in _names(graph))
    wrong = next((name for name in names if not isinstance(name, str)), None)
    if wrong is not None:
        raise DamagedFile(f"{path}: the name {wrong!r} is not UTF-8. It is damaged; copy it again.")


def _name_outputs_of_loops(model: onnx.Message) -> None:
    """Names what loops give and nothing reads: where it has no name, ONNX Runtime 1.32 ends the process."""
    for place, graph in enumerate(_graphs(model)):
        for number, node in enumerate(graph.node):
            if node.op_type in ("Loop", "Scan"):
                node.output[:] = [name or f"unread.{place}.{number}.{k}" for k, name in enumerate(node.output)]


def _graphs(model: onnx.Message) -> Iterator[onnx.Message]:
    """The graph of a model, its functions, and the graphs of loops and branches within them."""
    pending = [model.graph, *model.functions]
    while pending:
        yield (graph := pending.pop())
        pending += [inner for node in graph.node for inner in onnx.subgraphs(node)]


def _names(graph: onnx.Message) -> Iterator[str | bytes]:
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    for port in (*graph.input, *graph.output, *getattr(graph, "initializer", ())):
        yield port if isinstance(port, (str, bytes)) else port.name


def _beside(path: Path, model: onnx.Message) -> Iterator[Path]:
    """The files beside a model that its weights lie in; their names were checked."""
    locations = (e.value for t in model.graph.initializer for e in t.external_data if e.key == "location")
    yield from (path.parent / name for name in dict.fromkeys(locations))


def _json(path: Path, key: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path}: its entry {key!r} is not JSON ({error}). Export the model again.") from error


def _vocabulary(path: Path, held: dict[str, Any]) -> Vocabulary | None:
    if VOCABULARY not in held:
        return None
    try:
        return Vocabulary.from_json(held[VOCABULARY])
    except VocabularyError as error:
        raise DamagedFile(f"{path}: its vocabulary cannot be read ({error}). Export the model again.") from error


def _columns(path: Path, held: dict[str, Any]) -> tuple[str, ...]:
    names = held.get(COLUMNS, [])
    if not isinstance(names, list):
        raise DamagedFile(f"{path}: the names of its columns are {names!r}, expected a list. Export the model again.")
    return tuple(map(str, names))


def describe(model: onnx.Message) -> str:
    """What an ONNX model holds, in one line."""
    stored = {i.name for i in model.graph.initializer}
    inputs = [i.name for i in model.graph.input if i.name not in stored]
    counts = Counter(node.op_type for node in model.graph.node)
    operators = ", ".join(f"{op} ×{n}" if n > 1 else op for op, n in counts.most_common(8))
    return (
        f"producer {model.producer_name or 'unknown'}; inputs {', '.join(inputs[:8]) or 'none'}; "
        f"outputs {', '.join(o.name for o in model.graph.output[:8]) or 'none'}; operators {operators or 'none'}"
    )


FORMAT = Format(
    name="ONNX",
    spec="onnx/onnx.proto",
    sniff=sniff,
    read=read,
)
