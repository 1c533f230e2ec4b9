"""Text becomes ids, whatever its encoding and size; a cache of them is used only while it is true."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprise.errors import CallError, DamagedFile, MissingFile, ReadError, SaveError, VocabularyError
from reprise.train.data import Corpus, documents, load_text, read_text, text
from reprise.vocabulary import Vocabulary


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("to be or not to be\n" * 20, encoding="utf-8")
    return path


@pytest.fixture
def built(monkeypatch):
    """How often a corpus is made from its sources."""
    calls = []
    build = text._build
    monkeypatch.setattr(text, "_build", lambda *args: calls.append(args) or build(*args))
    return calls


def assert_equal(a: Corpus, b: Corpus) -> None:
    np.testing.assert_array_equal(a.series[0], b.series[0])
    assert (a.vocabulary, a.fingerprint, a.series[0].dtype) == (b.vocabulary, b.fingerprint, b.series[0].dtype)


# Symbols and ids


def test_characters_are_sorted_by_code_point(tmp_path):
    (tmp_path / "it").write_text("añb a😀\r\n", encoding="utf-8", newline="")
    found = read_text(tmp_path / "it")
    assert found.vocabulary == Vocabulary(("\n", "\r", " ", "a", "b", "ñ", "😀"))
    assert found.series[0].tolist() == [3, 5, 4, 2, 3, 6, 1, 0]


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=3),
    st.sampled_from(["utf-8", "utf-16"]),
)
def test_decoding_the_ids_gives_the_text_back(texts, encoding):
    with tempfile.TemporaryDirectory() as folder:
        for i, text in enumerate(texts):
            Path(folder, str(i)).write_bytes(text.encode(encoding))
        whole = "".join(text.removeprefix("\ufeff") if encoding == "utf-8" else text for text in texts)
        if not whole:
            return
        found = read_text(folder, encoding=encoding)
        assert found.vocabulary.decode(found.series[0]) == whole
        np.testing.assert_array_equal(found.series[0], Vocabulary.of_text(whole).encode(whole))


@given(st.binary(min_size=1))
def test_at_the_level_of_bytes_the_ids_are_the_bytes(data):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "it").write_bytes(data)
        found = read_text(folder, level="bytes")
    assert (found.series[0].tobytes(), len(found.vocabulary), found.vocabulary.kind) == (data, 256, "bytes")


@given(st.lists(st.text(st.sampled_from("ab \n\u3000")), min_size=1, max_size=3), st.integers(1, 4))
def test_words_do_not_depend_on_blocks_and_end_with_their_document(texts, block_bytes):
    expected = [word for text in texts for word in text.split()]
    if not expected:
        return
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for i, text in enumerate(texts):
            Path(folder, str(i)).write_text(text, encoding="utf-8", newline="")
        patch.setattr(documents, "BLOCK_BYTES", block_bytes)
        found = read_text(folder, level="words")
    assert [found.vocabulary.symbols[i] for i in found.series[0]] == expected


def test_the_most_frequent_words_are_kept_and_the_rest_is_unknown(tmp_path):
    (tmp_path / "it").write_text("a b b c c c d d d <unk>")
    found = read_text(tmp_path / "it", level="words", vocabulary_size=3)
    assert found.vocabulary.symbols == ("<unk>", "c", "d")
    assert found.vocabulary.decode(found.series[0]) == "<unk> <unk> <unk> c c c d d d <unk>"


def test_of_equally_frequent_words_those_that_sort_first_are_kept(tmp_path):
    (tmp_path / "it").write_text("d c b a")
    assert read_text(tmp_path / "it", level="words", vocabulary_size=3).vocabulary.symbols == ("<unk>", "a", "b")


@pytest.mark.parametrize(
    ("level", "marker", "expected"),
    [("characters", "<end>", "ab<end>c<end>"), ("words", "<end>", "ab <end> c <end>"), ("bytes", "é", "abécé")],
)
def test_the_end_of_text_marker_follows_every_document(tmp_path, level, marker, expected):
    (tmp_path / "1").write_text("ab")
    (tmp_path / "2").write_text("c")
    found = read_text(tmp_path, level=level, end_of_text=marker)
    assert found.vocabulary.decode(found.series[0]) == expected


def test_a_text_that_spells_the_marker_does_not_end(tmp_path):
    (tmp_path / "1").write_text("<end>")
    found = read_text(tmp_path, end_of_text="<end>")
    assert (found.series[0] == found.vocabulary.ids["<end>"]).tolist() == [False] * 5 + [True]


@pytest.mark.parametrize(("size", "dtype"), [(2, "<u1"), (256, "<u1"), (257, "<u2"), (65537, "<u4")])
def test_ids_take_the_smallest_type_that_holds_them(tmp_path, size, dtype):
    text = "".join(map(chr, range(0x10000, 0x10000 + size)))
    (tmp_path / "it").write_text(text, encoding="utf-8")
    found = read_text(tmp_path / "it")
    assert found.series[0].dtype == dtype
    np.testing.assert_array_equal(found.series[0], np.arange(size))


# A given vocabulary


def test_a_given_vocabulary_keeps_its_order(tmp_path):
    (tmp_path / "it").write_text("abc")
    assert read_text(tmp_path / "it", vocabulary=Vocabulary(("c", "b", "a", "z"))).series[0].tolist() == [2, 1, 0]


def test_all_symbols_that_a_given_vocabulary_lacks_are_listed(file):
    with pytest.raises(VocabularyError, match=r"4 symbols are not among the 4 of the vocabulary: '\\n', 'n', 'o', 'r'"):
        read_text(file, vocabulary=Vocabulary((" ", "b", "e", "t")))


def test_words_that_a_given_vocabulary_lacks_are_unknown_if_it_has_that_symbol(file):
    found = read_text(file, level="words", vocabulary=Vocabulary(("to", "<unk>", "be"), "words"))
    assert found.series[0][:6].tolist() == [0, 2, 1, 1, 0, 2]
    with pytest.raises(VocabularyError, match="2 symbols are not among the 2 of the vocabulary: 'not', 'or'"):
        read_text(file, level="words", vocabulary=Vocabulary(("to", "be"), "words"))


def test_a_given_vocabulary_is_extended_by_what_occurs(tmp_path):
    (tmp_path / "it").write_text("dab")
    found = read_text(tmp_path / "it", vocabulary=Vocabulary(("c", "a")), extend=True, end_of_text="END")
    assert found.vocabulary.symbols == ("c", "a", "END", "b", "d")
    assert found.series[0].tolist() == [4, 1, 3, 2]


def test_a_given_vocabulary_of_words_is_extended_by_the_most_frequent_ones_up_to_the_size(tmp_path):
    (tmp_path / "it").write_text("old new new rare newer newer")
    known = Vocabulary(("gone", "old"), "words")
    found = read_text(tmp_path / "it", level="words", vocabulary=known, extend=True, vocabulary_size=4)
    assert found.vocabulary.symbols == ("gone", "old", "<unk>", "new")
    assert found.series[0].tolist() == [1, 3, 3, 2, 2, 2]
    full = read_text(tmp_path / "it", level="words", vocabulary=found.vocabulary, extend=True, vocabulary_size=3)
    assert full.vocabulary == found.vocabulary, "what is known stays known"


def test_an_end_of_text_that_a_given_vocabulary_lacks_is_refused(tmp_path):
    (tmp_path / "it").write_text("a")
    with pytest.raises(VocabularyError, match="end of text '<end>' is not among the 1 symbols"):
        read_text(tmp_path / "it", vocabulary=Vocabulary(("a",)), end_of_text="<end>")


# The cache


def test_the_cache_is_used_while_the_sources_are_the_same(file, tmp_path, built):
    first = read_text(file, cache_dir=tmp_path / "run")
    again = read_text(file.rename(tmp_path / "moved.txt"), cache_dir=tmp_path / "run")
    assert_equal(first, again)
    assert len(built) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"encoding": "latin-1"},
        {"end_of_text": "<end>"},
        {"level": "bytes"},
        {"level": "words"},
        {"level": "words", "vocabulary_size": 3},
        {"vocabulary": Vocabulary(tuple("\n benort"))},
    ],
)
def test_the_cache_is_made_again_for_other_settings(file, tmp_path, built, changed):
    read_text(file, cache_dir=tmp_path / "run")
    assert_equal(read_text(file, cache_dir=tmp_path / "run", **changed), read_text(file, **changed))
    assert len(built) == 3


def test_the_cache_is_made_again_for_other_bytes_of_the_same_length(file, tmp_path):
    read_text(file, cache_dir=tmp_path / "run")
    file.write_bytes(file.read_bytes().replace(b"be", b"eb"))
    assert_equal(read_text(file, cache_dir=tmp_path / "run"), read_text(file))


def test_the_cache_tells_where_one_document_ends_and_the_next_begins(tmp_path):
    for name, letters in {"1": "ab", "2": "c"}.items():
        (tmp_path / name).write_text(letters)
    sources = [tmp_path / "1", tmp_path / "2"]
    first = read_text(sources, end_of_text="|", cache_dir=tmp_path / "run")
    (tmp_path / "1").write_text("a")
    (tmp_path / "2").write_text("bc")
    second = read_text(sources, end_of_text="|", cache_dir=tmp_path / "run")
    assert [c.vocabulary.decode(c.series[0]) for c in (first, second)] == ["ab|c|", "a|bc|"]


@pytest.mark.parametrize("name", ["corpus.ids", "corpus.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "remove"])
def test_a_damaged_cache_is_made_again_from_the_sources_and_refused_without_them(file, tmp_path, name, damage):
    whole = read_text(file, cache_dir=tmp_path / "run")
    path = tmp_path / "run" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    if damage != "remove":
        path.write_bytes({"flip": data, "cut": data[:-1], "empty": b""}[damage])
    with pytest.raises(MissingFile if damage == "remove" else DamagedFile, match="from its sources again"):
        load_text(tmp_path / "run")
    assert_equal(read_text(file, cache_dir=tmp_path / "run"), whole)
    assert_equal(load_text(tmp_path / "run"), whole)


def test_facts_of_another_shape_are_a_damaged_cache(file, tmp_path):
    read_text(file, cache_dir=tmp_path / "run")
    for facts in ([], {}, {"version": 1}, {"version": 1, "key": "", "fingerprint": "", "vocabulary": {}}, None, "x"):
        (tmp_path / "run" / "corpus.json").write_text(json.dumps(facts))
        with pytest.raises(DamagedFile, match=r"corpus\.json: not what was written"):
            load_text(tmp_path / "run")


def test_a_run_folder_among_the_sources_is_not_read(file, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "README.md").write_text("not of the corpus")
    assert_equal(read_text(tmp_path, cache_dir=tmp_path / "run"), read_text(file))


def test_nothing_but_the_cache_is_left_behind(file, tmp_path):
    read_text(file, cache_dir=tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["corpus.ids", "corpus.json"]


def test_a_corpus_without_cache_outlives_its_temporary_file(file):
    found = read_text(file)
    assert found.vocabulary.decode(found.series[0]) == file.read_text()


def test_a_source_that_changes_while_it_is_read_is_refused_and_the_cache_stays(file, tmp_path, monkeypatch):
    first = read_text(file, cache_dir=tmp_path / "run")
    scan = text.symbol_counts
    monkeypatch.setattr(text, "symbol_counts", lambda *args: (scan(*args), file.write_text("be"))[0])
    with pytest.raises(ReadError, match=r"corpus\.txt changed while it was read"):
        read_text(file, cache_dir=tmp_path / "run", end_of_text="<end>")
    assert_equal(load_text(tmp_path / "run"), first)


def test_a_cache_that_cannot_be_written_is_an_error_of_the_tree(file, tmp_path):
    with pytest.raises(SaveError, match="its ids could not be written"):
        read_text(file, cache_dir=file / "run")


# The two parts


def test_the_validation_part_is_the_tail(file):
    found = read_text(file, val_frac=0.25)
    assert [len(part) for part in (*found.train, *found.validation)] == [285, 95]
    np.testing.assert_array_equal(np.concatenate([*found.train, *found.validation]), found.series[0])


def test_without_a_validation_part_there_are_no_streams_for_it(file):
    train, validation = read_text(file, val_frac=0).streams(2, 10)
    assert (train.chunks_per_epoch, validation) == (18, None)


def test_a_training_part_shorter_than_one_chunk_names_the_options(file):
    with pytest.raises(
        CallError, match=r"training part has 361 steps.*need 2501 or more.*--batch-size 3 --seq-length 50"
    ):
        read_text(file).streams(50, 50)


# Refusals


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"val_frac": 1.0}, r"--val-frac 1\.0 must be 0 or more and below 1"),
        ({"val_frac": float("nan")}, "--val-frac nan must be"),
        ({"vocabulary_size": 100}, "vocabulary size can be given only with --level words"),
        ({"level": "words", "vocabulary_size": 2}, "leaves no room for words"),
        ({"end_of_text": ""}, "must be a symbol: not empty"),
        ({"level": "words", "end_of_text": "the end"}, "must be a symbol: .* one word"),
        ({"level": "words", "vocabulary": Vocabulary(("a",))}, "the given vocabulary is one of characters"),
        ({"level": "bytes", "vocabulary": Vocabulary(("a",), "bytes")}, "must have the 256 byte values in order"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(file, arguments, words):
    with pytest.raises(CallError, match=words):
        read_text(file, **arguments)


@pytest.mark.parametrize(("text", "level"), [("", "characters"), (" \n", "words"), ("", "bytes")])
def test_sources_without_a_symbol_are_refused(tmp_path, text, level):
    (tmp_path / "it").write_text(text)
    with pytest.raises(CallError, match=r"it holds no symbols"):
        read_text(tmp_path / "it", level=level)


def test_a_text_without_spaces_is_refused_at_the_level_of_words(tmp_path):
    (tmp_path / "it").write_text("x" * (1 << 20 | 1))
    with pytest.raises(CallError, match="over 1048576 characters without a space; use --level characters"):
        read_text(tmp_path / "it", level="words")
