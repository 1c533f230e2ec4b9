"""Finds the stack of standard layers that a lifted model is, from each output back to the input.

What only lays out is passed without a look at how: whether the layers, laid out as the interface says, compute what the
model computes is seen by computing. So is which part of a state a layer starts from: the graph before it is run on
states whose numbers tell their places.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from reprise.errors import LiftError
from reprise.interface import Port
from reprise.lift import STATE_IN, Lifted
from reprise.runtime import Engine
from reprise.stack.description import (
    ACTIVATIONS,
    GATES,
    STANDARD,
    NotAStack,
    Stack,
    StackActivation,
    StackDense,
    StackEmbedding,
    StackFeatures,
    StackLayer,
    StackOneHot,
    StackRecurrent,
    StatePart,
)
from reprise.stack.ports import axes_of, of_rows, row_width
from reprise.tensors import DTYPES, Array
from reprise.wire import onnx

#: Operators that only lay out their first input, or let it pass.
_PASSED = frozenset("Transpose Reshape Squeeze Unsqueeze Slice Pad Identity Cast Flatten".split())

#: What the value is called that is computed on places.
_PLACES = "places"
#: So many places differ as float32, and no more are told apart, whatever a file says of its sizes.
_MOST_PLACES = 2**24


class _MissError(Exception):
    """Why this is no stack."""


def recognise(lifted: Lifted) -> Stack | NotAStack:
    """The stack that `lifted` seems to be, or the first reason why it is none.

    What it computes must still be compared with the model.
    """
    try:
        return _Recognition(lifted).stack()
    except _MissError as miss:
        return NotAStack(str(miss))


class _Recognition:
    def __init__(self, lifted: Lifted) -> None:
        self._lifted = lifted
        self._face = lifted.interface
        self._numbers = lifted.numbers()
        self._makers = {name: node for node in lifted.graph.node for name in node.output if name}
        self._found: dict[str, int] = {}
        self._layers: list[StackLayer] = []

    def stack(self) -> Stack:
        self._check_face()
        outputs = {port.name: self._layer(port.name) for port in self._face.outputs}
        self._check_states()
        return _without_unused(self._layers, outputs)

    def _check_face(self) -> None:
        face = self._face
        if self._lifted.open:
            raise _MissError(f"setting {self._lifted.open[0]!r} must be given at each call")
        if self._lifted.draws:
            raise _MissError("it draws random numbers in every call")
        if len(face.inputs) != 1:
            raise _MissError(f"it has {len(face.inputs)} inputs ({', '.join(p.name for p in face.inputs)})")
        if axes_of(face.inputs[0], features=_has_features(face.inputs[0])) is None:
            raise _MissError(f"input {face.inputs[0].name!r} has axes beside time, batch and features")
        for port in face.outputs:
            if port.rows is None and (port.time_axis is None) != (face.inputs[0].time_axis is None):
                raise _MissError(f"output {port.name!r} does not have a value for each step")
            if port.dtype != "float32" or (port.rows is None and axes_of(port, features=True) is None):
                raise _MissError(f"output {port.name!r} is {port.dtype} of {len(port.shape)} axes")
        for state in face.states:
            if state.dtype != "float32" or row_width(state) is None or state.initial == "inputs":
                what = "starts from the inputs" if state.initial == "inputs" else f"is {state.dtype} {state.shape}"
                raise _MissError(f"state {state.name!r} {what}")

    def _check_states(self) -> None:
        """Every number of every state must be that of one layer."""
        held: dict[str, list[tuple[int, int]]] = {s.name: [] for s in self._face.states}
        for layer in self._layers:
            if isinstance(layer, StackRecurrent):
                for part in layer.parts.values():
                    held[part.state].append((part.start, part.start + layer.width))
        for state in self._face.states:
            ends = [0, *(end for _, end in sorted(held[state.name]))]
            if [start for start, _ in sorted(held[state.name])] != ends[:-1] or ends[-1] != row_width(state):
                raise _MissError(f"state {state.name!r} is not that of recurrent layers")

    # From a value back to the layer that makes it

    def _layer(self, value: str) -> int:
        """The number of the layer that `value` is, once what only lays out is passed."""
        chain = [value]
        while chain[-1] not in self._found and self._passes(chain[-1]):
            chain.append(self._makers[chain[-1]].input[0])
        if chain[-1] not in self._found:
            layer = self._new_layer(chain[-1])
            self._layers.append(layer)
            self._found[chain[-1]] = len(self._layers) - 1
        self._found.update(dict.fromkeys(chain, self._found[chain[-1]]))
        return self._found[value]

    def _passes(self, value: str) -> bool:
        node = self._makers.get(value)
        if node is None or node.op_type not in ("Mul", "Div"):
            return node is not None and node.op_type in _PASSED
        factor = self._fixed(node, 1)
        return factor is not None and bool((factor == 1).all())

    def _new_layer(self, value: str) -> StackLayer:
        port = self._face.inputs[0]
        if value == port.name:
            return self._entered(port)
        node = self._makers.get(value)
        if node is None:
            raise _MissError(f"{value!r}, which an output is computed from, does not depend on the input")
        if node.op_type in GATES:
            return self._recurrent(node, value)
        if node.op_type in ("Gather", "OneHot"):
            return self._looked_up(node)
        if node.op_type in ("MatMul", "Gemm", "Add"):
            return self._dense(node)
        if node.op_type in ACTIVATIONS:
            source = self._layer(node.input[0])
            return StackActivation(source, node.op_type, self._layers[source].width)
        raise _unknown(node)

    def _entered(self, port: Port) -> StackFeatures:
        width = port.shape[-1] if _has_features(port) else None
        if port.dtype != "float32" or width is None:
            raise _MissError(f"input {port.name!r} of type {port.dtype} enters without a table or one-hot vectors")
        return StackFeatures(width)

    def _looked_up(self, node: onnx.Message) -> StackEmbedding | StackOneHot:
        ids = node.input[1 if node.op_type == "Gather" else 0]
        while ids in self._makers:
            before = self._makers[ids]
            if before.op_type not in _PASSED and not self._guards(before):
                raise _unknown(before)
            ids = before.input[2 if before.op_type == "Where" else 0]
        if ids != self._face.inputs[0].name:
            raise _MissError(f"operator {node.op_type!r} ({node.output[0]!r}) looks up something other than the input")
        if node.op_type == "OneHot":
            return StackOneHot(int(self._constant(node, 1).reshape(-1)[0]))
        table = self._constant(node, 0)
        if table.ndim != 2 or table.dtype != np.float32:
            raise _MissError(f"the table of {node.output[0]!r} is {table.dtype} of {table.ndim} axes")
        return StackEmbedding(table)

    def _guards(self, node: onnx.Message) -> bool:
        """Whether it only exchanges ids below zero, for one that is beyond the table."""
        test = self._makers.get(node.input[0])
        if node.op_type != "Where" or test is None or test.op_type != "Less" or test.input[0] != node.input[2]:
            return False
        bound = self._numbers.get(test.input[1])
        return bound is not None and bound.size == 1 and not bound.any()

    def _constant(self, node: onnx.Message, at: int) -> Array:
        name = node.input[at]
        while name in self._makers and self._makers[name].op_type in _PASSED:
            name = self._makers[name].input[0]
        if name not in self._numbers:
            raise _MissError(f"input {at} of operator {node.op_type!r} ({node.output[0]!r}) is not a constant")
        return self._numbers[name]

    def _dense(self, node: onnx.Message) -> StackDense:
        if node.op_type == "Add":
            return self._biased(node)
        kernel = self._fixed(node, 1)
        if kernel is None or kernel.ndim != 2 or kernel.dtype != np.float32:
            raise _MissError(f"operator {node.op_type!r} ({node.output[0]!r}) is not a product with a matrix")
        if node.op_type == "MatMul":
            return StackDense(self._layer(node.input[0]), kernel, None)
        flags = [onnx.attribute(node, k, d) for k, d in (("alpha", 1.0), ("beta", 1.0), ("transA", 0))]
        bias = self._fixed(node, 2) if len(node.input) > 2 and node.input[2] else None
        if flags != [1.0, 1.0, 0] or (bias is None and len(node.input) > 2):
            raise _unknown(node)
        kernel = kernel.T if onnx.attribute(node, "transB", 0) else kernel
        return StackDense(self._layer(node.input[0]), kernel, _vector(bias, kernel.shape[1], node))

    def _biased(self, node: onnx.Message) -> StackDense:
        """The dense layer that a constant is added to."""
        for at in (0, 1):
            bias = self._fixed(node, 1 - at)
            if bias is not None:
                layer = self._layers[self._layer(node.input[at])]
                if isinstance(layer, StackDense) and layer.bias is None:
                    return StackDense(layer.source, layer.kernel, _vector(bias, layer.width, node))
        raise _unknown(node)

    def _fixed(self, node: onnx.Message, at: int) -> Array | None:
        """The numbers of an input that depends on no input of the model, such as a kernel that is laid out anew."""
        name = node.input[at]
        if name in self._makers and name not in self._numbers:
            graph, weights = _leading_to(self._lifted, name)
            if graph.input:
                return None
            try:
                engine = Engine(graph, weights, 1, self._lifted.opsets)
                self._numbers[name] = engine.run({}, [_PLACES])[_PLACES]
            except LiftError:  # of another type than float32
                return None
        return self._numbers.get(name)

    # Recurrent layers

    def _recurrent(self, node: onnx.Message, value: str) -> StackRecurrent:
        kind = node.op_type
        if value != node.output[0]:
            raise _MissError(f"an output is made of the last state of the {kind} {node.output[0]!r}")
        inputs = [*node.input, *[""] * (8 - len(node.input))]
        self._check_options(node, inputs)
        states = {"h": inputs[5], **({"c": inputs[6]} if kind == "LSTM" else {})}
        kernel, recurrent = self._constant(node, 1)[0], self._constant(node, 2)[0]
        bias = self._constant(node, 3)[0] if inputs[3] else np.zeros(2 * len(kernel), np.float32)
        if kernel.dtype != np.float32:
            raise _MissError(f"the {kind} {node.output[0]!r} computes in {kernel.dtype}")
        return StackRecurrent(
            kind,
            self._layer(node.input[0]),
            kernel,
            recurrent,
            bias[: len(kernel)],
            bias[len(kernel) :],
            self._activations(node),
            {name: self._part(node, initial, recurrent.shape[1]) for name, initial in states.items()},
            bool(onnx.attribute(node, "linear_before_reset", 0)),
        )

    def _check_options(self, node: onnx.Message, inputs: list[str]) -> None:
        given = {
            "lengths of its own for each row": bool(inputs[4]),
            "peepholes": bool(inputs[7]),
            "another direction than forward": onnx.attribute(node, "direction", b"forward") != b"forward",
            "a limit of its cell state": bool(onnx.attribute(node, "clip", 0.0)),
            "coupled gates": bool(onnx.attribute(node, "input_forget", 0)),
            "batch-major steps": bool(onnx.attribute(node, "layout", 0)),
        }
        found = next((what for what, present in given.items() if present), None)
        if found:
            raise _MissError(f"the {node.op_type} {node.output[0]!r} has {found}")

    def _activations(self, node: onnx.Message) -> tuple[str, ...]:
        standard = STANDARD[node.op_type]
        names = [a.decode().capitalize() for a in onnx.attribute(node, "activations", [])] or list(standard)
        unknown = [name for name in names if name not in ("Sigmoid", "Tanh", "Relu")]
        if unknown or len(names) != len(standard):
            raise _MissError(f"the {node.op_type} {node.output[0]!r} has the activations {', '.join(names)}")
        return tuple(names)

    def _part(self, node: onnx.Message, initial: str, width: int) -> StatePart:
        """Which part of a state a layer starts from."""
        found = self._places(initial)[0] if initial else None
        if found is not None and found.shape[1:] == (width,) and found.size:
            total = sum(row_width(s) or 0 for s in self._face.states)
            first = int(found[0, 0])
            expected = first + np.arange(width) + total * np.arange(len(found))[:, None]
            if np.array_equal(found, expected):
                for state in self._face.states:
                    if first < (row_width(state) or 0):
                        return StatePart(state.name, first)
                    first -= row_width(state) or 0
        raise _MissError(f"the {node.op_type} {node.output[0]!r} does not start from a part of a state")

    def _places(self, value: str) -> Array:
        """`value`, computed of states in which each number tells its place in the rows of all of them."""
        feeds: dict[str, Array] = {}
        rows, start = 2, 0
        for port in self._face.states:
            if port.batch_axis is not None:
                rows = port.shape[port.batch_axis] or rows
        total = sum(row_width(s) or 0 for s in self._face.states)
        shapes = {
            entry.name: [n or (rows if axis == entry.batch_axis else 2) for axis, n in enumerate(entry.shape)]
            for entry in self._face.inputs
        }
        if max((total * rows, *map(math.prod, shapes.values()))) > _MOST_PLACES:
            raise _MissError(f"its states and inputs are too large ({rows} rows) to tell of which part a layer starts")
        for port in self._face.states:
            width, count = row_width(port) or 0, rows if port.batch_axis is not None else 1
            places = start + np.arange(width) + total * np.arange(count)[:, None]
            feeds[STATE_IN + port.name] = of_rows(port, places).astype(np.float32)
            start += width
        feeds |= {p.name: np.zeros(shapes[p.name], DTYPES[p.dtype]) for p in self._face.inputs}
        graph, weights = _leading_to(self._lifted, value)
        try:
            return Engine(graph, weights, 1, self._lifted.opsets).run(feeds, [_PLACES])[_PLACES]
        except LiftError as error:
            raise _MissError(f"{value!r}, which a layer starts from, is not computed by itself ({error})") from error


def _leading_to(lifted: Lifted, value: str) -> tuple[onnx.Message, Mapping[str, Array]]:
    """The graph that makes `value` alone."""
    needed, nodes = {value}, []
    for node in reversed(lifted.graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    whole = lifted.graph
    inputs = [i for i in whole.input if i.name in needed]
    last = onnx.node("Identity", [value], [_PLACES])
    made = onnx.value_info(_PLACES, onnx.ELEMENT_TYPES["float32"], None)
    graph = onnx.graph([*nodes[::-1], last], "part", inputs, [made], [t for t in whole.initializer if t.name in needed])
    return graph, {name: array for name, array in lifted.weights.items() if name in needed}


def _without_unused(layers: Sequence[StackLayer], outputs: Mapping[str, int]) -> Stack:
    """The layers that outputs are made of; those without a bias that one is added to are met on the way."""
    used = set(outputs.values())
    for i in range(len(layers) - 1, 0, -1):
        source = getattr(layers[i], "source", None)
        if i in used and source is not None:
            used.add(source)
    numbers = {old: new for new, old in enumerate(sorted(used))}
    kept = [layers[i] for i in sorted(used)]
    renumbered = [
        replace(layer, source=numbers[layer.source])
        if isinstance(layer, StackRecurrent | StackDense | StackActivation)
        else layer
        for layer in kept
    ]
    return Stack(tuple(renumbered), {name: numbers[at] for name, at in outputs.items()})


def _has_features(port: Port) -> bool:
    return port.role != "tokens"


def _unknown(node: onnx.Message) -> _MissError:
    return _MissError(f"no layer stands for operator {node.op_type!r} ({node.output[0]!r})")


def _vector(bias: Array | None, width: int, node: onnx.Message) -> Array | None:
    if bias is None:
        return None
    if bias.size != width or bias.shape[-1:] != (width,) or bias.dtype != np.float32:
        raise _MissError(f"what operator {node.op_type!r} ({node.output[0]!r}) adds is not a bias")
    return bias.reshape(width)
