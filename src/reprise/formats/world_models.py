"""Weights of the MDN-RNN of World Models (`rnn.json`): a list of four arrays of whole numbers, ten thousandths.

They are the kernel [D + H, 4H] and the bias of one LSTM with the equations of TensorFlow's BasicLSTMCell, and the
matrix [H, O] and the bias of the layer behind it, in either order. Source: WorldModelsExperiments, rnn/rnn.py and
doomrnn.py.
"""

from __future__ import annotations

import json
import re
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from reprise.errors import DamagedFile
from reprise.files import first_bytes, read_whole
from reprise.formats._base import Format, StoredModel
from reprise.formats._in_a_row import cell_layer, float_tensor, in_a_row, layout
from reprise.layers.kinds import Dense
from reprise.tensors import Array, in_memory

_HEAD = 512
_LARGEST = 2**28
_BEGINS = re.compile(rb"\s*\[\s*\[\s*(\[\s*)?-?\d+\s*[,\]]")
_SCALE = 10_000.0


def sniff(path: Path) -> str | None:
    """Evidence of such weights: JSON that begins as a list of arrays of whole numbers."""
    begins = _BEGINS.match(first_bytes(path, _HEAD))
    return "it is JSON that begins as a list of arrays of whole numbers" if begins else None


def read(path: Path) -> StoredModel:
    """The LSTM and the layer behind it."""
    try:
        arrays = [_array(part) for part in json.loads(read_whole(path, _LARGEST))]
        (kernel, bias), (head, head_bias) = _pairs(arrays)
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise DamagedFile(
            f"{path}: its arrays are not the four of an MDN-RNN of World Models ({error}). Copy it again."
        ) from error
    units = head.shape[0]
    cell = cell_layer(layout("TensorFlow 1 LSTMCell"), kernel[:-units], kernel[-units:], bias, cell_state_first=True)
    layers = [("rnn", cell), ("output", Dense(float_tensor(head), float_tensor(head_bias)))]
    return StoredModel(
        path=path,
        format=FORMAT.name,
        evidence=sniff(path) or "it is named so",
        graph=None,
        layers=in_a_row("float32", (None, None, kernel.shape[0] - units), layers),
        weights={f"{k}": in_memory(array, path.name) for k, array in enumerate(arrays)},
        files=(path,),
        notes=(_meaning(head.shape[1]),),
    )


def _array(part: Any) -> Array:
    array = np.asarray(part)
    if array.dtype.kind != "i":
        raise TypeError(f"elements of the type {array.dtype}, expected whole numbers")
    return np.asarray(array / _SCALE, np.float32)


def _pairs(arrays: list[Array]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """The kernel and bias of the LSTM, and of the layer behind it.

    Raises:
        ValueError: They are none, or could be either.
    """
    if [a.ndim for a in arrays] != [2, 1, 2, 1]:
        raise ValueError(f"arrays of {[list(a.shape) for a in arrays]}; a model with layer normalisation has more")
    found = [
        (cell, head)
        for cell, head in permutations(((arrays[0], arrays[1]), (arrays[2], arrays[3])))
        if cell[0].shape[1] == 4 * head[0].shape[0] == cell[1].shape[0]
        and cell[0].shape[0] > head[0].shape[0]
        and head[0].shape[1] == head[1].shape[0]
    ]
    if len(found) != 1:
        raise ValueError(f"arrays of {[list(a.shape) for a in arrays]} are an LSTM and a layer in {len(found)} ways")
    return found[0]


def _meaning(width: int) -> str:
    first = "the first of the outputs is the logit of a restart, " if width % 3 == 1 else ""
    return (
        f"{first}the {'others' if first else 'outputs'} hold for each number of the next frame the logarithms of "
        "weights, the means and the logarithms of deviations of its mixture; a restart begins with zeros as the state"
    )


FORMAT = Format(name="World Models", spec="WorldModelsExperiments, rnn/rnn.py", sniff=sniff, read=read)
