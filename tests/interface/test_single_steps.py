"""A graph that holds one step of its model, built for sampling, recommending or acting, and nothing more."""

from functools import partial

import numpy as np
import pytest

import reprise
from reprise.errors import AmbiguousInterface
from tests.graphs import D, H, N, T, V, gru, interface_of, lstm, rolled, saved
from tests.tensorflow.building import saved_by_tensorflow, session, tf, v1, variable


def recommender():
    """An item for each row, by its id; the scores of all items only as probabilities."""
    ids = v1.placeholder(tf.int32, [N], "ids")
    first = [v1.placeholder(tf.float32, [N, H], f"state{k}") for k in range(2)]
    (lower,) = gru(tf.nn.embedding_lookup(variable("embedding", V, D), ids), first[0], "lower")
    (upper,) = gru(lower, first[1], "upper")
    tf.nn.softmax(tf.matmul(upper, variable("output", V, H), transpose_b=True), name="chances")


def actor():
    """A policy as it was written for several environments and several steps, made for one step."""
    seen = v1.placeholder(tf.float32, [N, D], "seen")
    done, given = v1.placeholder(tf.float32, [N], "done"), v1.placeholder(tf.float32, [N, 2 * H], "state")
    rows = [tf.squeeze(part, [1]) for part in tf.split(tf.reshape(tf.tanh(seen), [N, 1, D]), 1, 1)]
    ends = [tf.squeeze(part, [1]) for part in tf.split(tf.reshape(done, [N, 1, 1]), 1, 1)]
    c, h = tf.split(given, 2, 1)
    for row, end in zip(rows, ends, strict=True):
        c, h = lstm(row, c * (1 - end), h * (1 - end))
    tf.concat([c, h], 1, "next")
    tf.matmul(h, variable("output", H, V), name="policy")


def fused():
    """Two cells of one operator each, whose gates are outputs of it too; only the scores have a name."""
    below = v1.placeholder(tf.float32, [N, H], "seen")
    for layer in range(2):
        c, h = (v1.placeholder(tf.float32, [N, H]) for _ in "ch")
        weights = {name: variable(f"{name}{layer}", H) for name in ("wci", "wcf", "wco")}
        weights |= {"w": variable(f"w{layer}", 2 * H, 4 * H), "b": variable(f"b{layer}", 4 * H)}
        below = tf.raw_ops.LSTMBlockCell(x=below, cs_prev=c, h_prev=h, **weights).h
    tf.matmul(below, variable("output", H, V), name="scores")


def stepped(model, rows):
    """The outputs of every step by name, each [T, N, …], beginning with `rows` of every input."""
    state, steps = None, []
    for row in rows:
        outputs, state = model.step(row, state)
        steps.append(outputs)
    return {name: np.stack([step[name].reshape(N, -1) for step in steps]) for name in steps[0]}


def test_an_item_by_its_id_is_a_row_of_a_sequence(tmp_path):
    model = reprise.restore(saved(tmp_path, recommender))
    assert [(p.name, p.time_axis, p.batch_axis) for p in model.interface.inputs] == [("ids", 0, 1)]
    assert [(p.role, p.shape) for p in model.interface.outputs] == [
        ("logits", (None, None, V)),
        ("probabilities", (None, None, V)),
    ]
    ids = np.random.default_rng(0).integers(0, V, (T, N)).astype(np.int32)
    whole, _ = model.run(ids)
    for name, steps in stepped(model, ids).items():
        np.testing.assert_allclose(steps, whole[name], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(whole[model.interface.outputs[1].name].sum(-1), 1, rtol=1e-5)


def test_one_call_is_one_step_where_no_input_has_time(tmp_path):
    model = reprise.restore(saved(tmp_path, actor))
    assert model.interface.steppable, model.interface.why_not
    assert all(p.time_axis is None for p in model.interface.inputs)
    random = np.random.default_rng(0)
    seen, go, stop = random.normal(size=(N, D)).astype(np.float32), np.zeros(N, np.float32), np.ones(N, np.float32)
    fresh, state = model.step({"seen": seen, "done": go})
    later, _ = model.step({"seen": seen, "done": go}, state)
    again, _ = model.step({"seen": seen, "done": stop}, state)
    assert np.abs(later["policy"] - fresh["policy"]).max() > 1e-3
    np.testing.assert_allclose(again["policy"], fresh["policy"], rtol=1e-5, atol=1e-6)


def test_the_gates_of_a_fused_cell_are_no_outputs():
    found = interface_of(fused)
    assert [p.tensor for p in found.outputs] == ["scores:0"]
    assert [p.name for p in found.states] == ["layer0.c", "layer0.h", "layer1.c", "layer1.h"]


def trained_and_sampled():
    """Two layers with scores between them, once for three steps and once for one; each keeps its state in variables."""
    for scope, steps in (("train", 3), ("sample", 1)):
        rows = [v1.placeholder(tf.float32, [1, D], f"{scope}_x{t}") for t in range(steps)]
        for k in range(2):
            with v1.variable_scope(f"layer{k}", reuse=v1.AUTO_REUSE), tf.name_scope(f"{scope}{k}/"):
                held = [v1.get_variable(f"{scope}_{s}", initializer=tf.zeros([1, H]), trainable=False) for s in "ch"]
                state, made = held, []
                for row in rows:
                    state = lstm(row, *state)
                    made.append(state[1])
                with tf.control_dependencies([v1.assign(*pair) for pair in zip(held, state, strict=True)]):
                    scores = tf.nn.softmax(tf.matmul(tf.concat(made, 0), variable("head", H, D)))
                rows = tf.split(scores, steps, 0)
        tf.identity(scores, f"{scope}_y")


def test_layers_of_one_step_are_one_step_though_those_of_many_are_loops_of_their_own(tmp_path):
    xs = np.random.default_rng(0).normal(size=(T, 1, D)).astype(np.float32)
    with session() as opened:
        trained_and_sampled()
        saved_by_tensorflow(opened, tmp_path / "model")
        truth = [opened.run("sample_y:0", {"sample_x0:0": x}) for x in xs]
    model = reprise.restore(tmp_path / "model")
    assert {s.name for s in model.interface.states} == {"layer0.c", "layer0.h", "layer1.c", "layer1.h"}
    np.testing.assert_allclose(model.run(xs)[0]["probabilities"], np.stack(truth), rtol=1e-5, atol=1e-6)


def test_a_step_that_reads_nothing_from_outside_is_no_model():
    """A cell called on zeros to make its variables, beside the loop that uses them."""

    def primed():
        lstm(tf.zeros([N, D]), tf.zeros([N, H]), tf.zeros([N, H]))
        rows = v1.placeholder(tf.float32, [None, None, D], "x")
        hidden, _ = rolled(lstm, rows, [tf.zeros([tf.shape(rows)[1], H])] * 2)
        tf.identity(hidden, "hidden")

    assert [p.tensor for p in interface_of(primed).outputs] == ["hidden:0"]


def split_head(apart):
    x, h = v1.placeholder(tf.float32, [N, D], "x"), v1.placeholder(tf.float32, [N, H], "h")
    return [x, h], apart(tf.matmul(gru(x, h)[0], variable("output", H, 6)))


@pytest.mark.parametrize(
    "apart", [lambda z: tf.split(z, 3, 1), lambda z: tf.split(z, [1, 2, 3], 1), lambda z: tf.unstack(z, axis=1)]
)
def test_each_part_of_a_head_is_an_output_of_the_step(tmp_path, apart):
    rng = np.random.default_rng(0)
    fed = [rng.normal(size=(N, width)).astype(np.float32) for width in (D, H)]
    with session() as opened:
        inputs, parts = split_head(apart)
        saved_by_tensorflow(opened, tmp_path / "model.ckpt")
        truth = opened.run(parts, dict(zip(inputs, fed, strict=True)))
    model = reprise.restore(tmp_path / "model.ckpt")
    assert [p.tensor for p in model.interface.outputs] == [part.name for part in parts]
    outputs, _ = model.step(fed[0], model.initial_state(N).replace({"layer0.h": fed[1]}))
    for port, expected in zip(model.interface.outputs, truth, strict=True):
        np.testing.assert_allclose(outputs[port.name], expected, rtol=1e-4, atol=1e-5)


def elman(x, h):
    return tf.tanh(tf.matmul(tf.concat([x, h], 1), variable("elman", x.shape[-1] + H, H)))


def recalling(x, h, before):
    """Attends to its two last outputs before anything is multiplied with weights."""
    share = tf.nn.softmax(tf.stack([tf.reduce_sum(h * before, 1), tf.reduce_sum(before, 1)], 1))
    return elman(x, share[:, :1] * h + share[:, 1:] * before)


def zeros_for(x):
    return tf.zeros([tf.shape(x)[0], H])


def stacked(*layers):
    """A step of layers above each other, of which each is given its zeros."""
    x = v1.placeholder(tf.float32, [N, D], "x")
    for k, layer in enumerate(layers):
        with v1.variable_scope(f"layer{k}"):
            x = layer(x, partial(zeros_for, x))
    tf.matmul(x, variable("output", H, V), name="y")


def fed_gru(x, zeros):
    return gru(x, v1.placeholder(tf.float32, [N, H], "h"))[0]


def learned_lstm(x, zeros):
    return lstm(x, *(variable(name, 1, H) + zeros() for name in "ch"))[1]


def test_what_was_learned_to_begin_with_is_the_first_state_of_a_layer_between_others():
    found = interface_of(lambda: stacked(fed_gru, learned_lstm, fed_gru))
    assert [(s.name, s.initial) for s in found.states] == [
        ("layer0.h", "zeros"),
        ("layer1.c", "file"),
        ("layer1.h", "file"),
        ("layer2.h", "zeros"),
    ]


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize(
    "cell", [lambda x, z: elman(x, variable("h", 1, H) + z()), lambda x, z: recalling(x, z(), z())]
)
def test_a_layer_whose_state_is_not_certain_is_never_left_out_of_a_model(cell, lower):
    """Its zeros would be constants: it would begin anew at every step."""
    layers = (cell, fed_gru) if lower else (fed_gru, cell)
    with pytest.raises(AmbiguousInterface, match=r"may be a state whose next value is .*states=\{"):
        interface_of(lambda: stacked(*layers))


def test_a_variable_that_a_step_sets_is_its_state_though_gradients_read_it_too():
    def trained():
        x, wanted = v1.placeholder(tf.float32, [N, D], "x"), v1.placeholder(tf.float32, [N, V], "wanted")
        held = v1.get_variable("held", initializer=tf.zeros([N, H]), trainable=False)
        (after,) = gru(x, held)
        with tf.control_dependencies([v1.assign(held, after)]):
            y = tf.matmul(after, variable("output", H, V), name="y")
        v1.train.AdamOptimizer().minimize(tf.reduce_mean(tf.square(y - wanted)))

    (state,) = interface_of(trained).states
    assert (state.source_out, state.initial) == ("gru/add_2:0", "file")


def test_a_step_of_what_is_no_row_of_a_sequence_gives_what_the_file_does_without_an_axis_of_time():
    def graph():
        x, h = (v1.placeholder(tf.float32, [None, size], name) for name, size in (("x", D), ("h", H)))
        tf.matmul(gru(tf.tanh(x), h)[0], variable("output", H, V), name="y")

    (port,) = interface_of(graph).outputs
    assert (port.shape, port.time_axis, port.batch_axis) == ((None, V), None, 0)


def test_which_scores_are_the_best_is_an_output_of_a_step_too(tmp_path):
    x, h = np.ones((N, D), np.float32), np.ones((N, H), np.float32)
    with session() as opened:
        inputs, best = split_head(lambda z: tf.nn.top_k(z, 2, name="best"))
        saved_by_tensorflow(opened, tmp_path / "model.ckpt")
        truth = opened.run(best, dict(zip(inputs, [x, h], strict=True)))
    model = reprise.restore(tmp_path / "model.ckpt")
    assert [(p.tensor, p.role) for p in model.interface.outputs] == [("best:0", "values"), ("best:1", "ids")]
    values, ids = model.step(x, model.initial_state(N).replace({"layer0.h": h}))[0].values()
    np.testing.assert_allclose(values, truth.values, rtol=1e-5)
    np.testing.assert_array_equal(ids, truth.indices)


def test_states_of_a_fused_cell_that_are_held_in_variables_are_not_left_out():
    def graph():
        x = v1.placeholder(tf.float32, [N, D], "x")
        c, h = (v1.get_variable(s, initializer=tf.zeros([N, H]), trainable=False, use_resource=False) for s in "ch")
        weights = {name: variable(name, H) for name in ("wci", "wcf", "wco")}
        weights |= {"w": variable("w", D + H, 4 * H), "b": variable("b", 4 * H)}
        made = tf.raw_ops.LSTMBlockCell(x=x, cs_prev=c, h_prev=h, **weights)
        above = gru(made.h, v1.placeholder(tf.float32, [N, H], "above"))[0]
        with tf.control_dependencies([v1.assign(c, made.cs), v1.assign(h, made.h)]):
            tf.matmul(above, variable("output", H, V), name="y")

    assert len(interface_of(graph).states) == 3


def test_a_variable_that_is_sliced_into_the_states_of_a_cell_is_those_states():
    def graph():
        x = v1.placeholder(tf.float32, [N, D], "x")
        held = v1.get_variable("held", initializer=tf.zeros([N, 2 * H]), trainable=False)
        c, h = tf.slice(held, [0, 0], [N, H], "c"), tf.slice(held, [0, H], [N, H], "h")
        after = lstm(x, c, h)
        with tf.control_dependencies([v1.assign(held, tf.concat(after, 1))]):
            tf.matmul(after[1], variable("output", H, V), name="y")

    assert [s.source_in for s in interface_of(graph).states] == ["c:0", "h:0"]
