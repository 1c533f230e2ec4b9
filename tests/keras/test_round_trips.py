"""Models of Keras 3, saved in every format that holds them, compute after their return what they did before."""

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="Keras makes the models")

import reprise as package  # noqa: E402 - only where Keras is there
from tests.keras import models  # noqa: E402
from tests.keras.models import N, T, V  # noqa: E402

FORMATS = ("keras", "h5", "json")
MODELS = {**models.recurrent(), **models.functions(), **models.shapes(), **models.graphs()}
#: In every run; all others, and these in the other formats, where there is time.
ALWAYS = {
    "lstm": "keras",
    "lstm, hard": "h5",
    "gru": "json",
    "gru, reset before, no bias": "keras",
    "cells": "keras",
    "stateful": "h5",
    "masked embedding, lstm": "keras",
    "masking, both": "json",
    "both of cells": "h5",
    "convolutional lstm": "keras",
    "time distributed, windows": "keras",
    "words of sentences": "keras",
    "sentences of words": "h5",
    "layer batch": "h5",
    "given states": "keras",
    "shared": "json",
    "nested": "h5",
    "encoder and decoder": "keras",
    "attention, heads": "keras",
    "operations": "keras",
    "operations, axes": "h5",
    "operations, products": "keras",
    "operations, masks": "json",
}
CASES = [
    pytest.param(name, format, marks=[] if ALWAYS.get(name) == format else [pytest.mark.slow], id=f"{name}-{format}")
    for name in MODELS
    for format in FORMATS
]


def saved(model, format, folder):
    """The model in a folder; the path that a user would give."""
    if format == "json":
        (folder / "model.json").write_text(model.to_json())
        model.save_weights(folder / "model.weights.h5")
        return folder / "model.weights.h5"
    path = folder / f"model.{format}"
    model.save(path)
    return path


def drawn(model, batch, steps):
    """Inputs by the names of their layers; some steps are hidden where there are masks."""
    random, found = np.random.default_rng(batch), {}
    for tensor in model.inputs:
        sizes = [batch, *(steps if n is None else n for n in tensor.shape[1:])]
        if "int" in str(tensor.dtype):
            values = random.integers(0, V, sizes)
        else:
            values = random.normal(0, 1, sizes).astype(np.float32)
            values[0, :1] = values[-1, 2:4] = 0
        found[tensor._keras_history.operation.name] = values
    return found


def run(restored, inputs, batch):
    """The outputs of a restored model, and its last state; first states are given where they were inputs."""
    tensors = {port.tensor.removesuffix(":0"): port.name for port in restored.interface.inputs}
    entering = {
        port.fed_through.removesuffix(":0"): port.name for port in restored.interface.states if port.fed_through
    }
    state = restored.initial_state(batch=batch).replace({entering[k]: v for k, v in inputs.items() if k in entering})
    outputs, state = restored.run({tensors[k]: v for k, v in inputs.items() if k in tensors}, state)
    return [outputs[port.name] for port in restored.interface.outputs]


@pytest.mark.parametrize(("name", "format"), CASES)
def test_a_restored_model_computes_what_keras_does(name, format, tmp_path):
    model = models.randomised(MODELS[name]())
    restored = package.restore(saved(model, format, tmp_path))
    for batch, steps in ((N, T), (2, T + 3)):
        if name == "stateful" and batch != N:
            continue  # Keras itself knows one batch only
        inputs = drawn(model, batch, steps)
        want = model(list(inputs.values()) if len(inputs) > 1 else next(iter(inputs.values())))
        got = run(restored, inputs, batch)
        for w, g in zip(want if isinstance(want, (list, tuple)) else [want], got, strict=True):
            np.testing.assert_allclose(g, np.asarray(w), rtol=1e-4, atol=2e-5)


STEPPED = [
    name for name in models.recurrent() if not name.startswith(("both", "lstm, unrolled")) and "back" not in name
]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[] if n in ("cells", "masked embedding, last") else [pytest.mark.slow])
        for n in STEPPED
        if "masking, both" not in n
    ],
)
def test_steps_with_a_carried_state_are_a_run_from_any_state(name, tmp_path):
    model = models.randomised(MODELS[name]())
    restored = package.restore(saved(model, "keras", tmp_path))
    assert restored.interface.steppable, restored.interface.why_not
    port = restored.interface.inputs[0]
    (inputs,) = drawn(model, 2, T).values()
    random = np.random.default_rng(0)
    first = restored.initial_state(batch=2)
    first = first.replace({k: random.normal(0, 0.5, v.shape).astype(v.dtype) for k, v in first.items()})
    whole, end = restored.run({port.name: inputs}, first)
    state = first
    for t in range(T):
        out, state = restored.step({port.name: inputs[:, t]}, state)
    for key, value in end.items():
        np.testing.assert_allclose(state[key], value, rtol=1e-4, atol=2e-5)
    for output in restored.interface.outputs:
        want = whole[output.name]
        want = want if output.time_axis is None else want[:, -1]
        np.testing.assert_allclose(np.asarray(out[output.name]).reshape(want.shape), want, rtol=1e-4, atol=2e-5)


def test_states_are_called_as_the_layers_of_the_file(tmp_path):
    k = keras.layers
    model = models.sequence(k.LSTM(3, return_sequences=True, name="lower"), k.GRU(4, name="upper"))
    restored = package.restore(saved(models.randomised(model), "keras", tmp_path))
    assert [s.name for s in restored.interface.states] == ["lower.h", "lower.c", "upper.h"]


def test_a_fixed_batch_is_set_free(tmp_path):
    restored = package.restore(saved(models.randomised(MODELS["stateful"]()), "keras", tmp_path))
    assert restored.interface.inputs[0].shape[0] is None
    assert restored.run(np.zeros((5, 2, models.D), np.float32))[0]
