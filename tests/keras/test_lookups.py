"""Layers that look texts up give a restored model its vocabulary; it reads ids in their place."""

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="Keras makes the models")

from keras import layers as k  # noqa: E402 - only where Keras is there

import reprise as package  # noqa: E402
from reprise.errors import LiftError  # noqa: E402
from tests.keras.models import H, V, randomised  # noqa: E402

WORDS = ["the", "cat", "dog"]


def saved(folder, lookup, format, *, shape=(None,)):
    model = keras.Sequential([keras.Input(shape, dtype="string"), lookup, k.Embedding(9, 4), k.LSTM(H), k.Dense(V)])
    randomised(model).save(folder / f"model.{format}")
    return model, folder / f"model.{format}"


def computes(model, restored, texts, ids):
    (got,) = restored.run(np.array(ids, np.int32))[0].values()
    np.testing.assert_allclose(got, np.asarray(model(keras.ops.convert_to_tensor(texts))), rtol=1e-4, atol=2e-5)


CASES = [
    ("keras", {"mask_token": None}, ["[UNK]", *WORDS], [[1, 3, 0]]),
    ("h5", {"mask_token": ""}, ["", "[UNK]", *WORDS], [[2, 4, 1]]),
]


@pytest.mark.parametrize(("format", "options", "symbols", "ids"), CASES)
def test_symbols_that_a_layer_looks_up_are_the_vocabulary(format, options, symbols, ids, tmp_path):
    tf = pytest.importorskip("tensorflow", reason="Keras looks texts up with TensorFlow")
    model, path = saved(tmp_path, k.StringLookup(vocabulary=WORDS, name="words", **options), format)
    restored = package.restore(path)
    assert (list(restored.vocabulary.symbols), restored.vocabulary.kind) == (symbols, "words")
    assert restored.vocabulary.encode("the dog barks").tolist() == ids[0]
    assert "the model reads ids in the place of texts; the layer 'words'" in restored.stored.notes[0]
    computes(model, restored, tf.constant([["the", "dog", "barks"]]), ids)


def test_symbols_of_text_that_was_adapted_to_are_among_the_assets(tmp_path):
    tf = pytest.importorskip("tensorflow", reason="Keras looks texts up with TensorFlow")
    lookup = k.TextVectorization(name="texts")
    lookup.adapt(["the cat the dog", "the cat"])
    model, path = saved(tmp_path, lookup, "keras", shape=(1,))
    restored = package.restore(path)
    assert restored.vocabulary.symbols == ("", "[UNK]", "the", "cat", "dog")
    assert "makes texts ready before: standardize lower_and_strip_punctuation" in restored.stored.notes[0]
    computes(model, restored, tf.constant([["The dog, the bird!"]]), [[2, 4, 2, 1]])


def test_a_lookup_that_gives_other_than_ids_is_refused(tmp_path):
    pytest.importorskip("tensorflow", reason="Keras looks texts up with TensorFlow")
    lookup = k.StringLookup(vocabulary=WORDS, output_mode="one_hot", name="words")
    model = keras.Sequential([keras.Input((None,), dtype="string"), lookup, k.LSTM(H)])
    model.save(tmp_path / "model.keras")
    with pytest.raises(LiftError, match=r"layer 'words' .StringLookup.: a lookup that gives 'one_hot'"):
        package.restore(tmp_path / "model.keras")
