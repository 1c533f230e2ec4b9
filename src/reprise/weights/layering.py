"""A reading of stored tensors as layers, with the equations of TensorFlow 1's cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reprise import cells
from reprise.graph import Value
from reprise.layers import Call, Layers
from reprise.layers.kinds import (
    Activation,
    ActivationFunction,
    Dense,
    Embedding,
    GateWeights,
    Input,
    Layer,
    Recurrent,
    RecurrentCell,
)
from reprise.layers.writing.equations import slice_tensor
from reprise.tensors import Tensor
from reprise.weights.candidates import CandidateCell
from reprise.weights.reading import WeightsReading
from reprise.weights.unstored import Unstored

_SIGMOID = ActivationFunction("sigmoid")
_LSTM = next(one for one in cells.LAYOUTS if one.framework == "TensorFlow 1 LSTMCell")
#: What TensorFlow's cells call a gate's peephole.
_PEEPHOLES = {"w_i_diag": "i", "w_f_diag": "f", "w_o_diag": "o"}


def layers(reading: WeightsReading, cell: Unstored, weights: Mapping[str, Tensor], *, scores: bool) -> Layers:
    """Inputs [N, T] of ids or [N, T, D] of numbers, the cells one on the other, dense layers over every step.

    Layers are called as the scopes of their tensors. With `scores` the outputs are probabilities too.
    """
    calls: list[Call] = []
    taken = {"inputs"}

    def add(name: str, layer: Layer, *inputs: Value) -> Value:
        number, unique = 1, name
        while unique in taken:
            number += 1
            unique = f"{name}_{number}"
        taken.add(unique)
        calls.append(Call(unique, layer, inputs))
        return Value(unique)

    dtype = weights[next(iter(reading.cells[0].tensors.values()))].dtype
    if reading.table is None:
        at = Value("inputs")
        calls.append(Call("inputs", Input(dtype, (None, None, reading.cells[0].inputs))))
    else:
        ids = Value("inputs")
        calls.append(Call("inputs", Input("int32", (None, None))))
        at = add(_scope(reading.table), Embedding(weights[reading.table]), ids)
    for one in reading.cells:
        made = _MAKERS[cell.kind](one, cell, {role: weights[name] for role, name in one.tensors.items()})
        at = add(one.scope or "cell", Recurrent((made,)), at)
    outputs = []
    for head in reading.heads:
        bias = None if head.bias is None else weights[head.bias]
        made_by = add(_scope(head.kernel), Dense(weights[head.kernel], bias), at)
        outputs.append(made_by)
        if scores:
            outputs.append(add(f"{made_by.node}/probabilities", Activation(ActivationFunction("softmax")), made_by))
    return Layers(tuple(calls), tuple(outputs or [at]))


def _scope(name: str) -> str:
    return name.rpartition("/")[0] or name


def _divided(joined: Tensor, outputs: int, order: str, bias: Tensor) -> GateWeights:
    """A kernel whose rows are those of the inputs, then those of the last outputs."""
    rows = joined.shape[0]
    return GateWeights(
        order, slice_tensor(joined, 0, rows - outputs, 0), slice_tensor(joined, rows - outputs, rows, 0), bias
    )


def _lstm(one: CandidateCell, cell: Unstored, held: Mapping[str, Tensor]) -> RecurrentCell:
    function = ActivationFunction(cell.activation) if cell.activation != "identity" else ActivationFunction("linear")
    return RecurrentCell(
        cells.LSTM,
        (_divided(held["kernel"], one.outputs, _LSTM.order, held["bias"]),),
        (_SIGMOID, function, function),
        peepholes={gate: held[role] for role, gate in _PEEPHOLES.items() if role in held},
        projection=held.get("projection"),
        forget_bias=cell.forget_bias,
        clip=cell.cell_clip,
    )


def _gru(one: CandidateCell, cell: Unstored, held: Mapping[str, Tensor]) -> RecurrentCell:
    function = ActivationFunction(cell.activation) if cell.activation != "identity" else ActivationFunction("linear")
    blocks = (
        _divided(held["gates"], one.outputs, "rz", held["gates_bias"]),
        _divided(held["candidate"], one.outputs, "c", held["candidate_bias"]),
    )
    return RecurrentCell(cells.GRU, blocks, (_SIGMOID, function))


def _rnn(one: CandidateCell, cell: Unstored, held: Mapping[str, Tensor]) -> RecurrentCell:
    function = ActivationFunction(cell.activation) if cell.activation != "identity" else ActivationFunction("linear")
    return RecurrentCell(cells.RNN, (_divided(held["kernel"], one.outputs, "c", held["bias"]),), (function,))


_MAKERS: Mapping[str, Callable[[CandidateCell, Unstored, Mapping[str, Tensor]], RecurrentCell]] = {
    "lstm": _lstm,
    "gru": _gru,
    "rnn": _rnn,
}
