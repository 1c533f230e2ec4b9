"""Checkpoints of TensorFlow 1's Saver: a graph in `.meta`, tensors in `.index` and `.data` (V2) or in one file (V1)."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from reprise.errors import MissingFile, ReadError
from reprise.formats import _sidecars
from reprise.formats._base import Format, StoredModel
from reprise.formats._tensorflow import metagraph, parts, weights
from reprise.formats._tensorflow.checkpoint_files import locate

#: Rows that a forecast of `reprise train` was not trained on, beside its checkpoints.
_VALIDATION = "validation.npy"

#: How the names of variables end that TensorFlow 2 saved by object, in `tensorflow/python/trackable/base.py`.
_BY_OBJECT = "/.ATTRIBUTES/VARIABLE_VALUE"


def sniff(path: Path) -> str | None:
    """Evidence of a checkpoint: the files that a Saver writes."""
    try:
        found = locate(path)
    except ReadError:
        return "its files are named as those of a TensorFlow checkpoint"
    except OSError:
        return None
    return found[0].evidence if found else None


def read(path: Path, *, graph: str | PathLike[str] | None = None, checkpoint: str = "") -> StoredModel:
    """The checkpoint that `path` means: a folder, a prefix, any of its files, or a pattern of the parts of one."""
    found = locate(path, checkpoint)
    if not found:
        raise MissingFile(
            f"{path}: no checkpoint is here; expected files such as model.ckpt.index and model.ckpt.meta."
        )
    first = found[0]
    bundle, (content, file, chosen) = parts.read(path, found, Path(graph) if graph else None)
    if any(name.endswith(_BY_OBJECT) for name in bundle.tensors):
        content = replace(content, metadata={**content.metadata, "by_object": True})
    measured = first.prefix.with_name(_VALIDATION)
    if content.metadata.get("columns") and measured.is_file():
        content = replace(content, metadata={**content.metadata, "validation": measured})
    if first.choice:
        content = replace(content, metadata={**content.metadata, "choice": first.choice})
    beside = _sidecars.Sidecar(content.vocabulary, str(file))
    if beside.vocabulary is None:
        beside = _sidecars.find(first.prefix.parent)
    more: dict[str, Any] = {}
    if content.graph is None and bundle.objects is not None:
        model = weights.of_objects(bundle.objects, bundle.tensors, bundle.files[0])
        content, more = replace(content, weights=model.weights), {"keras": model.facts}
    return metagraph.stored(
        content,
        beside,
        (*first.notes, *chosen, *bundle.notes),
        path=path,
        format="TensorFlow checkpoint (Saver V1)" if first.v1 else FORMAT.name,
        evidence=first.evidence,
        files=(*((file,) if file else ()), *bundle.files),
        **more,
    )


FORMAT = Format(
    name="TensorFlow checkpoint",
    spec="tensorflow/core/util/tensor_bundle/tensor_bundle.h and tensorflow/core/protobuf/meta_graph.proto",
    sniff=sniff,
    read=read,
    choices=("graph", "checkpoint"),
)
