"""A `.keras` file of Keras 3: a functional model of standard layers, with states as inputs and outputs."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from reprise.cells import reordered
from reprise.errors import MissingDependency, SaveError
from reprise.export.adapting import Adapted, States
from reprise.export.layers import apparent_stack, stack_of
from reprise.installing import install
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
from reprise.tensors import Array

#: The order of the gates in a kernel. Source: keras/src/layers/rnn/lstm.py, gru.py.
ORDERS = {"LSTM": "ifco", "GRU": "zrc", "RNN": "c"}
_LAYERS = {"LSTM": "LSTM", "GRU": "GRU", "RNN": "SimpleRNN"}
_NAMES = {"Sigmoid": "sigmoid", "Tanh": "tanh", "Relu": "relu", "Softmax": "softmax", "LogSoftmax": "log_softmax"}


def write(model: RecurrentModel, path: Path) -> None:
    """Writes the layers of `model`.

    Raises:
        SaveError: It is no stack of layers, or Keras has none such, or no place for what its states start from.
        MissingDependency: Keras is not installed.
        OSError: The file cannot be written.
    """
    layers, keras = stack_of(model), _keras()
    begun = next((s.name for s in model.interface.states if s.initial == "file"), None)
    if begun is not None:
        raise SaveError(
            f"state {begun!r} starts from values of its own, which a Keras file cannot hold; write the model "
            "as onnx instead"
        )
    named = path.with_name(f"{path.name}.keras")  # Keras writes no other name
    try:
        _functional(keras, layers).save(named)
        named.replace(path)
    finally:
        named.unlink(missing_ok=True)


def read(path: Path, model: RecurrentModel) -> Adapted:
    """What `write` wrote, run by Keras.

    Raises:
        MissingDependency: Keras is not installed.
    """
    layers, keras = apparent_stack(model), _keras()
    named = path.with_name(f"{path.name}.keras")
    try:
        named.hardlink_to(path)
        loaded = keras.models.load_model(named)
    finally:
        named.unlink(missing_ok=True)
    dtype = np.float32 if isinstance(layers.layers[0], StackFeatures) else np.int32

    def program(entered: Array, states: States) -> tuple[dict[str, Array], States]:
        feeds = {_state(i, kind): array for (i, kind), array in states.items()}
        made = loaded({"x": entered.astype(dtype), **feeds})
        outputs = {name: np.asarray(made[f"output{i}"]) for i, name in enumerate(layers.outputs)}
        return outputs, {(i, kind): np.asarray(made[_state(i, kind) + "_after"]) for i, kind in states}

    return Adapted(program, layers, model)


def _keras() -> Any:
    try:
        return import_module("keras")
    except ImportError as error:
        raise MissingDependency(f"keras is not installed, and this needs it: {install('tensorflow')}") from error


def _state(layer: int, kind: str) -> str:
    return f"layer{layer}_{kind}"


def _functional(keras: Any, stack: Stack) -> Any:
    """The functional model."""
    made: list[Any] = []
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    weights: list[tuple[Any, list[Array]]] = []
    for i, layer in enumerate(stack.layers):
        if i == 0:
            features = (layer.width,) if isinstance(layer, StackFeatures) else ()
            dtype = "float32" if features else "int32"
            inputs["x"] = keras.Input((None, *features), dtype=dtype, name="x")
        built = _layer(keras, f"layer{i}", layer)
        if isinstance(layer, StackRecurrent):
            starts = [keras.Input((layer.width,), name=_state(i, kind)) for kind in layer.parts]
            inputs |= dict(zip((_state(i, kind) for kind in layer.parts), starts, strict=True))
            result, *ends = built(made[layer.source], initial_state=starts)
            outputs |= {f"{_state(i, kind)}_after": end for kind, end in zip(layer.parts, ends, strict=True)}
        else:
            source = inputs["x"] if i == 0 else made[getattr(layer, "source", 0)]
            result = source if built is None else built(source)
        made.append(result)
        weights.append((built, _weights(layer)))
    outputs |= {f"output{i}": made[at] for i, at in enumerate(stack.outputs.values())}
    model = keras.Model(inputs, outputs)
    for built, arrays in weights:
        if arrays:
            built.set_weights(arrays)
    return model


def _layer(keras: Any, name: str, layer: StackLayer) -> Any:
    """The layer of Keras; None for features, which the input is."""
    known = keras.layers
    match layer:
        case StackEmbedding():
            return known.Embedding(*layer.table.shape, name=name)
        case StackOneHot():
            return known.Embedding(layer.width, layer.width, name=name)
        case StackDense():
            return known.Dense(layer.width, use_bias=layer.bias is not None, name=name)
        case StackActivation():
            return known.Activation(_NAMES[layer.name], name=name)
        case StackRecurrent():
            first, *rest = (_NAMES[a] for a in layer.activations)
            if layer.kind == "LSTM" and rest[0] != rest[1]:
                raise SaveError(
                    f"an LSTM with {rest[0]} and {rest[1]} is not one that Keras has; write it as onnx instead"
                )
            options: dict[str, Any] = (
                {"activation": first} if not rest else {"recurrent_activation": first, "activation": rest[0]}
            )
            if layer.kind == "GRU":
                options["reset_after"] = layer.reset_after
            kind = getattr(known, _LAYERS[layer.kind])
            return kind(layer.width, return_sequences=True, return_state=True, name=name, **options)
    return None


def _weights(layer: StackLayer) -> list[Array]:
    match layer:
        case StackEmbedding():
            return [layer.table]
        case StackOneHot():
            return [np.eye(layer.width, dtype=np.float32)]
        case StackDense():
            return [layer.kernel] if layer.bias is None else [layer.kernel, layer.bias]
        case StackRecurrent():
            have, want = GATES[layer.kind], ORDERS[layer.kind]
            kernels = [reordered(array.T, have, want) for array in (layer.kernel, layer.recurrent)]
            biases = [reordered(array, have, want) for array in (layer.bias, layer.recurrent_bias)]
            return [*kernels, np.stack(biases) if layer.reset_after else biases[0] + biases[1]]
    return []
