import subprocess
import sys

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
    assert model.stored.metadata["columns"] == ("a", "b")


def scored(*arguments):
    command = [sys.executable, "-m", "reprise", "score", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout or done.stderr


def test_a_forecast_is_scored_by_the_names_of_its_columns_whatever_their_order(tmp_path):
    rows = np.sin(np.arange(400) / 7)[:, None] * [1.0, 200.0]
    np.savetxt(tmp_path / "waves.csv", rows, delimiter=",", header="a,b", comments="")
    np.savetxt(tmp_path / "turned.csv", rows[:, ::-1], delimiter=",", header="b,a", comments="")
    np.savetxt(tmp_path / "others.csv", rows, delimiter=",", header="c,d", comments="")
    trained(tmp_path, data=(str(tmp_path / "waves.csv"),), level="values", max_steps=3)
    plain = scored(tmp_path / "run", tmp_path / "waves.csv")
    assert plain.startswith("column a: root mean squared error")
    assert scored(tmp_path / "run", tmp_path / "turned.csv") == plain
    refusal = scored(tmp_path / "run", tmp_path / "others.csv")
    assert "0 columns are called 'a'; the columns are ['c', 'd']. Choose among them with --columns." in refusal
    assert scored(tmp_path / "run", tmp_path / "others.csv", "--columns", "c, d").startswith("column c: ")
    reprise.export(reprise.restore(tmp_path / "run"), tmp_path / "waves.onnx")
    assert scored(tmp_path / "waves.onnx", tmp_path / "turned.csv").startswith("column a: root mean squared error")


def test_a_model_of_bytes_scores_what_is_no_text(tmp_path):
    (tmp_path / "corpus.txt").write_bytes(bytes(range(256)) * 9)
    trained(tmp_path, level="bytes", max_steps=3)
    assert scored(tmp_path / "run", tmp_path / "corpus.txt").endswith(" 2303 symbols predicted\n")
