"""A chain of PyTorch's modules as an ONNX model whose inputs and outputs are what `forward` takes and gives.

Batch-major: ids [N, T] or features [N, T, D]; the states of a module are [layers · directions, N, H], of a cell [N, H].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reprise import cells
from reprise.formats._torch_modules import Chain, Matrix, Recurrent
from reprise.tensors import Array
from reprise.wire import onnx

_OPSET, _IR_VERSION = 17, 8
#: The order of the gates in PyTorch and in ONNX.
_ORDERS = {"LSTM": ("ifco", "iofc"), "GRU": ("rzc", "zrc"), "RNN": ("c", "c")}
_FLOAT = onnx.ELEMENT_TYPES["float32"]


@dataclass
class _Builder:
    """The parts of a graph under construction."""

    nodes: list[onnx.Message] = field(default_factory=list)
    inputs: list[onnx.Message] = field(default_factory=list)
    outputs: list[onnx.Message] = field(default_factory=list)
    tensors: dict[str, Array] = field(default_factory=dict)
    first: dict[str, Array] = field(default_factory=dict)
    skip: int = 0

    def node(self, op: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> str:
        self.nodes.append(onnx.node(op, inputs, outputs, **attributes))
        return outputs[0]

    def tensor(self, name: str, array: Array) -> str:
        self.tensors[name] = array
        return name

    def ints(self, *numbers: int) -> str:
        return self.tensor(f"ints {numbers}", np.asarray(numbers, np.int64))


def model_of(chain: Chain, *, skip: int = 0, first: Mapping[str, Array] | None = None) -> onnx.Message:
    """The ONNX model of a chain; half and double precision become float32, in which it is computed.

    Args:
        chain: The modules.
        skip: How many channels of the input, from the first, are added to the output of the head.
        first: First values of states by name, which a file holds; these states are kept inside of the model.
    """
    graph = _Builder(first=dict(first or {}), skip=skip)
    steps = _entrance(graph, chain)
    for module in chain.recurrent:
        steps = _recurrent(graph, module, steps)
    _exit(graph, chain, steps)
    model = onnx.empty("ModelProto")
    model.ir_version = _IR_VERSION
    model.opset_import.add(domain="", version=_OPSET)
    tensors = [onnx.tensor(array, name) for name, array in graph.tensors.items()]
    model.graph.CopyFrom(onnx.graph(graph.nodes, "chain", graph.inputs, graph.outputs, tensors))
    return model


def _entrance(graph: _Builder, chain: Chain) -> str:
    """The inputs of the first recurrent module, [T, N, D]."""
    first = chain.recurrent[0]
    if chain.embedding is None:
        graph.inputs.append(onnx.value_info("x", _FLOAT, ["N", "T", first.inputs]))
        return graph.node("Transpose", ["x"], "x by time", perm=[1, 0, 2])
    graph.inputs.append(onnx.value_info("ids", onnx.INT64, ["N", "T"]))
    table = graph.tensor(f"{chain.embedding.name}.weight", _numbers(chain.embedding.weight.load()))
    rows = graph.node("Gather", [table, "ids"], "embedded")
    return graph.node("Transpose", [rows], "embedded by time", perm=[1, 0, 2])


def _exit(graph: _Builder, chain: Chain, steps: str) -> None:
    hidden = graph.node("Transpose", [steps], "hidden" if not chain.heads else "hidden by row", perm=[1, 0, 2])
    size = chain.recurrent[-1].outputs
    shown = [onnx.value_info("hidden", _FLOAT, ["N", "T", size])] if not chain.heads else []
    graph.outputs[:0] = shown + [_head(graph, head, hidden) for head in chain.heads]


def _head(graph: _Builder, head: Matrix, hidden: str) -> onnx.Message:
    weight = graph.tensor(f"{head.name}.weight", _numbers(head.weight.load()).T)
    addends = [] if head.bias is None else [graph.tensor(f"{head.name}.bias", _numbers(head.bias.load()))]
    addends += [_skipped(graph)] if graph.skip else []
    made = graph.node("MatMul", [hidden, weight], f"{head.name} product" if addends else head.name)
    for left, addend in zip(range(len(addends))[::-1], addends, strict=True):
        made = graph.node("Add", [made, addend], f"{head.name} sum" if left else head.name)
    return onnx.value_info(head.name, _FLOAT, ["N", "T", head.weight.shape[0]])


def _skipped(graph: _Builder) -> str:
    """The channels of the input that are added to the output."""
    places = graph.ints(0), graph.ints(graph.skip), graph.ints(2)
    return graph.node("Slice", ["x", *places], "x that is added")


def _recurrent(graph: _Builder, module: Recurrent, steps: str) -> str:
    """The outputs [T, N, H · directions] of a module, whose states become inputs and outputs."""
    name = module.name or module.kind.lower()
    kinds = ("h", "c") if module.kind == "LSTM" else ("h",)
    first = {kind: _state(graph, module, f"{name}.{kind}") for kind in kinds}
    last: dict[str, list[str]] = {kind: [] for kind in kinds}
    for layer in range(module.layers):
        own = f"{name} layer {layer}"
        starts = {kind: _rows_of_layer(graph, module, first[kind], layer) for kind in kinds}
        ends = [f"{own} {kind} after" for kind in kinds]
        weights = [graph.tensor(f"{own} {k}", a) for k, a in _weights(module, layer).items()]
        outputs = [f"{own} outputs", *ends]
        graph.node(
            module.kind, [steps, *weights, "", *starts.values()], *outputs, hidden_size=module.units, **_options(module)
        )
        by_row = graph.node("Transpose", [outputs[0]], f"{own} by row", perm=[0, 2, 1, 3])
        steps = graph.node("Reshape", [by_row, graph.ints(0, 0, -1)], f"{own} steps")
        for kind, end in zip(kinds, ends, strict=True):
            last[kind].append(end)
    for kind in kinds:
        _next_state(graph, module, f"{name}.{kind}", last[kind])
    return steps


def _options(module: Recurrent) -> dict[str, Any]:
    options: dict[str, Any] = {"direction": "bidirectional"} if module.directions == 2 else {}
    if module.kind == "GRU":
        options["linear_before_reset"] = 1
    if module.relu:
        options["activations"] = ["Relu"] * module.directions
    return options


def _state(graph: _Builder, module: Recurrent, name: str) -> str:
    """The input for a state, or its first values where the file holds them, as [layers · directions, N, H]."""
    if name in graph.first:
        return graph.tensor(f"{name} first", _numbers(graph.first[name]))
    if not module.is_cell:
        graph.inputs.append(onnx.value_info(name, _FLOAT, [module.layers * module.directions, "N", module.units]))
        return name
    graph.inputs.append(onnx.value_info(name, _FLOAT, ["N", module.units]))
    return graph.node("Unsqueeze", [name, graph.ints(0)], f"{name} before")


def _rows_of_layer(graph: _Builder, module: Recurrent, state: str, layer: int) -> str:
    if module.layers == 1:
        return state
    begin = layer * module.directions
    bounds = [graph.ints(begin), graph.ints(begin + module.directions), graph.ints(0)]
    return graph.node("Slice", [state, *bounds], f"{state} of layer {layer}")


def _next_state(graph: _Builder, module: Recurrent, name: str, ends: Sequence[str]) -> None:
    if name in graph.first:
        return
    after = f"{name}.after"
    if module.is_cell:
        graph.node("Squeeze", [ends[0], graph.ints(0)], after)
    elif len(ends) == 1:
        graph.node("Identity", [ends[0]], after)
    else:
        graph.node("Concat", ends, after, axis=0)
    sizes: list[int | str] = ["N", module.units]
    graph.outputs.append(
        onnx.value_info(after, _FLOAT, sizes if module.is_cell else [module.layers * module.directions, *sizes])
    )


def _weights(module: Recurrent, layer: int) -> Mapping[str, Array]:
    """W, R and B of one layer as ONNX has them, with an axis of directions."""
    ends = ("", "_reverse")[: module.directions]
    have, want = _ORDERS[module.kind]

    def stacked(name: str) -> Array:
        parts = [module.weights[f"{name}_l{layer}{end}"].load() for end in ends]
        return np.stack([cells.reordered(_numbers(p).T, have, want).T for p in parts])

    def bias(name: str) -> Array:
        held = f"{name}_l{layer}" in module.weights
        return stacked(name) if held else np.zeros((len(ends), len(want) * module.units), np.float32)

    both = np.concatenate([bias("bias_ih"), bias("bias_hh")], axis=1)
    return {"W": stacked("weight_ih"), "R": stacked("weight_hh"), "B": both}


def _numbers(array: Array) -> Array:
    return np.asarray(array, np.float32)
