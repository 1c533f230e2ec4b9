"""Small stacks of every kind of layer, as models that run: ids [N, T] → logits and probabilities [N·T, V]."""

from pathlib import Path

import numpy as np

from reprise.formats import StoredModel
from reprise.interface import Interface, Port, StatePort
from reprise.model import RecurrentModel
from reprise.stack import (
    GATES,
    Stack,
    StackActivation,
    StackDense,
    StackEmbedding,
    StackFeatures,
    StackOneHot,
    StackRecurrent,
    StatePart,
    lift_stack,
)
from reprise.vocabulary import Vocabulary

V, E, H = 7, 3, 4
ACTIVATIONS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}


def layer(kind, source, inputs, random, start=0, reset_after=False, activations=None):
    """A recurrent layer whose states lie in the columns of `packed` from `start`."""
    rows = len(GATES[kind]) * H
    kernel, recurrent, bias, recurrent_bias = (
        random.normal(0, 0.6, shape).astype(np.float32) for shape in ((rows, inputs), (rows, H), rows, rows)
    )
    names = ("c", "h") if kind == "LSTM" else ("h",)
    parts = {name: StatePart("packed", start + H * i) for i, name in enumerate(names)}
    parts = {name: parts[name] for name in ("h", "c") if name in parts}
    acts = activations or ACTIVATIONS[kind]
    return StackRecurrent(kind, source, kernel, recurrent, bias, recurrent_bias, acts, parts, reset_after)


def stack(kind="LSTM", entrance="embedding", layers=2, **options):
    random = np.random.default_rng(0)
    table = random.normal(size=(V, E)).astype(np.float32)
    first = {"embedding": StackEmbedding(table), "one-hot": StackOneHot(V), "features": StackFeatures(E)}[entrance]
    made, width = [first], 2 * H if kind == "LSTM" else H
    for i in range(layers):
        made.append(layer(kind, i, made[-1].width, random, i * width, **options))
    kernel, bias = random.normal(size=(H, V)).astype(np.float32), random.normal(size=V).astype(np.float32)
    made += [StackDense(layers, kernel, bias), StackActivation(layers + 1, "Softmax", V)]
    return Stack(tuple(made), {"logits": layers + 1, "probabilities": layers + 2})


def interface(made, initial="zeros"):
    features = isinstance(made.layers[0], StackFeatures)
    shape, dtype = ((None, None, E), "float32") if features else ((None, None), "int32")
    entry = Port("x", "x:0", dtype, shape, 1, 0, "features" if features else "tokens")
    outputs = [
        Port(name, f"{name}:0", "float32", (None, V), None, None, name, "batch-major")
        for name in ("logits", "probabilities")
    ]
    width = sum(len(layer.parts) * H for _, layer in made.recurrent())
    state = StatePort("packed", "zeros:0", "Exit:0", None, "float32", (None, width), 0, initial)
    return Interface((entry,), tuple(outputs), (state,), (), True, "", ("by hand",))


def model(kind="LSTM", entrance="embedding", layers=2, **options):
    made = stack(kind, entrance, layers, **options)
    graph = lift_stack(made, interface(made))
    stored = StoredModel(Path("by hand"), "hand", "", None)
    vocabulary = None if entrance == "features" else Vocabulary.of_text("abcdefg")
    return RecurrentModel(stored, lambda chosen: graph, lambda: None, vocabulary)


KINDS = [("LSTM", False), ("GRU", False), ("GRU", True), ("RNN", False)]


def wrong_order(monkeypatch, module):
    """Exchanges two gates of the order that an exporter writes."""
    monkeypatch.setitem(module.ORDERS, "LSTM", "fico" if module.ORDERS["LSTM"] == "ifco" else "ifco")
