"""A stack as a lifted model: ONNX with the ports of an interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from reprise.interface import Interface, Port, StatePort
from reprise.lift import STATE_IN, STATE_OUT, Lifted
from reprise.stack.description import (
    Stack,
    StackActivation,
    StackDense,
    StackEmbedding,
    StackFeatures,
    StackLayer,
    StackOneHot,
    StackRecurrent,
)
from reprise.stack.ports import axes_of, inverse
from reprise.tensors import Array, Shape
from reprise.wire import onnx

_BEYOND = np.iinfo(np.int64).max


def lift_stack(stack: Stack, interface: Interface) -> Lifted:
    """The stack as a model of this interface.

    Raises:
        ValueError: The interface is not one of the stack.
    """
    writer = _Writer(stack, interface)
    writer.write()
    graph = onnx.graph(
        writer.nodes,
        "stack",
        [*(_info(p.name, p.dtype, p.shape) for p in interface.inputs), *_states(interface, STATE_IN)],
        [*(_info(p.name, p.dtype, p.shape) for p in interface.outputs), *_states(interface, STATE_OUT)],
        [onnx.tensor(a, n) for n, a in writer.small.items()],
    )
    kinds = tuple(layer.kind for _, layer in stack.recurrent())
    return Lifted(interface, graph, writer.large, {}, (), tuple(dict.fromkeys(kinds)))


def _states(face: Interface, prefix: str) -> list[onnx.Message]:
    return [_info(prefix + s.name, s.dtype, s.shape) for s in face.states]


def _info(name: str, dtype: str, shape: Shape) -> onnx.Message:
    sizes = [n if n is not None else f"{name}.{axis}" for axis, n in enumerate(shape)]
    return onnx.value_info(name, onnx.ELEMENT_TYPES[dtype], sizes)


class _Writer:
    def __init__(self, stack: Stack, interface: Interface) -> None:
        self._stack = stack
        self._face = interface
        self.nodes: list[onnx.Message] = []
        self.small: dict[str, Array] = {}
        self.large: dict[str, Array] = {}
        self._made: list[str] = []
        self._ends: dict[str, list[tuple[int, str]]] = {s.name: [] for s in interface.states}

    def write(self) -> None:
        for i, layer in enumerate(self._stack.layers):
            self._made.append(self._layer(f"layer{i}", layer))
        for port in self._face.outputs:
            self._leave(port, self._made[self._stack.outputs[port.name]])
        for state in self._face.states:
            self._next(state)

    def _node(self, op: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> str:
        self.nodes.append(onnx.node(op, inputs, outputs, **attributes))
        return outputs[0]

    def _large(self, name: str, array: Array) -> str:
        self.large[name] = array
        return name

    def _ints(self, *numbers: int) -> str:
        name = f"ints {numbers}"
        self.small[name] = np.asarray(numbers, np.int64)
        return name

    def _layer(self, name: str, layer: StackLayer) -> str:
        match layer:
            case StackFeatures():
                return self._entered(name, features=True)
            case StackEmbedding():
                table = self._large(f"{name} table", layer.table)
                return self._node("Gather", [table, self._ids(name, _BEYOND)], name)
            case StackOneHot():
                self.small["off and on"] = np.asarray([0, 1], np.float32)
                return self._node("OneHot", [self._ids(name, layer.width), self._ints(layer.width), "off and on"], name)
            case StackRecurrent():
                return self._recurrent(name, layer)
            case StackDense():
                kernel = self._large(f"{name} kernel", layer.kernel)
                product = self._node("MatMul", [self._made[layer.source], kernel], f"{name} product")
                return product if layer.bias is None else self._add(name, product, layer.bias)
            case StackActivation():
                axis = {"axis": -1} if layer.name.endswith("Softmax") else {}
                return self._node(layer.name, [self._made[layer.source]], name, **axis)

    def _add(self, name: str, product: str, bias: Array) -> str:
        return self._node("Add", [product, self._large(f"{name} bias", bias)], name)

    def _ids(self, name: str, beyond: int) -> str:
        """The ids; ONNX counts those below zero from the end, so they become one that is beyond."""
        ids = self._node("Cast", [self._entered(f"{name} given", features=False)], f"{name} ids", to=onnx.INT64)
        below = self._node("Less", [ids, self._ints(0)], f"{name} below zero")
        return self._node("Where", [below, self._ints(beyond), ids], f"{name} guarded")

    def _entered(self, name: str, *, features: bool) -> str:
        """The input as [T, N, D], or [T, N]."""
        port = self._face.inputs[0]
        axes = axes_of(port, features=features)
        if axes is None:
            raise ValueError(f"input {port.name!r} has axes beside time, batch and features")
        laid = self._node("Transpose", [port.name], f"{name} by time", perm=list(axes.order))
        return self._node("Unsqueeze", [laid, self._ints(*axes.missing)], name) if axes.missing else laid

    def _leave(self, port: Port, value: str) -> None:
        if port.rows is not None:
            if port.rows == "batch-major":
                value = self._node("Transpose", [value], f"{port.name} by row", perm=[1, 0, 2])
            width = self._stack.layers[self._stack.outputs[port.name]].width
            self._node("Reshape", [value, self._ints(-1, width)], port.name)
            return
        axes = axes_of(port, features=True)
        if axes is None:
            raise ValueError(f"output {port.name!r} has axes beside time, batch and features")
        if axes.missing:
            value = self._node("Squeeze", [value, self._ints(*axes.missing)], f"{port.name} without")
        self._node("Transpose", [value], port.name, perm=inverse(axes.order))

    def _recurrent(self, name: str, layer: StackRecurrent) -> str:
        weights = [
            self._large(f"{name} W", layer.kernel[None]),
            self._large(f"{name} R", layer.recurrent[None]),
            self._large(f"{name} B", np.concatenate([layer.bias, layer.recurrent_bias])[None]),
        ]
        starts = [self._start(f"{name} {kind}", layer, kind) for kind in layer.parts]
        ends = [f"{name} {kind} after" for kind in layer.parts]
        options: dict[str, Any] = {"hidden_size": layer.width, "activations": list(layer.activations)}
        if layer.reset_after:
            options["linear_before_reset"] = 1
        source = self._made[layer.source]
        self._node(layer.kind, [source, *weights, "", *starts], f"{name} all", *ends, **options)
        for (_, part), end in zip(layer.parts.items(), ends, strict=True):
            row = self._node("Squeeze", [end, self._ints(0)], f"{end} row")
            self._ends[part.state].append((part.start, row))
        return self._node("Squeeze", [f"{name} all", self._ints(1)], name)

    def _start(self, name: str, layer: StackRecurrent, kind: str) -> str:
        """What a layer starts from, [1, N, H]."""
        part = layer.parts[kind]
        port = next((s for s in self._face.states if s.name == part.state), None)
        if port is None:
            raise ValueError(f"no state is called {part.state!r}")
        value = self._node("Transpose", [STATE_IN + port.name], f"{name} by row", perm=_batch_first(port))
        value = self._node("Reshape", [value, self._ints(0 if port.batch_axis is not None else 1, -1)], f"{name} rows")
        bounds = [self._ints(part.start), self._ints(part.start + layer.width), self._ints(1)]
        value = self._node("Slice", [value, *bounds], f"{name} part")
        return self._node("Unsqueeze", [value, self._ints(0)], f"{name} before")

    def _next(self, port: StatePort) -> None:
        rows = [row for _, row in sorted(self._ends[port.name])]
        value = self._node("Concat", rows, f"{port.name} rows after", axis=1)
        order = _batch_first(port)
        sizes = [0 if axis == port.batch_axis else port.shape[axis] or 1 for axis in order]
        value = self._node("Reshape", [value, self._ints(*sizes)], f"{port.name} shaped")
        self._node("Transpose", [value], STATE_OUT + port.name, perm=inverse(order))


def _batch_first(port: StatePort) -> list[int]:
    rest = [axis for axis in range(len(port.shape)) if axis != port.batch_axis]
    return rest if port.batch_axis is None else [port.batch_axis, *rest]
