"""Weights by canonical names, and architecture and vocabulary as JSON; `reprise.restore` reads it back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from reprise import stack
from reprise.export.layers import plain, stack_of
from reprise.export.onnx import first_state_rows
from reprise.formats import safetensors
from reprise.model import RecurrentModel


def write(model: RecurrentModel, path: Path) -> None:
    """Writes the layers of `model`.

    Raises:
        SaveError: It is no stack of layers.
        OSError: The file cannot be written.
    """
    layers = stack_of(model)
    columns = model.stored.metadata.get("columns", ())
    facts = stack.stack_metadata(layers, plain(model.interface), first_state_rows(model), model.vocabulary, columns)
    arrays = {name: np.ascontiguousarray(array) for name, array in stack.to_tensors(layers).items()}
    save_file(arrays, path, facts)


def read(path: Path, model: RecurrentModel) -> RecurrentModel:  # noqa: ARG001 - the file has its own interface
    """The model in a file that `write` wrote.

    Raises:
        ReadError: It is not such a file.
    """
    stored = safetensors.read(path)
    return RecurrentModel(stored, *stack.lifted_stack_in(stored), stored.vocabulary)
