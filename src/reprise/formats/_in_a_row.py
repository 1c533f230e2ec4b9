"""Models whose layers lie on each other in one row: what the small formats of communities hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from reprise.cells import LAYOUTS, Layout
from reprise.graph import Value
from reprise.layers import Call, Layers
from reprise.layers.kinds import ActivationFunction, GateWeights, Input, Layer, Recurrent, RecurrentCell
from reprise.tensors import Array, Shape, Tensor

_SIGMOID, _TANH = ActivationFunction("sigmoid"), ActivationFunction("tanh")
#: The activations of the gates, of the candidate, and of an LSTM's output.
_FUNCTIONS: Mapping[str, tuple[ActivationFunction, ...]] = {
    "LSTM": (_SIGMOID, _TANH, _TANH),
    "GRU": (_SIGMOID, _TANH),
    "RNN": (_TANH,),
}


def in_a_row(dtype: str, shape: Shape, layers: Iterable[tuple[str, Layer]]) -> Layers:
    """The model that gives an input of this type and shape [N, T, …] to the first layer, and so on.

    Args:
        dtype: The element type of the input.
        shape: Its shape.
        layers: Each with its name in the file.
    """
    calls = [Call("input", Input(dtype, shape))]
    for name, layer in layers:
        calls.append(Call(name, layer, (Value(calls[-1].name),)))
    return Layers(tuple(calls), (Value(calls[-1].name),))


def layout(framework: str) -> Layout:
    """How a framework stores a cell, by its name in `cells.LAYOUTS`."""
    return next(found for found in LAYOUTS if found.framework == framework)


def cell_layer(
    stored_as: Layout,
    kernel: Array,
    recurrent: Array,
    bias: Array | None,
    recurrent_bias: Array | None = None,
    *,
    cell_state_first: bool = False,
) -> Recurrent:
    """A layer of one cell, its weights [D, gates · H], [H, gates · H] and [gates · H] in the order of a framework."""
    block = GateWeights(
        stored_as.order,
        float_tensor(kernel),
        float_tensor(recurrent),
        None if bias is None else float_tensor(bias),
        None if recurrent_bias is None else float_tensor(recurrent_bias),
    )
    functions = _FUNCTIONS[stored_as.cell.name]
    cell = RecurrentCell(stored_as.cell, (block,), functions, forget_bias=stored_as.forget_bias)
    return Recurrent((cell,), cell_state_first=cell_state_first)


def float_tensor(numbers: Array | Sequence[object]) -> Tensor:
    """Numbers that are in memory as a tensor of float32.

    Raises:
        ValueError: They are no array of numbers.
    """
    array = np.asarray(numbers, np.float32)
    return Tensor("float32", array.shape, lambda: array)
