"""CudnnRNN becomes a frame that computes cuDNN's equations from its one vector of parameters."""

import numpy as np
import pytest

from reprise.graph import Value
from reprise.interface import recurrences
from reprise.interface.fused import unfuse
from reprise.interface.structure import analyse
from tests.interface.building import Builder
from tests.interface.evaluate import evaluate

N, T, D, H = 2, 4, 3, 5
GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def model(mode, layers, **attributes):
    b = Builder()
    x = b.placeholder("x", None, None, D)
    states = [b.placeholder(name, layers, None, H) for name in "hc"]
    rows = GATES[mode] * H
    size = sum(rows * ((D if not k else H) + H + 2) for k in range(layers))
    b("CudnnRNN", x, *states, b.variable("params", size), name="rnn", T="float32", rnn_mode=mode.encode(), **attributes)
    return b


def feeds(b, layers):
    rng = np.random.default_rng(1)
    start = {s: rng.normal(size=(layers, N, H)).astype(np.float32) for s in "hc"}
    return {**b.weights, **start, "x": rng.normal(size=(T, N, D)).astype(np.float32)}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def unpacked(params, gates, layers):
    """(W, R, bW, bR) of every layer, each as a list of one array for each gate."""
    parts = iter(np.split(params, np.cumsum([s for s, _ in shapes(gates, layers)])[:-1]))
    arrays = [next(parts).reshape(shape) for _, shape in shapes(gates, layers)]
    blocks = [arrays[i : i + gates] for i in range(0, len(arrays), gates)]
    half = 2 * layers
    return [(*blocks[2 * k : 2 * k + 2], *blocks[half + 2 * k : half + 2 * k + 2]) for k in range(layers)]


def shapes(gates, layers):
    matrices = [(H, width) for k in range(layers) for width in (D if not k else H, H) for _ in range(gates)]
    return [(int(np.prod(s)), s) for s in [*matrices, *([(H,)] * (2 * gates * layers))]]


def step(mode, x, h, c, layer):
    """One step of one layer, gate by gate, as the guide of cuDNN writes it."""
    w, r, bw, br = layer
    of_x = [x @ m.T + b for m, b in zip(w, bw, strict=True)]
    of_h = [h @ m.T + b for m, b in zip(r, br, strict=True)]
    if mode == "gru":
        reset, update = (sigmoid(of_x[k] + of_h[k]) for k in (0, 1))
        return (1 - update) * np.tanh(of_x[2] + reset * of_h[2]) + update * h, c
    total = [a + b for a, b in zip(of_x, of_h, strict=True)]
    if mode != "lstm":
        return (np.tanh(total[0]) if mode == "rnn_tanh" else np.maximum(total[0], 0)), c
    i, f, g, o = total
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("mode", sorted(GATES))
def test_the_frame_computes_what_the_operator_does(mode, layers):
    b = model(mode, layers)
    graph, fed = unfuse(b.graph()).graph, feeds(b, layers)
    h, c, outputs = list(fed["h"]), list(fed["c"]), []
    for x in fed["x"]:
        for k, layer in enumerate(unpacked(fed["params"], GATES[mode], layers)):
            x = h[k], c[k] = step(mode, x, h[k], c[k], layer)
            x = h[k]
        outputs.append(x)
    for index, expected in enumerate([outputs, h, c] if mode == "lstm" else [outputs, h]):
        np.testing.assert_allclose(evaluate(graph, f"rnn:{index}", fed), np.stack(expected), rtol=1e-4, atol=1e-5)


def test_every_layer_has_states_of_its_own():
    (found,) = recurrences.find(analyse(unfuse(model("lstm", 2).graph()).graph))
    assert len(found.states) == 4


@pytest.mark.parametrize("given", [{"direction": b"bidirectional"}, {"dropout": 0.5}, {"input_mode": b"skip_input"}])
def test_what_the_equations_do_not_cover_stays(given):
    b = model("lstm", 1, **given)
    assert unfuse(b.graph()).graph.nodes == b.nodes


def test_the_last_states_are_read_from_the_loop():
    graph = unfuse(model("gru", 1).graph()).graph
    final = graph[graph["rnn"].inputs[1].node]
    assert [graph[v.node].op for v in final.inputs] == ["Exit"]
    assert isinstance(final.inputs[0], Value)
