"""A folder for PyTorch: weights with its own names, a configuration, and a program that a person can read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module, util
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from reprise import stack
from reprise.cells import LAYOUTS, reordered
from reprise.errors import SaveError, VerificationError
from reprise.export.adapting import Adapted, States
from reprise.export.layers import apparent_stack, as_model, stack_of
from reprise.export.onnx import first_state_rows
from reprise.model import RecurrentModel
from reprise.stack import (
    GATES,
    Stack,
    StackActivation,
    StackDense,
    StackEmbedding,
    StackFeatures,
    StackLayer,
    StackOneHot,
    StackRecurrent,
)
from reprise.stack.ports import as_rows
from reprise.tensors import Array
from reprise.verify import SelfComparedModel

WEIGHTS, CONFIGURATION, PROGRAM = "model.safetensors", "config.json", "model.py"
#: The order of the gates in a kernel. Source: torch/nn/modules/rnn.py.
ORDERS = {"LSTM": "ifco", "GRU": "rzc", "RNN": "c"}


def write(model: RecurrentModel, folder: Path) -> None:
    """Writes the layers of `model` into an empty folder.

    Raises:
        SaveError: It is no stack of layers, or PyTorch has none such.
        OSError: A file cannot be written.
    """
    layers = stack_of(model)
    _check(layers)
    first = _first(model, layers)
    arrays = {n: np.ascontiguousarray(a) for i, layer in enumerate(layers.layers) for n, a in _weights(i, layer)}
    save_file({**arrays, **first}, folder / WEIGHTS, {"format": "pt"})
    symbols = None if model.vocabulary is None else model.vocabulary.to_json()
    facts = {**stack.to_json(layers), "gates": ORDERS, "vocabulary": symbols}
    (folder / CONFIGURATION).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / PROGRAM).write_text("\n".join(_program(layers, first)) + "\n", encoding="utf-8")


def read(folder: Path, model: RecurrentModel) -> SelfComparedModel:
    """What `write` wrote, run by PyTorch; where that is not installed, the weights as Reprise reads them.

    Raises:
        VerificationError: The weights are not those of such layers.
    """
    layers = apparent_stack(model)
    if util.find_spec("torch") is not None:
        return _in_torch(folder, layers, model)
    held = load_file(folder / WEIGHTS)
    try:
        read_back = tuple(_from_weights(i, layer, held) for i, layer in enumerate(layers.layers))
    except KeyError as error:
        raise VerificationError(f"{WEIGHTS} has no tensor {error}") from error
    return as_model(replace(layers, layers=read_back), model)


def _check(layers: Stack) -> None:
    for _, layer in layers.recurrent():
        if not layer.standard and layer.activations != ("Relu",):
            raise SaveError(
                f"PyTorch has no {layer.kind} with the activations {', '.join(layer.activations)}; "
                "write the model as onnx instead"
            )


def _first(model: RecurrentModel, layers: Stack) -> dict[str, Array]:
    """The first values of states that do not start from zeros, [1, 1, H]."""
    rows = {
        s.name: as_rows(s, row)
        for s in model.interface.states
        for n, row in first_state_rows(model).items()
        if n == s.name
    }
    return {
        f"layer{i}_{kind}": np.ascontiguousarray(rows[part.state][None, :1, part.start : part.start + layer.width])
        for i, layer in layers.recurrent()
        for kind, part in layer.parts.items()
        if part.state in rows
    }


def _weights(i: int, layer: StackLayer) -> Iterator[tuple[str, Array]]:
    match layer:
        case StackEmbedding():
            yield f"layer{i}.weight", layer.table
        case StackDense():
            yield f"layer{i}.weight", layer.kernel.T
            if layer.bias is not None:
                yield f"layer{i}.bias", layer.bias
        case StackRecurrent():
            for name, array in zip(_NAMES, _arrays(layer), strict=True):
                yield f"layer{i}.{name}", reordered(array.T, GATES[layer.kind], ORDERS[layer.kind]).T


_NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def _arrays(layer: StackRecurrent) -> tuple[Array, ...]:
    return layer.kernel, layer.recurrent, layer.bias, layer.recurrent_bias


def _from_weights(i: int, layer: StackLayer, held: Mapping[str, Array]) -> StackLayer:
    """The layer with the weights of a file, whose gates are where PyTorch has them."""
    match layer:
        case StackEmbedding():
            return replace(layer, table=held[f"layer{i}.weight"])
        case StackDense():
            bias = None if layer.bias is None else held[f"layer{i}.bias"]
            return replace(layer, kernel=held[f"layer{i}.weight"].T, bias=bias)
        case StackRecurrent():
            order = next((x.order for x in LAYOUTS if x.framework == f"PyTorch {layer.kind}"), "c")
            kernel, recurrent, bias, recurrent_bias = (
                reordered(held[f"layer{i}.{name}"].T, order, GATES[layer.kind]).T for name in _NAMES
            )
            return replace(layer, kernel=kernel, recurrent=recurrent, bias=bias, recurrent_bias=recurrent_bias)
    return layer


def _in_torch(folder: Path, layers: Stack, like: RecurrentModel) -> Adapted:
    """The program that `write` wrote, run by PyTorch."""
    torch = import_module("torch")
    found = util.spec_from_file_location("reprise_written_model", folder / PROGRAM)
    if found is None or found.loader is None:
        raise VerificationError(f"{PROGRAM} cannot be loaded")
    module = util.module_from_spec(found)
    found.loader.exec_module(module)
    model = module.load(folder)
    kinds = {i: tuple(layer.parts) for i, layer in layers.recurrent()}

    def program(entered: Array, states: States) -> tuple[dict[str, Array], States]:
        given: dict[str, Any] = {}
        for i, names in kinds.items():
            tensors = tuple(torch.tensor(np.asarray(states[i, kind][None])) for kind in names)
            given[f"layer{i}"] = tensors if len(tensors) > 1 else tensors[0]
        x = entered if isinstance(layers.layers[0], StackFeatures) else entered.astype(np.int64)
        with torch.no_grad():
            outputs, after = model(torch.tensor(np.ascontiguousarray(x)), given)
        return {name: outputs[name].numpy() for name in layers.outputs}, parts(after)

    def parts(state: Mapping[str, Any]) -> States:
        ends = {i: state[f"layer{i}"] if len(names) > 1 else (state[f"layer{i}"],) for i, names in kinds.items()}
        return {(i, k): e[0].numpy() for i, names in kinds.items() for k, e in zip(names, ends[i], strict=True)}

    return Adapted(program, layers, like, lambda: parts(model.initial_state(1)))


# The program


def _program(layers: Stack, first: Mapping[str, Array]) -> Iterator[str]:
    entry = "features [N, T, D]" if isinstance(layers.layers[0], StackFeatures) else "ids [N, T]"
    yield f'"""{layers}. Written by Reprise.\n'
    yield "    model = load()"
    yield f"    outputs, state = model(x)         # {entry}, from the first state"
    yield "    outputs, state = model(x, state)  # on from where that ended"
    yield '"""\n'
    yield "from pathlib import Path\n\nimport torch\nfrom safetensors.torch import load_file\nfrom torch import nn\n\n"
    if any(layer.kind == "GRU" and not layer.reset_after for _, layer in layers.recurrent()):
        yield _RESET_BEFORE
    yield "class Model(nn.Module):\n    def __init__(self):\n        super().__init__()"
    yield from (
        f"        self.layer{i} = {m}" for i, layer in enumerate(layers.layers) if (m := _module(layers, layer))
    )
    for name, array in first.items():
        yield f'        self.register_buffer("{name}", torch.zeros(1, 1, {array.shape[-1]}))'
    yield "\n    def initial_state(self, batch):"
    yield '        """The state that a sequence starts from, by layer: h, or h and c of an LSTM, each [1, N, H]."""'
    yield "        return {"
    yield from (f'            "layer{i}": {_start(i, layer, first)},' for i, layer in layers.recurrent())
    yield "        }\n"
    yield "    def forward(self, x, state=None):"
    yield f'        """Outputs by name, each [N, T, size], and the state after the last step; x: {entry}."""'
    yield "        state = dict(state or self.initial_state(len(x)))"
    yield from (f"        {_line(i, layer)}" for i, layer in enumerate(layers.layers))
    yield f"        return {{{', '.join(f'{json.dumps(n)}: x{at}' for n, at in layers.outputs.items())}}}, state\n\n"
    yield _LOAD


def _module(layers: Stack, layer: StackLayer) -> str:
    match layer:
        case StackEmbedding():
            return f"nn.Embedding({len(layer.table)}, {layer.width})"
        case StackDense():
            bias = "" if layer.bias is not None else ", bias=False"
            return f"nn.Linear({len(layer.kernel)}, {layer.width}{bias})"
        case StackRecurrent():
            sizes = f"{layers.layers[layer.source].width}, {layer.width}"
            if layer.kind == "GRU" and not layer.reset_after:
                return f"ResetBeforeGRU({sizes})"
            relu = ', nonlinearity="relu"' if layer.activations == ("Relu",) else ""
            return f"nn.{layer.kind}({sizes}{relu}, batch_first=True)"
    return ""


def _start(i: int, layer: StackRecurrent, first: Mapping[str, Array]) -> str:
    parts = [
        f"self.layer{i}_{kind}.repeat(1, batch, 1)"
        if f"layer{i}_{kind}" in first
        else f"torch.zeros(1, batch, {layer.width})"
        for kind in layer.parts
    ]
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


def _line(i: int, layer: StackLayer) -> str:
    match layer:
        case StackFeatures():
            return f"x{i} = x"
        case StackEmbedding():
            return f"x{i} = self.layer{i}(x)"
        case StackOneHot():
            return f"x{i} = nn.functional.one_hot(x, {layer.width}).float()"
        case StackDense():
            return f"x{i} = self.layer{i}(x{layer.source})"
        case StackRecurrent():
            return f'x{i}, state["layer{i}"] = self.layer{i}(x{layer.source}, state["layer{i}"])'
        case StackActivation():
            axis = ", -1" if layer.name.endswith("Softmax") else ""
            return f"x{i} = torch.{_FUNCTIONS[layer.name]}(x{layer.source}{axis})"


_FUNCTIONS = {
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Relu": "relu",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
}

_RESET_BEFORE = '''\
class ResetBeforeGRU(nn.Module):
    """A GRU whose reset gate is applied before the recurrent product; that of `nn.GRU` is applied after it."""

    def __init__(self, inputs, units):
        super().__init__()
        self.weight_ih_l0 = nn.Parameter(torch.zeros(3 * units, inputs))
        self.weight_hh_l0 = nn.Parameter(torch.zeros(3 * units, units))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(3 * units))
        self.bias_hh_l0 = nn.Parameter(torch.zeros(3 * units))

    def forward(self, x, state):
        h, outputs = state[0], []
        reset, update, new = self.weight_hh_l0.chunk(3)
        reset_bias, update_bias, new_bias = self.bias_hh_l0.chunk(3)
        for step in nn.functional.linear(x, self.weight_ih_l0, self.bias_ih_l0).unbind(1):
            r, z, n = step.chunk(3, -1)
            r = torch.sigmoid(r + nn.functional.linear(h, reset, reset_bias))
            z = torch.sigmoid(z + nn.functional.linear(h, update, update_bias))
            n = torch.tanh(n + nn.functional.linear(r * h, new, new_bias))
            h = z * h + (1 - z) * n
            outputs.append(h)
        return torch.stack(outputs, 1), h[None]

'''

_LOAD = '''\
def load(folder=Path(__file__).parent):
    """The model with its weights, for inference."""
    model = Model()
    model.load_state_dict(load_file(Path(folder) / "model.safetensors"))
    return model.eval()'''
