"""LiteRT's recurrent operators, written step by step in TensorFlow's operators.

The order of their inputs and what they compute: `tensorflow/lite/kernels/` (`lstm_eval.cc`,
`unidirectional_sequence_lstm.cc`, `bidirectional_sequence_lstm.cc`, `basic_rnn.cc` and the sequences of it).
A state that they keep in a variable tensor starts from zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reprise.errors import DamagedFile
from reprise.formats._litert.site import ACTIVATIONS, LiteSite
from reprise.frame import Frame, Scope
from reprise.graph import Node, Value

_GATES = "ifgo"  # input, forget, cell (its new content), output
_BASIC = 1  # the kind of an LSTM kernel whose states are inputs and outputs
_F32 = "float32"
_ZERO = np.zeros((), np.float32)

#: What a step makes of its row and of the states before it: what it gives, and the states after it.
Step = Callable[[Scope, Value, Sequence[Value]], tuple[Value, list[Value]]]


@dataclass(frozen=True, slots=True)
class _Weights:
    """Where the weights of an LSTM stand among the inputs of its operator; -1 for what it has not.

    Attributes:
        kernels: Of the input, for each gate.
        recurrent: Of the hidden state, for each gate.
        peepholes: Of the cell state, for each gate but that of the cell.
        biases: For each gate.
        projection: Its weights and bias.
        norms: The factors of the layer normalisation for each gate.
    """

    kernels: tuple[int, ...]
    recurrent: tuple[int, ...]
    peepholes: tuple[int, ...]
    biases: tuple[int, ...]
    projection: tuple[int, int]
    norms: tuple[int, ...] = ()


def _at(start: int, norms: int = 0) -> _Weights:
    """The weights that begin at an input, in the order in which every LSTM operator has them."""
    parts = [tuple(range(start + at, start + at + 4)) for at in (0, 4, 11)]
    peepholes = (start + 8, start + 9, -1, start + 10)
    factors = tuple(range(norms, norms + 4)) if norms else ()
    return _Weights(parts[0], parts[1], peepholes, parts[2], (start + 15, start + 16), factors)


def _lstm_step(site: LiteSite, weights: _Weights, clips: tuple[float, float], activation: str) -> Step:
    """One step of an LSTM (Hochreiter & Schmidhuber 1997; peepholes, projection, coupled gates, normalisation)."""

    def step(scope: Scope, row: Value, states: Sequence[Value]) -> tuple[Value, list[Value]]:
        hidden, cell = states
        cells = _Gates(site, weights, scope, row, hidden)
        forget = scope.make("forget", "Sigmoid", (cells.sum(1, cell),), T=_F32)
        if site.has(weights.kernels[0]):
            update = scope.make("update", "Sigmoid", (cells.sum(0, cell),), T=_F32)
        else:
            update = scope.make("update", "Sub", (cells.one(), forget), T=_F32)
        new = scope.make("new", activation, (cells.sum(2, None),), T=_F32)
        kept = scope.make("kept", "Mul", (forget, cell), T=_F32)
        written = scope.make("written", "Mul", (update, new), T=_F32)
        cell = _clipped(scope, scope.make("cell", "AddV2", (kept, written), T=_F32), clips[0], "cell", cells)
        output = scope.make("output", "Sigmoid", (cells.sum(3, cell),), T=_F32)
        hidden = scope.make("hidden", "Mul", (output, scope.make("shown", activation, (cell,), T=_F32)), T=_F32)
        if site.has(weights.projection[0]):
            hidden = cells.product("projected", hidden, weights.projection[0])
            hidden = cells.plus("projection", hidden, weights.projection[1])
            hidden = _clipped(scope, hidden, clips[1], "projection", cells)
        return hidden, [hidden, cell]

    return step


class _Gates:
    """What the gates of one step add up, in the loop of `scope`."""

    def __init__(self, site: LiteSite, weights: _Weights, scope: Scope, row: Value, hidden: Value) -> None:
        self._site, self._weights, self._scope = site, weights, scope
        self._row, self._hidden = row, hidden

    def outside(self, value: Value) -> Value:
        """A value from outside of the loop."""
        return self._scope.constant(value) if isinstance(self._scope, Frame) else value

    def one(self) -> Value:
        """The number 1."""
        return self.outside(self._site.scalar("one", 1.0))

    def product(self, name: str, x: Value, number: int) -> Value:
        """X · Wᵀ."""
        return self._scope.make(name, "MatMul", (x, self.outside(self._site.turned(number, (1, 0)))), T=_F32)

    def plus(self, name: str, x: Value, number: int) -> Value:
        """With a bias, where there is one."""
        if not self._site.has(number):
            return x
        return self._scope.make(name, "BiasAdd", (x, self.outside(self._site.input(number))), T=_F32)

    def sum(self, gate: int, cell: Value | None) -> Value:
        """What a gate is computed from: the row, the hidden state, and the cell state where it sees that."""
        weights, name = self._weights, _GATES[gate]
        total = self.product(f"{name}/x", self._row, weights.kernels[gate])
        total = self._added(f"{name}/xh", total, self.product(f"{name}/h", self._hidden, weights.recurrent[gate]))
        peephole = weights.peepholes[gate]
        if cell is not None and peephole >= 0 and self._site.has(peephole):
            factor = self.outside(self._site.input(peephole))
            total = self._added(f"{name}/xhc", total, self._scope.make(f"{name}/c", "Mul", (cell, factor), T=_F32))
        if weights.norms and self._site.has(weights.norms[gate]):
            total = self._normalised(name, total, weights.norms[gate])
        return self.plus(f"{name}/b", total, weights.biases[gate])

    def _added(self, name: str, one: Value, other: Value) -> Value:
        return self._scope.make(name, "AddV2", (one, other), T=_F32)

    def _normalised(self, name: str, x: Value, factor: int) -> Value:
        """Layer normalisation over the units, with 1e-8 added to the variance."""
        make, site = self._scope.make, self._site
        axis = self.outside(site.number(f"{name}/axis", [-1]))
        mean = make(f"{name}/mean", "Mean", (x, axis), keep_dims=True, T=_F32, Tidx="int32")
        centred = make(f"{name}/centred", "Sub", (x, mean), T=_F32)
        square = make(f"{name}/square", "Square", (centred,), T=_F32)
        variance = make(f"{name}/variance", "Mean", (square, axis), keep_dims=True, T=_F32, Tidx="int32")
        small = self.outside(site.scalar(f"{name}/small", 1e-8))
        scale = make(f"{name}/scale", "Rsqrt", (self._added(f"{name}/more", variance, small),), T=_F32)
        unit = make(f"{name}/unit", "Mul", (centred, scale), T=_F32)
        return make(f"{name}/normalised", "Mul", (unit, self.outside(site.input(factor))), T=_F32)


def _clipped(scope: Scope, x: Value, limit: float, name: str, cells: _Gates) -> Value:
    if limit <= 0:
        return x
    site = cells._site
    low, high = (
        cells.outside(site.scalar(f"{name}/{word}", sign * limit)) for word, sign in (("low", -1), ("high", 1))
    )
    return scope.make(
        f"{name}/above", "Maximum", (scope.make(f"{name}/below", "Minimum", (x, high), T=_F32), low), T=_F32
    )


def _rnn_step(site: LiteSite, weights: tuple[int, int, int], activation: str) -> Step:
    """One step of a plain RNN: h' = act(W x + U h + b)."""

    def step(scope: Scope, row: Value, states: Sequence[Value]) -> tuple[Value, list[Value]]:
        cells = _Gates(site, _at(0), scope, row, states[0])
        total = scope.make(
            "xh", "AddV2", (cells.product("x", row, weights[0]), cells.product("h", states[0], weights[1])), T=_F32
        )
        hidden = scope.make("hidden", activation, (cells.plus("xhb", total, weights[2]),), T=_F32)
        return hidden, [hidden]

    return step


def _activation(site: LiteSite, field: int) -> str:
    number = site.option(field)
    if number and number not in ACTIVATIONS:
        raise DamagedFile(f"{site.name}: {site.node.name} with the activation {number} is not read.")
    return ACTIVATIONS.get(number, "Identity")


def _over_time(
    site: LiteSite, name: str, step: Step, widths: Sequence[int], *, time_major: bool, backwards: bool = False
) -> Value:
    """The outputs of every step over the input, in its layout; all states start from zeros."""
    rows = site.input(0) if time_major else site.turned(0, (1, 0, 2))
    around = Scope(f"{site.name}/{name}", site.nodes)
    first = around.number("first", [0])
    if backwards:
        rows = around.make("reversed", "ReverseV2", (rows, first), T=_F32, Tidx="int32")
    frame = Frame(f"{site.name}/{name}/while", around.rows(rows), site.nodes)
    size = _batch(around, rows)
    states = [frame.carry(_zeros(around, f"zeros_{k}", size, width), _F32) for k, width in enumerate(widths)]
    given, after = step(frame, frame.read("input", rows, _F32), states)
    for state, value in zip(states, after, strict=True):
        frame.leave(state, value)
    stacked = frame.write("output", given, _F32)
    if backwards:
        stacked = around.make("back", "ReverseV2", (stacked, first), T=_F32, Tidx="int32")
    if time_major:
        return stacked
    return around.make("turned", "Transpose", (stacked, around.number("order", [1, 0, 2])), T=_F32, Tperm="int32")


def _batch(scope: Scope, rows: Value) -> Value:
    shape = scope.make("Shape", "Shape", (rows,), out_type="int32")
    return scope.part("batch", shape, [1], [2], T="int32")


def _zeros(scope: Scope, name: str, batch: Value, width: int) -> Value:
    parts = (batch, scope.number(f"{name}/width", [width]), scope.number(f"{name}/axis", 0))
    shape = scope.make(f"{name}/shape", "ConcatV2", parts, N=2, T="int32", Tidx="int32")
    zero = scope.array(f"{name}/zero", _ZERO)
    return scope.make(name, "Fill", (shape, zero), T=_F32, index_type="int32")


def _rows_of(site: LiteSite, number: int) -> int:
    """How many rows the weights have that are an input."""
    return int(site.tensor(number).shape[0] or 0)


def _widths(site: LiteSite, weights: _Weights) -> list[int]:
    """The sizes of the hidden and the cell state."""
    units = _rows_of(site, weights.kernels[1])
    projection = weights.projection[0]
    return [_rows_of(site, projection) if site.has(projection) else units, units]


def _sequence_lstm(site: LiteSite) -> None:
    if site.option(5, "?"):
        raise DamagedFile(f"{site.name}: {site.node.name} with diagonal recurrent weights is not read.")
    weights = _at(1, norms=20)
    clips = site.option(1, "f"), site.option(2, "f")
    step = _lstm_step(site, weights, clips, _activation(site, 0))
    made = _over_time(site, "steps", step, _widths(site, weights), time_major=bool(site.option(3, "?")))
    site.give("Identity", (made,))


def _both_lstm(site: LiteSite) -> None:
    if any(site.has(k) for k in range(39, 48)):
        raise DamagedFile(f"{site.name}: {site.node.name} with an auxiliary input is not read.")
    clips, time_major = (site.option(1, "f"), site.option(2, "f")), bool(site.option(4, "?", 1))
    made = []
    for name, start in (("forward", 1), ("backward", 18)):
        weights = _at(start)
        step = _lstm_step(site, weights, clips, _activation(site, 0))
        widths = _widths(site, weights)
        made.append(_over_time(site, name, step, widths, time_major=time_major, backwards=start > 1))
    _together(site, made, merged=bool(site.option(3, "?")))


def _sequence_rnn(site: LiteSite) -> None:
    step = _rnn_step(site, (1, 2, 3), _activation(site, 1))
    made = _over_time(site, "steps", step, [_rows_of(site, 1)], time_major=bool(site.option(0, "?")))
    site.give("Identity", (made,))


def _both_rnn(site: LiteSite) -> None:
    if any(site.has(k) for k in range(9, 12)):
        raise DamagedFile(f"{site.name}: {site.node.name} with an auxiliary input is not read.")
    made = []
    for name, start in (("forward", 1), ("backward", 5)):
        step = _rnn_step(site, (start, start + 1, start + 2), _activation(site, 1))
        widths = [_rows_of(site, start)]
        made.append(_over_time(site, name, step, widths, time_major=bool(site.option(0, "?")), backwards=start > 1))
    _together(site, made, merged=bool(site.option(2, "?")))


def _together(site: LiteSite, made: Sequence[Value], *, merged: bool) -> None:
    """The outputs of both directions side by side, or apart."""
    if merged:
        site.give("ConcatV2", (*made, site.number("axis", 2)), N=2, Tidx="int32")
    else:
        names = [site.values.names[o] for o in site.node.outputs]
        site.bind([site.add(Node(n, "Identity", (v,), (), {"T": _F32})) for n, v in zip(names, made, strict=True)])


def _basic_lstm(site: LiteSite) -> None:
    """[x, h] Wᵀ + b in the order i, g, f, o; both states are inputs and outputs."""
    joined = site.make(
        "joined", "ConcatV2", (site.input(0), site.input(1), site.number("axis", 1)), N=2, T=_F32, Tidx="int32"
    )
    product = site.make("product", "MatMul", (joined, site.turned(2, (1, 0))), T=_F32)
    total = site.make("total", "BiasAdd", (product, site.input(3)), T=_F32)
    parts = site.make("parts", "Split", (site.number("one", 1), total), num_split=4, T=_F32)
    update, forget, output = (
        site.make(n, "Sigmoid", (Value(parts.node, k),), T=_F32) for n, k in (("i", 0), ("f", 2), ("o", 3))
    )
    new = site.make("g", "Tanh", (Value(parts.node, 1),), T=_F32)
    kept = site.make("kept", "Mul", (forget, site.input(4)), T=_F32)
    cell = site.make("cell", "AddV2", (kept, site.make("written", "Mul", (update, new), T=_F32)), T=_F32)
    hidden = site.make("hidden", "Mul", (output, site.make("shown", "Tanh", (cell,), T=_F32)), T=_F32)
    names = [site.values.names[o] for o in site.node.outputs]
    made = (hidden, cell, joined, total)
    site.bind([site.add(Node(n, "Identity", (v,), (), {"T": _F32})) for n, v in zip(names, made, strict=False)])


def _single(site: LiteSite, step: Step, states: Sequence[int]) -> None:
    """One step of an operator that keeps its states in variable tensors."""
    before = [_kept_variable(site, number) for number in states]
    given, after = step(Scope(f"{site.name}/step", site.nodes), site.input(0), [value for _, value in before])
    for (variable, _), value in zip(before, after, strict=True):
        site.add(Node(f"{variable.node}/assign", "AssignVariableOp", (variable, value), (), {"dtype": _F32}))
    site.give("Identity", (given,))


def _kept_variable(site: LiteSite, number: int) -> tuple[Value, Value]:
    """A variable for a tensor that keeps its content, and what that is before the step."""
    name = site.values.names[site.node.inputs[number]]
    variable = site.values.variable(name, site.tensor(number))
    read = site.add(Node(f"{name}/read", "ReadVariableOp", (variable,), (), {"dtype": _F32}))
    return variable, read


def _lstm(site: LiteSite) -> None:
    if site.option(3) == _BASIC:
        _basic_lstm(site)
        return
    weights = _at(1, norms=20)
    clips = site.option(1, "f"), site.option(2, "f")
    _single(site, _lstm_step(site, weights, clips, _activation(site, 0)), (18, 19))


def _rnn(site: LiteSite) -> None:
    _single(site, _rnn_step(site, (1, 2, 3), _activation(site, 0)), (4,))


RECURRENT: Mapping[str, Callable[[LiteSite], None]] = {
    "BIDIRECTIONAL_SEQUENCE_LSTM": _both_lstm,
    "BIDIRECTIONAL_SEQUENCE_RNN": _both_rnn,
    "LSTM": _lstm,
    "RNN": _rnn,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _sequence_lstm,
    "UNIDIRECTIONAL_SEQUENCE_RNN": _sequence_rnn,
}
