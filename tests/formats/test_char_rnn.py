"""Checkpoints of char-rnn: a graph of Lua Torch's modules for one step, its vocabulary beside it."""

import numpy as np
import pytest

import reprise
from reprise.errors import DamagedFile
from tests.formats import torch7_files
from tests.formats.test_pytorch import numbers
from tests.formats.torch7_files import Object, Storage, Table

H, V = 4, 5


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Graph:
    """Modules one after the other, each with those it reads, as nngraph keeps them."""

    def __init__(self, states):
        self.nodes = []
        self.entry = self.node(None)
        split = self.node(None, self.entry)
        self.inputs = [self.node(Object("nn.Identity"), self.element(split, k)) for k in range(1, states + 2)]

    def node(self, module, *read, **more):
        places = [(k, r) for k, r in enumerate(read, 1)]
        mapindex = Table(*places, *((r, k) for k, r in places))
        known = {"mapindex": mapindex, "annotations": {}, **more} | ({"module": module} if module else {})
        data = Table(*known.items())
        self.nodes.append(Object("nngraph.Node", data=data, id=len(self.nodes) + 1, children={}))
        for node in self.nodes:
            if any(node.fields["data"] is r for r in read):
                children = node.fields["children"]
                children[len(children) + 1] = self.nodes[-1]
        return data

    def element(self, table, k):
        return self.node(None, table, selectindex=k)

    def apply(self, name, *read, **fields):
        return self.node(Object(f"nn.{name}", **fields), *read)

    def linear(self, read, weight, bias):
        return self.apply("Linear", read, weight=weight, bias=bias)

    def module(self, outputs):
        last = self.node(None, *outputs)
        assert last is self.nodes[-1].fields["data"]
        fields = {"innode": self.nodes[0], "outnode": self.nodes[-1], "nInputs": len(self.inputs)}
        return Object("nn.gModule", forwardnodes=dict(enumerate(self.nodes, 1)), **fields)


def weights(layer, gates, inputs, draw=0):
    shapes = {"Wx": (gates * H, inputs), "bx": (gates * H,), "Wh": (gates * H, H), "bh": (gates * H,)}
    return {name: numbers(*shape, seed=10 * layer + i + 100 * draw) for i, (name, shape) in enumerate(shapes.items())}


def lstm(graph, x, states, w, *, narrow=False):
    c, h = states
    sums = graph.apply("CAddTable", graph.linear(x, w["Wx"], w["bx"]), graph.linear(h, w["Wh"], w["bh"]))
    if narrow:
        gates = [graph.apply("Narrow", sums, dimension=2, index=k * H + 1, length=H) for k in range(4)]
    else:
        parts = graph.apply("SplitTable", graph.apply("Reshape", sums, size=Storage(4, H)), dimension=2)
        split = graph.node(None, parts, nSplitOutputs=4)
        gates = [graph.element(split, k) for k in range(1, 5)]
    i, f, o = (graph.apply("Sigmoid", g) for g in gates[:3])
    kept = graph.apply("CMulTable", f, c)
    after = graph.apply("CAddTable", kept, graph.apply("CMulTable", i, graph.apply("Tanh", gates[3])))
    return after, graph.apply("CMulTable", o, graph.apply("Tanh", after))


def lstm_by_hand(x, states, w):
    c, h = states
    i, f, o, g = np.split(x @ w["Wx"].T + w["bx"] + h @ w["Wh"].T + w["bh"], 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return c, sigmoid(o) * np.tanh(c)


def gru(graph, x, states, w):
    (h,) = states

    def total(k, state):
        parts = {n: a[k * H : (k + 1) * H] for n, a in w.items()}
        return graph.apply(
            "CAddTable", graph.linear(x, parts["Wx"], parts["bx"]), graph.linear(state, parts["Wh"], parts["bh"])
        )

    z, r = (graph.apply("Sigmoid", total(k, h)) for k in (0, 1))
    candidate = graph.apply("Tanh", total(2, graph.apply("CMulTable", r, h)))
    rest = graph.apply("AddConstant", graph.apply("MulConstant", z, constant_scalar=-1), constant_scalar=1)
    return (graph.apply("CAddTable", graph.apply("CMulTable", z, candidate), graph.apply("CMulTable", rest, h)),)


def gru_by_hand(x, states, w):
    (h,) = states
    (zx, rx, cx), (zh, rh, _) = (np.split(a, 3, axis=1) for a in (x @ w["Wx"].T + w["bx"], h @ w["Wh"].T + w["bh"]))
    z, r = sigmoid(zx + zh), sigmoid(rx + rh)
    candidate = np.tanh(cx + (r * h) @ w["Wh"][2 * H :].T + w["bh"][2 * H :])
    return (z * candidate + (1 - z) * h,)


def rnn(graph, x, states, w):
    sums = graph.apply("CAddTable", graph.linear(x, w["Wx"], w["bx"]), graph.linear(states[0], w["Wh"], w["bh"]))
    return (graph.apply("Tanh", sums),)


def rnn_by_hand(x, states, w):
    return (np.tanh(x @ w["Wx"].T + w["bx"] + states[0] @ w["Wh"].T + w["bh"]),)


CELLS = {"lstm": (lstm, lstm_by_hand, 2, 4), "gru": (gru, gru_by_hand, 1, 3), "rnn": (rnn, rnn_by_hand, 1, 1)}


def char_rnn(path, kind="lstm", layers=2, *, tensors="Float", table=None, symbols="vwxyz", dropout=None, **options):
    """Writes a checkpoint; gives its step (ids [N], states) → log-probabilities and the next states, by hand."""
    write, by_hand, states, gates = CELLS[kind]
    graph = Graph(layers * states)
    first = Object("OneHot", outputSize=V) if table is None else Object("nn.LookupTable", weight=table)
    x, held, outputs = graph.node(first, graph.inputs[0]), [], []
    for layer in range(layers):
        held.append(weights(layer, gates, (V if table is None else table.shape[1]) if layer == 0 else H))
        before = graph.inputs[1 + layer * states : 1 + (layer + 1) * states]
        outputs += write(graph, x, before, held[-1], **options)
        x = outputs[-1] if dropout is None else graph.apply("Dropout", outputs[-1], **dropout)
    out = numbers(V, H, seed=7), numbers(V, seed=8)
    net = graph.module([*outputs, graph.apply("LogSoftMax", graph.linear(x, *out))])
    vocabulary = {s: k for k, s in enumerate(symbols, 1)}
    content = {"protos": {"rnn": net}, "opt": {"rnn_size": H, "num_layers": layers}, "vocab": vocabulary, "i": 10}
    torch7_files.save(path, content, tensors)

    def step(ids, before, factor=1.0):
        x, after = (np.eye(V) if table is None else table)[ids - 1], []
        for layer in range(layers):
            after += by_hand(x, before[layer * states : (layer + 1) * states], held[layer])
            x = after[-1] * factor
        scores = x @ out[0].T + out[1]
        return scores - np.log(np.exp(scores).sum(1, keepdims=True)), after

    return step


def assert_same(model, step, factor=1.0, rows=3):
    """Many carried steps from a random state, at once and one by one."""
    rng = np.random.default_rng(3)
    ids = rng.integers(1, V + 1, (rows, 9))
    names = [s.name for s in model.interface.states]
    before = [rng.normal(size=(rows, H)).astype("float32") for _ in names]
    state = model.initial_state(rows).replace(dict(zip(names, before, strict=True)))
    (whole,), last = (list(p.values()) for p in model.run(ids, state))
    for t in range(ids.shape[1]):
        (found,), state = (p if i else list(p.values()) for i, p in enumerate(model.step(ids[:, t], state)))
        wanted, before = step(ids[:, t], before, factor)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(whole[:, t], wanted, rtol=1e-4, atol=1e-5)
    for found, wanted in zip(last, before, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind", CELLS)
def test_a_graph_of_modules_computes_what_it_says(tmp_path, kind, layers):
    step = char_rnn(tmp_path / "m.t7", kind, layers)
    assert_same(reprise.restore(tmp_path / "m.t7"), step)


@pytest.mark.parametrize(
    "options",
    [{"tensors": "Cuda"}, {"tensors": "Double"}, {"narrow": True}, {"table": numbers(V, 3)}],
    ids=["a GPU", "double precision", "gates cut by Narrow", "a table"],
)
def test_a_checkpoint_of_another_kind_is_read_alike(tmp_path, options):
    step = char_rnn(tmp_path / "m.t7", **options)
    assert_same(reprise.restore(tmp_path / "m.t7"), step)


@pytest.mark.parametrize(("dropout", "factor"), [({"p": 0.25, "v2": True}, 1.0), ({"p": 0.25}, 0.75)])
def test_dropout_of_the_first_version_is_a_factor(tmp_path, dropout, factor):
    step = char_rnn(tmp_path / "m.t7", dropout=dropout)
    assert_same(reprise.restore(tmp_path / "m.t7"), step, factor)


def test_a_cell_is_found_and_its_vocabulary_is_spoken(tmp_path):
    char_rnn(tmp_path / "m.t7")
    model = reprise.restore(tmp_path / "m.t7")
    assert [p.role for p in (*model.interface.inputs, *model.interface.outputs)] == ["tokens", "logits"]
    assert len(model.interface.states) == 4
    assert set(model.sample(50, seed=1)) <= set("vwxyz")


def test_text_is_scored_by_ids_from_1(tmp_path):
    step = char_rnn(tmp_path / "m.t7", layers=1)
    bits, states = 0.0, [np.zeros((1, H))] * 2
    for here, after in ["vz", "zw", "wx"]:
        scores, states = step(np.array(["vwxyz".index(here) + 1]), states)
        bits -= scores[0, "vwxyz".index(after)] / np.log(2)
    assert reprise.restore(tmp_path / "m.t7").score("vzwx").bits_per_symbol == pytest.approx(bits / 3, rel=1e-4)


def test_symbols_beyond_ascii_are_bytes(tmp_path):
    char_rnn(tmp_path / "m.t7", symbols=["a", "b", "\udcc3", "\udca9", "c"])
    vocabulary = reprise.restore(tmp_path / "m.t7").vocabulary
    assert vocabulary.encode("é").tolist() == [3, 4]
    assert vocabulary.decode([3, 4, 1]) == "éa"


def test_a_module_that_is_not_known_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(CELLS, "rnn", (lambda g, x, s, w: (g.apply("HardTanh", s[0]),), None, 1, 1))
    char_rnn(tmp_path / "m.t7", "rnn")
    with pytest.raises(DamagedFile, match=r"nn\.HardTanh is none of them"):
        reprise.restore(tmp_path / "m.t7")


def test_a_state_of_another_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(
        CELLS, "rnn", (lambda g, x, s, w: (g.apply("Narrow", s[0], dimension=2, index=1, length=2),), None, 1, 1)
    )
    char_rnn(tmp_path / "m.t7", "rnn", layers=1)
    with pytest.raises(DamagedFile, match=r"an nn\.Linear of shape \[5, 4\] reads \[2\] numbers"):
        reprise.restore(tmp_path / "m.t7")
