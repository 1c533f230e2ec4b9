"""HDF5 files of Keras 1 to 3: whole models, and weights alone."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from reprise.errors import UnknownFormat
from reprise.files import first_bytes
from reprise.formats._base import Format, StoredModel
from reprise.formats._keras import lookups, models
from reprise.wire import hdf5


def sniff(path: Path) -> str | None:
    """Evidence of HDF5: its signature."""
    head = first_bytes(path, len(hdf5.SIGNATURE))
    return "it begins as an HDF5 file" if head == hdf5.SIGNATURE else None


def read(
    path: Path, *, layers: str | PathLike[str] | None = None, custom: Mapping[str, Any] | None = None
) -> StoredModel:
    """The model or the weights in a file; weights take a description from the file `layers`, or one beside them."""
    group = hdf5.read(hdf5.mapped(path), str(path))
    if not any(True for _ in group.every()):
        raise UnknownFormat(f"{path}: is HDF5 without any numbers; expected a model or weights of Keras.")
    version = group.attributes.get("keras_version", models.root_of(group).attributes.get("keras_version"))
    config = group.attributes.get("model_config")
    more: dict[str, Any] = {"metadata": {"keras_version": version}} if version else {}
    if layers is not None:
        file = Path(layers)
        found = models.configuration(models.read_text(file), str(file))
        made = models.layers(found, group, str(path), custom)
        return models.stored(path, FORMAT.name, _EVIDENCE, group, made, (path, file), **more)
    if config is not None:
        found = models.configuration(config, str(path), version)
        made = models.layers(found, group, str(path), custom)
        more["inside"] = lookups.lookup_vocabulary(found.content)
        return models.stored(path, FORMAT.name, _EVIDENCE, group, made, (path,), **more)
    near = models.fitting(group, path, custom)
    if near is None:
        return models.stored(path, FORMAT.name, _EVIDENCE, group, None, (path,), **more)
    note = f"weights alone; {near[1].name} beside them describes layers that they fit"
    return models.stored(path, FORMAT.name, _EVIDENCE, group, near[0], (path, near[1]), notes=(note,), **more)


_EVIDENCE = "it begins as an HDF5 file"

FORMAT = Format(
    name="Keras HDF5",
    spec="keras/src/legacy/saving/legacy_h5_format.py and keras/src/saving/saving_lib.py",
    sniff=sniff,
    read=read,
    choices=("layers", "custom"),
)
