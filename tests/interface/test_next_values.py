"""Which tensor is the next value of each state of a graph of one step, whatever its cell is."""

import numpy as np
import pytest

import reprise
from reprise.errors import AmbiguousInterface, CallError
from tests.tensorflow.building import saved_by_tensorflow, session, tf, v1, variable

N, T, D, H, V = 2, 4, 3, 5, 4


def times(x, name, width, bias=True):
    product = tf.matmul(x, variable(f"{name}/kernel", x.shape[-1], width))
    return tf.nn.bias_add(product, variable(f"{name}/bias", width)) if bias else product


def gates(x, h, count, width=H):
    return tf.split(times(tf.concat([x, h], 1), "gates", count * width), count, 1)


def lstm(x, c, h, made=lambda c: c, width=H):
    i, f, o, j = gates(x, h, 4, width)
    after = made(tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(j))
    return after, tf.sigmoid(o) * tf.tanh(after)


def elman(x, h):
    h = tf.nn.relu(times(tf.concat([x, h], 1), "cell", H))
    return h, h


def projected(width):
    def cell(x, c, h):
        c, h = lstm(x, c, h)
        h = times(h, "projection", width, bias=False)
        return h, c, h

    return cell


def phased(x, c, h):
    """A cell with a time gate: what it would carry is mixed with what it carried (Neil et al. 2016)."""
    opened = tf.sigmoid(times(x, "time", 1))
    after, out = lstm(x, c, h)
    c, h = opened * after + (1 - opened) * c, opened * out + (1 - opened) * h
    return h, c, h


def coupled(x, c, h):
    f, o, j = gates(x, h, 3)
    f = tf.sigmoid(f)
    c = f * c + (1 - f) * tf.tanh(j)
    h = tf.sigmoid(o) * tf.tanh(c)
    return h, c, h


def searched(x, c, h):
    """The way of the cell of Zoph & Le (2017) from c to m."""
    i, j, o = gates(x, h, 3)
    c = tf.tanh(tf.tanh(i) + c) * tf.tanh(j)
    h = tf.tanh(c * tf.tanh(o))
    return h, c, h


def normalised(x, c, h):
    """As TensorFlow's LSTM with layer normalisation does it, which carries the normalised sum."""

    def norm(value, name):
        mean, variance = tf.nn.moments(value, [1], keepdims=True)
        return tf.nn.batch_normalization(
            value, mean, variance, variable(f"{name}/beta", H), variable(f"{name}/gamma", H), 1e-6
        )

    i, f, o, j = (norm(gate, f"norm{k}") for k, gate in enumerate(gates(x, h, 4)))
    c = norm(tf.sigmoid(f + 1.0) * c + tf.sigmoid(i) * tf.tanh(j), "norm")
    h = tf.sigmoid(o) * tf.tanh(c)
    return h, c, h


def independent(x, h):
    h = tf.nn.relu(tf.nn.bias_add(times(x, "input", H, bias=False) + h * variable("u", H), variable("bias", H)))
    return h, h


def simple(x, c):
    """A simple recurrent unit: its gates read the input alone (Lei et al. 2018)."""
    j, f, r, kept = tf.split(times(x, "all", 4 * H), 4, 1)
    f, r = tf.sigmoid(f), tf.sigmoid(r)
    c = f * c + (1 - f) * j
    return r * tf.tanh(c) + (1 - r) * kept, c


def intersection(x, h):
    """Keeps a part of its input as it does of its state (Collins et al. 2017)."""
    y, u, v, w = gates(x, h, 4, x.shape[-1])
    gate_y, gate_h = tf.sigmoid(y), tf.sigmoid(u)
    return gate_y * x + (1 - gate_y) * tf.nn.relu(v), gate_h * h + (1 - gate_h) * tf.tanh(w)


def residual(x, c, h):
    c, h = lstm(x, c, h, width=D)
    return h + x, c, h


def highway(x, h):
    with v1.variable_scope("cell"):
        z, j = gates(x, h, 2, D)
        after = tf.sigmoid(z) * h + (1 - tf.sigmoid(z)) * tf.tanh(j)
    with v1.variable_scope("around"):
        carried = tf.sigmoid(times(x, "carry", D))
    return carried * x + (1 - carried) * after, after


def grouped(x, c, h):
    parts = [
        tf.split(times(tf.concat([x[:, a:b], h[:, a:b]], 1), f"g{a}", 4 * (b - a)), 4, 1) for a, b in ((0, 2), (2, H))
    ]
    i, f, o, j = (tf.concat(gate, 1) for gate in zip(*parts, strict=True))
    c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(j)
    h = tf.sigmoid(o) * tf.tanh(c)
    return h, c, h


CELLS = {
    "relu": (elman, [H]),
    "narrow projection": (projected(H - 1), [H, H - 1]),
    "phased": (phased, [H, H]),
    "coupled gates": (coupled, [H, H]),
    "found by search": (searched, [H, H]),
    "normalised": (normalised, [H, H]),
    "independent": (independent, [H]),
    "simple": (simple, [H]),
    "intersection": (intersection, [D]),
    "residual": (residual, [D, D]),
    "highway": (highway, [D]),
    "grouped": (grouped, [H, H]),
}


def one_step(cell, sizes, *, scope="cell", start=v1.placeholder, rows=1):
    """Builds a step (or several) with scores; gives the tensors of the states and of their next values."""
    x = v1.placeholder(tf.float32, [N, rows, D], "x")
    first = state = [start(tf.float32, [N, size]) for size in sizes]
    made = []
    for row in tf.unstack(x, axis=1):
        with v1.variable_scope(scope or v1.get_variable_scope(), reuse=v1.AUTO_REUSE):
            out, *state = cell(row, *state)
        made.append(out)
    scores = times(tf.reshape(tf.stack(made, 1), [-1, out.shape[-1]]), "scores", V)
    tf.reshape(scores, [N, rows, V], "y")
    return [v.name for v in first], [v.name for v in state]


def recorded(tmp_path, cell, sizes, steps=T, **options):
    """A saved step, its pairs of tensors, and what TensorFlow computes over carried steps from a random state."""
    random = np.random.default_rng(0)
    xs = random.normal(size=(steps, N, options.get("rows", 1), D)).astype(np.float32)
    state = [random.normal(size=(N, size)).astype(np.float32) for size in sizes]
    with session() as opened:
        enter, leave = one_step(cell, sizes, **options)
        path = saved_by_tensorflow(opened, tmp_path / "model.ckpt")
        ys, begin = [], state
        for x in xs:
            y, state = opened.run(["y:0", leave], {"x:0": x, **dict(zip(enter, state, strict=True))})
            ys.append(y)
    return path, dict(zip(enter, leave, strict=True)), xs, begin, ys, state


def check(model, pairs, xs, begin, ys, end):
    """From random state, run and carried steps give what TensorFlow gives, and every state changes."""
    found = {p.source_in: p for p in model.interface.states}
    assert {name: p.source_out for name, p in found.items()} == pairs
    assert model.interface.steppable, model.interface.why_not
    first = state = model.initial_state(N).replace({found[n].name: b for n, b in zip(pairs, begin, strict=True)})
    for x, y in zip(np.concatenate(xs, 1).swapaxes(0, 1), np.concatenate(ys, 1).swapaxes(0, 1), strict=True):
        outputs, state = model.step({"x": x}, state)
        np.testing.assert_allclose(outputs["y"].reshape(y.shape), y, atol=1e-5)
    whole, last = model.run({"x": np.concatenate(xs, 1)}, first)
    np.testing.assert_allclose(whole["y"], np.concatenate(ys, 1), atol=1e-5)
    for name, value in zip(pairs, end, strict=True):
        np.testing.assert_allclose(state[found[name].name], value, atol=1e-5)
        np.testing.assert_allclose(last[found[name].name], value, atol=1e-5)
        assert not np.allclose(value, first[found[name].name])


@pytest.mark.parametrize("kind", CELLS)
def test_every_state_of_a_step_has_the_next_value_that_its_cell_computes(kind, tmp_path):
    path, *truth = recorded(tmp_path, *CELLS[kind])
    check(reprise.restore(path), *truth)


@pytest.mark.parametrize("kind", ["relu", "coupled gates", "found by search"])
def test_a_state_that_begins_with_zeros_is_found_as_one_that_is_fed(kind, tmp_path):
    cell, sizes = CELLS[kind]
    path, *truth = recorded(tmp_path, cell, sizes, start=lambda dtype, shape: tf.zeros(shape, dtype))
    check(reprise.restore(path), *truth)


def test_a_projection_as_wide_as_the_cell_is_its_state_where_it_lies_in_the_scope_of_the_cell(tmp_path):
    path, *truth = recorded(tmp_path, projected(H), [H, H])
    model = reprise.restore(path)
    check(model, *truth)
    assert any("the last in the name scope of the cell" in said for said in model.interface.evidence)


def test_where_no_scope_tells_a_projection_from_a_layer_both_are_named_and_pairs_decide(tmp_path):
    path, pairs, *truth = recorded(tmp_path, projected(H), [H, H], scope="")
    with pytest.raises(AmbiguousInterface) as refused:
        reprise.restore(path)
    state, after = list(pairs.items())[1]
    assert f"{state} may be a state whose next value is mul_2:0 or {after}" in str(refused.value)
    assert f'states={{"Placeholder:0": "{pairs["Placeholder:0"]}", "{state}": "mul_2:0"}}' in str(refused.value)
    check(reprise.restore(path, states=pairs), pairs, *truth)


def test_an_input_as_wide_as_the_state_is_not_taken_for_it(tmp_path):
    def cell(x, h):
        h = tf.tanh(times(tf.concat([h, x], 1), "cell", D))
        return h, h

    with session() as opened:
        x, h = v1.placeholder(tf.float32, [N, D], "x"), v1.placeholder(tf.float32, [N, D], "h")
        times(cell(x, h)[0], "scores", V)
        path = saved_by_tensorflow(opened, tmp_path / "model.ckpt")
    with pytest.raises(AmbiguousInterface, match=r"x:0 or h:0 may be a state whose next value is Tanh:0"):
        reprise.restore(path)
    assert [p.tensor for p in reprise.restore(path, states={"h:0": "Tanh:0"}).interface.inputs] == ["x:0"]


def test_a_sum_that_is_normalised_in_another_way_than_the_gates_is_not_decided(tmp_path):
    def cell(x, c, h):
        i, f, o, j = gates(x, h, 4)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(j)
        shifted = c - tf.reduce_mean(c, 1, keepdims=True)
        h = tf.sigmoid(o) * tf.tanh(shifted)
        return h, c, h

    path, pairs, *truth = recorded(tmp_path, cell, [H, H])
    with pytest.raises(AmbiguousInterface, match="Placeholder:0 may be a state whose next value is cell/add:0 or cell"):
        reprise.restore(path)
    check(reprise.restore(path, states=pairs), pairs, *truth)


def test_of_values_that_may_be_the_next_one_that_which_is_copied_out_of_the_graph_is(tmp_path):
    def cell(x, h):
        h = tf.tanh(times(tf.nn.relu(times(tf.concat([x, h], 1), "first", H)), "second", H))
        tf.identity(h, "kept")
        return h, h

    path, *truth = recorded(tmp_path, cell, [H], scope="")
    check(reprise.restore(path), *truth)


def test_steps_whose_weights_multiply_no_state_are_one_recurrence(tmp_path):
    path, *truth = recorded(tmp_path, simple, [H], rows=3)
    check(reprise.restore(path), *truth)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (("Placeholder:0", "y:0"), "have one type and size; these are float32 [2, 5] and float32 [2, 1, 4]"),
        (("cell/Relu:0", "Placeholder:0"), "the second is not computed from the first"),
        (("Placeholder:0", "cell/Rely:0"), "the graph has no tensor 'cell/Rely:0'"),
    ],
)
def test_pairs_that_cannot_be_a_state_are_refused(pair, words, tmp_path):
    path, *_ = recorded(tmp_path, *CELLS["relu"], steps=1)
    with pytest.raises(CallError) as refused:
        reprise.restore(path, states=dict([pair]))
    assert words in str(refused.value)


def test_pairs_correct_what_was_read_otherwise(tmp_path):
    path, *_ = recorded(tmp_path, projected(H), [H, H])
    other = {"Placeholder:0": "cell/add:0", "Placeholder_1:0": "cell/mul_2:0"}
    read = {p.source_in: p.source_out for p in reprise.restore(path).interface.states}
    assert read != other
    assert {p.source_in: p.source_out for p in reprise.restore(path, states=other).interface.states} == other
