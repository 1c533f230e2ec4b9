"""What a MetaGraphDef holds beside its graph: signatures, the saver, assets, and the vocabulary that Reprise puts in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile, VocabularyError
from reprise.formats import _tf_graphdef
from reprise.formats._base import Signature
from reprise.graph import Graph
from reprise.vocabulary import Vocabulary
from reprise.wire import messages

_COLLECTION = "reprise"
_MOST_BYTES = 2**31 - 1  # what protobuf itself can hold


def read(path: Path) -> Any:
    """The MetaGraphDef in a `.meta` file.

    Raises:
        DamagedFile: It is none.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise DamagedFile(f"{path}: has {path.stat().st_size} bytes, a MetaGraph has at most {_MOST_BYTES}.")
    proto = messages.parse("MetaGraphDef", path.read_bytes(), path)
    if not proto.graph_def.node:
        raise DamagedFile(
            f"{path}: holds no graph. Expected a MetaGraph, as tf.train.Saver writes it; copy the file again."
        )
    return proto


def graph(proto: Any, path: Path) -> Graph:
    """The graph of a MetaGraphDef."""
    return _tf_graphdef.graph(proto.graph_def, path)


def signatures(proto: Any) -> tuple[Signature, ...]:
    """The signatures that the file declares, sorted by name."""
    return tuple(
        Signature(
            name,
            {role: info.name for role, info in sorted(one.inputs.items())},
            {role: info.name for role, info in sorted(one.outputs.items())},
            one.method_name,
        )
        for name, one in sorted(proto.signature_def.items())
    )


def vocabulary(proto: Any, path: Path) -> Vocabulary | None:
    """The vocabulary in the collection `reprise`, whose first value is JSON: `{"version": 1, "vocabulary": …}`.

    Raises:
        DamagedFile: The collection is there and is not that.
    """
    import json

    values = proto.collection_def[_COLLECTION].bytes_list.value if _COLLECTION in proto.collection_def else ()
    if not values:
        return None
    try:
        return Vocabulary.from_json(json.loads(values[0])["vocabulary"])
    except (ValueError, KeyError, TypeError, RecursionError, VocabularyError) as error:
        raise DamagedFile(
            f"{path}: the vocabulary inside cannot be read ({error}). The file was changed; copy it again."
        ) from error


def metadata(proto: Any) -> dict[str, Any]:
    """What the file says of its origin."""
    info = proto.meta_info_def
    found = {"tensorflow_version": info.tensorflow_version, "tags": tuple(info.tags)}
    return {key: value for key, value in found.items() if value}
