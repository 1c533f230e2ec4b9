"""Three oracles: ONNX Runtime's operators, the laws of a recurrence, and cells whose result is known beforehand."""

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from reprise.cells import GRU, GRU_RESET_AFTER, LAYOUTS, LSTM, RNN, Weights, divide_gates, join_gates, reordered

CELLS = pytest.mark.parametrize("cell", [LSTM, GRU, GRU_RESET_AFTER, RNN], ids=lambda c: c.step.__name__)
D, H, N, T = 3, 5, 2, 4


def drawn(cell, seed=0):
    random = np.random.default_rng(seed)

    def each(*shape):
        return {gate: random.normal(size=shape) for gate in cell.gates}

    peephole = each(H) if cell is LSTM else {}
    return Weights(each(D, H), each(H, H), each(H), each(H), {g: peephole[g] for g in peephole if g != "c"})


def run(cell, xs, state, weights):
    outputs = []
    for x in xs:
        state = cell.step(x, state, weights, cell.activations)
        outputs.append(state["h"])
    return np.stack(outputs), state


def first(cell, seed=1):
    random = np.random.default_rng(seed)
    return random.normal(size=(T, N, D)), {name: random.normal(size=(N, H)) for name in cell.states}


def by_onnx_runtime(cell, xs, state, weights):
    def blocks(parts, order=cell.gates):
        return join_gates({g: parts.get(g, np.zeros((1, H))) for g in order}, order).T[None].astype(np.float32)

    feeds = {
        "X": xs.astype(np.float32),
        "W": blocks(weights.kernel),
        "R": blocks(weights.recurrent),
        "B": np.concatenate([join_gates(b, cell.gates) for b in (weights.bias, weights.recurrent_bias)])[None].astype(
            "f"
        ),
        "h": state["h"][None].astype(np.float32),
    }
    names = ["X", "W", "R", "B", "", "h"]
    if cell is LSTM:
        feeds |= {"c": state["c"][None].astype("f"), "P": join_gates(weights.peephole, "iof")[None].astype("f")}
        names += ["c", "P"]
    extra = {"linear_before_reset": 1} if cell is GRU_RESET_AFTER else {}
    node = helper.make_node(cell.name, names, ["Y", "Y_h", "Y_c"][: len(cell.states) + 1], hidden_size=H, **extra)
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "cell",
        [info(n, TensorProto.FLOAT, a.shape) for n, a in feeds.items()],
        [info(n, TensorProto.FLOAT, None) for n in node.output],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)


@CELLS
def test_the_equations_are_those_of_onnx(cell):
    xs, state = first(cell)
    weights = drawn(cell)
    outputs, after = run(cell, xs, state, weights)
    y, y_h, *y_c = by_onnx_runtime(cell, xs, state, weights)
    np.testing.assert_allclose(outputs, y[:, 0], atol=1e-5)
    np.testing.assert_allclose(after["h"], y_h[0], atol=1e-5)
    for c in y_c:
        np.testing.assert_allclose(after["c"], c[0], atol=1e-5)


@CELLS
def test_a_sequence_is_its_parts_one_after_the_other(cell):
    xs, state = first(cell)
    weights = drawn(cell)
    whole, after = run(cell, xs, state, weights)
    head, between = run(cell, xs[:1], state, weights)
    tail, after_tail = run(cell, xs[1:], between, weights)
    np.testing.assert_array_equal(whole, np.concatenate([head, tail]))
    np.testing.assert_array_equal(after["h"], after_tail["h"])


@CELLS
def test_rows_of_a_batch_do_not_meet(cell):
    xs, state = first(cell)
    weights = drawn(cell)
    both, _ = run(cell, xs, state, weights)
    alone, _ = run(cell, xs[:, 1:], {k: v[1:] for k, v in state.items()}, weights)
    np.testing.assert_allclose(both[:, 1:], alone, rtol=1e-12)


def test_cells_of_zero_weights_have_known_outputs():
    x, h, c = np.ones((1, D)), np.full((1, H), 0.8), np.full((1, H), 2.0)

    def none(cell):
        return Weights({g: np.zeros((D, H)) for g in cell.gates}, {g: np.zeros((H, H)) for g in cell.gates})

    def after(cell, state):
        return cell.step(x, state, none(cell), cell.activations)

    assert after(LSTM, {"h": h, "c": c})["c"] == pytest.approx(np.ones((1, H)))
    assert after(LSTM, {"h": h, "c": c})["h"] == pytest.approx(np.full((1, H), np.tanh(1) / 2))
    assert after(GRU, {"h": h})["h"] == pytest.approx(h / 2)
    assert after(GRU_RESET_AFTER, {"h": h})["h"] == pytest.approx(h / 2)
    assert not after(RNN, {"h": h})["h"].any()


@given(st.sampled_from(["iofc", "zrc", "c"]).flatmap(lambda g: st.tuples(st.permutations(g), st.permutations(g))))
def test_an_order_of_gates_can_be_taken_back(orders):
    have, want = ("".join(o) for o in orders)
    array = np.arange(2 * 3 * len(have)).reshape(2, -1)
    there = reordered(array, have, want)
    np.testing.assert_array_equal(reordered(there, want, have), array)
    for gate, part in divide_gates(array, have).items():
        np.testing.assert_array_equal(divide_gates(there, want)[gate], part)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.framework)
def test_every_layout_has_each_gate_of_its_cell_once(layout):
    assert sorted(layout.order) == sorted(layout.cell.gates)
    assert layout.source
