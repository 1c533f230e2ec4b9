"""Whole-sequence operators become frames of one cell for each row."""

import numpy as np
import pytest

from reprise.graph import Graph, Node, Value
from reprise.interface import recurrences
from reprise.interface.fused import unfuse
from reprise.interface.structure import analyse
from tests.interface.building import Builder
from tests.interface.evaluate import evaluate

N, T, D, H = 2, 5, 3, 4


def model(op="BlockLSTM", rows=None, **attributes):
    """BlockLSTM over [T, N, D] as LSTMBlockFusedCell writes it: its outputs, and the last cell state and output."""
    b = Builder()
    x = b.placeholder("x", None, None, D)
    c, h = b.placeholder("c", None, H), b.placeholder("h", None, H)
    peepholes = [b.variable(name, H) for name in ("wci", "wcf", "wco")]
    shape = b("Shape", x, out_type="int32")
    bounds = [b.const([k]) for k in (0, 1, 1)]
    rows = rows(b) if rows else b("StridedSlice", shape, *bounds, shrink_axis_mask=1, T="int32")
    rows = b("Cast", rows, SrcT="int32", DstT="int64")
    weights = b.variable("kernel", D + H, 4 * H), *peepholes, b.variable("bias", 4 * H)
    made = b(op, rows, x, c, h, *weights, T="float32", name="lstm", **attributes)
    last = [b.const([k]) for k in (-1, 0, 1)]
    for name, index in (("last_c", 1), ("last_h", 6)):
        b("StridedSlice", Value(made.node, index), *last, name=name, shrink_axis_mask=1, T="float32")
    return b


def feeds(b, steps=T):
    rng = np.random.default_rng(3)
    start = {s: rng.normal(size=(N, H)).astype(np.float32) for s in "ch"}
    return {**b.weights, **start, "x": rng.normal(size=(steps, N, D)).astype(np.float32)}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def truth(fed, order="icfo", forget_bias=1.0, clip=0.0, peephole=False):
    """The equations of Gers et al. (2000), written for this test; gives cell states and outputs of every step."""
    c, h, cells, outputs = fed["c"], fed["h"], [], []
    for x in fed["x"]:
        gates = dict(zip(order, np.split(np.concatenate([x, h], 1) @ fed["kernel"] + fed["bias"], 4, 1), strict=True))
        i, f, o = gates["i"], gates["f"] + forget_bias, gates["o"]
        if peephole:
            i, f = i + fed["wci"] * c, f + fed["wcf"] * c
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(gates["c"])
        c = np.clip(c, -clip, clip) if clip > 0 else c
        o = o + fed["wco"] * c if peephole else o
        h = sigmoid(o) * np.tanh(c)
        cells.append(c)
        outputs.append(h)
    return np.stack(cells), np.stack(outputs)


@pytest.mark.parametrize("steps", [1, T])
@pytest.mark.parametrize(
    ("op", "given", "settings"),
    [
        ("BlockLSTM", {}, {"clip": 3.0}),
        ("BlockLSTM", {"forget_bias": 0.5, "cell_clip": -1.0}, {"forget_bias": 0.5}),
        ("BlockLSTM", {"cell_clip": 0.2, "use_peephole": True}, {"clip": 0.2, "peephole": True}),
        ("BlockLSTMV2", {}, {"order": "ifco", "forget_bias": 0.0}),
        ("BlockLSTMV2", {"use_peephole": True}, {"order": "ifco", "forget_bias": 0.0, "peephole": True}),
    ],
)
def test_the_frame_computes_what_the_operator_does(op, given, settings, steps):
    b = model(op, **given)
    graph, fed = unfuse(b.graph()).graph, feeds(b, steps)
    cells, outputs = truth(fed, **settings)
    for name, expected in (("lstm:1", cells), ("lstm:6", outputs), ("last_c:0", cells[-1]), ("last_h:0", outputs[-1])):
        np.testing.assert_allclose(evaluate(graph, name, fed), expected, rtol=1e-5, atol=1e-6)


def test_the_states_are_found_and_leave_under_the_names_of_the_last_rows():
    structure = analyse(unfuse(model().graph()).graph)
    (found,) = recurrences.find(structure)
    assert [str(s.initial) for s in found.states] == ["c:0", "h:0"]
    assert [structure.graph[n].inputs[0] for n in ("last_c", "last_h")] == [s.final for s in found.states]


def test_an_output_that_nothing_reads_is_still_what_the_operator_makes():
    graph = unfuse(model().graph()).graph
    kept = graph["lstm"].inputs[0]
    assert graph[kept.node].op == "BlockLSTM"
    assert kept.index == 0


def test_an_operator_that_may_stop_early_stays():
    def longest(b):
        return b("Max", b.placeholder("lengths", None, dtype="int32"), b.const([0]), T="int32")

    b = model(rows=longest)
    assert unfuse(b.graph()).graph.nodes == b.nodes


def test_a_graph_without_such_operators_is_the_same_graph():
    graph = Graph.of([Node("x", "Placeholder")])
    assert unfuse(graph).graph is graph
