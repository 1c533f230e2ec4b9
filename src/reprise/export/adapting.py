"""A program of another runtime that runs a stack, as a model with the interface of the one that it was written from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from reprise.export.layers import plain
from reprise.interface import Interface, Port
from reprise.model import RecurrentModel
from reprise.stack import Stack, StackFeatures
from reprise.stack.ports import as_rows, axes_of, inverse, of_rows, row_width
from reprise.state import State
from reprise.tensors import DTYPES, Array

#: Layer and kind, `h` or `c` → [N, H]; of a first state one row, or [H].
States = Mapping[tuple[int, str], Array]

#: (ids [N, T] or features [N, T, D], states) → what outputs there are by name, [N, T, O], and the next states.
Program = Callable[[Array, States], tuple[Mapping[str, Array], States]]


class Adapted:
    """A program with the interface and the vocabulary of `like`, and its first state where the program has none."""

    def __init__(
        self, program: Program, layers: Stack, like: RecurrentModel, first: Callable[[], States] | None = None
    ) -> None:
        """`first` gives what the program says a sequence starts from."""
        self._program = program
        self._first = first
        self._layers = layers
        self._like = like
        self.vocabulary = like.vocabulary
        self.interface: Interface = plain(like.interface)

    def initial_state(self, batch: int = 1, inputs: Any = None) -> State:  # noqa: ARG002 - none starts from inputs
        """That of the program."""
        begun = self._like.initial_state(batch)
        return begun if self._first is None else self._next(begun, self._first())

    def run(
        self,
        inputs: Any,
        state: State | None = None,
        settings: Mapping[str, float | int | bool] | None = None,  # noqa: ARG002 - all are built in
    ) -> tuple[dict[str, Array], State]:
        """The outputs of a whole sequence, and the state after it."""
        face = self.interface
        entered = self._entered(inputs[face.inputs[0].name])
        state = state or self.initial_state(len(entered))
        rows = {port.name: as_rows(port, state[port.name]) for port in face.states}
        before = {
            (i, kind): rows[part.state][:, part.start : part.start + layer.width]
            for i, layer in self._layers.recurrent()
            for kind, part in layer.parts.items()
        }
        outputs, after = self._program(entered, before)
        return {port.name: _in_interface_layout(port, outputs[port.name]) for port in face.outputs}, self._next(
            state, after
        )

    def _entered(self, array: Array) -> Array:
        """The input as [N, T] or [N, T, D]."""
        port = self.interface.inputs[0]
        axes = axes_of(port, features=isinstance(self._layers.layers[0], StackFeatures))
        assert axes is not None  # noqa: S101 - such a model is no stack
        return np.expand_dims(array.transpose(axes.order), axes.missing).swapaxes(0, 1)

    def _next(self, state: State, after: States) -> State:
        values: dict[str, Array] = {}
        for port in self.interface.states:
            count = len(as_rows(port, state[port.name]))
            rows = np.empty((count, row_width(port) or 0), DTYPES[port.dtype])
            for i, layer in self._layers.recurrent():
                for kind, part in layer.parts.items():
                    if part.state == port.name:
                        rows[:, part.start : part.start + layer.width] = after[i, kind]
            values[port.name] = of_rows(port, rows)
        return state.replace(values)


def _in_interface_layout(port: Port, array: Array) -> Array:
    """An output [N, T, O] as the interface has it."""
    if port.rows is not None:
        by_row = array if port.rows == "batch-major" else array.swapaxes(0, 1)
        return by_row.reshape(-1, array.shape[-1])
    axes = axes_of(port, features=True)
    assert axes is not None  # noqa: S101 - such a model is no stack
    return array.swapaxes(0, 1).squeeze(axes.missing).transpose(inverse(axes.order))
