"""A chain of PyTorch's modules as an ONNX model whose inputs and outputs are what `forward` takes and gives.

Batch-major: ids [N, T] or features [N, T, D]; the states of a module are [layers · directions, N, H], of a cell [N, H].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reprise.formats._torch.aten import recurrent
from reprise.formats._torch.aten.calls import call_operator, file_tensor
from reprise.formats._torch.aten.message import message
from reprise.formats._torch.aten.values import AtenTensor, Builder, RuntimeSize, Size
from reprise.formats._torch.modules import Matrix, ModuleChain, RecurrentModule
from reprise.tensors import Array, Tensor
from reprise.wire import onnx

_FLOAT = "float32"


@dataclass
class _Model:
    """A model under construction.

    Attributes:
        graph: Its nodes and tensors.
        rows: N.
        first: First values of states by name, which the file holds.
        inputs: What the caller gives.
        states: The next values of states, by the names of these outputs.
    """

    graph: Builder
    rows: Size
    first: Mapping[str, Array]
    inputs: dict[str, AtenTensor] = field(default_factory=dict)
    states: dict[str, AtenTensor] = field(default_factory=dict)

    def add_input(self, name: str, dtype: str, sizes: Sequence[Size]) -> AtenTensor:
        """An input."""
        self.inputs[name] = AtenTensor(name, dtype, tuple(sizes))
        return self.inputs[name]

    def call(self, operator: str, *arguments: Any) -> Any:
        """The result of an operator of ATen."""
        return call_operator(self.graph, operator, list(arguments), {})


def model_of(chain: ModuleChain, *, skip: int = 0, first: Mapping[str, Array] | None = None) -> onnx.Message:
    """The ONNX model of a chain; half and double precision become float32, in which it is computed.

    Args:
        chain: The modules.
        skip: How many channels of the input, from the first, are added to the output of a head.
        first: First values of states by name, which a file holds; these states are kept inside of the model.

    Raises:
        RefusedError: A tensor is of a type that is not computed with.
    """
    name = "x" if chain.embedding is None else "ids"
    rows, length = (RuntimeSize((name, axis), enters=True) for axis in (0, 1))
    model = _Model(Builder(), rows, first or {})
    steps = _entrance(model, chain, name, length)
    for module in chain.recurrent:
        steps = _recurrent(model, module, steps)
    for matrix, activation in chain.between:
        steps = model.call(activation, _head(model, matrix, steps))
    outputs = {"hidden": steps} if not chain.heads else {head.name: _head(model, head, steps) for head in chain.heads}
    if skip and chain.heads:
        added = model.call("slice", model.inputs[name], 2, 0, skip)
        outputs = {key: model.call("add", value, added) for key, value in outputs.items()}
    return message(model.graph, model.inputs, (), [*outputs.items(), *model.states.items()])


def _entrance(model: _Model, chain: ModuleChain, name: str, length: Size) -> AtenTensor:
    """The inputs of the first recurrent module, [N, T, D]."""
    if chain.embedding is None:
        return model.add_input(name, _FLOAT, (model.rows, length, chain.recurrent[0].inputs))
    table = file_tensor(model.graph, chain.embedding.weight, f"{chain.embedding.name}.weight")
    embedded: AtenTensor = model.call("embedding", table, model.add_input(name, "int64", (model.rows, length)))
    return embedded


def _head(model: _Model, head: Matrix, hidden: AtenTensor) -> AtenTensor:
    weight = file_tensor(model.graph, head.weight, f"{head.name}.weight")
    bias = None if head.bias is None else file_tensor(model.graph, head.bias, f"{head.name}.bias")
    result: AtenTensor = model.call("linear", hidden, weight, bias)
    return result


def _recurrent(model: _Model, module: RecurrentModule, steps: AtenTensor) -> AtenTensor:
    """The outputs [N, T, H · directions] of a module, whose states become inputs and outputs."""
    name = module.name or module.kind.lower()
    kinds = ("h", "c") if module.kind == "LSTM" else ("h",)
    units = {"h": module.projection or module.units, "c": module.units}
    first = [_state(model, module, f"{name}.{kind}", units[kind]) for kind in kinds]
    params = [file_tensor(model.graph, tensor, f"{name}.{key}") for key, tensor in _params(module)]
    operator = f"rnn_{'relu' if module.relu else 'tanh'}" if module.kind == "RNN" else module.kind.lower()
    states = first if module.kind == "LSTM" else first[0]
    both_ways = module.directions == 2
    options = (True, module.layers, 0.0, False, both_ways, True)
    output, *last = recurrent.OPERATORS[operator](model.graph, steps, states, params, *options)
    for kind, value in zip(kinds, last, strict=True):
        if f"{name}.{kind}" not in model.first:
            model.states[f"{name}.{kind}.after"] = model.call("squeeze", value, 0) if module.is_cell else value
    result: AtenTensor = output
    return result


def _state(model: _Model, module: RecurrentModule, name: str, units: int) -> AtenTensor:
    """The input for a state, or its first values where the file holds them, as [layers · directions, N, H]."""
    layers = module.layers * module.directions
    if name in model.first:
        held = np.asarray(model.first[name], np.float32)
        return AtenTensor(model.graph.tensor(f"{name} first", lambda: held), _FLOAT, (layers, model.rows, units))
    if not module.is_cell:
        return model.add_input(name, _FLOAT, (layers, model.rows, units))
    step: AtenTensor = model.call("unsqueeze", model.add_input(name, _FLOAT, (model.rows, units)), 0)
    return step


def _params(module: RecurrentModule) -> Iterator[tuple[str, Tensor]]:
    """The weights in the order in which ATen takes them; biases that the file lacks are zeros."""
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", *(("weight_hr",) if module.projection else ()))
    for layer in range(module.layers):
        for end in ("", "_reverse")[: module.directions]:
            for kind in kinds:
                name = f"{kind}_l{layer}{end}"
                yield (
                    name,
                    module.weights.get(name) or _zeros(module.weights[f"weight_hh_l{layer}{end}"].shape[0], name),
                )


def _zeros(size: int, name: str) -> Tensor:
    return Tensor(_FLOAT, (size,), lambda: np.zeros(size, np.float32), name)
