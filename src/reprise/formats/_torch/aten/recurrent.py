"""ATen's recurrent layers and cells as ONNX.

Sources: aten/src/ATen/native/RNN.cpp, torch/nn/modules/rnn.py (2.13), the ONNX operator documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from reprise import cells
from reprise.formats._torch.aten.layers import FLOAT, linear, transposed
from reprise.formats._torch.aten.values import AtenTensor, Builder, RefusedError, Size, known_number, same_size
from reprise.tensors import Array
from reprise.wire import onnx

#: The order of the gates in PyTorch and in ONNX.
_ORDERS = {"LSTM": ("ifco", "iofc"), "GRU": ("rzc", "zrc"), "RNN": ("c", "c")}


def _recurrent(
    kind: str,
    activations: list[str],
    b: Builder,
    input: AtenTensor,
    hx: AtenTensor | Sequence[AtenTensor],
    params: Sequence[AtenTensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool = False,
) -> tuple[AtenTensor, ...]:
    """The outputs and the last states, of which an LSTM has two."""
    layers = _Layers(kind, num_layers, bidirectional, has_biases, dropout if train else 0.0, activations)
    states = [hx] if isinstance(hx, AtenTensor) else hx
    steps, last = layers.run(b, input, states, params, batch_first=batch_first)
    return steps, *last


lstm = partial(_recurrent, "LSTM", [])
gru = partial(_recurrent, "GRU", [])
rnn_tanh = partial(_recurrent, "RNN", ["Tanh"])
rnn_relu = partial(_recurrent, "RNN", ["Relu"])


class _Layers:
    """Stacked recurrent layers of one kind."""

    def __init__(
        self, kind: str, count: int, both_ways: bool, biased: bool, dropout: float, activations: Sequence[str] = ()
    ) -> None:
        if dropout and count > 1:
            raise RefusedError("dropout between recurrent layers that draws at random; save it in evaluation mode")
        self.kind, self.count, self.ways = kind, count, 2 if both_ways else 1
        self.biased, self.activations = biased, list(activations) * self.ways

    def run(
        self,
        b: Builder,
        input: AtenTensor,
        states: Sequence[AtenTensor],
        params: Sequence[AtenTensor],
        *,
        batch_first: bool,
    ) -> tuple[AtenTensor, list[AtenTensor]]:
        """Outputs laid out as the input, and the last states [layers · directions, N, H]."""
        each = 4 if self.biased else 2
        projected = self.kind == "LSTM" and len(params) == (each + 1) * self.count * self.ways
        each += projected
        if len(params) != each * self.count * self.ways:
            raise RefusedError(f"{self.kind} of {self.count} layers with {len(params)} weights")
        if input.rank != 3 or any(s.rank != 3 for s in states):
            raise RefusedError(f"{self.kind} of a tensor of {input.rank} axes and states of {[s.rank for s in states]}")
        b.odd += _is_single_row(input, 0 if batch_first else 1) or any(_is_single_row(s, 1) for s in states)
        self._check_states(states, input.sizes[0 if batch_first else 1], params, projected=projected)
        steps = _turned(b, input) if batch_first else input
        last: list[list[AtenTensor]] = [[] for _ in states]
        for layer in range(self.count):
            own = params[layer * each * self.ways : (layer + 1) * each * self.ways]
            starts = [_rows(b, s, layer * self.ways, self.ways, self.count) for s in states]
            run = self._projected if projected else self._layer
            steps, ends = run(b, steps, starts, own)
            for found, end in zip(last, ends, strict=True):
                found.append(end)
        return (_turned(b, steps) if batch_first else steps), [_joined(b, found) for found in last]

    def _check_states(
        self, states: Sequence[AtenTensor], rows: Size, params: Sequence[AtenTensor], *, projected: bool
    ) -> None:
        units = [params[1].sizes[1]] * len(states)  # of h; with a projection c has more
        if projected:
            units[1] = params[4 if self.biased else 2].sizes[1]
        for state, size in zip(states, units, strict=True):
            for found, wanted in zip(state.sizes, (self.count * self.ways, rows, size), strict=True):
                same_size(found, wanted, f"states of {self.kind}")

    def _layer(
        self, b: Builder, steps: AtenTensor, starts: Sequence[AtenTensor], params: Sequence[AtenTensor]
    ) -> tuple[AtenTensor, list[AtenTensor]]:
        units = int(params[1].sizes[1])  # type: ignore[arg-type]
        same_size(steps.sizes[2], params[0].sizes[1], f"{self.kind}: features and weights")
        options: dict[str, Any] = {"direction": "bidirectional"} if self.ways == 2 else {}
        options |= {"activations": self.activations} if self.activations else {}
        options |= {"linear_before_reset": 1} if self.kind == "GRU" else {}
        weights = self._weights(b, params, units)
        names = b.emit(
            self.kind,
            [b.read(steps), *weights, "", *map(b.read, starts)],
            1 + len(starts),
            hidden_size=units,
            **options,
        )
        time, rows = steps.sizes[:2]
        every = AtenTensor(names[0], FLOAT, (time, self.ways, rows, units))
        by_row = b.node("Transpose", [every], FLOAT, (time, rows, self.ways, units), perm=[0, 2, 1, 3])
        joined = b.node("Reshape", [by_row, b.ints([0, 0, -1])], FLOAT, (time, rows, self.ways * units))
        return joined, [AtenTensor(name, FLOAT, (self.ways, rows, units)) for name in names[1:]]

    def _projected(
        self, b: Builder, steps: AtenTensor, starts: Sequence[AtenTensor], params: Sequence[AtenTensor]
    ) -> tuple[AtenTensor, list[AtenTensor]]:
        """As `_layer`, where the output of each step is multiplied with W_hr; a Scan, since ONNX's LSTM has none."""
        each = len(params) // self.ways
        ends: list[list[AtenTensor]] = [[], []]
        outputs = []
        for way in range(self.ways):
            first = [_rows(b, s, way, 1, self.ways) for s in starts]
            output, last = _scanned(b, steps, first, params[way * each : (way + 1) * each], backwards=way == 1)
            outputs.append(output)
            for found, end in zip(ends, last, strict=True):
                found.append(end)
        if self.ways == 1:
            return outputs[0], [found[0] for found in ends]
        sizes = (*outputs[0].sizes[:2], 2 * int(outputs[0].sizes[2]))  # type: ignore[arg-type]
        return b.node("Concat", outputs, FLOAT, sizes, axis=2), [_joined(b, found) for found in ends]

    def _weights(self, b: Builder, params: Sequence[AtenTensor], units: int) -> list[str]:
        """The names of W, R and B as ONNX has them, with an axis of directions."""
        each = len(params) // self.ways
        have, want = _ORDERS[self.kind]
        ways = [params[k * each : (k + 1) * each] for k in range(self.ways)]
        for value in params:
            if value.stored is None or value.name not in b.tensors:
                raise RefusedError(f"weights of {self.kind} that are computed")
            b.loaded.add(value.name)

        def stacked(position: int) -> Array:
            return np.stack([cells.reordered(b.load(p[position]).T, have, want).T for p in ways])

        def biases() -> Array:
            if not self.biased:
                return np.zeros((self.ways, 2 * len(want) * units), np.float32)
            return np.concatenate([stacked(2), stacked(3)], axis=1)

        return [
            b.tensor(b.fresh(f"{self.kind} W"), lambda: stacked(0)),
            b.tensor(b.fresh(f"{self.kind} R"), lambda: stacked(1)),
            b.tensor(b.fresh(f"{self.kind} B"), biases),
        ]


def _scanned(
    b: Builder, steps: AtenTensor, starts: Sequence[AtenTensor], params: Sequence[AtenTensor], *, backwards: bool
) -> tuple[AtenTensor, list[AtenTensor]]:
    """One direction of an LSTM with a projection: outputs [T, N, P], and the last states [1, N, P] and [1, N, H]."""
    inputs, recurrent, *biases, projection = params
    size, units = (int(n) for n in projection.sizes)  # type: ignore[arg-type]
    gates = linear(b, steps, inputs)
    for bias in biases:
        gates = b.node("Add", [gates, bias], FLOAT, gates.sizes)
    zero = b.ints([0])
    first = [b.node("Squeeze", [s, zero], FLOAT, s.sizes[1:]) for s in starts]
    weights = [transposed(b, w) for w in (recurrent, projection)]
    names = b.emit(
        "Scan",
        [b.read(v) for v in (*first, gates)],
        3,
        body=_projected_step(b, *(w.name for w in weights)),
        num_scan_inputs=1,
        scan_input_directions=[int(backwards)],
        scan_output_directions=[int(backwards)],
    )
    time, rows = steps.sizes[:2]
    last = [AtenTensor(name, FLOAT, (rows, n)) for name, n in zip(names, (size, units), strict=False)]
    ends = [b.node("Unsqueeze", [v, zero], FLOAT, (1, *v.sizes)) for v in last]
    return AtenTensor(names[2], FLOAT, (time, rows, size)), ends


def _projected_step(b: Builder, recurrent: str, projection: str) -> onnx.Message:
    """i, f, g, o = z + h·R; c' = f·c + i·g; h' = (o·tanh(c'))·P (torch.nn.LSTM, proj_size)."""
    own = b.fresh("step")
    names = {n: f"{own} {n}" for n in "h c z hr s i f g o si sf tg so fc ig c' tc out h' y".split()}

    def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.Message:
        read, given = ([names.get(n, n) for n in words.split()] for words in (inputs, outputs))
        return onnx.node(op, read, given, **attributes)

    nodes = [
        onnx.node("MatMul", [names["h"], recurrent], [names["hr"]]),
        node("Add", "z hr", "s"),
        node("Split", "s", "i f g o", axis=-1),
        *(node("Sigmoid", gate, f"s{gate}") for gate in "ifo"),
        node("Tanh", "g", "tg"),
        node("Mul", "sf c", "fc"),
        node("Mul", "si tg", "ig"),
        node("Add", "fc ig", "c'"),
        node("Tanh", "c'", "tc"),
        node("Mul", "so tc", "out"),
        onnx.node("MatMul", [names["out"], projection], [names["h'"]]),
        node("Identity", "h'", "y"),
    ]
    taken = [onnx.value_info(names[n], onnx.ELEMENT_TYPES[FLOAT]) for n in ("h", "c", "z")]
    given = [onnx.value_info(names[n], onnx.ELEMENT_TYPES[FLOAT]) for n in ("h'", "c'", "y")]
    return onnx.graph(nodes, own, taken, given, [])


def _is_single_row(value: AtenTensor, axis: int) -> bool:
    """Whether the axis of the batch was added to a tensor, as PyTorch's modules do for a single row.

    That is the rarer reading of a program which takes both.
    """
    base = value.base
    if base is None or base.rank != value.rank - 1 or known_number(value.sizes[axis]) != 1:
        return False
    others = [*value.sizes[:axis], *value.sizes[axis + 1 :]]
    return all(known_number(a) is known_number(b) for a, b in zip(others, base.sizes, strict=True))


def _turned(b: Builder, value: AtenTensor) -> AtenTensor:
    """Batch-major steps as time-major ones, and the other way round."""
    return b.node("Transpose", [value], value.dtype, (value.sizes[1], value.sizes[0], *value.sizes[2:]), perm=[1, 0, 2])


def _rows(b: Builder, state: AtenTensor, begin: int, count: int, layers: int) -> AtenTensor:
    if layers == 1:
        return state
    bounds = [b.ints([begin]), b.ints([begin + count]), b.ints([0])]
    return b.node("Slice", [state, *bounds], FLOAT, (count, *state.sizes[1:]))


def _joined(b: Builder, parts: Sequence[AtenTensor]) -> AtenTensor:
    if len(parts) == 1:
        return parts[0]
    count = sum(n for p in parts if isinstance(n := known_number(p.sizes[0]), int))
    return b.node("Concat", parts, FLOAT, (count, *parts[0].sizes[1:]), axis=0)


# Cells: one step of a layer


def lstm_cell(
    b: Builder,
    input: AtenTensor,
    hx: Sequence[AtenTensor],
    w_ih: AtenTensor,
    w_hh: AtenTensor,
    b_ih: Any = None,
    b_hh: Any = None,
) -> tuple[AtenTensor, AtenTensor]:
    h, c = _cell(b, _Layers("LSTM", 1, False, b_ih is not None, 0.0), input, hx, (w_ih, w_hh, b_ih, b_hh))
    return h, c


def _one_state_cell(
    kind: str,
    activations: list[str],
    b: Builder,
    input: AtenTensor,
    hx: AtenTensor,
    w_ih: AtenTensor,
    w_hh: AtenTensor,
    b_ih: Any = None,
    b_hh: Any = None,
) -> AtenTensor:
    layers = _Layers(kind, 1, False, b_ih is not None, 0.0, activations)
    return _cell(b, layers, input, [hx], (w_ih, w_hh, b_ih, b_hh))[0]


gru_cell = partial(_one_state_cell, "GRU", [])
rnn_tanh_cell = partial(_one_state_cell, "RNN", ["Tanh"])
rnn_relu_cell = partial(_one_state_cell, "RNN", ["Relu"])


def _cell(
    b: Builder, layers: _Layers, input: AtenTensor, states: Sequence[AtenTensor], params: Sequence[Any]
) -> list[AtenTensor]:
    if input.rank != 2 or any(s.rank != 2 for s in states):
        raise RefusedError(f"a cell of a tensor of {input.rank} axes and states of {[s.rank for s in states]}")
    b.odd += any(_is_single_row(v, 0) for v in (input, *states))
    zero = b.ints([0])
    step = b.node("Unsqueeze", [input, zero], FLOAT, (1, *input.sizes))
    starts = [b.node("Unsqueeze", [s, zero], FLOAT, (1, *s.sizes)) for s in states]
    _, ends = layers.run(b, step, starts, [p for p in params if p is not None], batch_first=False)
    return [b.node("Squeeze", [e, zero], FLOAT, e.sizes[1:]) for e in ends]


OPERATORS: Mapping[str, Callable[..., Any]] = {
    "lstm": lstm,
    "gru": gru,
    "rnn_tanh": rnn_tanh,
    "rnn_relu": rnn_relu,
    "lstm_cell": lstm_cell,
    "gru_cell": gru_cell,
    "rnn_tanh_cell": rnn_tanh_cell,
    "rnn_relu_cell": rnn_relu_cell,
}
