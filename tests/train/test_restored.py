import numpy as np
import pytest

import reprise
from reprise.train import checkpoints
from reprise.train.learner import Learner
from tests.train.small import trained


@pytest.mark.parametrize(("cell", "embedding_size", "dropout"), [("lstm", 5, 0.3), ("gru", 0, 0.0), ("rnn", 5, 0.3)])
def test_a_trained_model_is_restored_from_its_files_alone(tmp_path, cell, embedding_size, dropout):
    trained(tmp_path, model=cell, embedding_size=embedding_size, dropout=dropout, max_steps=3)
    _, checkpoint, _ = checkpoints.newest(tmp_path / "run")
    learner = Learner(checkpoint.model, seed=0, grad_clip=0.0, dropout=0.0)
    learner.assign({name: checkpoint.values[name] for name in learner.variables})
    ids = np.random.default_rng(0).integers(0, 15, (2, 9), dtype=np.int32)

    model = reprise.restore(tmp_path / "run")

    outputs, state = model.run(ids)
    logits, states = learner.predict(ids, learner.initial_state(2))
    np.testing.assert_allclose(outputs["logits"], logits, atol=1e-5)
    assert sorted(state) == sorted(states), "the states are told apart by structure and get the names of the signature"
    for name, value in states.items():
        np.testing.assert_allclose(state[name], value, atol=1e-5)
    assert model.vocabulary == checkpoint.vocabulary


def test_a_forecast_is_restored_with_its_state(tmp_path):
    rows = np.sin(np.arange(400) / 7)[:, None] * [1.0, 2.0]
    np.savetxt(tmp_path / "waves.csv", rows, delimiter=",", header="a,b", comments="")
    trained(tmp_path, data=(str(tmp_path / "waves.csv"),), level="values", max_steps=3)
    _, checkpoint, _ = checkpoints.newest(tmp_path / "run")
    learner = Learner(checkpoint.model, seed=0, grad_clip=0.0, dropout=0.0)
    learner.assign({name: checkpoint.values[name] for name in learner.variables})
    features = np.random.default_rng(0).normal(size=(2, 9, 2)).astype(np.float32)

    model = reprise.restore(tmp_path / "run")

    outputs, state = model.run(features)
    mean, std = (checkpoint.values[f"normalisation/{name}"] for name in ("mean", "std"))
    normalised, states = learner.predict((features - mean) / std, learner.initial_state(2))
    np.testing.assert_allclose(outputs["values"], normalised * std + mean, atol=1e-5)
    for name, value in states.items():
        np.testing.assert_allclose(state[name], value, atol=1e-5)
    assert model.vocabulary is None
