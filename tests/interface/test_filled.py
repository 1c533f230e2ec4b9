"""Constants as large as a baked batch do not hold the batch down."""

import numpy as np
import pytest

import reprise
from tests.graphs import D, H, V, lstm, rolled, saved
from tests.tensorflow.building import tf, v1, variable

STEPS, BATCH = 6, 2


def restored(tmp_path, after):
    """A model of `STEPS` steps and `BATCH` rows, with `after` applied to its scores [T · N, V]."""

    def graph():
        rows = v1.placeholder(tf.float32, [STEPS, BATCH, D], "x")
        hidden, _ = rolled(lstm, rows, [tf.zeros([BATCH, H])] * 2)
        scores = tf.reshape(hidden, [STEPS * BATCH, H]) @ variable("output", H, V)
        tf.identity(after(scores), "y")

    return reprise.restore(saved(tmp_path, graph))


AFTER = {
    "zeros_like": lambda s: tf.where(s > 0, s, tf.zeros_like(s)),
    "a constant": lambda s: s * tf.constant(2.0, shape=s.shape),
    "filled": lambda s: tf.maximum(tf.fill(s.shape, 0.25), s),
    "log-sum-exp": lambda s: s - tf.reduce_logsumexp(s, 1, keepdims=True),
}


@pytest.mark.parametrize("after", AFTER)
def test_any_batch_and_length_runs(tmp_path, after):
    model = restored(tmp_path, AFTER[after])
    xs = np.random.default_rng(0).normal(size=(STEPS + 3, BATCH + 1, D)).astype(np.float32)
    several, _ = model.run(xs)
    for row in range(BATCH + 1):
        alone, _ = model.run(xs[:, row : row + 1])
        np.testing.assert_allclose(several["y"].reshape(-1, BATCH + 1, V)[:, row], alone["y"], rtol=1e-4, atol=1e-5)


def test_a_constant_that_differs_from_place_to_place_keeps_the_sizes_of_the_file(tmp_path):
    pattern = np.arange(STEPS * BATCH, dtype=np.float32)[:, None] + np.zeros((1, V), np.float32)
    interface = restored(tmp_path, lambda s: s + tf.constant(pattern)).interface
    assert not interface.steppable


def test_the_zeros_that_a_state_starts_from_keep_their_size(tmp_path):
    def graph():
        rows = v1.placeholder(tf.float32, [STEPS, BATCH, D], "x")
        state = [tf.zeros([BATCH, H])] * 2
        for row in tf.unstack(rows):
            state = lstm(row, *state)
        tf.matmul(state[1], variable("output", H, V), name="y")

    states = reprise.restore(saved(tmp_path, graph)).interface.states
    assert [s.shape for s in states] == [(None, H)] * 2
