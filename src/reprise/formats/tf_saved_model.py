"""SavedModels of TensorFlow 1 and 2: `saved_model.pb` (or `.pbtxt`) with MetaGraphs, beside `variables/` and `assets/`.

What TensorFlow 2 adds is an object graph, whose functions are read in the place of the graph.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from reprise.errors import AmbiguousFormat, DamagedFile, MissingFile
from reprise.files import opened
from reprise.formats import _sidecars
from reprise.formats._base import Format, StoredModel
from reprise.formats._tensorflow import entries, keras, metagraph, tensor_bundle
from reprise.layers import Layers
from reprise.wire import messages
from reprise.wire.fields import LENGTH_DELIMITED

_BINARY, _TEXT = "saved_model.pb", "saved_model.pbtxt"
_TEXT_START = b"saved_model_schema_version"
_NODE = 1
_SERVE = frozenset({"serve"})


def sniff(path: Path) -> str | None:
    """Evidence of a SavedModel: its file."""
    file = _file(path)
    if file is None:
        return None
    try:
        if _begins_with_a_node(file):
            return None
    except OSError:
        pass  # claimed, so that the reader can say so
    return f"{file.name} is the file of a SavedModel"


def _begins_with_a_node(file: Path) -> bool:
    """Whether a file of this name is a GraphDef: its first field is a message, where a SavedModel has a number."""
    with opened(file) as stream:
        return stream.read(1) == bytes([_NODE << 3 | LENGTH_DELIMITED])


def _file(path: Path) -> Path | None:
    """The file of a SavedModel that `path`, a folder or that file, means."""
    names = (_BINARY, _TEXT)
    if path.is_dir():
        return next((path / name for name in names if (path / name).is_file()), None)
    return path if path.name in names and path.is_file() else None


def read(path: Path, *, tags: Collection[str] | None = None, custom: Mapping[str, Any] | None = None) -> StoredModel:
    """The MetaGraph of a SavedModel that has the `tags`, or else that for serving, or the only one.

    Where it has no functions, the layers that Keras describes beside it; `custom` says what other classes are.
    """
    file = _file(path)
    if file is None:
        raise MissingFile(f"{path}: holds no {_BINARY}.")
    data = metagraph.load(file)
    proto = (messages.parse_text if data.startswith(_TEXT_START) else messages.parse)("SavedModel", data, file)
    meta = _chosen(proto.meta_graphs, tags, file)
    variables = file.parent / "variables"
    bundle = tensor_bundle.read(variables / "variables") if variables.is_dir() else tensor_bundle.NOTHING
    content = entries.content(meta, bundle, file)
    made = keras.layers(file.parent, bundle.tensors, custom or {}) if content is None else None
    if made is not None:
        return _of_layers(path, file, made, bundle)
    content = content or metagraph.content(meta, bundle.tensors, file)
    return metagraph.stored(
        content,
        _vocabulary(content, file),
        () if content.entries else bundle.notes,
        path=path,
        format=FORMAT.name,
        evidence=f"{file.name} is a SavedModel {'with' if content.entries else 'without'} an object graph",
        files=(file, *bundle.files),
        entries=content.entries,
    )


def _of_layers(path: Path, file: Path, made: Layers, bundle: tensor_bundle.Bundle) -> StoredModel:
    """What Keras saved without functions."""
    found = _sidecars.find(file.parent)
    return StoredModel(
        path=path,
        format=FORMAT.name,
        evidence=f"{file.name} is a SavedModel without functions, and Keras describes its layers beside it",
        graph=None,
        layers=made,
        weights=bundle.tensors,
        vocabulary=found.vocabulary,
        vocabulary_source=found.source,
        files=(file, *bundle.files),
        notes=(*made.notes, *found.notes),
    )


def _chosen(metas: Collection[Any], tags: Collection[str] | None, file: Path) -> Any:
    """The one MetaGraph that is meant: of those with other tags too, the one that serves."""
    tagged = [(frozenset(m.meta_info_def.tags), m) for m in metas]
    exact = [m for own, m in tagged if own == (_SERVE if tags is None else frozenset(tags))]
    serving = [m for own, m in tagged if tags is None and own >= _SERVE]
    for fitting in (exact, serving, list(metas) if tags is None else []):
        if len(fitting) == 1:
            return fitting[0]
    if not metas:
        raise DamagedFile(f"{file}: holds no MetaGraph. The file is cut or changed; copy it again.")
    listed = "; ".join(", ".join(m.meta_info_def.tags) or "no tags" for m in metas)
    asked = f", none of them by exactly {', '.join(sorted(tags))}" if tags is not None else ""
    raise AmbiguousFormat(
        f"{file}: holds {len(metas)} MetaGraphs, told apart by their tags ({listed}){asked}. Choose with tags."
    )


def _vocabulary(content: metagraph.MetaGraphContent, file: Path) -> _sidecars.Sidecar:
    """The vocabulary inside the MetaGraph, among the assets, or beside the model."""
    if content.vocabulary is not None:
        return _sidecars.Sidecar(content.vocabulary, str(file))
    folders = (file.parent / "assets", file.parent / "assets.extra", file.parent)
    looked = [_sidecars.find(folder) for folder in folders]
    return next((found for found in looked if found.vocabulary), looked[0])


FORMAT = Format(
    name="TensorFlow SavedModel",
    spec="tensorflow/core/protobuf/saved_model.proto",
    sniff=sniff,
    read=read,
    choices=("custom", "tags"),
)
