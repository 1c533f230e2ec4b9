"""MetaGraphs: a graph with its saver, signatures, assets, and the vocabulary that Reprise puts in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile, VocabularyError
from reprise.formats import _tf_graphdef
from reprise.formats._base import Signature
from reprise.formats._tf_variables import Binding, averages, bind
from reprise.graph import Graph
from reprise.tensors import Tensor
from reprise.vocabulary import Vocabulary
from reprise.wire import messages

_COLLECTION = "reprise"
_MOST_BYTES = 2**31 - 1  # what protobuf itself can hold
_TEXT_STARTS = (b"meta_info_def", b"graph_def")


@dataclass(frozen=True, slots=True)
class Content:
    """What a MetaGraph and the tensors stored with it are together; the fields are those of `StoredModel`.

    Attributes:
        assets: Names of the asset files.
        notes: What is to be said of it.
    """

    graph: Graph | None = None
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    variable_names: Mapping[str, str] = field(default_factory=dict)
    signatures: tuple[Signature, ...] = ()
    vocabulary: Vocabulary | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    assets: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read(path: Path) -> Any:
    """The MetaGraphDef in a `.meta` file, binary or text.

    Raises:
        DamagedFile: It is none.
    """
    data = load(path, "a MetaGraph")
    proto = (messages.parse_text if data.startswith(_TEXT_STARTS) else messages.parse)("MetaGraphDef", data, path)
    if not proto.graph_def.node:
        raise DamagedFile(f"{path}: holds no graph; expected a MetaGraph, as a Saver writes it. Copy the file again.")
    return proto


def load(path: Path, what: str) -> bytes:
    """The bytes of a file that protobuf can hold.

    Raises:
        DamagedFile: It cannot be read, or is too large.
    """
    try:
        size = path.stat().st_size
        if size <= _MOST_BYTES:
            return path.read_bytes()
    except OSError as error:
        raise DamagedFile(f"{path}: cannot be read ({error.strerror}).") from error
    raise DamagedFile(f"{path}: has {size} bytes, {what} has at most {_MOST_BYTES}.")


def content(proto: Any, tensors: Mapping[str, Tensor], path: Path) -> Content:
    """A MetaGraphDef with the stored tensors that its variables have.

    Raises:
        DamagedFile: It contradicts itself.
    """
    graph = _tf_graphdef.graph(proto.graph_def, path)
    binding = bind(graph, tensors, proto.saver_def.restore_op_name)
    shadows = averages(binding.names, tensors)
    return Content(
        graph=graph,
        weights={**tensors, **binding.parts},
        variable_names=binding.names,
        signatures=tuple(_signature(name, proto.signature_def[name]) for name in sorted(proto.signature_def)),
        vocabulary=_vocabulary(proto, path),
        metadata=_metadata(proto, shadows),
        assets=tuple(asset.filename for asset in proto.asset_file_def),
        notes=tuple(_notes(binding, shadows)),
    )


def _notes(binding: Binding, shadows: Mapping[str, str]) -> Iterator[str]:
    if shadows:
        yield f"moving averages are stored too, of {len(shadows)} variables; the plain values are used"
    if binding.strangers:
        shown = "; ".join(binding.strangers[:4]) + (" …" if len(binding.strangers) > 4 else "")
        yield f"graph and weights are not of one model: {len(binding.strangers)} variables differ ({shown})"


def _signature(name: str, proto: Any) -> Signature:
    inputs = {role: proto.inputs[role].name for role in sorted(proto.inputs)}
    outputs = {role: proto.outputs[role].name for role in sorted(proto.outputs)}
    return Signature(name, inputs, outputs, proto.method_name)


def _vocabulary(proto: Any, path: Path) -> Vocabulary | None:
    """The vocabulary in the collection `reprise`, whose first value is JSON: `{"version": 1, "vocabulary": …}`."""
    if _COLLECTION not in proto.collection_def or not proto.collection_def[_COLLECTION].bytes_list.value:
        return None
    try:
        said = json.loads(proto.collection_def[_COLLECTION].bytes_list.value[0])
        return Vocabulary.from_json(said["vocabulary"]) if "vocabulary" in said else None  # a forecast has no symbols
    except (ValueError, KeyError, TypeError, RecursionError, VocabularyError) as error:
        raise DamagedFile(f"{path}: the vocabulary inside cannot be read ({error}). Copy the file again.") from error


def _metadata(proto: Any, moving_averages: Mapping[str, str]) -> dict[str, Any]:
    info = proto.meta_info_def
    found = {
        "tensorflow_version": info.tensorflow_version,
        "tags": tuple(info.tags),
        "moving_averages": moving_averages,
    }
    return {key: value for key, value in found.items() if value}
