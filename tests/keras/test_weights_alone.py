"""Weights of Keras without a configuration: what is taken for granted of them is told, in Python and by commands."""

import re

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="Keras makes the models")

from keras import layers as k  # noqa: E402 - only where Keras is there

import reprise as package  # noqa: E402
from reprise.cli import execute  # noqa: E402
from reprise.errors import AmbiguousInterface  # noqa: E402
from tests.keras.models import D, H, V, randomised, sequence  # noqa: E402

READ = "no configuration was saved; the weights are read as LSTM 4 → 5 "
GRANTED = "taken for granted, as Keras has it by default: recurrent activation sigmoid, activation tanh"


@pytest.fixture(scope="module", params=["model.weights.h5", "weights.h5", "checkpoint"])
def weights(request, tmp_path_factory):
    """A path with weights alone, in each form that they have."""
    folder = tmp_path_factory.mktemp("weights")
    model = randomised(sequence(k.LSTM(H, return_sequences=True), k.Dense(V)))
    if request.param == "checkpoint":
        tf = pytest.importorskip("tensorflow", reason="TensorFlow writes the checkpoint")
        return tf.train.Checkpoint(model=model).save(str(folder / "ckpt"))
    model.save_weights(folder / "model.weights.h5")
    return (folder / "model.weights.h5").rename(folder / request.param)


def test_what_is_taken_for_granted_is_warned_of(weights):
    with pytest.warns(UserWarning, match=f"{READ}|{GRANTED}") as found:
        model = package.restore(weights)
    told = [str(one.message) for one in found]
    assert [READ in told[0], GRANTED in told[1]] == [True, True]
    assert {one.filename for one in found} == {__file__}
    assert told == [f"{model.stored.path}: {note}" for note in model.stored.notes[-2:]]


def test_what_the_caller_says_is_not_warned_of(weights):
    model = package.restore(weights, cell={"kind": "lstm", "activation": "tanh", "recurrent_activation": "sigmoid"})
    assert "said by the caller: " in model.stored.notes[-1]


@pytest.mark.parametrize("command", ["run", "inspect", "export"])
def test_every_command_tells_what_is_taken_for_granted(weights, command, tmp_path, capsys):
    np.savez(tmp_path / "in.npz", np.zeros((1, 3, D), np.float32))
    more = {
        "run": ["--inputs", str(tmp_path / "in.npz"), "--outputs", str(tmp_path / "out.npz")],
        "inspect": [],
        "export": [str(tmp_path / "out.onnx"), "--to", "onnx", "--steps", "2"],
    }
    execute([command, str(weights), *more[command]])
    lines = capsys.readouterr().err.splitlines()
    assert [len([x for x in lines if re.match(f"note: .*{re.escape(t)}", x)]) for t in (READ, GRANTED)] == [1, 1]


@pytest.mark.parametrize("name", ["model.weights.h5", "weights.h5"])
def test_dense_layers_that_read_the_last_cell_are_outputs_each(name, tmp_path):
    x = keras.Input((None, D))
    h = k.LSTM(H, return_sequences=True)(x)
    model = randomised(keras.Model(x, [k.Dense(n, name=f"head_{i}")(h) for i, n in enumerate((3, 3, 2))]))
    model.save_weights(tmp_path / "model.weights.h5")
    path = (tmp_path / "model.weights.h5").rename(tmp_path / name)
    with pytest.warns(UserWarning, match=r"and dense 5 → 3 \(\S+\) and dense 5 → 2|taken for granted"):
        restored = package.restore(path)
    given = np.random.default_rng(0).normal(size=(2, 5, D)).astype(np.float32)
    for got, want in zip(restored.run(given)[0].values(), model(given), strict=True):
        np.testing.assert_allclose(got, np.asarray(want), rtol=1e-4, atol=2e-5)


def test_dense_layers_that_could_also_follow_one_another_are_refused(tmp_path):
    randomised(sequence(k.LSTM(H), k.Dense(H), k.Dense(V))).save_weights(path := tmp_path / "model.weights.h5")
    with pytest.raises(
        AmbiguousInterface, match=r"do not fit one on the other .* name the file with the configuration"
    ):
        package.restore(path)
