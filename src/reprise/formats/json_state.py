"""State dicts of PyTorch as JSON: nested lists by PyTorch's names, as guitar amplifiers' programs exchange them.

They stand alone, or in `state_dict` beside `model_data`, which says what the weights do not: the kind of the cell, and
how many channels of the input are added to the output (`skip`); further channels hold knobs. Sources: the model files
of GuitarML and RTNeural, CoreAudioML's networks.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reprise.errors import DamagedFile
from reprise.files import first_bytes
from reprise.formats import _sidecars
from reprise.formats._base import Format, StoredModel
from reprise.formats._torch.state import with_model
from reprise.tensors import Array, Tensor
from reprise.wire import json_object

#: How much of a file is looked at for a recurrent weight by PyTorch's name.
_HEAD = 4096
_RECURRENT = re.compile(rb'"(?:[\w.]+\.)?(?:weight|bias)_(?:ih|hh)(?:_l\d+)?"\s*:\s*\[')
_NESTED = re.compile(rb'^\s*\{.*"state_dict"\s*:\s*\{', re.DOTALL)
_LARGEST = 2**28


def sniff(path: Path) -> str | None:
    """Evidence of a state dict as JSON: an object that begins with numbers under names of recurrent modules."""
    head = first_bytes(path, _HEAD)
    if not head.lstrip().startswith(b"{") or not (_RECURRENT.search(head) or _NESTED.match(head)):
        return None
    return "it is JSON with numbers under names of a PyTorch state dict"


def read(path: Path, *, cell: Mapping[str, Any] | None = None) -> StoredModel:
    """The weights in a file, and the model that their names and shapes, and what stands beside them, decide.

    Args:
        path: The file.
        cell: What weights do not hold: `{"activation": "relu"}` of a plain RNN.
    """
    content = json_object.read(path, _LARGEST)
    nested = content.get("state_dict")
    held: Mapping[str, Any] = nested if isinstance(nested, dict) else content
    state = {name: _tensor(path, name, rows) for name, rows in held.items() if isinstance(rows, list)}
    about = content.get("model_data")
    beside = _sidecars.find(path.parent)
    stored = beside.model(path, FORMAT, weights=state)
    return with_model(stored, state, cell=cell, skip=_skipped(path, about, state))


def _skipped(path: Path, about: Any, state: Mapping[str, Tensor]) -> int:
    """How many channels of the input are added to the output: all of the output's, or none.

    Raises:
        DamagedFile: The file says another number.
    """
    skip = about.get("skip") if isinstance(about, dict) else None
    if not skip:
        return 0
    heads = {t.shape[0] for name, t in state.items() if name.endswith("weight") and len(t.shape) == 2}
    inputs = {t.shape[1] for name, t in state.items() if name.endswith("weight_ih_l0") and len(t.shape) == 2}
    if not isinstance(skip, int) or {int(skip)} != heads or (inputs and min(inputs) < skip):
        raise DamagedFile(
            f"{path}: skip is {skip!r}; expected the number of channels of the output, {sorted(heads)}, no more than "
            f"the input has, {sorted(inputs)}"
        )
    return int(skip)


def _tensor(path: Path, name: str, rows: list[Any]) -> Tensor:
    try:
        array: Array = np.asarray(rows, np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise DamagedFile(f"{path}: {name!r} is not an array of numbers ({error}).") from error
    return Tensor("float32", array.shape, lambda: array, f"{path.name}, {name}")


FORMAT = Format(
    name="PyTorch state dict as JSON",
    spec="torch/nn/modules/rnn.py; GuitarML, RTNeural",
    sniff=sniff,
    read=read,
    choices=("cell",),
)
