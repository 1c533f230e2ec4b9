"""Models of sketch-rnn for JavaScript: JSON of facts, the shapes of arrays, and these as base64 of int16.

A decoder alone has the matrix and the bias of its output, the two kernels of an LSTM with the equations of
TensorFlow's BasicLSTMCell, and its bias; all numbers are multiples of 10 / 32767. Source: magenta-js,
sketch/src/sketch_rnn/model.ts.
"""

from __future__ import annotations

import base64
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from reprise.errors import DamagedFile, UnknownFormat
from reprise.files import first_bytes, read_whole
from reprise.formats._base import Format, StoredModel
from reprise.formats._in_a_row import cell_layer, float_tensor, in_a_row, layout
from reprise.layers.kinds import Dense
from reprise.tensors import Array, in_memory

_HEAD = 4096
_LARGEST = 2**28
_BEGINS = re.compile(rb'\s*\[\s*\{[^}]*"scale_factor"[^}]*\}\s*,\s*\[')
_NAMES = ("output_kernel", "output_bias", "kernel", "recurrent_kernel", "bias")
_STEP = 10 / 32767


def sniff(path: Path) -> str | None:
    """Evidence of such a model: JSON that begins with facts of a drawing, among them its scale."""
    return "it is JSON that begins with the scale of drawings" if _BEGINS.match(first_bytes(path, _HEAD)) else None


def read(path: Path) -> StoredModel:
    """The decoder in a file."""
    try:
        about, shapes, texts = json.loads(read_whole(path, _LARGEST))[:3]
        scale, is_alone = float(about["scale_factor"]), len(shapes) == len(texts) == len(_NAMES)
        arrays = [_array(shape, text) for shape, text in zip(shapes, texts, strict=True)]
        if is_alone:
            _check(arrays)
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise DamagedFile(f"{path}: is not a complete model of sketch-rnn ({error}). Copy it again.") from error
    if not is_alone:
        raise UnknownFormat(
            f"{path}: has {len(arrays)} arrays, so it also encodes drawings; only a decoder alone, of "
            f"{len(_NAMES)} arrays (the files that end in .gen.json), is read."
        )
    head, head_bias, kernel, recurrent, bias = arrays
    cell = cell_layer(layout("TensorFlow 1 LSTMCell"), kernel, recurrent, bias, cell_state_first=True)
    return StoredModel(
        path=path,
        format=FORMAT.name,
        evidence=sniff(path) or "it is named so",
        graph=None,
        layers=in_a_row("float32", (None, None, kernel.shape[0]), [("rnn", cell), ("output", _dense(head, head_bias))]),
        weights={name: in_memory(array, path.name) for name, array in zip(_NAMES, arrays, strict=True)},
        files=(path,),
        notes=(
            f"a stroke is dx and dy, each divided by {scale:g}, and three flags of the pen; outputs are three logits "
            "of the pen, and then of each mixture the logits, the means, the logarithms of deviations and, before "
            "tanh, the correlations",
        ),
    )


def _array(shape: Any, text: Any) -> Array:
    """Numbers that are stored as base64 of int16."""
    numbers = np.frombuffer(base64.b64decode(text, validate=True), "<i2")
    sizes = [int(n) for n in shape]
    if min(sizes, default=0) < 1 or math.prod(sizes) != numbers.size:
        raise ValueError(f"{numbers.size} numbers for the shape {sizes}")
    return np.asarray(numbers * _STEP, np.float32).reshape(sizes)


def _check(arrays: list[Array]) -> None:
    """Holds that the arrays have the sizes of one LSTM and the layer behind it.

    Raises:
        ValueError: They have others.
    """
    found = [a.shape for a in arrays]
    units, width = found[0] if len(found[0]) == 2 else (0, 0)
    wanted = [(units, width), (width,), (found[2][0], 4 * units), (units, 4 * units), (4 * units,)]
    if found != wanted:
        raise ValueError(f"arrays of the shapes {[list(s) for s in found]}")


def _dense(kernel: Array, bias: Array) -> Dense:
    return Dense(float_tensor(kernel), float_tensor(bias))


FORMAT = Format(
    name="sketch-rnn",
    spec="magenta-js, sketch/src/sketch_rnn/model.ts",
    sniff=sniff,
    read=read,
    limits="decoders alone, .gen.json",
)
