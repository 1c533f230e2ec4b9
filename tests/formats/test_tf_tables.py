"""Tables of symbols whose text file is among the assets, or beside the checkpoint: programs run on words."""

import re
import shutil

import numpy as np
import pytest

import reprise
from reprise.errors import CallError, LiftError
from tests.graphs import D, H, V, dense, lstm, rolled
from tests.tensorflow.building import saved_by_tensorflow, session, tf, v1, variable

WORDS = ["the", "cat", "sat", "Übung"]
TEXT = np.array([["cat", "the", "dog"], ["Übung", "sat", "the"]], object)


def tagger(file):
    """Words → scores, by the places of the words in a file; all others are one more."""
    where, what = tf.lookup.TextFileIndex.LINE_NUMBER, tf.lookup.TextFileIndex.WHOLE_LINE
    content = tf.lookup.TextFileInitializer(str(file), tf.string, what, tf.int64, where)
    words = v1.placeholder(tf.string, [None, None], "words")
    ids = tf.lookup.StaticVocabularyTable(content, 1).lookup(words)
    rows = tf.nn.embedding_lookup(variable("embedding", len(WORDS) + 1, D), ids)
    made, _ = rolled(lstm, tf.transpose(rows, [1, 0, 2]), [tf.zeros([tf.shape(words)[0], H])] * 2)
    return words, tf.transpose(tf.map_fn(lambda row: dense("scores", row, V), made), [1, 0, 2], name="logits")


def saved(root, *, exported):
    """The path of a model whose word file the graph names where it no longer is, and what TensorFlow computes."""
    (root / "before").mkdir()
    file = root / "before" / "words.txt"
    file.write_text("\r\n".join(WORDS), encoding="utf-8", newline="")
    path = root / "saved"
    with session() as opened:
        words, logits = tagger(file)
        opened.run([v1.global_variables_initializer(), v1.tables_initializer()])
        truth = opened.run(logits, {words: TEXT})
        if exported:
            v1.saved_model.simple_save(opened, str(path), {"words": words}, {"logits": logits}, v1.tables_initializer())
        else:
            path.mkdir()
            saved_by_tensorflow(opened, path / "model.ckpt")
            truth = opened.run(logits, {words: TEXT})  # the saver began the variables anew
            shutil.copy(file, path)
    shutil.rmtree(root / "before")
    return path, truth


@pytest.mark.parametrize("exported", [True, False])
def test_words_are_looked_up_in_the_file_that_lies_with_the_model(tmp_path, exported):
    path, truth = saved(tmp_path, exported=exported)
    model = reprise.restore(path)
    [port] = model.interface.inputs
    assert port.role == "text"
    made, _ = model.run({port.name: TEXT})
    np.testing.assert_allclose(made["logits"], truth, rtol=1e-4, atol=1e-5)


def test_words_may_be_given_as_the_bytes_that_tensorflow_takes(tmp_path):
    path, truth = saved(tmp_path, exported=True)
    model = reprise.restore(path)
    encoded = np.char.encode(TEXT.astype("U"), "utf-8")
    for words in (encoded, encoded.astype(object), TEXT.astype("U")):
        np.testing.assert_allclose(model.run({"words": words})[0]["logits"], truth, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("value", [b"\xff", 3, None])
def test_what_is_no_text_is_refused(tmp_path, value):
    path, _ = saved(tmp_path, exported=True)
    with pytest.raises(
        CallError, match=f"input 'words': expected text or its UTF-8 bytes, found {re.escape(repr(value))}"
    ):
        reprise.restore(path).run({"words": np.array([["cat", value]], object)})


def test_without_the_file_the_table_is_refused_by_name(tmp_path):
    path, _ = saved(tmp_path, exported=False)
    (path / "words.txt").unlink()
    with pytest.raises(LiftError, match="asks table 'hash_table', which nothing in the graph fills; give the ids"):
        reprise.restore(path)
