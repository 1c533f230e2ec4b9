"""States of ONNX models of other programs: at the border, inside, and where nothing tells."""

import numpy as np
import onnxruntime
import pytest

import reprise
from reprise.errors import AmbiguousInterface, NoRecurrence
from reprise.wire import onnx
from tests.foreign.building import D, H, V, cell_weights, gru_step, lstm, numbers, save, tensors, value


def pairs(model):
    return {(s.source_in, s.source_out) for s in model.interface.states}


def assert_run_is_steps(model, steps=6, rows=2, seed=0):
    """T steps at once, from random state, are T single steps that carry it."""
    (port,) = model.interface.inputs
    random = np.random.default_rng(seed)
    shape = [{port.time_axis: steps, port.batch_axis: rows}.get(k, n) for k, n in enumerate(port.shape)]
    x = random.standard_normal(shape).astype(np.float32)
    first = model.initial_state(rows)
    first = first.replace({n: random.standard_normal(a.shape).astype(np.float32) for n, a in first.items()})
    whole, last = model.run(x, first)
    state, results = first, []
    for t in range(steps):
        out, state = model.step(x.take(t, port.time_axis), state)
        results.append(out)
    for out in model.interface.outputs:
        if out.time_axis is not None:
            stacked = np.stack([r[out.name] for r in results], out.time_axis)
            np.testing.assert_allclose(stacked, whole[out.name], rtol=1e-4, atol=1e-5)
    for name in last:
        np.testing.assert_allclose(state[name], last[name], rtol=1e-4, atol=1e-5)
        assert not np.array_equal(state[name], first[name])


def test_states_at_the_border_are_paired_by_the_flow_of_data(tmp_path):
    model = reprise.restore(lstm(tmp_path / "m.onnx"))
    assert pairs(model) == {("a", "e"), ("b", "d")}
    assert "LSTM carries it" in model.interface.evidence[0]
    assert_run_is_steps(model)


def test_numbers_are_those_of_the_file_over_carried_calls(tmp_path):
    path = lstm(tmp_path / "m.onnx")
    model, session = reprise.restore(path), onnxruntime.InferenceSession(path)
    names = {s.source_in: s.name for s in model.interface.states}
    held = {"a": numbers(1, 2, H, seed=5), "b": numbers(1, 2, H, seed=6)}
    state = model.initial_state(2).replace({names[k]: v for k, v in held.items()})
    for call in range(4):
        x = numbers(3, 2, D, seed=call)
        held["a"], wanted, held["b"] = session.run(["e", "o", "d"], {"x": x, **held})
        found, state = model.run(x, state)
        np.testing.assert_allclose(found["o"], wanted, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(state[names["a"]], held["a"], rtol=1e-4, atol=1e-6)


def stack_step(path):
    """One step of two LSTM layers written out, h and c of both in one tensor each: x [N, D], h and c [2, N, H]."""
    nodes, tops = [], {"x0": "x"}
    for k in (0, 1):
        nodes += [onnx.node("Gather", [s, f"row{k}"], [f"{s}{k}"], axis=0) for s in ("h", "c")]
        nodes += [
            onnx.node("Concat", [tops[f"x{k}"], f"h{k}"], [f"xh{k}"], axis=1),
            onnx.node("MatMul", [f"xh{k}", f"W{k}"], [f"z{k}"]),
            onnx.node("Split", [f"z{k}"], [f"{g}{k}z" for g in "ifog"], axis=1),
            *(onnx.node("Sigmoid", [f"{g}{k}z"], [f"{g}{k}"]) for g in "ifo"),
            onnx.node("Tanh", [f"g{k}z"], [f"g{k}"]),
            onnx.node("Mul", [f"f{k}", f"c{k}"], [f"fc{k}"]),
            onnx.node("Mul", [f"i{k}", f"g{k}"], [f"ig{k}"]),
            onnx.node("Add", [f"fc{k}", f"ig{k}"], [f"C{k}"]),
            onnx.node("Tanh", [f"C{k}"], [f"t{k}"]),
            onnx.node("Mul", [f"o{k}", f"t{k}"], [f"H{k}"]),
        ]
        nodes += [onnx.node("Unsqueeze", [f"{s}{k}", "zero"], [f"{s}{k}+"]) for s in "HC"]
        tops[f"x{k + 1}"] = f"H{k}"
    nodes += [onnx.node("Concat", [f"{s}0+", f"{s}1+"], [f"{s}out"], axis=0) for s in "CH"]
    nodes.append(onnx.node("MatMul", ["H1", "O"], ["y"]))
    weights = {"W0": numbers(D + H, 4 * H), "W1": numbers(2 * H, 4 * H), "O": numbers(H, V), "zero": np.array([0])}
    rows = {f"row{k}": np.array(k) for k in (0, 1)}
    inputs = [value("h", 2, "n", H), value("x", "n", D), value("c", 2, "n", H)]
    return save(path, nodes, inputs, ["Cout", "Hout", "y"], tensors(**weights, **rows), opset=17)


def test_states_of_a_stack_that_lie_in_one_tensor_each_are_paired(tmp_path):
    model = reprise.restore(stack_step(tmp_path / "m.onnx"))
    assert pairs(model) == {("h", "Hout"), ("c", "Cout")}


def simple_recurrent_unit(path, highway):
    """c' = f · c + (1 − f) · W·x, or plus x itself; y = tanh(c') + x, as large as x."""
    nodes = [
        onnx.node("MatMul", ["x", "W"], ["z"]),
        onnx.node("Sigmoid", ["z"], ["f"]),
        onnx.node("Mul", ["f", "c"], ["fc"]),
        onnx.node("Add", ["fc", "x" if highway else "z"], ["c_out"]),
        onnx.node("Tanh", ["c_out"], ["t"]),
        onnx.node("Add", ["t", "x"], ["y"]),
    ]
    inputs = [value("x", "n", H), value("c", "n", H)]
    return save(path, nodes, inputs, ["c_out", "y"], tensors(W=numbers(H, H)))


def test_the_last_input_is_no_state_though_its_shape_is_that_of_an_output_beside_one(tmp_path):
    model = reprise.restore(simple_recurrent_unit(tmp_path / "m.onnx", highway=False))
    assert pairs(model) == {("c", "c_out")}
    assert [p.name for p in model.interface.inputs] == ["x"]


def test_two_inputs_that_a_next_value_is_computed_from_number_by_number_are_asked_for(tmp_path):
    with pytest.raises(AmbiguousInterface, match=r"x → c_out.*c → c_out"):
        reprise.restore(simple_recurrent_unit(tmp_path / "m.onnx", highway=True))


def test_a_model_without_a_certain_state_names_the_pair_that_could_be_one(tmp_path):
    nodes = [
        onnx.node("MatMul", ["h", "W"], ["a"]),
        onnx.node("MatMul", ["a", "W"], ["b"]),
        onnx.node("MatMul", ["x", "V"], ["v"]),
        onnx.node("Add", ["b", "v"], ["h_out"]),
        onnx.node("MatMul", ["h_out", "W"], ["y"]),
    ]
    inputs = [value("x", "n", D), value("h", "n", H)]
    path = save(tmp_path / "m.onnx", nodes, inputs, ["h_out", "y"], tensors(W=numbers(H, H), V=numbers(D, H)))
    with pytest.raises(NoRecurrence, match=r"states=\{'h': 'h_out'\} \(--state-tensor h=h_out\)"):
        reprise.restore(path)
    assert pairs(reprise.restore(path, states={"h": "h_out"})) == {("h", "h_out")}


def zeros(how, rows="rows"):
    """Nodes and tensors that make the first state of an LSTM in the ways of exporters."""
    if how == "absent":
        return "", [], []
    if how == "constant":
        return "zero", [], tensors(zero=np.zeros((1, 2, H), np.float32))
    nodes = [
        onnx.node("Shape", ["x"], ["s"]),
        onnx.node("Gather", ["s", "k"], [rows]),
        onnx.node("Concat", ["u", rows, "w"], ["shape"], axis=0),
        onnx.node("ConstantOfShape", ["shape"], ["zero"]),
    ]
    return "zero", nodes, tensors(k=np.array([1]), u=np.array([1]), w=np.array([H]))


@pytest.mark.parametrize("how", ["absent", "constant", "shaped"])
def test_a_state_that_begins_anew_at_every_call_is_opened(tmp_path, how):
    first, before, held = zeros(how)
    nodes = [*before, onnx.node("LSTM", ["x", "W", "R", "B", "", first, first], ["Y"], hidden_size=H)]
    path = save(tmp_path / "m.onnx", nodes, [value("x", "t", "n", D)], ["Y"], tensors(**cell_weights(4)) + held)
    model = reprise.restore(path)
    assert [(s.name, s.initial) for s in model.interface.states] == [("layer0.h", "zeros"), ("layer0.c", "zeros")]
    assert_run_is_steps(model)


def test_a_first_state_that_the_file_holds_is_where_a_sequence_starts(tmp_path):
    held = numbers(1, 1, H, seed=9)
    nodes = [onnx.node("GRU", ["x", "W", "R", "B", "", "h0"], ["Y"], hidden_size=H)]
    path = save(tmp_path / "m.onnx", nodes, [value("x", "t", 1, D)], ["Y"], tensors(**cell_weights(3), h0=held))
    model = reprise.restore(path)
    assert model.interface.states[0].initial == "file"
    np.testing.assert_array_equal(model.initial_state(1)["layer0.h"], held)
    np.testing.assert_array_equal(model.initial_state(3)["layer0.h"], held.repeat(3, 1))


@pytest.mark.parametrize("state_first", [False, True])
def test_a_step_that_is_written_out_is_paired_by_its_equations(tmp_path, state_first):
    model = reprise.restore(gru_step(tmp_path / "m.onnx", state_first))
    assert pairs(model) == {("h", "h2")}
    assert [p.tensor for p in model.interface.inputs] == ["x"]


def test_an_input_of_the_shape_of_the_state_is_still_no_state(tmp_path):
    model = reprise.restore(gru_step(tmp_path / "m.onnx", state_first=True, units=D))
    assert pairs(model) == {("h", "h2")}


def test_a_cache_of_frames_is_a_state(tmp_path):
    nodes = [
        onnx.node("Concat", ["cache", "x"], ["frames"], axis=1),
        onnx.node("Slice", ["frames", "from", "to", "axis"], ["next"]),
        onnx.node("ReduceMean", ["frames"], ["y"], axes=[1]),
    ]
    held = tensors(**{"from": np.array([1]), "to": np.array([99]), "axis": np.array([1])})
    inputs = [value("x", "n", 1, D), value("cache", "n", 4, D)]
    model = reprise.restore(save(tmp_path / "m.onnx", nodes, inputs, ["y", "next"], held, opset=13))
    assert pairs(model) == {("cache", "next")}


def test_what_a_mask_makes_of_an_input_is_no_state(tmp_path):
    nodes = [
        onnx.node("LSTM", ["x", "W", "R", "B"], ["Y"], hidden_size=D),
        onnx.node("Squeeze", ["Y", "one"], ["y"]),
        onnx.node("Sigmoid", ["y"], ["mask"]),
        onnx.node("Mul", ["mask", "x"], ["clean"]),
    ]
    held = tensors(**cell_weights(4, units=D), one=np.array([1]))
    model = reprise.restore(save(tmp_path / "m.onnx", nodes, [value("x", "t", "n", D)], ["clean"], held))
    assert [s.name for s in model.interface.states] == ["layer0.h", "layer0.c"]
    assert_run_is_steps(model)


@pytest.mark.parametrize("op", ["Mul", "Where"])
def test_a_state_that_a_mask_resets_before_the_cell_is_one(tmp_path, op):
    nodes = [
        onnx.node("Slice", ["x", "from", "to", "axis"], ["first"]),
        onnx.node("Greater", ["first", "zero"], ["goes on"]),
        onnx.node("Cast", ["goes on"], ["mask"], to=onnx.ELEMENT_TYPES["float32"]),
        onnx.node("Mul", ["mask", "h"], ["kept"])
        if op == "Mul"
        else onnx.node("Where", ["goes on", "h", "zero"], ["kept"]),
        onnx.node("GRU", ["x", "W", "R", "B", "", "kept"], ["Y", "next"], hidden_size=H),
        onnx.node("Squeeze", ["Y", "one"], ["y"]),
    ]
    held = tensors(**cell_weights(3), zero=numbers() * 0, one=np.array([1]))
    held += tensors(**{"from": np.array([0]), "to": np.array([1]), "axis": np.array([2])})
    inputs = [value("x", 1, "n", D), value("h", 1, "n", H)]
    model = reprise.restore(save(tmp_path / "m.onnx", nodes, inputs, ["y", "next"], held))
    assert pairs(model) == {("h", "next")}


def test_a_state_that_several_cells_carry_one_after_the_other_is_one(tmp_path):
    nodes = [
        onnx.node("Split", ["x"], ["first", "second"], axis=2),
        onnx.node("GRU", ["first", "W", "R", "B", "", "h"], ["Y", "between"], hidden_size=H),
        onnx.node("GRU", ["second", "W", "R", "B", "", "between"], ["Z", "next"], hidden_size=H),
        onnx.node("Concat", ["Y", "Z"], ["y"], axis=3),
    ]
    inputs = [value("x", 1, "n", 2 * D), value("h", 1, "n", H)]
    model = reprise.restore(save(tmp_path / "m.onnx", nodes, inputs, ["y", "next"], tensors(**cell_weights(3))))
    assert pairs(model) == {("h", "next")}


def test_a_cell_whose_state_is_normalised_is_paired_by_its_equations(tmp_path):
    nodes = [
        onnx.node("Concat", ["x", "h"], ["xh"], axis=1),
        onnx.node("MatMul", ["xh", "W"], ["gates"]),
        onnx.node("Split", ["gates"], ["i", "f", "g"], axis=1),
        *(onnx.node("Sigmoid", [gate], [f"open {gate}"]) for gate in ("i", "f")),
        onnx.node("Mul", ["open f", "c"], ["kept"]),
        onnx.node("Mul", ["open i", "g"], ["new"]),
        onnx.node("Add", ["kept", "new"], ["sum"]),
        onnx.node("LayerNormalization", ["sum", "scale"], ["c next"], axis=-1),
        onnx.node("Tanh", ["c next"], ["h next"]),
        onnx.node("MatMul", ["h next", "O"], ["y"]),
    ]
    held = tensors(W=numbers(D + H, 3 * H), O=numbers(H, V), scale=numbers(H))
    inputs = [value("x", "n", D), value("h", "n", H), value("c", "n", H)]
    model = reprise.restore(save(tmp_path / "m.onnx", nodes, inputs, ["y", "h next", "c next"], held))
    assert pairs(model) == {("h", "h next"), ("c", "c next")}


def test_two_inputs_that_may_both_be_the_state_are_an_error_that_lists_them(tmp_path):
    nodes = [
        onnx.node("MatMul", ["p", "W"], ["a"]),
        onnx.node("MatMul", ["q", "R"], ["b"]),
        onnx.node("Add", ["a", "b"], ["s"]),
        onnx.node("Tanh", ["s"], ["h"]),
        onnx.node("MatMul", ["h", "O"], ["y"]),
    ]
    held = tensors(W=numbers(H, H), R=numbers(H, H, seed=1), O=numbers(H, V))
    path = save(tmp_path / "m.onnx", nodes, [value("p", "n", H), value("q", "n", H)], ["y", "h"], held)
    with pytest.raises(AmbiguousInterface, match=r"p → h, q → h\. Say which, as pairs: states=\{'p': 'h'\}"):
        reprise.restore(path)


def test_a_model_without_state_is_refused_in_words(tmp_path):
    nodes = [onnx.node("MatMul", ["x", "W"], ["y"])]
    path = save(tmp_path / "m.onnx", nodes, [value("x", "n", D)], ["y"], tensors(W=numbers(D, V)))
    with pytest.raises(NoRecurrence, match=r"no LSTM, GRU, RNN, Scan or Loop is in it \(1 nodes: MatMul\)"):
        reprise.restore(path)


def in_int8(array):
    """The numbers, and the one that they are multiples of."""
    unit = np.float32(np.abs(array).max() / 127)
    return np.round(array / unit).astype(np.int8), unit


def test_products_with_weights_in_int8_are_those_of_what_the_weights_stand_for(tmp_path):
    held, unit = in_int8(numbers(D, H, seed=3))
    nodes = [
        onnx.node("DequantizeLinear", ["held", "unit", "middle"], ["W"]),
        onnx.node("MatMul", ["x", "W"], ["w"]),
        onnx.node("Mul", ["h", "decay"], ["old"]),
        onnx.node("Add", ["old", "w"], ["h2"]),
        onnx.node("MatMul", ["h2", "O"], ["y"]),
    ]
    more = tensors(held=held, unit=unit, middle=np.int8(0), decay=np.float32(0.5), O=numbers(H, V))
    path = save(tmp_path / "m.onnx", nodes, [value("x", "n", D), value("h", "n", H)], ["y", "h2"], more)
    x, h = numbers(2, D), numbers(2, H, seed=1)
    model = reprise.restore(path)
    _, state = model.step(x, model.initial_state(2).replace({"h": h}))
    np.testing.assert_allclose(state["h"], 0.5 * h + x @ (held * unit), rtol=1e-5, atol=1e-6)


def test_a_cell_that_cuts_its_inputs_anew_at_every_call_is_stepped(tmp_path):
    weights = cell_weights(4)
    cut = {name: in_int8(weights[name].transpose(0, 2, 1)) for name in "WR"}
    names = ["x", "W", "R", "B", "", "h", "c", "", "Wu", "Wm", "Ru", "Rm"]
    nodes = [onnx.node("DynamicQuantizeLSTM", names, ["Y", "h2", "c2"], domain="com.microsoft", hidden_size=H)]
    held = {n: a for n, (a, _) in cut.items()} | {f"{n}u": u.reshape(1) for n, (_, u) in cut.items()}
    held |= {f"{n}m": np.zeros(1, np.int8) for n in cut} | {"B": weights["B"]}
    inputs = [value("x", "t", "n", D), value("h", 1, "n", H), value("c", 1, "n", H)]
    path = save(tmp_path / "m.onnx", nodes, inputs, ["Y", "h2", "c2"], tensors(**held), domains=("com.microsoft",))
    model = reprise.restore(path)
    assert pairs(model) == {("h", "h2"), ("c", "c2")}
    assert "cut to int8 anew at every call" in model.interface.evidence[-1]
    session, state = onnxruntime.InferenceSession(path), {"h": numbers(1, 2, H, seed=5), "c": numbers(1, 2, H, seed=6)}
    carried = model.initial_state(2).replace(state)
    for call in range(4):
        x = numbers(2, D, seed=call)
        wanted, state["h"], state["c"] = session.run(None, {"x": x[None], **state})
        found, carried = model.step(x, carried)
        np.testing.assert_allclose(found["Y"], wanted[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(carried["c"], state["c"], rtol=1e-5, atol=1e-6)


def gated(x, h, after, label):
    """Nodes of a step: after = z·h + (1 − z)·tanh(x·W), z = σ(x·Z)."""
    names = iter(f"{label}{k}" for k in range(9))
    z, n, kept, rest, new = (next(names) for _ in range(5))
    product, gate = next(names), next(names)
    return [
        onnx.node("MatMul", [x, "Z"], [gate]),
        onnx.node("Sigmoid", [gate], [z]),
        onnx.node("MatMul", [x, "W"], [product]),
        onnx.node("Tanh", [product], [n]),
        onnx.node("Mul", [z, h], [kept]),
        onnx.node("Sub", ["one", z], [rest]),
        onnx.node("Mul", [rest, n], [new]),
        onnx.node("Add", [kept, new], [after]),
    ]


def decoy(path, *nodes, outputs, inputs=()):
    """A gated step whose input has the shape of its state, h → h2 and y, with more beside."""
    step = [*gated("x", "h", "h2", "g"), onnx.node("MatMul", ["h2", "O"], ["y"]), *nodes]
    held = tensors(W=numbers(H, H), Z=numbers(H, H, seed=1), O=numbers(H, V), one=np.float32(1))
    given = [value(name, "n", H) for name in ("x", "h", *inputs)]
    return save(path, step, given, ["y", "h2", *outputs], held)


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([onnx.node("Tanh", ["h2"], ["shown"])], ["shown"]),
        ([onnx.node("Identity", ["h2"], ["again"])], ["again"]),
        ([onnx.node("MatMul", ["x", "W"], ["p"]), onnx.node("Tanh", ["p"], ["shown"])], ["shown"]),
    ],
    ids=["a function of the state", "the state again", "a function of the input"],
)
def test_an_output_of_the_shape_of_a_state_is_none_by_that(tmp_path, nodes, outputs):
    model = reprise.restore(decoy(tmp_path / "m.onnx", *nodes, outputs=outputs))
    assert {s.source_in for s in model.interface.states} == {"h"}
    assert [p.tensor for p in model.interface.inputs] == ["x"]


def test_an_input_that_is_handed_on_is_no_state(tmp_path):
    nodes = [onnx.node("Identity", ["memory"], ["memory2"]), onnx.node("Mul", ["h2", "memory"], ["m"])]
    model = reprise.restore(decoy(tmp_path / "m.onnx", *nodes, outputs=["memory2", "m"], inputs=["memory"]))
    assert pairs(model) == {("h", "h2")}
    assert {p.tensor for p in model.interface.inputs} == {"x", "memory"}
