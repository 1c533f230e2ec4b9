from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf

from reprise.train import plain, recurrence
from reprise.train.learner import Learner
from reprise.train.model import Architecture, dropout_mask, forward, initial_parameters, parameter_shapes, state_shapes

CELLS = ["lstm", "gru", "rnn"]


def both(model, inputs):
    parameters = {name: tf.constant(value) for name, value in initial_parameters(model, 3).items()}
    random = np.random.default_rng(1)
    states = {n: tf.constant(random.normal(size=s), tf.float32) for n, s in state_shapes(model, len(inputs)).items()}
    return [
        forward(model, parameters, tf.constant(inputs), states, layer=layer) for layer in (recurrence.layer, plain.loop)
    ]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("embedding_size", [0, 3])
def test_the_trained_and_the_saved_recurrence_are_the_same_function(cell, embedding_size):
    model = Architecture(cell, 2, 4, embedding_size, 5)
    ids = np.random.default_rng(0).integers(0, 5, (3, 7), dtype=np.int32)
    (ours, after), (saved, saved_after) = both(model, ids)
    assert ours.shape == (3, 7, 5)
    np.testing.assert_allclose(ours, saved, atol=1e-6)
    assert list(after) == list(state_shapes(model, 3))
    for name, state in after.items():
        np.testing.assert_allclose(state, saved_after[name], atol=1e-6)


def test_a_forecast_takes_and_gives_values():
    model = Architecture("lstm", 1, 4, 64, 2, "forecast")
    values = np.random.default_rng(0).normal(size=(3, 7, 2)).astype(np.float32)
    (ours, _), (saved, _) = both(model, values)
    assert ours.shape == (3, 7, 2)
    np.testing.assert_allclose(ours, saved, atol=1e-6)


def test_first_weights_follow_from_the_seed_alone():
    model = Architecture("gru", 2, 8, 4, 6)
    ours, again, other = (initial_parameters(model, seed) for seed in (1, 1, 2))
    assert {name: value.shape for name, value in ours.items()} == parameter_shapes(model)
    assert all(np.array_equal(ours[name], again[name]) for name in ours)
    assert not np.array_equal(ours["output/kernel"], other["output/kernel"])
    larger = initial_parameters(Architecture("gru", 2, 8, 4, 9), 1)
    np.testing.assert_array_equal(larger["rnn/layer1/gates/kernel"], ours["rnn/layer1/gates/kernel"])


def test_dropout_follows_from_its_seed_and_keeps_the_mean():
    seed = tf.constant([5, 70], tf.int64)
    mask = dropout_mask(0.25, seed, 0, [100, 200]).numpy()
    assert set(np.unique(mask)) == {0.0, np.float32(4 / 3)}
    assert abs(mask.mean() - 1) < 0.02
    np.testing.assert_array_equal(dropout_mask(0.25, seed, 0, [100, 200]), mask)
    assert not np.array_equal(dropout_mask(0.25, seed, 1, [100, 200]), mask)


def test_many_steps_at_once_are_the_steps_one_by_one():
    random = np.random.default_rng(0)
    x, y = random.integers(0, 6, (2, 5, 3, 4), dtype=np.int32)
    begins, rates = random.random((5, 3)) < 0.3, np.full(5, 0.01, np.float32)
    results = []
    for cuts in ([0, 5], [0, 1, 3, 5]):
        learner = Learner(Architecture("lstm", 2, 8, 4, 6), seed=1, grad_clip=1.0, dropout=0.2)
        states, losses = learner.initial_state(3), []
        for a, b in pairwise(cuts):
            some, _, states = learner.advance(x[a:b], y[a:b], begins[a:b], rates[a:b], states)
            losses += some.tolist()
        results.append((losses, learner.variables["embedding"].numpy().tobytes()))
    assert results[0] == results[1]
