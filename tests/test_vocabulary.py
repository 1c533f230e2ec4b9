import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprise.errors import VocabularyError
from reprise.vocabulary import Vocabulary

BYTES = Vocabulary(tuple(map(chr, range(256))), "bytes")

texts = st.text(min_size=1)


@given(texts)
def test_characters_come_back(text):
    vocabulary = Vocabulary.of_text(text)
    assert vocabulary.decode(vocabulary.encode(text)) == text


@given(st.text())
def test_bytes_come_back(text):
    assert BYTES.decode(BYTES.encode(text)) == text


def test_any_bytes_can_be_given_as_the_text_that_stands_for_them():
    every = bytes(range(256))
    assert BYTES.encode(every.decode("utf-8", "surrogateescape")).tolist() == list(every)


@given(st.lists(st.from_regex(r"[a-z]{1,3}", fullmatch=True), min_size=1))
def test_words_come_back_with_single_spaces(words):
    vocabulary = Vocabulary(tuple(sorted(set(words))), "words")
    assert vocabulary.decode(vocabulary.encode("  ".join(words))) == " ".join(words)


@given(texts)
def test_json_holds_the_whole_vocabulary(text):
    vocabulary = Vocabulary.of_text(text)
    assert Vocabulary.from_json(json.dumps(vocabulary.to_json())) == vocabulary


@given(texts)
def test_the_order_is_that_of_code_points_whatever_the_text_begins_with(text):
    assert Vocabulary.of_text(text).symbols == Vocabulary.of_text(text[::-1]).symbols
    assert list(Vocabulary.of_text(text).symbols) == sorted(set(text))


def test_unknown_symbols_are_listed_once_each():
    with pytest.raises(VocabularyError, match=r"2 symbols are not among the 3 of the vocabulary: '\\n', 'é'\. Remove"):
        Vocabulary.of_text("abc").encode("aé\né")


def test_unknown_words_are_read_as_the_word_for_them_where_there_is_one():
    words = Vocabulary(("<unk>", "a", "b"), "words")
    assert words.encode("b c a d").tolist() == [2, 0, 1, 0]
    assert words.unknown("b d a c d") == ["c", "d"]
    with pytest.raises(VocabularyError, match="'c'"):
        Vocabulary(("a", "<unk>")).encode("c")


def test_a_long_list_of_unknown_symbols_is_cut():
    with pytest.raises(VocabularyError, match=r"26 symbols .* 't' and 6 more"):
        Vocabulary(("!",)).encode("abcdefghijklmnopqrstuvwxyz")


def test_a_symbol_with_two_ids_is_refused():
    with pytest.raises(VocabularyError, match="1 symbols occur twice \\('a'\\)"):
        Vocabulary(("a", "b", "a"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("{", "not JSON"),
        ("[]", "expected"),
        ({"symbols": "abc"}, "expected"),
        ({"symbols": ["a"], "kind": "runes"}, "kind 'runes'"),
        ({"symbols": ["a", 1]}, "a symbol is not text"),
    ],
)
def test_data_that_is_no_vocabulary_is_refused(data, words):
    with pytest.raises(VocabularyError, match=words):
        Vocabulary.from_json(data)


def test_symbols_may_stand_before_and_behind():
    more = Vocabulary(("a", "b")).extended(before=["<pad>"], after=["<unk>", "<end>"])
    assert (more.symbols, more.kind) == (("<pad>", "a", "b", "<unk>", "<end>"), "characters")
    assert more.encode("ba").tolist() == [2, 1]
    with pytest.raises(VocabularyError, match="occur twice"):
        more.extended(after=["a"])
