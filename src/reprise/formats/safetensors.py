"""Safetensors files with PyTorch's names: weights alone, of which names and shapes decide the model or do not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors

from reprise.errors import DamagedFile
from reprise.formats import _sidecars
from reprise.formats._base import Format, StoredModel
from reprise.formats._torch_state import with_model
from reprise.tensors import DTYPES, Array, Tensor

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
    state = _tensors(path)
    beside = _sidecars.find(path.parent)
    stored = StoredModel(
        path=path,
        format=FORMAT.name,
        evidence=sniff(path) or "it is named so",
        graph=None,
        weights=state,
        vocabulary=beside.vocabulary,
        vocabulary_source=beside.source,
        files=(path,),
        notes=beside.notes,
    )
    return with_model(stored, state, cell=cell)


def _tensors(path: Path) -> dict[str, Tensor]:
    """The tensors by name; the library checks that they lie in the file and do not overlap."""
    try:
        with safetensors.safe_open(path, "numpy") as file:
            names = list(file.keys())
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return {name: _tensor(path, name, header[name]) for name in names}
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedFile(f"{path}: is not a whole safetensors file ({error}). Copy it again.") from error


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
