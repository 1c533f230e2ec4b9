"""Tables of symbols that the graph fills itself: LookupTableFindV2 and what is beside it, against TensorFlow."""

import numpy as np
import pytest

from tests.lift.translating import assert_refused, check, raw, tf

WORDS = ["the", "cat", "sat", "Übung", ""]
TEXT = np.array([["cat", "the", "dog"], ["Übung", "", "Sat"]], object)


def filled(keys, values, default=-1, kinds=(tf.string, tf.int64)):
    content = tf.lookup.KeyValueTensorInitializer(keys, values, *kinds)
    return tf.lookup.StaticHashTable(content, default)


@pytest.mark.parametrize("free", [False, True])
def test_words_have_the_ids_of_the_table_and_others_the_default(free):
    check(lambda x: filled(WORDS, [3, 1, 4, 0, 2], -7).lookup(x), TEXT, free=free)
    check(lambda x: filled(WORDS, tf.cast(tf.range(5), tf.int64)).lookup(x), TEXT, free=free)


def test_a_large_table_is_filled_by_the_ids_that_the_graph_counts():
    words = [f"word{k}" for k in range(5000)]
    check(lambda x: filled(words, tf.cast(tf.range(tf.size(words)), tf.int64)).lookup(x), np.array(words[::99], object))


def test_numbers_have_other_numbers():
    check(lambda x: filled([5, 3], [1, 2], kinds=(tf.int64, tf.int64)).lookup(x), np.array([3, 4, 5]))


def test_a_table_has_a_size_and_one_bucket_for_all_others():  # StringToHashBucketFast, LookupTableSizeV2
    def build(x):
        content = tf.lookup.KeyValueTensorInitializer(WORDS, range(5), tf.string, tf.int64)
        return tf.lookup.StaticVocabularyTable(content, 1).lookup(x)

    check(build, TEXT)
    check(lambda x: filled(WORDS, range(5)).size() + tf.size(x, tf.int64), TEXT)


REFUSED = {
    "StringToHashBucketFast": "into 9 buckets by a hash of its own; give the ids that it makes as the input",
    "StringToHashBucket": "works on text, which has no translation; give the ids",
}


@pytest.mark.parametrize("op", REFUSED)
def test_hashes_of_text_are_refused_with_what_to_do(op):
    name = "string_tensor" if op == "StringToHashBucket" else "input"
    assert_refused(lambda x: getattr(raw, op)(**{name: x}, num_buckets=9), REFUSED[op], TEXT)


def test_text_that_the_graph_cuts_itself_is_refused():  # StringSplitV2
    split = lambda x: raw.StringSplitV2(input=x, sep=" ").values  # noqa: E731
    assert_refused(split, "works on text, which has no translation", np.array(["the cat"], object))


def test_a_table_of_other_values_is_refused():
    words = "looks string keys up for float32 values"
    assert_refused(lambda x: filled(WORDS, [0.5] * 5, 0.0, (tf.string, tf.float32)).lookup(x), words, TEXT)


def test_a_table_that_a_file_fills_is_refused(tmp_path):
    (tmp_path / "words").write_text("\n".join(["the", "cat"]), encoding="utf-8")
    last, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    content = lambda: tf.lookup.TextFileInitializer(  # noqa: E731
        str(tmp_path / "words"), tf.string, last, tf.int64, number
    )
    build = lambda x: tf.lookup.StaticHashTable(content(), -1).lookup(x)  # noqa: E731
    assert_refused(build, "asks table 'hash_table', which nothing in the graph fills; give the ids", TEXT)
