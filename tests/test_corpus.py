"""The vocabulary of a model from the text that it was trained on: the model knows the text, and decides."""

import copy
import random
import sys
from collections import Counter

import numpy as np
import pytest

import reprise
from reprise import sampling
from reprise.cli import execute
from reprise.corpus import vocabulary_of
from reprise.errors import CallError, MissingFile, ReadError, VocabularyError
from reprise.examine import examine
from reprise.vocabulary import Vocabulary
from tests.export.models import model as small
from tests.sampling.fakes import FakeInterface, FakePort

WORDS = "the of and a to in he was that it his her with as had for she not at but on The Whale Ishmael; ship.".split()
RARE = "“Zoë” €"


def text(count=4000):
    """Words of which each follows three others, and line ends."""
    draw, last, words = random.Random(1), 0, []
    for _ in range(count):
        last = (7 * last + draw.choice((1, 2, 5))) % len(WORDS)
        words.append(WORDS[last] + draw.choice("    \n"))
    return "".join(words) + RARE


class Knowing:
    """A model that knows which symbol follows which in a text, by the ids of a vocabulary."""

    def __init__(self, known, symbols, kind="characters"):
        self.vocabulary = Vocabulary(tuple(symbols), kind)
        ids, width = self.vocabulary.encode(known), len(self.vocabulary)
        follows = np.full((width, width), 0.05)
        np.add.at(follows, (ids[:-1], ids[1:]), 1.0)
        self.logits = np.log(follows)
        ports = FakePort("x", "tokens", (None, None), 0, 1), FakePort("y", "logits", (None, None, width), 0, 1)
        self.interface = FakeInterface(ports[:1], ports[1:])

    def with_vocabulary(self, vocabulary):
        other = copy.copy(self)
        other.vocabulary = vocabulary
        return other

    def initial_state(self, batch=1):
        return np.zeros(batch)

    def run(self, inputs, state=None):
        return {"y": self.logits[inputs["x"]]}, state

    def score(self, piece):
        return sampling.score(self, piece)


def by_frequency(known, key=lambda symbol: 0):
    counts = Counter(known)
    return sorted(counts, key=lambda s: (-counts[s], key(s)))


#: How programs make the vocabulary of a text.
MADE = {
    "sorted": lambda t: sorted(set(t)),
    "as they first appear": lambda t: list(dict.fromkeys(t)),
    "by frequency": by_frequency,
    "by frequency, equally frequent ones sorted": lambda t: by_frequency(t, key=lambda s: s),
    "sorted, with 1 more before": lambda t: ["<pad>", *sorted(set(t))],
    "by frequency, with 1 more before and 1 more behind": lambda t: ["<pad>", *by_frequency(t), "<unk>"],
    "sorted, in lower case": lambda t: sorted(set(t.lower())),
    "sorted, with spaces for line ends": lambda t: sorted(set(t.replace("\n", " "))),
}


@pytest.mark.parametrize("how", MADE)
def test_the_way_in_which_a_program_made_its_vocabulary_is_found(tmp_path, how):
    known = text()
    (tmp_path / "corpus.txt").write_text(known, encoding="utf-8")
    read = known.lower() if "lower" in how else known.replace("\n", " ") if "spaces" in how else known
    symbols = MADE[how](known)
    found, note = vocabulary_of(Knowing(read, symbols), tmp_path / "corpus.txt")
    extra = [i for i, symbol in enumerate(symbols) if symbol.startswith("<")]
    assert found.symbols == tuple(f"<id {i}>" if i in extra else s for i, s in enumerate(symbols))
    assert f"the model predicts it best by its characters {how}: " in note
    assert "below their frequencies; next, " in note


@pytest.mark.parametrize("known", [text(), "é" + text()])
def test_bytes_and_words_are_symbols_too(tmp_path, known):
    (tmp_path / "corpus.txt").write_text(known, encoding="utf-8")
    raw = known.encode().decode("latin-1")
    found, _ = vocabulary_of(Knowing(known, sorted(set(raw)), "bytes"), tmp_path / "corpus.txt")
    assert (found.kind, found.symbols) == ("bytes", tuple(sorted(set(raw))))
    kept = by_frequency(known.split())[:12]
    found, note = vocabulary_of(Knowing(known, ["<unk>", *kept], "words"), tmp_path / "corpus.txt")
    assert (found.kind, found.symbols) == ("words", ("<unk>", *kept))
    assert "by its 12 most frequent words by their frequency, after <unk>" in note


def test_places_that_the_model_does_not_tell_are_said(tmp_path):
    known = "abcbcdcab" * 99 + "b~#"  # all others differ in frequency
    (tmp_path / "corpus.txt").write_text(known)
    found, note = vocabulary_of(Knowing(known[:-2], by_frequency(known)), tmp_path / "corpus.txt")
    assert set(found.symbols) == set(known)
    assert note.endswith("; it does not tell the places of '#', '~', which are rare")


def test_another_text_or_order_is_refused(tmp_path):
    known = text()
    (tmp_path / "corpus.txt").write_text(known)
    shuffled = random.Random(0).sample(sorted(set(known)), len(set(known)))
    with pytest.raises(
        VocabularyError, match=r"of \d+ ways .* bits per symbol, .* it does not know this text, or its voc"
    ):
        vocabulary_of(Knowing(known, shuffled), tmp_path / "corpus.txt")


def test_a_text_with_another_number_of_symbols_is_refused_with_what_it_has(tmp_path):
    (tmp_path / "corpus.txt").write_text("abc cba\n")
    words = (
        r"no way to make symbols of it gives the 40 of the model: it has 5 characters, 5 in lower case, 2 words and 5"
    )
    with pytest.raises(VocabularyError, match=words):
        vocabulary_of(
            Knowing("ab", [chr(65 + i) for i in range(40)] and [chr(97 + i) for i in range(40)]),
            tmp_path / "corpus.txt",
        )


def test_equally_good_ways_are_an_error_that_lists_both(tmp_path):
    known = "ab" * 500
    (tmp_path / "corpus.txt").write_text(known)
    with pytest.raises(
        VocabularyError, match=r"two are equally good for the model: its characters .*, and its char.*--vocab"
    ):
        vocabulary_of(Knowing(known, ["a", "b"]), tmp_path / "corpus.txt")


@pytest.mark.parametrize(("content", "words"), [(b"", "is an empty file"), (b"a\0b", "is no text, it has bytes of 0")])
def test_what_is_no_text_is_refused(tmp_path, content, words):
    (tmp_path / "corpus").write_bytes(content)
    with pytest.raises(ReadError, match=words):
        vocabulary_of(small(), tmp_path / "corpus")
    with pytest.raises(MissingFile, match="gone: the corpus cannot be read"):
        vocabulary_of(small(), tmp_path / "gone")


def test_a_corpus_beside_a_vocabulary_is_refused(tmp_path):
    reprise.export(small(), tmp_path / "m.onnx")
    with pytest.raises(CallError, match="corpus: a vocabulary is given too; leave one of them out"):
        reprise.restore(tmp_path / "m.onnx", vocabulary=["a", "b"], corpus="text")


def test_a_restored_model_has_the_vocabulary_that_it_tells_and_says_how(tmp_path, monkeypatch, capsys):
    reprise.export(small(), tmp_path / "m.onnx")
    told = Vocabulary(tuple("gfedcba")), "vocabulary from text.txt: by what it predicts best"
    monkeypatch.setattr(sys.modules["reprise.restore"], "vocabulary_of", lambda model, corpus: told)
    model = reprise.restore(tmp_path / "m.onnx", corpus="text.txt")
    assert (model.vocabulary, model.stored.vocabulary_source, model.stored.notes[-1]) == (told[0], "text.txt", told[1])
    report = str(examine(tmp_path / "m.onnx", corpus="text.txt"))
    assert "7 characters, from text.txt\n  'g' 'f' " in report
    assert "m.onnx --corpus text.txt" in report
    execute(["sample", str(tmp_path / "m.onnx"), "--corpus", "text.txt", "-l", "3"])
    assert capsys.readouterr().err == f"note: {told[1]}\n"
