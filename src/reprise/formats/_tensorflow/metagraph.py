"""MetaGraphs: a graph with its saver, signatures, assets, and the vocabulary that Reprise puts in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile, VocabularyError
from reprise.files import read_whole
from reprise.formats import _sidecars
from reprise.formats._base import Signature, StoredModel
from reprise.formats._tensorflow import graphdef
from reprise.formats._tensorflow.tables import with_table_files
from reprise.formats._tensorflow.variables import Binding, averages, bind
from reprise.graph import Graph
from reprise.tensors import Tensor
from reprise.vocabulary import Vocabulary
from reprise.wire import messages

_COLLECTION = "reprise"
#: How the text form of one begins.
TEXT = re.compile(rb"(\s|#[^\n]*\n)*(meta_info_def|graph_def)")


@dataclass(frozen=True, slots=True)
class MetaGraphContent:
    """What a MetaGraph and the tensors stored with it are together; the fields are those of `StoredModel`."""

    graph: Graph | None = None
    entries: Mapping[str, Graph] = field(default_factory=dict)
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    variable_names: Mapping[str, str] = field(default_factory=dict)
    signatures: tuple[Signature, ...] = ()
    vocabulary: Vocabulary | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read(path: Path) -> Any:
    """The MetaGraphDef in a `.meta` file, binary or text.

    Raises:
        DamagedFile: It is none.
    """
    data = load(path)
    proto = (messages.parse_text if TEXT.match(data) else messages.parse)("MetaGraphDef", data, path)
    if not proto.graph_def.node:
        raise DamagedFile(
            f"{path}: contains no graph; expected a MetaGraph, as a Saver writes it. Copy the file again."
        )
    return proto


def load(path: Path) -> bytes:
    """The bytes of a file that protobuf can hold.

    Raises:
        DamagedFile: It cannot be read, or is too large.
    """
    try:
        return read_whole(path)
    except OSError as error:
        raise DamagedFile(f"{path}: cannot be read ({error.strerror}).") from error


def content(proto: Any, tensors: Mapping[str, Tensor], path: Path) -> MetaGraphContent:
    """A MetaGraphDef with the stored tensors that its variables have.

    Raises:
        DamagedFile: It contradicts itself.
    """
    graph = with_table_files(graphdef.graph(proto.graph_def, path), path.parent)
    binding = bind(graph, tensors, proto.saver_def.restore_op_name)
    shadows = averages(binding.names, tensors)
    vocabulary, columns = _meaning(proto, path)
    return MetaGraphContent(
        graph=graph,
        weights={**tensors, **binding.parts},
        variable_names=binding.names,
        signatures=signatures(proto),
        vocabulary=vocabulary,
        metadata=metadata(proto, shadows, columns),
        notes=tuple(_notes(binding, shadows)),
    )


def stored(content: MetaGraphContent, vocabulary: _sidecars.Sidecar, notes: Sequence[str], **about: Any) -> StoredModel:
    """A model with this content; `about` are the fields of `StoredModel` that only its files tell."""
    return StoredModel(
        graph=content.graph,
        weights=content.weights,
        variable_names=content.variable_names,
        signatures=content.signatures,
        vocabulary=vocabulary.vocabulary,
        vocabulary_source=vocabulary.source,
        notes=(*notes, *content.notes, *vocabulary.notes),
        metadata=content.metadata,
        **about,
    )


def _notes(binding: Binding, shadows: Mapping[str, str]) -> Iterator[str]:
    if shadows:
        yield f"moving averages are stored too, of {len(shadows)} variables; the plain values are used"
    yield from notes_on(binding.strangers)


def notes_on(strangers: Sequence[str]) -> tuple[str, ...]:
    """What to say of variables whose stored tensor is not theirs."""
    if not strangers:
        return ()
    shown = "; ".join(strangers[:4]) + (" …" if len(strangers) > 4 else "")
    return (f"graph and weights are not of one model: {len(strangers)} variables differ ({shown})",)


def signatures(proto: Any) -> tuple[Signature, ...]:
    """Those that a MetaGraphDef declares."""
    return tuple(_signature(name, proto.signature_def[name]) for name in sorted(proto.signature_def))


def _signature(name: str, proto: Any) -> Signature:
    inputs = {role: proto.inputs[role].name for role in sorted(proto.inputs)}
    outputs = {role: proto.outputs[role].name for role in sorted(proto.outputs)}
    return Signature(name, inputs, outputs, proto.method_name)


def _meaning(proto: Any, path: Path) -> tuple[Vocabulary | None, tuple[str, ...]]:
    """What the ids, or the columns of a forecast, are called in the collection `reprise`.

    Its first value is JSON: `{"version": 1, "vocabulary": …, "config": {"column_names": …}}`.
    """
    if _COLLECTION not in proto.collection_def or not proto.collection_def[_COLLECTION].bytes_list.value:
        return None, ()
    try:
        facts = json.loads(proto.collection_def[_COLLECTION].bytes_list.value[0])
        vocabulary = Vocabulary.from_json(facts["vocabulary"]) if "vocabulary" in facts else None
        return vocabulary, tuple(map(str, facts.get("config", {}).get("column_names", ())))
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError, VocabularyError) as error:
        raise DamagedFile(f"{path}: the vocabulary inside cannot be read ({error}). Copy the file again.") from error


def metadata(
    proto: Any, moving_averages: Mapping[str, str] | None = None, columns: tuple[str, ...] = ()
) -> dict[str, Any]:
    """What a MetaGraphDef says of itself."""
    info = proto.meta_info_def
    found = {
        "tensorflow_version": info.tensorflow_version,
        "tags": tuple(info.tags),
        "moving_averages": moving_averages,
        "columns": columns,
    }
    return {key: value for key, value in found.items() if value}
