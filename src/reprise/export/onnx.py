"""One ONNX file with named states, interface and vocabulary inside; `reprise.restore` and any ONNX runtime read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reprise.errors import SaveError
from reprise.files import LARGEST
from reprise.formats import onnx
from reprise.lift import onnx_file
from reprise.model import RecurrentModel
from reprise.tensors import Array


def write(model: RecurrentModel, path: Path) -> None:
    """Writes `model`, with the values of its settings that inference uses.

    Raises:
        SaveError: It does not fit into one ONNX file.
        OSError: The file cannot be written.
    """
    lifted = model.lifted
    size = sum(array.nbytes for array in lifted.weights.values())
    if size + lifted.graph.ByteSize() >= LARGEST:
        raise SaveError(f"{size / 1e9:.1f} GB of weights do not fit into one ONNX file, which holds 2 GB at most.")
    columns = model.stored.metadata.get("columns", ())
    drift = {"precision": model.precision, **model.drift.to_json()} if model.drift is not None else None
    path.write_bytes(
        onnx.to_bytes(onnx_file.as_onnx_file(lifted, first_state_rows(model), model.vocabulary, columns, drift))
    )


def first_state_rows(model: RecurrentModel) -> dict[str, Array]:
    """One row of each state that does not start from zeros; a batch of any size starts from copies of it.

    Raises:
        SaveError: The rows start from different values.
    """
    ports = [p for p in model.interface.states if p.initial == "file"]
    if not ports:
        return {}
    baked = next((n for p in ports if p.batch_axis is not None and (n := p.shape[p.batch_axis]) is not None), None)
    state = model.initial_state(baked or 2)
    rows = {}
    for port in ports:
        array = state[port.name]
        row = array if baked or port.batch_axis is None else array.take([0], axis=port.batch_axis)
        if not np.array_equal(np.broadcast_to(row, array.shape), array):
            raise SaveError(
                f"state {port.name!r} starts from other values in each row; a file for any batch cannot hold that."
            )
        rows[port.name] = row
    return rows


def read(path: Path, model: RecurrentModel) -> RecurrentModel:  # noqa: ARG001 - the file has its own interface
    """The model in a file that `write` wrote.

    Raises:
        ReadError: It is not such a file.
    """
    stored = onnx.read(path)
    return RecurrentModel(stored, *onnx_file.lifted_in(stored), stored.vocabulary)
