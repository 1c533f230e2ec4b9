"""Vocabularies in the files that people keep beside their models."""

import argparse
import gzip
import json
import pickle

import pytest

from reprise.errors import CallError, DamagedFile, MissingFile, UnknownFormat
from reprise.formats import _sidecars, given_vocabulary, read_vocabulary
from reprise.vocabulary import Vocabulary

SYMBOLS = ("e", "\n", " ", "ñ", "a")
IDS = {symbol: i for i, symbol in enumerate(SYMBOLS)}

SAVED = {
    "vocab.json": json.dumps(IDS),
    "symbols.json": json.dumps(SYMBOLS),
    "vocab_by_id.json": json.dumps({str(i): s for s, i in IDS.items()}),
    "char_vocab.json": json.dumps({"idx_to_char": {i: s for s, i in IDS.items()}, "char_to_idx": IDS, "size": 5}),
    "ours_vocab.json": json.dumps({"kind": "characters", "symbols": SYMBOLS}),
    "vocab.txt": "\n".join(SYMBOLS),
    "vocab_end.txt": "e\n\n\n \nñ\na\n",
    "vocab_windows.txt": "e\r\n\\n\r\n \r\nñ\r\na\r\n",
    "vocab.csv": 'id,symbol\n0,e\n1,"\n"\n2, \n3,ñ\n4,a\n',
    "chars.csv": 'a,4\nñ,3\n" ",2\n"\n",1\ne,0\n',
    "vocab.tsv": 'e\t0\n"\n"\t1\n \t2\nñ\t3\na\t4\n',
    "chars_vocab.pkl": pickle.dumps((SYMBOLS, IDS), 2),
    "vocab.pkl": pickle.dumps(IDS, 0),
    "meta.pkl": pickle.dumps({"vocab_size": 5, "itos": dict(enumerate(SYMBOLS)), "stoi": IDS}),
    "saved.pkl": pickle.dumps(list(SYMBOLS)) + pickle.dumps(IDS),
    "loader.pickle": pickle.dumps(argparse.Namespace(chars=SYMBOLS, batch=50)),
    "vocab.pkl.gz": gzip.compress(pickle.dumps(IDS)),
    "vocab.txt.gz": gzip.compress("\n".join(SYMBOLS).encode()),
    "vocab": json.dumps(IDS),
    "chars.list": "\n".join(SYMBOLS),
}


@pytest.mark.parametrize("name", SAVED)
def test_the_symbols_come_in_the_order_of_their_ids(tmp_path, name):
    content = SAVED[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    vocabulary = read_vocabulary(tmp_path / name)
    assert (vocabulary.symbols, vocabulary.kind) == (SYMBOLS, "characters")


def test_words_are_told_from_characters(tmp_path):
    (tmp_path / "vocab.txt").write_text("<unk>\nthe\na\n")
    assert read_vocabulary(tmp_path / "vocab.txt").kind == "words"
    (tmp_path / "vocab.txt").write_text("<unk>\nt\na\n")
    assert read_vocabulary(tmp_path / "vocab.txt").kind == "characters"


def test_one_symbol_of_several_letters_does_not_make_words_of_characters(tmp_path):
    letters = [chr(97 + i) for i in range(26)]
    for special in ("__END__", "EOS", "[pad]", "{start}", "ch"):
        (tmp_path / "vocab.json").write_text(json.dumps([special, *letters]))
        assert read_vocabulary(tmp_path / "vocab.json").kind == "characters"
    (tmp_path / "vocab.json").write_text(json.dumps(["the", "cat", *letters]))
    assert read_vocabulary(tmp_path / "vocab.json").kind == "words"


def test_all_characters_may_stand_in_one_line(tmp_path):
    for content in ("\n !abcé", " abc", " abc\n", "\t\nabc"):
        (tmp_path / "vocab.txt").write_text(content)
        assert read_vocabulary(tmp_path / "vocab.txt").symbols == tuple(content if content != " abc\n" else " abc")


def test_words_may_have_their_ids_or_how_often_they_occur_beside_them(tmp_path):
    (tmp_path / "vocab.txt").write_text("the 0\ncat 2\nsat 1\n")
    assert read_vocabulary(tmp_path / "vocab.txt").symbols == ("the", "sat", "cat")
    (tmp_path / "vocab.txt").write_text("the 700\ncat\t35\nsat 7\n")
    assert read_vocabulary(tmp_path / "vocab.txt").symbols == ("the", "cat", "sat")


@pytest.mark.parametrize("name", ["vocab.txt", "book.md", "input"])
@pytest.mark.parametrize(
    "content", ["It was the best of times.", "Call me Ishmael.\nSome years ago\n\nnever mind\n" * 9]
)
def test_a_corpus_is_told_from_a_vocabulary(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(UnknownFormat, match=r"is text, and no list of symbols\. If .* as corpus= \(--corpus\)"):
        read_vocabulary(tmp_path / name)


def test_a_packed_file_is_read_no_further_than_a_vocabulary_reaches(tmp_path, monkeypatch):
    monkeypatch.setattr(_sidecars, "_MOST_BYTES", 1000)
    (tmp_path / "vocab.txt.gz").write_bytes(gzip.compress(b"\n" * 100_000))
    with pytest.raises(DamagedFile, match="unpacked, it has more than 1000 bytes"):
        read_vocabulary(tmp_path / "vocab.txt.gz")
    (tmp_path / "vocab.txt.gz").write_bytes(gzip.compress(b"a\nb\n")[:-9])
    with pytest.raises(DamagedFile, match="ended before the end-of-stream marker"):
        read_vocabulary(tmp_path / "vocab.txt.gz")


def test_byte_strings_of_python_2_are_a_vocabulary_of_bytes(tmp_path):
    (tmp_path / "chars_vocab.pkl").write_bytes(b"(S'\\xec'\nS' '\nS'\\x9d'\nt.")
    vocabulary = read_vocabulary(tmp_path / "chars_vocab.pkl")
    assert (vocabulary.symbols, vocabulary.kind) == (("\xec", " ", "\x9d"), "bytes")


def test_ids_from_one_leave_zero_to_padding(tmp_path):
    (tmp_path / "vocab.json").write_text('{"a": 2, "b": 1}')
    assert read_vocabulary(tmp_path / "vocab.json").symbols == ("", "b", "a")


@pytest.mark.parametrize(
    "content",
    [
        '{"a": 0, "b": 2}',
        '{"a": 0, "b": 0}',
        '{"rnn_size": 128}',
        "[1, 2]",
        "{}",
        '["a"]',
        "null",
        '{"a": true, "b": 0}',
    ],
)
def test_what_is_no_table_of_symbols_is_refused(tmp_path, content):
    (tmp_path / "vocab.json").write_text(content)
    with pytest.raises(UnknownFormat, match=r"vocab\.json: holds no table of symbols and ids"):
        read_vocabulary(tmp_path / "vocab.json")


def test_two_tables_in_one_file_are_not_guessed_between(tmp_path):
    (tmp_path / "vocab.json").write_text('{"source": {"a": 0, "b": 1}, "target": {"b": 0, "a": 1}}')
    with pytest.raises(UnknownFormat, match="holds 2 vocabularies that differ"):
        read_vocabulary(tmp_path / "vocab.json")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("vocab.json", b"{", "cannot be read"),
        ("vocab.json", b"[" * 100_000, "cannot be read"),
        ("vocab.json", b'["a", "a"]', "symbols occur twice"),
        ("vocab.txt", b"\xff\xfe", "cannot be read"),
        ("vocab.csv", b"a,b,c\n", "expected two columns"),
        ("vocab.pkl", b"cos\nsystem\n(S'true'\n", "the pickle breaks off"),
    ],
)
def test_damaged_files_are_refused(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DamagedFile, match=words):
        read_vocabulary(tmp_path / name)


def test_a_lacking_file_and_an_unknown_suffix_are_refused(tmp_path):
    with pytest.raises(MissingFile, match="the vocabulary cannot be read"):
        read_vocabulary(tmp_path / "vocab.txt")
    (tmp_path / "vocab.npy").write_bytes(b"\x93NUMPY\1\0")
    with pytest.raises(UnknownFormat, match=r"a vocabulary is read from \.json, \.txt, .*; found \.npy"):
        read_vocabulary(tmp_path / "vocab.npy")


def test_the_vocabulary_beside_a_model_is_found_among_other_files(tmp_path):
    (tmp_path / "config.pkl").write_bytes(pickle.dumps(argparse.Namespace(rnn_size=128)))
    (tmp_path / "input.txt").write_text("a\nb\n")
    (tmp_path / "history.json").write_text('["a", "b"]')
    (tmp_path / "vocab.json").write_text(json.dumps(IDS))
    (tmp_path / "chars_vocab.pkl").write_bytes(pickle.dumps((SYMBOLS, IDS)))
    found = _sidecars.find(tmp_path)
    assert found.vocabulary.symbols == SYMBOLS
    assert found.source.endswith("chars_vocab.pkl")


def test_vocabularies_that_differ_are_listed_and_none_is_taken(tmp_path):
    (tmp_path / "vocab.txt").write_text("a\nb\n")
    (tmp_path / "vocab.json").write_text('["b", "a", "c"]')
    found = _sidecars.find(tmp_path)
    assert found.vocabulary is None
    assert "differ: vocab.json (3 symbols), vocab.txt (2 symbols); none is used" in found.notes[0]


def test_why_a_file_named_so_is_no_vocabulary_is_told(tmp_path):
    (tmp_path / "vocab.txt").write_bytes(b"a\n\xff\n")
    found = _sidecars.find(tmp_path)
    assert found.vocabulary is None
    assert "no vocabulary is read from" in found.notes[0]
    assert "vocab.txt: the vocabulary cannot be read ('utf-8' codec can't decode byte 0xff" in found.notes[0]


def test_a_vocabulary_is_given_as_one_as_a_path_or_as_its_symbols(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(SYMBOLS))
    path = tmp_path / "vocab.txt"
    for given in (Vocabulary(SYMBOLS), path, str(path), SYMBOLS, list(SYMBOLS)):
        assert given_vocabulary(given) == Vocabulary(SYMBOLS)
    assert given_vocabulary(["the", "cat"]) == Vocabulary(("the", "cat"), "words")
    assert given_vocabulary(None) is None


@pytest.mark.parametrize("given", [b"abc", {"a": 0, "b": 1}, 5, [], ["a", 1], {"a", "b"}])
def test_what_is_no_vocabulary_is_not_taken_for_one(given):
    expected = "vocabulary: expected a Vocabulary, the path of a file, or a sequence of symbols, each a str; found"
    with pytest.raises(CallError, match=expected):
        given_vocabulary(given)


def test_text_that_names_no_file_is_no_list_of_letters():
    with pytest.raises(MissingFile, match="abcdef: the vocabulary cannot be read"):
        given_vocabulary("abcdef")


WORDS = {"<OOV>": 1, "the": 2, "end": 3}
TABLES = {"word_index": WORDS, "index_word": {i: w for w, i in WORDS.items()}, "word_counts": {"the": 2, "end": 1}}


class Tokenizer:
    """As Keras pickles its own, whose module need not be there."""

    def __init__(self, **held):
        self.__dict__.update(held)


def tokenizers(folder, **options):
    """The files in which people keep Keras' Tokenizer."""
    held = {"char_level": False, "oov_token": "<OOV>", **options}
    texts = {name: json.dumps(table) for name, table in TABLES.items()}
    (folder / "tokenizer.json").write_text(json.dumps({"class_name": "Tokenizer", "config": {**held, **texts}}))
    (folder / "tokenizer.pickle").write_bytes(pickle.dumps(Tokenizer(**held, **TABLES)))
    return [folder / "tokenizer.json", folder / "tokenizer.pickle"]


def test_a_tokenizer_of_keras_has_padding_at_zero_and_a_word_for_unknown_ones(tmp_path):
    for file in tokenizers(tmp_path, num_words=None):
        vocabulary = read_vocabulary(file)
        assert (vocabulary.symbols, vocabulary.kind) == (("", "<OOV>", "the", "end"), "words")
        assert vocabulary.encode("the very end").tolist() == [2, 1, 3]


def test_words_that_a_tokenizer_keeps_from_the_model_have_no_ids(tmp_path):
    for file in tokenizers(tmp_path, num_words=3):
        assert read_vocabulary(file).symbols == ("", "<OOV>", "the")


def test_a_tokenizer_may_have_characters(tmp_path):
    for file in tokenizers(tmp_path, num_words=None, char_level=True):
        assert read_vocabulary(file).kind == "characters"


def test_a_tokenizer_whose_words_have_no_ids_is_refused(tmp_path):
    about = {"class_name": "Tokenizer", "config": {"num_words": None, "word_index": '{"a": "b"}'}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(about))
    with pytest.raises(DamagedFile, match=r"tokenizer\.json: .* .the word_index of its Tokenizer is no table"):
        read_vocabulary(tmp_path / "tokenizer.json")
