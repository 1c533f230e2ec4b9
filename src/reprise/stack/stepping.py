"""One step of a stack for one row, in NumPy: matrices times vectors, at the speed at which memory is read.

ONNX Runtime lays weights out for the products of many rows; where there is one row, a product of a matrix [O, D] with a
vector, row by row, is twice as fast (`benchmarks/stepping.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from reprise import blas
from reprise.cells import sigmoid
from reprise.interface import Interface, Port
from reprise.lift import STATE_IN, STATE_OUT
from reprise.stack.description import (
    GATES,
    NotAStack,
    Stack,
    StackActivation,
    StackDense,
    StackEmbedding,
    StackFeatures,
    StackOneHot,
    StackRecurrent,
)
from reprise.tensors import DTYPES, Array

#: So many numbers may be kept of what a layer computes of each id, instead of an embedding's table and a kernel.
_READY = 2**20

#: The value of a layer [D]; of the first, where it reads ids, the id.
_Value = Any
_Linear = Callable[[_Value], Array]
#: (the values of the layers before, states by layer and kind, where to put the next ones) → the value.
_Layer = Callable[[list[_Value], Mapping[tuple[int, str], Array], dict[tuple[int, str], Array]], Array]


def step_engine(stack: Stack, interface: Interface, threads: int) -> StepEngine | NotAStack:
    """The engine of a stack, or why it has none."""
    if not blas.settable():
        return NotAStack("the threads of NumPy's products cannot be limited here")
    of_ids = not isinstance(stack.layers[0], StackFeatures)
    for layer in stack.layers:
        if of_ids and isinstance(layer, StackActivation) and layer.source == 0:
            return NotAStack(f"{layer} reads {stack.layers[0]}")
    if 0 in stack.outputs.values():
        return NotAStack("an output is the input itself")
    return StepEngine(stack, interface, threads)


class StepEngine:
    """A stack for one row and one step, used as `runtime.Engine` is. Holds no state between calls.

    Attributes:
        inputs: The names of what it takes, with their types.
        outputs: The names of what it gives.
        ids: How many ids it knows; 0 where it reads vectors.
    """

    def __init__(self, stack: Stack, interface: Interface, threads: int) -> None:
        """Copies the weights, laid out for products with vectors."""
        (self._entry,) = interface.inputs
        first = stack.layers[0]
        self.ids = _count(first) if isinstance(first, StackEmbedding | StackOneHot) else 0
        self._size = 1 if self.ids else first.width
        self._limit = blas.Limit(threads)
        self._layers = [_compiled(i, stack) for i in range(1, len(stack.layers))]
        self._ends = [(p.name, stack.outputs[p.name], *_shapes(p, stack)) for p in interface.outputs]
        self._parts = [
            ((i, kind), part.state, part.start, part.start + layer.width)
            for i, layer in stack.recurrent()
            for kind, part in layer.parts.items()
        ]
        places = sorted(self._parts, key=lambda part: part[2])
        self._states = {s.name: [key for key, state, *_ in places if state == s.name] for s in interface.states}
        first_state = interface.states[0].name
        self._first = first_state, sum(end - start for _, name, start, end in self._parts if name == first_state)
        self.inputs = {p.name: DTYPES[p.dtype] for p in interface.inputs}
        self.inputs |= {STATE_IN + s.name: DTYPES[s.dtype] for s in interface.states}
        self.outputs = [p.name for p in interface.outputs] + [STATE_OUT + s.name for s in interface.states]

    def takes(self, array: Array) -> bool:
        """Whether this input is one step of one row, with an id that the model has."""
        return array.size == self._size and (not self.ids or 0 <= array.item() < self.ids)

    def takes_state(self, state: Mapping[str, Array]) -> bool:
        """Whether a state of the model has one row."""
        name, size = self._first
        return state[name].size == size

    def run(self, feeds: Mapping[str, Array], wanted: Sequence[str]) -> dict[str, Array]:
        """The outputs `wanted` for these inputs, of which the one that is no state is such that it `takes` it."""
        states = {name: np.asarray(feeds[STATE_IN + name], np.float32) for name in self._states}
        outputs, after = self._computed(feeds[self._entry.name], states)
        found = {name: outputs[i].copy().reshape(shape) for name, i, shape, _ in self._ends}
        found |= {STATE_OUT + name: array for name, array in after.items()}
        return {name: found[name] for name in wanted}

    def step(self, entry: Array, state: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        """The outputs without their time axis, and the next state, for an input and a state that it takes."""
        values, after = self._computed(entry, state)
        return {name: values[i].copy().reshape(shape) for name, i, _, shape in self._ends}, after

    def _computed(self, entry: Array, state: Mapping[str, Array]) -> tuple[list[_Value], dict[str, Array]]:
        """The values of all layers, which may be rows of a table and parts of the next state, and that state."""
        values = [entry.item() if self.ids else entry.reshape(-1)]
        before = {key: state[name].reshape(-1)[start:end] for key, name, start, end in self._parts}
        after: dict[tuple[int, str], Array] = {}
        with self._limit, np.errstate(all="ignore"):
            for layer in self._layers:
                values.append(layer(values, before, after))
        states = {}
        for name, keys in self._states.items():
            row = after[keys[0]] if len(keys) == 1 else np.concatenate([after[key] for key in keys])
            states[name] = row.reshape(state[name].shape)
        return values, states


def _count(first: StackEmbedding | StackOneHot) -> int:
    """How many ids there are."""
    return len(first.table) if isinstance(first, StackEmbedding) else first.width


def _shapes(port: Port, stack: Stack) -> tuple[list[int], list[int]]:
    """The shape of an output of one row in a run of one step, and in a step."""
    alone = {port.time_axis, port.batch_axis} if port.rows is None else {0}
    width = stack.layers[stack.outputs[port.name]].width
    whole = [1 if axis in alone else width for axis in range(len(port.shape))]
    return whole, [size for axis, size in enumerate(whole) if axis != port.time_axis]


def _compiled(i: int, stack: Stack) -> _Layer:
    layer = stack.layers[i]
    match layer:
        case StackRecurrent():
            return _recurrent(i, layer, stack)
        case StackDense():
            linear, source = _linear(stack, layer.source, layer.kernel.T, layer.bias), layer.source
            return lambda values, _before, _after: linear(values[source])
        case StackActivation():
            function, source = _FUNCTIONS[layer.name], layer.source
            return lambda values, _before, _after: function(values[source])
    raise ValueError(f"layer {i} is {layer}, which only begins a stack")


def _linear(stack: Stack, source: int, kernel: Array, bias: Array | None) -> _Linear:
    """The function x → kernel [O, D] · x + bias, for the value x of a layer."""
    first = stack.layers[source]
    add = np.zeros(len(kernel), np.float32) if bias is None else bias
    if isinstance(first, StackOneHot):
        ready = kernel.T + add
        return lambda id: ready[id]
    matrix = np.ascontiguousarray(kernel)
    if not isinstance(first, StackEmbedding):
        return lambda x: matrix.dot(x) + add
    table = first.table
    if len(table) * len(kernel) <= max(_READY, table.size):
        ready = table @ kernel.T + add
        return lambda id: ready[id]
    return lambda id: matrix.dot(table[id]) + add


# Recurrent layers. A sigmoid is computed by tanh, as (tanh(x / 2) + 1) / 2: the rows of the weights that lead to one
# are halved beforehand, which is exact, and what is left is one function in place.


def _recurrent(i: int, layer: StackRecurrent, stack: Stack) -> _Layer:
    halves = _halves(layer)
    recurrent = np.ascontiguousarray(layer.recurrent * halves[:, None])
    inner = layer.recurrent_bias * halves
    outer = layer.bias * halves + (0 if layer.reset_after else inner)
    if layer.reset_after:  # the candidate's bias is added before the reset gate is applied
        outer[: 2 * layer.width] += inner[: 2 * layer.width]
    linear = _linear(stack, layer.source, layer.kernel * halves[:, None], outer)
    cell = _CELLS[layer.kind](layer, recurrent, inner)
    source, keys = layer.source, [(i, kind) for kind in layer.parts]

    def step(values: list[_Value], before: Mapping[Any, Array], after: dict[Any, Array]) -> Array:
        found = cell(linear(values[source]), *[before[key] for key in keys])
        after.update(zip(keys, found, strict=True))
        return found[0]

    return step


def _halves(layer: StackRecurrent) -> Array:
    """What each row of the weights is multiplied by: a half where it leads to a sigmoid."""
    gates = GATES[layer.kind]
    names = [layer.activations[0 if gate != "c" or layer.kind == "RNN" else 1] for gate in gates]
    return np.repeat([np.float32(0.5 if name == "Sigmoid" else 1) for name in names], layer.width)


def _lstm(layer: StackRecurrent, recurrent: Array, _bias: Array) -> Callable[..., tuple[Array, ...]]:
    width, output = layer.width, _FUNCTIONS[layer.activations[2]]
    gate, candidate = (_IN_PLACE[name] for name in layer.activations[:2])

    def step(x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        gates = recurrent.dot(h)
        gates += x
        gate(gates[: 3 * width])
        candidate(gates[3 * width :])
        i, o, f, g = gates.reshape(4, width)
        c = f * c
        g *= i
        c += g
        h = output(c)
        h *= o
        return h, c

    return step


def _gru(layer: StackRecurrent, recurrent: Array, bias: Array) -> Callable[..., tuple[Array, ...]]:
    split = 2 * layer.width
    gate, candidate = (_IN_PLACE[name] for name in layer.activations)
    of_gates, of_candidate, inner = recurrent[:split], recurrent[split:], bias[split:]

    def reset_before(x: Array, h: Array) -> tuple[Array, Array]:
        gates = of_gates.dot(h)
        gates += x[:split]
        gate(gates)
        z, r = gates.reshape(2, -1)
        g = of_candidate.dot(r * h)
        return z, g

    def reset_after(x: Array, h: Array) -> tuple[Array, Array]:
        gates = recurrent.dot(h)
        g = gates[split:]
        g += inner
        gates[:split] += x[:split]
        gate(gates[:split])
        z, r = gates[:split].reshape(2, -1)
        g *= r
        return z, g

    products = reset_after if layer.reset_after else reset_before

    def step(x: Array, h: Array) -> tuple[Array]:
        z, g = products(x, h)
        g += x[split:]
        candidate(g)
        return ((1 - z) * g + z * h,)

    return step


def _rnn(layer: StackRecurrent, recurrent: Array, _bias: Array) -> Callable[..., tuple[Array, ...]]:
    function = _IN_PLACE[layer.activations[0]]

    def step(x: Array, h: Array) -> tuple[Array]:
        h = recurrent.dot(h)
        h += x
        function(h)
        return (h,)

    return step


_CELLS = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}


def _sigmoid_of_half(x: Array) -> None:
    np.tanh(x, x)
    x *= 0.5
    x += 0.5


def _tanh(x: Array) -> None:
    np.tanh(x, x)


def _relu(x: Array) -> None:
    np.maximum(x, 0, out=x)


_IN_PLACE = {"Sigmoid": _sigmoid_of_half, "Tanh": _tanh, "Relu": _relu}


def _softmax(x: Array) -> Array:
    powers = np.exp(x - x.max())
    return np.asarray(powers / powers.sum())


def _log_softmax(x: Array) -> Array:
    shifted = x - x.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))


_FUNCTIONS: Mapping[str, Callable[[Array], Array]] = {
    "Sigmoid": sigmoid,
    "Tanh": np.tanh,
    "Relu": lambda x: np.maximum(x, 0),
    "Softmax": _softmax,
    "LogSoftmax": _log_softmax,
}
