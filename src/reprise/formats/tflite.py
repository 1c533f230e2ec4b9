"""LiteRT models (TensorFlow Lite, `.tflite`): subgraphs of operators, read as graphs of TensorFlow's."""

from __future__ import annotations

import mmap
from pathlib import Path

from reprise.errors import MissingFile
from reprise.files import first_bytes
from reprise.formats import _sidecars
from reprise.formats._base import Format, StoredModel
from reprise.formats._litert import schema
from reprise.formats._litert.graph import content

_MAGIC = (b"TFL3", b"TFL2", b"TFL1")


def sniff(path: Path) -> str | None:
    """Evidence of a LiteRT model: the identifier of its schema."""
    head = first_bytes(path, 8)
    return f"it has the identifier {head[4:].decode()} of LiteRT" if head[4:] in _MAGIC else None


def read(path: Path) -> StoredModel:
    """The model in a file; its weights stay on disk until they are asked for."""
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise MissingFile(f"{path}: cannot be read ({error}).") from error
    model = schema.read(memoryview(data), path)
    found = content(model, path)
    beside = _sidecars.find(path.parent)
    return StoredModel(
        path=path,
        format=FORMAT.name,
        evidence=sniff(path) or "it is a LiteRT model",
        graph=None,
        entries=found.entries,
        weights=found.weights,
        variable_names={name: name for name in found.weights},
        signatures=found.signatures,
        vocabulary=beside.vocabulary,
        vocabulary_source=beside.source,
        files=(path,),
        notes=(*found.notes, *beside.notes),
        metadata={"description": model.description} if model.description else {},
    )


FORMAT = Format(
    name="LiteRT model",
    spec="tensorflow/compiler/mlir/lite/schema/schema.fbs",
    sniff=sniff,
    read=read,
)
