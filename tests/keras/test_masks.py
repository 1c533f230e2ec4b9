"""A mask that the call of a layer of Keras 3 is given is that of the layer; where it cannot be, it is refused."""

import json

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="Keras makes the models")

from keras import layers as k  # noqa: E402 - only where Keras is there

import reprise as package  # noqa: E402
from reprise.errors import LiftError  # noqa: E402
from tests.keras.models import D, H, V, randomised  # noqa: E402

IDS = np.array([[1, 0, 3, 0, 2, 5], [4, 4, 0, 0, 1, 0], [0, 2, 6, 1, 0, 3]], np.int32)
SEQUENCES = {"return_sequences": True}


def saved(make, folder):
    """A model, and its file, of what `make` gives for masked values, and for a mask that is not theirs."""
    ids = keras.Input((None,), dtype="int32")
    values = k.GRU(D, **SEQUENCES)(k.Embedding(V, D, mask_zero=True)(ids))
    model = randomised(keras.Model(ids, make(values, keras.ops.not_equal(ids, 2))))
    model.save(folder / "model.keras")
    return model, folder / "model.keras"


HONOURED = {
    "recurrent": lambda x, m: k.LSTM(H)(x, mask=m),
    "recurrent, in its place": lambda x, m: k.GRU(H)(x, None, m),
    "both": lambda x, m: k.Bidirectional(k.LSTM(H, **SEQUENCES))(x, mask=m),
    "mean": lambda x, m: k.GlobalAveragePooling1D()(x, mask=m),
    "mean, in its place": lambda x, m: k.GlobalAveragePooling1D()(x, m),
    "attention": lambda x, m: k.Attention()([x, x], mask=[None, m]),
    "attention, in its place": lambda x, m: k.Attention()([x, x], [m, m]),
    "attention, sums": lambda x, m: k.GlobalAveragePooling1D()(k.AdditiveAttention()([x, x], mask=[m, None])),
    "heads": lambda x, m: k.MultiHeadAttention(2, 3)(x, x, value_mask=m),
    "normalised": lambda x, m: k.LSTM(H)(k.BatchNormalization()(x, mask=m)),
    "each step": lambda x, m: k.LSTM(H)(k.TimeDistributed(k.Dense(3))(x, mask=m)),
    "model": lambda x, m: keras.Sequential([keras.Input((None, D)), k.Dense(3), k.LSTM(H)])(x, mask=m),
}


@pytest.mark.filterwarnings("ignore:.*does not support masking")
@pytest.mark.parametrize("name", HONOURED)
def test_a_mask_that_a_call_is_given_is_that_of_the_layer(name, tmp_path):
    model, path = saved(HONOURED[name], tmp_path)
    outputs, _ = package.restore(path).run(IDS)
    np.testing.assert_allclose(next(iter(outputs.values())), np.asarray(model(IDS)), rtol=1e-4, atol=2e-5)


def start(x):
    return k.Dense(H)(k.GlobalMaxPooling1D()(x))


BESIDE_STATES = {
    "recurrent": lambda x, m: k.GRU(H, **SEQUENCES)(x, initial_state=start(x)),
    "recurrent, given": lambda x, m: k.GRU(H, **SEQUENCES)(x, initial_state=start(x), mask=m),
    "both": lambda x, m: k.Bidirectional(k.GRU(H, **SEQUENCES))(x, initial_state=[start(x), start(x)]),
    "both, given": lambda x, m: k.Bidirectional(k.GRU(H))(x, initial_state=[start(x), start(x)], mask=m),
    "handed on": lambda x, m: k.LSTM(H)(k.GRU(H, **SEQUENCES)(x, initial_state=start(x))),
}


@pytest.mark.filterwarnings("ignore:.*does not support masking")
@pytest.mark.parametrize("name", BESIDE_STATES)
def test_keras_3_hides_no_steps_of_a_layer_that_is_given_first_states(name, tmp_path):
    model, path = saved(BESIDE_STATES[name], tmp_path)
    outputs, _ = package.restore(path).run(IDS)
    np.testing.assert_allclose(next(iter(outputs.values())), np.asarray(model(IDS)), rtol=1e-4, atol=2e-5)


REFUSED = {
    "softmax": (
        lambda x, m: k.Softmax(name="odds")(k.Dense(1)(x), mask=m),
        "'odds' .Softmax.: a softmax with a mask",
    ),
    "heads": (
        lambda x, m: k.MultiHeadAttention(2, 3, name="heads")(x, x, query_mask=m),
        "'heads' .MultiHeadAttention.: a mask of its own for the query",
    ),
    "keys": (
        lambda x, m: k.MultiHeadAttention(2, 3, name="heads")(x, x, k.BatchNormalization()(x, mask=m)),
        "'heads' .MultiHeadAttention.: a mask of its own for the key",
    ),
    "each step": (
        lambda x, m: k.TimeDistributed(k.LSTM(H), name="each")(k.Reshape((-1, 1, D))(x), mask=m),
        "'each' .TimeDistributed.: a layer of the class LSTM for each step of masked values",
    ),
    "pair": (
        lambda x, m: k.Attention(name="pair")([x, x], mask=[m, np.ones((1, 1), bool)]),
        "'pair' .Attention.: a mask that its call is given",
    ),
    "product": (
        lambda x, m: k.Multiply(name="gate")([k.BatchNormalization()(x, mask=m), x]),
        "'gate' .Multiply.: a product of masked values",
    ),
}


@pytest.mark.filterwarnings("ignore:.*does not support masking")
@pytest.mark.parametrize("name", REFUSED)
def test_a_mask_that_cannot_be_honoured_is_refused(name, tmp_path):
    make, words = REFUSED[name]
    with pytest.raises(LiftError, match=words):
        package.restore(saved(make, tmp_path)[1])


def test_a_mask_that_is_made_within_steps_is_dropped_in_keras_3_and_refused_in_keras_2(tmp_path):
    ids = keras.Input((None, 3), dtype="int32")
    words = k.TimeDistributed(k.Embedding(V, D, mask_zero=True), name="words")(ids)
    model = randomised(keras.Model(ids, k.LSTM(H)(k.TimeDistributed(k.GRU(2))(words))))
    model.save_weights(weights := tmp_path / "words.weights.h5")
    (file := tmp_path / "model.json").write_text(model.to_json())
    given = np.array([[[1, 0, 2], [0, 0, 3]]], np.int32)
    (got,) = package.restore(weights, layers=file).run(given)[0].values()
    np.testing.assert_allclose(got, np.asarray(model(given)), rtol=1e-4, atol=2e-5)
    older = {**json.loads(model.to_json()), "keras_version": "2.10.0"}
    file.write_text(json.dumps(older))
    with pytest.raises(LiftError, match=r"'words' .TimeDistributed.: a mask that is made within each step"):
        package.restore(weights, layers=file)
