"""Checkpoints of TensorFlow 1's Saver: a graph in `.meta`, tensors in `.index` and `.data` (V2) or in one file (V1)."""

from __future__ import annotations

from pathlib import Path

from reprise.errors import DamagedFile, MissingFile
from reprise.formats import _sidecars, _tf_bundle, _tf_metagraph, _tf_v1
from reprise.formats._base import Format, StoredModel
from reprise.formats._tf_places import Place, locate
from reprise.formats._tf_variables import Binding, bind


def sniff(path: Path) -> str | None:
    """Evidence of a checkpoint: the files that a Saver writes."""
    try:
        place = locate(path)
    except (MissingFile, DamagedFile):
        return "the names of its parts are those of a TensorFlow checkpoint"
    return place and place.evidence


def read(path: Path) -> StoredModel:
    """The checkpoint that `path` means: a folder, a prefix, or any of its files."""
    place = locate(path)
    if place is None:
        raise MissingFile(
            f"{path}: no TensorFlow checkpoint is here (expected files such as model.ckpt.index and model.ckpt.meta)."
        )
    return _read(path, place)


def _read(path: Path, place: Place) -> StoredModel:
    bundle = _bundle(place)
    proto = _tf_metagraph.read(place.meta) if place.meta else None
    graph = _tf_metagraph.graph(proto, place.meta) if place.meta else None
    binding = bind(graph, bundle.tensors, proto.saver_def.restore_op_name) if graph else Binding({}, {})
    inside = _tf_metagraph.vocabulary(proto, place.meta) if place.meta else None
    beside = _sidecars.find(place.prefix.parent) if inside is None else _sidecars.Found(inside, str(place.meta))
    return StoredModel(
        path=path,
        format="TensorFlow checkpoint" + (" (Saver V1)" if place.v1 else ""),
        evidence=place.evidence,
        graph=graph,
        weights={**bundle.tensors, **binding.parts},
        variable_names=binding.names,
        signatures=_tf_metagraph.signatures(proto) if proto else (),
        vocabulary=beside.vocabulary,
        vocabulary_source=beside.source,
        files=(*((place.meta,) if place.meta else ()), *bundle.files),
        notes=(*place.notes, *beside.notes),
        metadata=_tf_metagraph.metadata(proto) if proto else {},
    )


def _bundle(place: Place) -> _tf_bundle.Bundle:
    if place.v1:
        return _tf_v1.read(place.v1)
    if place.index:
        return _tf_bundle.read(place.prefix)
    return _tf_bundle.Bundle({}, {}, ())


FORMAT = Format(
    name="TensorFlow checkpoint",
    spec="tensorflow/core/util/tensor_bundle/tensor_bundle.h and tensorflow/core/protobuf/meta_graph.proto",
    sniff=sniff,
    read=read,
)
