"""Whole-sequence operators become frames of one cell for each row."""

import numpy as np
import pytest

from reprise.graph import Graph, Node, Value
from reprise.interface.loops import recurrences
from reprise.interface.normal.fused import unfuse
from reprise.structure import analyse
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
    graph, fed = unfuse(analyse(b.graph())).graph, feeds(b, steps)
    cells, outputs = truth(fed, **settings)
    for name, expected in (("lstm:1", cells), ("lstm:6", outputs), ("last_c:0", cells[-1]), ("last_h:0", outputs[-1])):
        np.testing.assert_allclose(evaluate(graph, name, fed), expected, rtol=1e-5, atol=1e-6)


def test_the_states_are_found_and_leave_under_the_names_of_the_last_rows():
    structure = analyse(unfuse(analyse(model().graph())).graph)
    (found,) = recurrences.find(structure)
    assert [str(s.initial) for s in found.states] == ["c:0", "h:0"]
    assert [structure.graph[n].inputs[0] for n in ("last_c", "last_h")] == [s.final for s in found.states]


def test_an_output_that_nothing_reads_is_still_what_the_operator_makes():
    graph = unfuse(analyse(model().graph())).graph
    kept = graph["lstm"].inputs[0]
    assert graph[kept.node].op == "BlockLSTM"
    assert kept.index == 0


def longest(b):
    return b("Max", b.placeholder("lengths", None, dtype="int32"), b.const([0]), T="int32")


def test_rows_beyond_the_longest_are_zeros_and_the_state_is_that_of_the_last_step_before():
    b = model(rows=longest)
    graph, fed = unfuse(analyse(b.graph())).graph, feeds(b) | {"lengths": np.array([1, 3], np.int32)}
    cells, outputs = truth({**fed, "x": fed["x"][:3]}, clip=3.0)
    for name, expected in (("lstm:1", cells), ("lstm:6", outputs)):
        found = evaluate(graph, name, fed)
        np.testing.assert_allclose(found[:3], expected, rtol=1e-5, atol=1e-6)
        assert not found[3:].any()
        assert not evaluate(graph, {"lstm:1": "last_c", "lstm:6": "last_h"}[name] + ":0", fed).any()  # the last row
    (recurrence,) = recurrences.find(analyse(graph))
    finals = [evaluate(graph, str(s.final), fed) for s in recurrence.states]
    np.testing.assert_allclose(finals, [cells[-1], outputs[-1]], rtol=1e-5, atol=1e-6)


def masked(hidden=True):
    """`LSTMBlockFusedCell` with lengths: outputs hidden beyond the end of a row, and the last state of each row."""
    b = model(rows=longest)
    lengths, shape = Value("lengths"), b("Shape", Value("x"), out_type="int32")
    rows, batch = (
        b("StridedSlice", shape, b.const([k]), b.const([k + 1]), b.const([1]), shrink_axis_mask=1) for k in (0, 1)
    )
    steps = b("Range", b.const(0), rows, b.const(1))
    below = b("Less", steps, b("ExpandDims", lengths, b.const(-1)))
    mask = b("ExpandDims", b("Transpose", b("Cast", below, DstT="float32"), b.const([1, 0])), b.const(-1))
    shown = b("Mul", Value("lstm", 6), mask if hidden else b.const(2.0, "float32"), name="outputs")
    places = b("Pack", lengths, b("Range", b.const(0), batch, b.const(1)), axis=1)
    for name, first, states in (("row_c", "c", Value("lstm", 1)), ("row_h", "h", shown)):
        before = b("ExpandDims", Value(first), b.const(0))
        b("GatherNd", b("ConcatV2", before, states, b.const(0), name=f"join_{name}"), places, name=name)
    del b.nodes["last_c"], b.nodes["last_h"]
    return b


def test_where_nothing_sees_beyond_the_end_of_a_row_its_state_is_that_of_its_own_end():
    b = masked()
    graph, fed = unfuse(analyse(b.graph())).graph, feeds(b) | {"lengths": np.array([0, 3], np.int32)}
    cells, outputs = truth(fed, clip=3.0)
    outputs[0:, 0], outputs[3:, 1] = 0, 0
    assert not {"join_row_c", "join_row_h"} & graph.nodes.keys()
    np.testing.assert_allclose(evaluate(graph, "outputs:0", fed), outputs, rtol=1e-5, atol=1e-6)
    (recurrence,) = recurrences.find(analyse(graph))
    for state, name, expected in zip(recurrence.states, ("row_c", "row_h"), (cells, outputs), strict=True):
        assert graph[name].inputs == (state.final,)
        rows = [fed[state.initial.node][0], expected[2, 1]]
        np.testing.assert_allclose(evaluate(graph, f"{name}:0", fed), rows, rtol=1e-5, atol=1e-6)


def test_a_mask_over_what_is_zero_is_left_out():
    """So the number of steps that a file bakes into it is no number of the model."""
    assert unfuse(analyse(masked().graph())).graph["outputs"].inputs == (Value("lstm", 6),)


def test_where_something_sees_beyond_the_end_of_a_row_all_rows_run_to_the_longest():
    b = masked(hidden=False)
    graph, fed = unfuse(analyse(b.graph())).graph, feeds(b) | {"lengths": np.array([1, 3], np.int32)}
    _, outputs = truth({**fed, "x": fed["x"][:3]}, clip=3.0)
    np.testing.assert_allclose(evaluate(graph, "outputs:0", fed)[:3], 2 * outputs, rtol=1e-5, atol=1e-6)
    assert graph["row_c"].op == "GatherNd"


def test_a_graph_without_such_operators_is_the_same_graph():
    graph = Graph.of([Node("x", "Placeholder")])
    assert unfuse(analyse(graph)).graph is graph
