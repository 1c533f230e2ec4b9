"""First states that the cell itself makes of something else than the sequence: captioners."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import reprise
from reprise.errors import CallError
from tests.graphs import H, V, dense, gru, lstm
from tests.tensorflow.building import saved_by_tensorflow, session, tf, v1, variable

STEPS, PIXELS, E = 4, 6, 3


def cells(kinds):
    """One cell after the other, over a state of [N, H] tensors; the last of each cell is its output."""

    def cell(x, state):
        after = []
        for k, kind in enumerate(kinds):
            count = 1 if kind is gru else 2
            after += kind(x, *state[len(after) : len(after) + count], name=f"cell{k}")
            x = after[-1]
        return after

    return cell, sum(1 if kind is gru else 2 for kind in kinds)


def looked_up(words):
    with v1.variable_scope("", reuse=v1.AUTO_REUSE):
        return tf.nn.embedding_lookup(variable("embedding", V, E), words)


def scored(hidden):
    with v1.variable_scope("", reuse=v1.AUTO_REUSE):
        return dense("output", hidden, V)


def fed_for_one_step(cell, first, packed):
    """The caller feeds what the picture gives, and then what each step gives."""
    words = v1.placeholder(tf.int32, [None], "words")
    if packed:
        whole = v1.placeholder(tf.float32, [None, len(first) * H], "state")
        fed, begin = tf.split(whole, len(first), 1), {whole: tf.concat(first, 1, "first")}
    else:
        fed = [v1.placeholder(tf.float32, [None, H], f"state{k}") for k in range(len(first))]
        begin = dict(zip(fed, first, strict=True))
    after = cell(looked_up(words), fed)
    again = [tf.concat(after, 1, "again")] if packed else after
    return words, scored(after[-1]), begin, dict(zip(begin, again, strict=True))


def written_out(cell, first, packed):
    words, state, scores = v1.placeholder(tf.int32, [None, STEPS], "words"), first, []
    for t in range(STEPS):
        state = cell(looked_up(words[:, t]), state)
        scores.append(scored(state[-1]))
    return words, tf.stack(scores, 1), {}, None


def looped(cell, first, packed):
    words = v1.placeholder(tf.int32, [None, None], "words")
    rows = tf.transpose(looked_up(words), [1, 0, 2])
    fed = [v1.placeholder(tf.float32, [None, H], f"state{k}") for k in range(len(first))] if packed else first
    steps = tf.shape(rows)[0]
    read, made = tf.TensorArray(tf.float32, steps).unstack(rows), tf.TensorArray(tf.float32, steps)

    def body(t, made, *state):
        after = cell(read.read(t), state)
        return t + 1, made.write(t, after[-1]), *after

    _, made, *_ = v1.while_loop(lambda t, *_: t < steps, body, (0, made, *fed))
    scores = tf.tensordot(tf.transpose(made.stack(), [1, 0, 2]), variable("output/kernel", H, V), 1)
    return words, scores, dict(zip(fed, first, strict=True)) if packed else {}, None


def captioned(folder, kinds, form, packed, batch, picture, symbols):
    """The scores [T, N, V] of a captioner by TensorFlow, which saves it."""
    cell, count = cells(kinds)
    with session() as opened:
        image = v1.placeholder(tf.float32, [batch, PIXELS], "picture")
        zeros = [tf.zeros([batch or tf.shape(image)[0], H]) for _ in range(count)]
        first = cell(dense("look", image, E), zeros)
        words, scores, begin, again = form(cell, first, packed)
        saved_by_tensorflow(opened, folder / "model")
        state = {place: opened.run(value, {image: picture}) for place, value in begin.items()}
        if again is None:
            found = opened.run(scores, {image: picture, words: symbols.T, **state})
            return found.swapaxes(0, 1)
        rows = []
        for row in symbols:
            made, state = opened.run((scores, again), {words: row, **state})
            rows.append(made)
        return np.stack(rows)


@given(
    kinds=some.lists(some.sampled_from([lstm, gru]), min_size=1, max_size=2),
    form=some.sampled_from([fed_for_one_step, written_out, looped]),
    packed=some.booleans(),
    batch=some.sampled_from([None, 1]),
    seed=some.integers(0, 99),
)
@settings(max_examples=6, deadline=None)
def test_what_the_cell_makes_of_a_picture_is_where_every_state_starts(
    tmp_path_factory, kinds, form, packed, batch, seed
):
    rng, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("captioner")
    picture = rng.normal(size=(batch or 2, PIXELS)).astype(np.float32)
    symbols = rng.integers(0, V, (STEPS, batch or 2)).astype(np.int32)
    expected = captioned(folder, kinds, form, packed, batch, picture, symbols)
    model = reprise.restore(folder / "model")
    assert {s.initial for s in model.interface.states} == {"inputs"}
    assert model.interface.steppable
    state, rows = model.initial_state(inputs={"picture": picture}), []
    for row in symbols:
        outputs, state = model.step({"words": row}, state)
        rows.append(outputs["logits"])
    np.testing.assert_allclose(np.stack(rows), expected, rtol=1e-4, atol=1e-5)


def test_a_captioner_asks_for_the_picture_and_says_where_it_goes(tmp_path):
    rng = np.random.default_rng(0)
    captioned(tmp_path, [lstm], fed_for_one_step, True, None, rng.normal(size=(2, PIXELS)), np.zeros((1, 2), np.int32))
    model = reprise.restore(tmp_path / "model")
    assert [s.fed_through for s in model.interface.states] == ["state:0", "state:0"]
    assert "state:0 begins with first:0, which the cell makes of something else" in model.interface.evidence
    with pytest.raises(CallError, match=r"input 'picture' .* is missing.*state 'layer0.c' is computed from it"):
        model.step({"words": np.zeros(2, np.int32)})
    assert reprise.restore(tmp_path / "model", outputs=["again:0"]).interface.outputs[0].shape == (None, 2 * H)
