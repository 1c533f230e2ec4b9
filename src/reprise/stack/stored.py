"""A stack in a file that says of itself what it is: facts as JSON by name, and weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from reprise.errors import CallError, DamagedFile
from reprise.formats import StoredModel
from reprise.formats import safetensors as file
from reprise.interface import Interface
from reprise.lift import Lifted
from reprise.lift.onnx_file import check_layout
from reprise.stack.description import Stack
from reprise.stack.tensors import from_tensors, to_json
from reprise.stack.writing import lift_stack
from reprise.tensors import Array
from reprise.vocabulary import Vocabulary
from reprise.wire import onnx

Settings = Mapping[str, float | int | bool]
FirstStates = tuple[onnx.Message, Mapping[str, Array]]


def stack_metadata(
    stack: Stack, face: Interface, rows: Mapping[str, Array], vocabulary: Vocabulary | None, columns: Sequence[str] = ()
) -> dict[str, str]:
    """All but the weights, as the metadata of a file.

    Args:
        stack: The layers.
        face: The interface of the model.
        rows: One row of each state that does not start from zeros.
        vocabulary: Its symbols.
        columns: What the columns of a forecast are called.
    """
    known: dict[str, Any] = {
        file.VERSION: file.LAYOUT,
        file.STACK: to_json(stack),
        file.INTERFACE: face.to_json(),
        file.FIRST_STATES: {name: row.tolist() for name, row in rows.items()},
    }
    if vocabulary is not None:
        known[file.VOCABULARY] = vocabulary.to_json()
    if columns:
        known[file.COLUMNS] = list(columns)
    return {key: json.dumps(value, ensure_ascii=False) for key, value in known.items()}


def is_stack(stored: StoredModel) -> bool:
    """Whether Reprise wrote the file, so that it says what its layers are."""
    return file.STACK in stored.metadata


def lifted_stack_in(stored: StoredModel) -> tuple[Callable[[Settings], Lifted], Callable[[], FirstStates]]:
    """What a `RecurrentModel` is made of: its `lift` and its `first_states`.

    Raises:
        ReadError: What it says of itself cannot be.
    """
    known = stored.metadata
    check_layout(stored, file.VERSION, file.LAYOUT)
    try:
        arrays = {name: tensor.load() for name, tensor in stored.weights.items()}
        face = Interface.from_json(known[file.INTERFACE])
        made = lift_stack(from_tensors(known[file.STACK], arrays), face)
        held = known[file.FIRST_STATES]
        rows = {s.name: np.asarray(held[s.name], np.float32) for s in face.states if s.initial == "file"}
    except (KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
        raise DamagedFile(
            f"{stored.path}: its description of itself is not valid ({error}). Export the model again."
        ) from error
    return lambda settings: _with(stored, made, settings), lambda: first_states_graph(rows)


def _with(stored: StoredModel, made: Lifted, settings: Settings) -> Lifted:
    if settings:
        raise CallError(f"{stored.path}: the model has no setting {next(iter(settings))!r}")
    return made


def first_states_graph(rows: Mapping[str, Array]) -> FirstStates:
    """A graph without inputs that gives one row of each state that does not start from zeros."""
    nodes = [onnx.node("Identity", [f"{name} row"], [name]) for name in rows]
    outputs = [onnx.value_info(name, onnx.element_type(row), row.shape) for name, row in rows.items()]
    return onnx.graph(nodes, "first states", [], outputs, [onnx.tensor(a, f"{n} row") for n, a in rows.items()]), {}
