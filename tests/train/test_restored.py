import numpy as np
import pytest

import reprise
from reprise.train import checkpoints
from reprise.train.learner import Learner
from tests.train.small import trained


@pytest.mark.parametrize(("cell", "embedding_size"), [("lstm", 5), ("gru", 0)])
def test_a_trained_model_is_restored_from_its_files_alone(tmp_path, cell, embedding_size):
    trained(tmp_path, model=cell, embedding_size=embedding_size, max_steps=3)
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
