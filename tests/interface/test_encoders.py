"""Recurrences that begin anew in each step of another one: their states are carried nowhere."""

import numpy as np
import pytest

import reprise
from reprise.errors import NoRecurrence
from tests.graphs import D, H, N, V, gru, interface_of, lstm, rolled, saved
from tests.tensorflow.building import saved_by_tensorflow, session, tf, v1, variable

SENTENCES, WORDS = 7, 4
SIZES = {"x": (9, N, D), "memory": (N, 6, H)}


def encoded(rows, turned):
    """The last state of each row [R, W, D]."""
    rows = rows[:, ::-1] if turned else rows
    _, (last,) = rolled(gru, tf.transpose(rows, [1, 0, 2]), [tf.zeros([tf.shape(rows)[0], H])])
    return last


def document(ids, turned):
    """Words → a vector of each sentence → a label of each sentence, from those before it."""
    size = tf.shape(ids)
    words = tf.nn.embedding_lookup(variable("embedding", V, D), tf.reshape(ids, [-1, size[2]]))
    sentences = tf.reshape(encoded(words, turned), [size[0], size[1], H])
    hidden, _ = rolled(lstm, tf.transpose(sentences, [1, 0, 2]), [tf.zeros([size[0], H])] * 2)
    tf.tensordot(hidden, variable("output", H, 2), [[2], [0]], name="y")


def restored(tmp_path, sizes, turned=False):
    return reprise.restore(saved(tmp_path, lambda: document(v1.placeholder(tf.int32, sizes, "ids"), turned)))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("sizes", [[None, None, None], [N, SENTENCES, WORDS]])
def test_only_the_state_over_sentences_is_carried(tmp_path, sizes, turned):
    model = restored(tmp_path, sizes, turned)
    assert [s.name for s in model.interface.states] == ["layer0.c", "layer0.h"]
    assert model.interface.steppable, model.interface.why_not
    ids = np.random.default_rng(0).integers(0, V, (N, SENTENCES, WORDS)).astype(np.int32)
    whole, _ = model.run(ids)
    state, steps = None, []
    for t in range(SENTENCES):
        outputs, state = model.step(ids[:, t], state)
        steps.append(outputs["y"].reshape(N, 2))
    np.testing.assert_allclose(np.stack(steps), whole["y"], rtol=1e-4, atol=1e-5)


def test_the_evidence_says_which_loop_begins_anew(tmp_path):
    (said,) = [e for e in restored(tmp_path, [None] * 3).interface.evidence if "within each step" in e]
    assert said == "loop 'while/while_context' runs to its end within each step, so while/Exit_2:0 are carried nowhere"


def test_sentences_turned_around_are_no_steps(tmp_path):
    def graph():
        document(v1.placeholder(tf.int32, [None] * 3, "ids")[:, ::-1], turned=False)

    interface = reprise.restore(saved(tmp_path, graph)).interface
    assert not interface.steppable


def monotonic(x, weights, h, memory):
    """A step of attention that moves forward over a memory: a loop over its places makes the next weights."""
    places = tf.shape(memory)[1]
    chosen = tf.sigmoid(tf.reduce_sum(memory * h[:, None], 2))
    last, stop = (tf.TensorArray(tf.float32, places).unstack(tf.transpose(v)) for v in (weights, chosen))

    def body(s, passed, made):
        passed = (1 - stop.read(s)) * passed + last.read(s)
        return s + 1, passed, made.write(s, passed)

    first = 0, tf.zeros([tf.shape(memory)[0]]), tf.TensorArray(tf.float32, places)
    _, _, made = v1.while_loop(lambda s, *_: s < places, body, first)
    weights = chosen * tf.transpose(made.stack())
    (h,) = gru(tf.concat([x, tf.reduce_sum(memory * weights[:, :, None], 1)], 1), h)
    return weights, h


def test_a_loop_within_each_step_that_begins_with_what_is_fed_is_refused():
    def letters_whose_state_is_fed():
        x, kept = v1.placeholder(tf.float32, [None, None, 4, D], "x"), v1.placeholder(tf.float32, [None, H], "kept")
        size = tf.shape(x)
        with v1.variable_scope("letters"):
            letters = tf.transpose(tf.reshape(x, [-1, 4, D]), [1, 0, 2])
            _, (word,) = rolled(gru, letters, [kept])
        words = tf.reshape(word, [size[0], size[1], H])
        rolled(lstm, words, [tf.zeros([size[1], H])] * 2)

    with pytest.raises(
        NoRecurrence, match="state kept:0 is kept from call to call, but what its layer reads is no seq"
    ):
        interface_of(letters_whose_state_is_fed)


def test_weights_that_a_loop_within_the_step_makes_of_the_last_ones_are_carried(tmp_path):
    with session() as opened:
        x, memory = (v1.placeholder(tf.float32, [None, None, k], n) for n, k in (("x", D), ("memory", H)))
        rows, places = tf.shape(memory)[0], tf.shape(memory)[1]
        first = [tf.one_hot(tf.zeros([rows], tf.int32), places), tf.zeros([rows, H])]
        hidden, _ = rolled(lambda *step: monotonic(*step, memory), x, first)
        saved_by_tensorflow(opened, tmp_path / "model")
        fed = {n: np.random.default_rng(0).normal(size=s).astype(np.float32) for n, s in SIZES.items()}
        truth = opened.run(hidden, {f"{n}:0": array for n, array in fed.items()})
    model = reprise.restore(tmp_path / "model")
    assert [s.initial for s in model.interface.states] == ["inputs", "zeros"]
    (whole,) = model.run(fed)[0].values()
    np.testing.assert_allclose(whole, truth, rtol=1e-4, atol=1e-5)
    state = model.initial_state(inputs=fed)
    for t, row in enumerate(fed["x"]):
        outputs, state = model.step({"x": row, "memory": fed["memory"]}, state)
        np.testing.assert_allclose(outputs.popitem()[1], truth[t], rtol=1e-4, atol=1e-5)


def test_a_code_is_repeated_as_often_as_the_file_says(tmp_path):
    """Keras' RepeatVector between an encoder and a decoder: no input counts the steps of the decoder."""

    def graph():
        rows = v1.placeholder(tf.float32, [None, None, D], "x")
        zeros = tf.zeros([tf.shape(rows)[1], H])
        _, (code,) = rolled(lambda x, h: gru(x, h, "encoder"), rows, [zeros])
        made, _ = rolled(lambda x, h: gru(x, h, "decoder"), tf.tile(code[None], [5, 1, 1]), [zeros])
        tf.tensordot(made, variable("output", H, V), [[2], [0]], name="y")

    model = reprise.restore(saved(tmp_path, graph))
    xs = np.random.default_rng(0).normal(size=(WORDS, N, D)).astype(np.float32)
    assert model.run(xs)[0]["y"].shape == (5, N, V)
    assert not model.interface.steppable
