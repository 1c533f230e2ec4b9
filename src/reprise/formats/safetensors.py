"""Safetensors files: Reprise's say what their layers are; of PyTorch's, names and shapes decide the model or do not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors

from reprise.errors import DamagedFile, VocabularyError
from reprise.formats import _sidecars
from reprise.formats._base import Format, StoredModel
from reprise.formats._torch.state import with_model
from reprise.tensors import DTYPES, Array, Tensor
from reprise.vocabulary import Vocabulary

#: How the header calls the element types that are read. Source: safetensors' README, "Format".
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
#: What a file of ours says of itself, in the metadata of its header: each key holds JSON.
VERSION = "reprise.version"
STACK = "reprise.stack"
INTERFACE = "reprise.interface"
FIRST_STATES = "reprise.first_states"
VOCABULARY = "reprise.vocabulary"
COLUMNS = "reprise.columns"

#: The layout of these entries that this program writes, and the highest that it reads.
LAYOUT = 1
#: The longest header that the format allows.
_LONGEST_HEADER = 100_000_000


def sniff(path: Path) -> str | None:
    """Evidence of a safetensors file: the length of a header of JSON that fits into the file, and its beginning."""
    try:
        with path.open("rb") as file:
            head = file.read(9)
        length = int.from_bytes(head[:8], "little")
        fits = 2 <= length <= min(_LONGEST_HEADER, path.stat().st_size - 8)
    except OSError:
        return None
    return f"it begins with the length of a header of {length} bytes of JSON" if fits and head[8:] == b"{" else None


def read(path: Path, *, cell: Mapping[str, Any] | None = None) -> StoredModel:
    """The weights in a file, and the model that their names and shapes decide.

    Args:
        path: The file.
        cell: What weights do not hold: `{"activation": "relu"}` of a plain RNN.
    """
    state, metadata = _content(path)
    if STACK in metadata:
        return _own(path, state, metadata)
    beside = _sidecars.find(path.parent)
    stored = beside.model(path, FORMAT, weights=state)
    return with_model(stored, state, cell=cell)


def _own(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> StoredModel:
    """What Reprise wrote."""
    held, columns = metadata.get(VOCABULARY), metadata.get(COLUMNS, [])
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise DamagedFile(f"{path}: the names of its columns are no list of words. Export the model again.")
    try:
        vocabulary = None if held is None else Vocabulary.from_json(held)
    except VocabularyError as error:
        raise DamagedFile(f"{path}: its {error}. Export the model again.") from error
    return StoredModel(
        path=path,
        format=FORMAT.name,
        evidence="it says of itself what its layers are",
        graph=None,
        weights=state,
        vocabulary=vocabulary,
        vocabulary_source=str(path) if vocabulary else "",
        files=(path,),
        metadata={**metadata, "columns": tuple(columns)},
    )


def _content(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors by name, and what of the metadata is ours.

    The library checks that the tensors lie in the file and do not overlap.
    """
    try:
        with safetensors.safe_open(path, "numpy") as file:
            names = list(file.keys())
            facts = file.metadata() or {}
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        ours = {key: json.loads(text) for key, text in facts.items() if key.startswith("reprise.")}
        return {name: _tensor(path, name, header[name]) for name in names}, ours
    except (
        safetensors.SafetensorError,
        OSError,
        ValueError,
        OverflowError,
        KeyError,
        TypeError,
        RecursionError,
    ) as error:
        raise DamagedFile(f"{path}: is not a complete safetensors file ({error}). Copy it again.") from error


def _tensor(path: Path, name: str, entry: Mapping[str, Any]) -> Tensor:
    dtype = _DTYPES.get(str(entry["dtype"]))
    if dtype is None:
        raise ValueError(f"tensor {name!r} is of type {entry['dtype']}, which is not read")

    def load() -> Array:
        with safetensors.safe_open(path, "numpy") as file:
            array: Array = file.get_tensor(name)
        return array.view(DTYPES[dtype]) if dtype == "bfloat16" else array

    return Tensor(dtype, tuple(map(int, entry["shape"])), load, f"{path.name}, tensor {name}")


FORMAT = Format(
    name="safetensors",
    spec="safetensors, README: Format",
    sniff=sniff,
    read=read,
    choices=("cell",),
)
