"""Graphs that TensorFlow builds, trains and saves come back from their files alone and give its numbers for ever."""

import numpy as np
import pytest

import reprise
from reprise.errors import AmbiguousInterface, CallError, NoRecurrence, StateError
from reprise.state import State
from tests.graphs import D, H, N, T, V, dense, gru, lstm, normalised, residual, rolled, saved
from tests.tensorflow.building import saved_by_tensorflow, session, tf, v1, variable

CELLS = {
    "lstm": (lstm, {"layer0.c": H, "layer0.h": H}),
    "gru": (gru, {"layer0.h": H}),
    "rnn": (lambda x, h: (tf.tanh(dense("rnn", tf.concat([x, h], 1), H)),), {"layer0.h": H}),
    "projected with peepholes": (lambda *a: lstm(*a, peephole=True, projected=3), {"layer0.c": H, "layer0.h": 3}),
    "residual stack": (residual, {"layer0.c": H, "layer0.h": H, "layer1.h": H}),
    "normalised": (normalised, {"layer0.c": H, "layer0.h": H}),
}


def build(cell, widths, *, scope="", train=True, keep=False):
    """A language model with what training adds: targets, loss, gradients, optimizer, summaries."""
    with v1.variable_scope(scope or v1.get_variable_scope(), reuse=v1.AUTO_REUSE):
        ids, targets = v1.placeholder(tf.int32, [None, None]), v1.placeholder(tf.int32, [None, None])
        first = [tf.zeros([tf.shape(ids)[0], n]) for n in widths.values()]
        rows = tf.transpose(tf.nn.embedding_lookup(variable("embedding", V, D), ids), [1, 0, 2])
        if keep:
            rows = v1.nn.dropout(rows, rate=1 - v1.placeholder(tf.float32, [], "keep"))
        hidden, last = rolled(cell, rows, first)
        logits = tf.tensordot(tf.transpose(hidden, [1, 0, 2]), variable("output", hidden.shape[-1] or H, V), [[2], [0]])
        if train:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)
            v1.summary.scalar("loss", tf.reduce_mean(losses))
            v1.train.AdamOptimizer().minimize(tf.reduce_mean(losses))
    return {"ids": ids, "first": first, "last": last, "logits": logits}


def tokens(rows, steps, seed=0):
    return np.random.default_rng(seed).integers(0, V, (rows, steps)).astype(np.int32)


def random_state(widths, rows=N):
    random = np.random.default_rng(1)
    return {name: random.normal(0, 0.5, (rows, n)).astype(np.float32) for name, n in widths.items()}


@pytest.fixture(scope="module", params=[(kind, way) for kind in CELLS for way in (False, True)], ids=str)
def recorded(request, tmp_path_factory):
    """A checkpoint, and what TensorFlow computes step by step from random state."""
    kind, functional = request.param
    cell, widths = CELLS[kind]
    prefix = tmp_path_factory.mktemp("model") / "model.ckpt"
    with session(functional=functional, seed=1) as opened:
        made = build(cell, widths)
        saved_by_tensorflow(opened, prefix)
        state, steps = list(random_state(widths).values()), []
        for t in range(T):
            feeds = {made["ids"]: tokens(N, T)[:, t : t + 1], **dict(zip(made["first"], state, strict=True))}
            logits, *state = opened.run([made["logits"], *made["last"]], feeds)
            steps.append(logits[:, 0])
    return prefix, widths, np.stack(steps, 1), dict(zip(widths, state, strict=True))


def test_sixteen_steps_from_random_state_are_those_of_tensorflow(recorded):
    prefix, widths, logits, last = recorded
    model = reprise.restore(prefix)
    assert {s.name: s.shape for s in model.interface.states} == {name: (None, n) for name, n in widths.items()}
    assert [(p.role, p.time_axis, p.batch_axis) for p in model.interface.inputs] == [("tokens", 1, 0)]
    (port,) = model.interface.outputs
    state = model.initial_state(N).replace(random_state(widths))
    for t in range(T):
        outputs, state = model.step(tokens(N, T)[:, t], state)
        np.testing.assert_allclose(outputs[port.name], logits[:, t], rtol=1e-4, atol=1e-5)
    for name, array in last.items():
        np.testing.assert_allclose(state[name], array, rtol=1e-4, atol=1e-5)


def test_a_run_is_its_steps_and_rows_know_nothing_of_each_other(recorded):
    prefix, widths, logits, last = recorded
    model = reprise.restore(prefix)
    (port,) = model.interface.outputs
    whole, after = model.run(tokens(N, T), model.initial_state(N).replace(random_state(widths)))
    assert port.rows in (None, "batch-major")
    np.testing.assert_allclose(whole[port.name].reshape(logits.shape), logits, rtol=1e-4, atol=1e-5)
    for row in range(N):
        own = {name: array[row : row + 1] for name, array in random_state(widths).items()}
        alone, ended = model.run(tokens(N, T)[row : row + 1], model.initial_state(1).replace(own))
        np.testing.assert_allclose(alone[port.name].reshape(T, V), logits[row], rtol=1e-4, atol=1e-5)
        for name in last:
            np.testing.assert_allclose(ended[name][0], after[name][row], rtol=1e-4, atol=1e-5)


def plain(**options):
    return lambda: build(*CELLS["lstm"], **options)


def test_a_state_goes_on_in_another_process_and_not_in_another_model(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    model = reprise.restore(saved(tmp_path / "one", plain()))
    other = reprise.restore(saved(tmp_path / "other", plain(scope="wider_name")))
    _, half = model.run(tokens(N, 8))
    half.save(tmp_path / "state.safetensors")
    loaded = State.load(tmp_path / "state.safetensors")
    whole, _ = model.run(tokens(N, 8, seed=2), half)
    again, _ = model.run(tokens(N, 8, seed=2), loaded)
    assert all((whole[name] == again[name]).all() for name in whole)
    for foreign in (half, loaded):
        with pytest.raises(StateError, match=r"belongs to another model \(its fingerprint differs\)"):
            other.run(tokens(N, 8), foreign)


def test_dropout_keeps_everything_unless_the_caller_says_otherwise(tmp_path):
    model = reprise.restore(saved(tmp_path, plain(keep=True)))
    (setting,) = model.interface.settings
    assert (setting.name, setting.value) == ("keep", 1.0)
    kept, _ = model.run(tokens(N, T))
    said, _ = model.run(tokens(N, T), settings={"keep": 1.0})
    dropped, _ = model.run({model.interface.inputs[0].name: tokens(N, T), "keep": 0.5})
    (name,) = kept
    assert (kept[name] == said[name]).all()
    assert not np.allclose(kept[name], dropped[name])


def test_of_copies_with_the_same_weights_one_is_taken_and_of_different_models_none(tmp_path):
    for name in ("same", "apart"):
        (tmp_path / name).mkdir()
    assert reprise.restore(saved(tmp_path / "same", plain(), plain(train=False))).interface.steppable
    both = saved(tmp_path / "apart", plain(scope="left", train=False), plain(scope="right", train=False))
    with pytest.raises(
        AmbiguousInterface, match=r"2 models.*left/.*; right/.*scope= \(--scope\) or outputs= \(--output"
    ):
        reprise.restore(both)
    for choice in ({"scope": "right"}, {"outputs": ("right/Tensordot:0",)}):
        assert reprise.restore(both, **choice).interface.outputs[0].tensor == "right/Tensordot:0"


def test_choices_that_name_nothing_are_refused_with_what_is_there(tmp_path):
    prefix = saved(tmp_path, plain(scope="model"))
    with pytest.raises(CallError, match=r"outputs: the graph has no tensor 'Tensordot:0'; nearest: model/.*Tensordot"):
        reprise.restore(prefix, outputs=("Tensordot:0",))
    with pytest.raises(CallError, match=r"scope 'nowhere': no output of a recurrence lies in it"):
        reprise.restore(prefix, scope="nowhere")


def test_a_model_without_recurrence_says_what_it_has(tmp_path):
    def feed_forward():
        tf.nn.softmax(dense("layer", v1.placeholder(tf.float32, [None, D]), V))

    with pytest.raises(NoRecurrence, match=r"carries no state from step to step \(.*1 matrix products, 0 loops\)"):
        reprise.restore(saved(tmp_path, feed_forward))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return reprise.restore(saved(tmp_path_factory.mktemp("model"), plain()))


def test_calls_that_do_not_fit_are_refused_before_anything_runs(model):
    name = model.interface.inputs[0].name
    with pytest.raises(CallError, match=rf"input '{name}': expected shape \[[NT], [NT]\] \(\w+, \w+\), found \[3\]"):
        model.run(np.zeros(3, np.int32))
    with pytest.raises(CallError, match=rf"input '{name}': expected whole numbers \(int32\), found float64"):
        model.run(np.full((2, 3), 0.5))
    with pytest.raises(CallError, match=rf"'words' is not an input or setting of the model; it has {name}"):
        model.run({"words": tokens(2, 3)})
    with pytest.raises(CallError, match=rf"input '{name}' \(Placeholder:0\) is missing; given: nothing"):
        model.run({})


def test_ids_that_are_floats_are_taken_where_they_are_whole(model):
    ids = tokens(2, 3)
    wanted, found = (model.run(given)[0] for given in (ids, ids.astype(np.float32)))
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)


def test_states_that_do_not_fit_are_refused(model):
    with pytest.raises(StateError, match=r"state 'layer0\.c': expected shape \(2, 5\) for 2 rows, found \(3, 5\)"):
        model.run(tokens(2, 3), model.initial_state(3))
    with pytest.raises(StateError, match=r"the state has layer0\.h; this model carries layer0\.c, layer0\.h"):
        model.run(tokens(2, 3), State({"layer0.h": np.zeros((2, 5), np.float32)}))


def test_ids_that_the_table_does_not_have_are_an_error(model):
    for outside in (-1, V):
        with pytest.raises(reprise.RepriseError, match="could not run on "):
            model.run(np.full((1, 1), outside))


def test_ids_beyond_their_type_do_not_become_others(model):
    assert model.run(np.ones((1, 1), np.int64))[0]
    with pytest.raises(CallError, match=r"expected numbers in the range of int32, found 4294967297"):
        model.run(np.full((1, 1), 2**32 + 1))


def test_a_model_that_reads_backwards_runs_but_does_not_step(tmp_path):
    def backwards():
        rows = v1.placeholder(tf.float32, [None, None, D], "x")
        hidden, _ = rolled(lstm, rows[::-1], [tf.zeros([tf.shape(rows)[1], H])] * 2)
        tf.identity(dense("output", tf.reshape(hidden[::-1], [-1, H]), V), "y")

    model = reprise.restore(saved(tmp_path, backwards))
    assert not model.interface.steppable
    outputs, _ = model.run(np.ones((T, N, D), np.float32))
    assert outputs["y"].shape == (T * N, V)
    with pytest.raises(CallError, match=r"cannot be stepped: .*Use run on whole sequences"):
        model.step(np.ones((N, D), np.float32))
