"""CudnnRNN becomes frames that compute cuDNN's equations from its one vector of parameters."""

import numpy as np
import pytest

from reprise.errors import NoRecurrence
from reprise.graph import Value
from reprise.interface.discover import discover
from reprise.interface.loops import recurrences
from reprise.interface.normal.fused import unfuse
from reprise.structure import analyse
from tests.interface.building import Builder
from tests.interface.evaluate import evaluate

N, T, D, H = 2, 4, 3, 5
GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def widths(layers, ways, inputs, skips):
    """The sizes of what each layer reads, in each direction; 0 where it has no matrix for it."""
    return [(0 if skips else inputs) if not k else ways * H for k in range(layers) for _ in range(ways)]


def model(mode="lstm", layers=1, op="CudnnRNN", inputs=D, ways=1, skips=False, **attributes):
    b = Builder()
    x = b.placeholder("x", None, None, inputs)
    batch_first = attributes.get("time_major") is False
    states = [b.placeholder(s, *((None, ways * layers) if batch_first else (ways * layers, None)), H) for s in "hc"]
    size = sum(GATES[mode] * H * (width + H + 2) for width in widths(layers, ways, inputs, skips))
    more = [b.placeholder("lengths", None, dtype="int32")] if op == "CudnnRNNV3" else []
    direction = b"bidirectional" if ways == 2 else b"unidirectional"
    given = {"T": "float32", "rnn_mode": mode.encode(), "direction": direction, **attributes}
    b(op, x, *states, b.variable("params", size), *more, name="rnn", **given)
    return b


def feeds(b, count=1, inputs=D):
    rng = np.random.default_rng(1)
    start = {s: rng.normal(size=(count, N, H)).astype(np.float32) for s in "hc"}
    return {**b.weights, **start, "x": rng.normal(size=(T, N, inputs)).astype(np.float32)}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def unpacked(params, gates, read):
    """(W, R, bW, bR) of every layer and direction, each as a list of one array for each gate."""
    matrices = [(H, width) for of_input in read for width in (of_input, H) for _ in range(gates)]
    shapes = [*matrices, *([(H,)] * (2 * gates * len(read)))]
    parts = np.split(params, np.cumsum([int(np.prod(s)) for s in shapes])[:-1])
    arrays = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    blocks = [arrays[i : i + gates] for i in range(0, len(arrays), gates)]
    half = 2 * len(read)
    return [(*blocks[2 * k : 2 * k + 2], *blocks[half + 2 * k : half + 2 * k + 2]) for k in range(len(read))]


def step(mode, x, h, c, layer):
    """One step of one layer, gate by gate, as the guide of cuDNN writes it."""
    w, r, bw, br = layer
    of_x = [(x @ m.T if m.size else x) + b for m, b in zip(w, bw, strict=True)]
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


def one_way(mode, x, h, c, layer, backwards, lengths):
    """A layer in one direction, every row of the batch alone: its output, and the last h and c."""
    out, h, c = np.zeros((T, N, H), np.float32), h.copy(), c.copy()
    for row in range(N):
        steps = range(lengths[row])
        for t in reversed(steps) if backwards else steps:
            h[row], c[row] = step(mode, x[t, row], h[row], c[row], layer)
            out[t, row] = h[row]
    return out, h, c


def truth(fed, mode, read, ways, lengths):
    """Output, h and c of a whole stack."""
    x, finals = fed["x"], []
    layers = unpacked(fed["params"], GATES[mode], read)
    for first in range(0, len(layers), ways):
        ran = [
            one_way(mode, x, fed["h"][k], fed["c"][k], layers[k], k > first, lengths)
            for k in range(first, first + ways)
        ]
        x = np.concatenate([out for out, _, _ in ran], 2)
        finals += [last for _, *last in ran]
    return [x, *(np.stack(s) for s in zip(*finals, strict=True))]


def assert_computes(b, fed, expected, mode):
    graph = unfuse(analyse(b.graph())).graph
    for index, right in enumerate(expected if mode == "lstm" else expected[:2]):
        np.testing.assert_allclose(evaluate(graph, f"rnn:{index}", fed), right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ways", [1, 2])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("mode", sorted(GATES))
def test_the_frames_compute_what_the_operator_does(mode, layers, ways):
    b = model(mode, layers, ways=ways)
    fed = feeds(b, layers * ways)
    assert_computes(b, fed, truth(fed, mode, widths(layers, ways, D, False), ways, [T] * N), mode)


@pytest.mark.parametrize("ways", [1, 2])
@pytest.mark.parametrize("mode", ["lstm", "gru"])
def test_a_row_that_ends_early_keeps_its_state_and_gives_zeros(mode, ways):
    b = model(mode, 2, "CudnnRNNV3", ways=ways)
    fed = {**feeds(b, 2 * ways), "lengths": np.array([T, 2], np.int32)}
    assert_computes(b, fed, truth(fed, mode, widths(2, ways, D, False), ways, [T, 2]), mode)


def test_batch_may_come_before_time():
    b = model("lstm", 2, "CudnnRNNV3", time_major=False)
    fed = {**feeds(b, 2), "lengths": np.array([T, 3], np.int32)}
    expected = truth(fed, "lstm", widths(2, 1, D, False), 1, [T, 3])
    turned = {**fed, **{name: fed[name].swapaxes(0, 1) for name in "xhc"}}
    assert_computes(b, turned, [e.swapaxes(0, 1) for e in expected], "lstm")


@pytest.mark.parametrize("ways", [1, 2])
@pytest.mark.parametrize("input_mode", [b"skip_input", b"auto_select"])
def test_a_first_layer_may_add_its_input_to_the_gates_as_it_is(input_mode, ways):
    b = model("gru", 2, inputs=H, ways=ways, skips=True, input_mode=input_mode)
    fed = feeds(b, 2 * ways, inputs=H)
    assert_computes(b, fed, truth(fed, "gru", widths(2, ways, H, True), ways, [T] * N), "gru")


def test_an_input_of_another_size_than_the_state_is_not_skipped():
    b = model("lstm", input_mode=b"auto_select")
    fed = feeds(b)
    assert_computes(b, fed, truth(fed, "lstm", [D], 1, [T] * N), "lstm")


def test_dropout_between_layers_is_left_out_and_told():
    b = model("gru", 2, dropout=0.5)
    fed = feeds(b, 2)
    assert_computes(b, fed, truth(fed, "gru", widths(2, 1, D, False), 1, [T] * N), "gru")
    notes = unfuse(analyse(b.graph())).notes
    assert "CudnnRNN rnn leaves out 0.5 of what a layer hands on while it trains; not here" in notes


def test_what_a_gradient_reads_is_still_there():
    b = model("gru")
    b("CudnnRNNBackprop", *(Value("rnn", k) for k in range(4)), name="gradient")
    graph = unfuse(analyse(b.graph())).graph
    assert len(graph["rnn"].inputs) == 5
    assert len(recurrences.find(analyse(graph))) == 1


def test_every_layer_has_states_of_its_own():
    b = model("lstm", 3)
    found = recurrences.find(analyse(unfuse(analyse(b.graph())).graph))
    assert [len(r.states) for r in found] == [2, 2, 2]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"num_proj": 2}, "projects its output, and where its vector of parameters holds the projection is not known"),
        ({"rnn_mode": b"lstm_new"}, "has a mode that is not known"),
        ({"input_mode": b"skip_input"}, "adds an input of size 3 to gates of size 5"),
        ({"direction": b"bidirectional"}, "has 1 states, and each bidirectional layer has 2"),
    ],
)
def test_what_cannot_be_read_stays_and_the_error_says_why(given, why):
    b = model("lstm", **given)
    assert unfuse(analyse(b.graph())).graph.nodes == b.nodes
    with pytest.raises(NoRecurrence, match=f"no recurrence of the graph can be read .*: CudnnRNN rnn {why}"):
        discover(b.graph())


def test_a_branch_that_the_data_decide_is_not_guessed():
    b = model()
    rnn = b.nodes.pop("rnn")
    flag = b("Greater", b("Max", rnn.inputs[0], b.const([0, 1, 2]), T="float32"), b.const(0.0, "float32"))
    sides = [b("Switch", value, flag, T="float32") for value in rnn.inputs]
    b("CudnnRNN", *(Value(side.node, 1) for side in sides), name="either", **rnn.attributes)
    with pytest.raises(NoRecurrence, match=r"CudnnRNN either runs only where Greater:0 says so, which the data decide"):
        discover(b.graph())
