"""Loops that draw their own next symbol are opened: the caller gives the symbols, and the numbers are the same."""

import numpy as np
import pytest

import reprise
from tests.graphs import D, H, N, T, V, dense, gru
from tests.tensorflow.building import saved_by_tensorflow, session, tf, v1, variable

END = 5


def drawing(looked_up=True, impute=False, alternate=False):
    """A greedy decoder of T steps from symbol 1: gives its scores [T, N, V] and draws [T, N].

    With `alternate` a flag remembers whether the step before was one of an even number, whose scores change their sign.
    """
    table = variable("table", V, D)
    code = v1.placeholder(tf.float32, [None, H], "code")
    count = tf.shape(code)[0]

    def symbols(ids):
        return tf.nn.embedding_lookup(table, ids) if looked_up else tf.one_hot(ids, V)

    begin = symbols(tf.fill([count], 1))

    def body(t, x, h, ended, even, scores, drawn):
        (after,) = gru(x, h, "decoder")
        logits = dense("scores", after, V)
        logits = v1.cond(even, lambda: logits, lambda: -logits) if alternate else logits
        best = tf.argmax(logits, 1, output_type=tf.int32)
        now = tf.where(ended[:, None], tf.zeros_like(logits), logits) if impute else logits
        after_all = v1.cond(tf.reduce_all(ended), lambda: begin, lambda: symbols(best))
        ended_now, odd = ended | (best == END), tf.logical_not(even)
        return t + 1, after_all, after, ended_now, odd, scores.write(t, now), drawn.write(t, best)

    arrays = tf.TensorArray(tf.float32, T), tf.TensorArray(tf.int32, T)
    first = (0, begin, code, tf.zeros([count], tf.bool), tf.constant(True), *arrays)
    *_, scores, drawn = v1.while_loop(lambda t, *_: t < T, body, first)
    return tf.identity(scores.stack(), "y"), drawn.stack()


def drawn_by_tensorflow(tmp_path, code, **options):
    """The scores and draws of TensorFlow, and the model restored from the same session."""
    with session() as opened:
        scores, drawn = drawing(**options)
        saved_by_tensorflow(opened, tmp_path / "model.ckpt")
        made = opened.run([scores, drawn], {"code:0": code})
    return *made, reprise.restore(tmp_path / "model.ckpt")


@pytest.mark.parametrize("looked_up", [True, False])
@pytest.mark.parametrize("alternate", [True, False])
def test_the_symbols_drawn_before_give_the_scores_of_the_sampler(tmp_path, looked_up, alternate):
    code = np.random.default_rng(0).normal(size=(N, H)).astype(np.float32)
    scores, drawn, model = drawn_by_tensorflow(tmp_path, code, looked_up=looked_up, alternate=alternate)
    assert model.interface.steppable != alternate
    given = np.concatenate([np.ones((1, N), np.int32), drawn[:-1]])
    name = next(p.name for p in model.interface.inputs)
    start = model.initial_state(N).replace({"layer0.h": code})
    rows = given if looked_up else np.eye(V, dtype=np.float32)[given]
    np.testing.assert_allclose(model.run({name: rows}, start)[0].popitem()[1], scores, rtol=1e-4, atol=1e-5)


def test_symbols_are_ids_where_the_loop_looks_its_draws_up(tmp_path):
    _, _, model = drawn_by_tensorflow(tmp_path, np.zeros((N, H), np.float32))
    (port,) = model.interface.inputs
    assert (port.role, port.dtype, port.shape) == ("tokens", "int32", (None, None))
    assert any("draws its own next input; here the caller gives it" in e for e in model.interface.evidence)


def test_an_end_mark_that_the_model_would_draw_ends_nothing(tmp_path):
    code = np.random.default_rng(1).normal(size=(N, H)).astype(np.float32)
    _, drawn, model = drawn_by_tensorflow(tmp_path, code, impute=True)
    (port,) = model.interface.inputs
    start = model.initial_state(N).replace({"layer0.h": code})
    given = np.concatenate([np.ones((1, N), np.int32), drawn[:-1]])
    whole = model.run({port.name: given}, start)[0].popitem()[1]
    state, rows = start, []
    for row in given:
        outputs, state = model.step({port.name: row}, state)
        rows.append(outputs.popitem()[1])
    np.testing.assert_allclose(np.stack(rows), whole, rtol=1e-4, atol=1e-5)
    assert END in drawn
    assert np.abs(whole[-1]).min() > 0


def test_how_many_rows_there_are_may_be_asked_of_the_first_symbol(tmp_path):
    with session() as opened:
        table, head = variable("table", V, D), variable("output", H, V)
        x = tf.nn.embedding_lookup(table, v1.placeholder(tf.int32, [None], "first"))
        h, made = tf.zeros([tf.shape(x)[0], H]), []
        for _ in range(4):
            (h,) = gru(x, h, "decoder")
            made.append(tf.matmul(h, head))
            x = tf.nn.embedding_lookup(table, tf.argmax(made[-1], 1))
        scores = tf.stack(made)
        saved_by_tensorflow(opened, tmp_path / "model")
        truth = opened.run(scores, {"first:0": np.arange(N)})
    model = reprise.restore(tmp_path / "model")
    given = np.concatenate([np.arange(N)[None], truth.argmax(-1)[:-1]])
    np.testing.assert_allclose(model.run(given)[0]["logits"], truth, rtol=1e-4, atol=1e-5)
    assert model.interface.steppable
