"""Folders of ml5's character models: a manifest of raw float32 files that keep the names of TensorFlow's char-rnn.

The gates are those of BasicLSTMCell, whose forget bias of 1 is not in the files. Source: ml5's training-charRNN.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reprise.errors import DamagedFile, MissingFile
from reprise.files import is_file
from reprise.formats import _sidecars
from reprise.formats._base import Format, StoredModel
from reprise.formats._in_a_row import cell_layer, in_a_row, layout
from reprise.layers import Layers
from reprise.layers.kinds import Dense, Embedding, Layer
from reprise.tensors import Array, Tensor

_MANIFEST = "manifest.json"
_LARGEST = 2**22
_CELL = re.compile(r"(?P<scope>.*cell_(?P<layer>\d+)/basic_lstm_cell)/(?:weights|kernel)$")


def sniff(path: Path) -> str | None:
    """Evidence of such a folder: its manifest names a file and a shape for each tensor of an LSTM."""
    try:
        entries = _manifest(path if path.is_dir() else path.parent)
    except (DamagedFile, MissingFile):
        return None
    if not path.is_dir() and path.name != _MANIFEST:
        return None
    return f"{_MANIFEST} names the weights of basic_lstm_cell" if any(map(_CELL.match, entries)) else None


def read(path: Path) -> StoredModel:
    """The model in a folder; the vocabulary lies beside it."""
    folder = path if path.is_dir() else path.parent
    tensors = {name: _tensor(folder, name, entry) for name, entry in _manifest(folder).items()}
    beside = _sidecars.find(folder)
    try:
        model = _model(tensors)
    except (KeyError, ValueError, IndexError) as error:
        raise DamagedFile(
            f"{folder}: its tensors are not those of a char-rnn ({error}). Copy the folder again."
        ) from error
    return beside.model(path, FORMAT, layers=model, weights=tensors, files=(folder / _MANIFEST,))


def _manifest(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Name of a tensor → its file and shape.

    Raises:
        MissingFile: There is no manifest.
        DamagedFile: It is no such manifest.
    """
    file = folder / _MANIFEST
    if not file.is_file():
        raise MissingFile(f"{folder}: has no {_MANIFEST}.")
    if file.stat().st_size > _LARGEST:
        raise DamagedFile(f"{file}: has {file.stat().st_size} bytes; a manifest has at most {_LARGEST}.")
    try:
        entries = json.loads(file.read_bytes()).items()
        return {str(n): {"file": str(e["filename"]), "shape": [int(k) for k in e["shape"]]} for n, e in entries}
    except (OSError, ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedFile(f"{file}: names no files with shapes ({error}).") from error


def _tensor(folder: Path, name: str, entry: Mapping[str, Any]) -> Tensor:
    shape = tuple(entry["shape"])
    file = folder / entry["file"]
    if Path(entry["file"]).name != entry["file"] or not is_file(file):
        raise MissingFile(f"{folder}: {_MANIFEST} keeps {name!r} in {entry['file']!r}, which is no file of the folder.")
    if min(shape, default=0) < 0 or file.stat().st_size != 4 * math.prod(shape):
        raise DamagedFile(
            f"{file}: expected {4 * math.prod(shape)} bytes for {name!r} of shape {list(shape)}, found "
            f"{file.stat().st_size}. Copy the folder again."
        )

    def load() -> Array:
        return np.fromfile(file, "<f4").reshape(shape)

    return Tensor("float32", shape, load, file.name)


def _model(tensors: Mapping[str, Tensor]) -> Layers:
    """Embedding, LSTMs in the order of their numbers, and the output layer."""
    table = tensors["embedding"]
    scopes = sorted((int(m["layer"]), m["scope"], name) for name in tensors if (m := _CELL.match(name)))
    layers: list[tuple[str, Layer]] = [("embedding", Embedding(table))]
    layers += [(f"cell_{number}", _cell(tensors, scope, name)) for number, scope, name in scopes]
    kernel, bias = (_ending(tensors, end) for end in ("softmax_w", "softmax_b"))
    return in_a_row("int32", (None, None), [*layers, ("softmax", Dense(kernel, bias))])


def _cell(tensors: Mapping[str, Tensor], scope: str, name: str) -> Layer:
    both = tensors[name].load()
    bias = tensors[f"{scope}/biases" if f"{scope}/biases" in tensors else f"{scope}/bias"].load()
    units = both.shape[1] // 4
    return cell_layer(layout("TensorFlow 1 LSTMCell"), both[:-units], both[-units:], bias, cell_state_first=True)


def _ending(tensors: Mapping[str, Tensor], end: str) -> Tensor:
    found = [t for name, t in tensors.items() if name.rpartition("/")[2] == end]
    if len(found) != 1:
        raise ValueError(f"{len(found)} of them are called {end}")
    return found[0]


FORMAT = Format(name="ml5", spec="ml5js/training-charRNN, json_checkpoint_vars.py", sniff=sniff, read=read)
