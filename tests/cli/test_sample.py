import io
import sys

import pytest

from reprise.cli.sample import RULE
from reprise.sampling import generate
from reprise.vocabulary import Vocabulary
from tests.sampling.fakes import model


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """Every path is the same small model."""
    monkeypatch.setattr("reprise.cli.sample.restored", lambda **options: model())


def text(length, **options):
    return "".join(piece for (piece,) in generate(model(), length, **options))


def test_the_text_goes_to_standard_output_prompt_first_and_nothing_else_does(reprise):
    result = reprise("sample", "m", "--length", 20, "--prompt", "bad", "--seed", 3)
    assert result == (0, "bad" + text(20, prompt="bad", seed=3), "")


@pytest.mark.parametrize("flag", ["--prompt", "--primetext", "--prime", "--start-text"])
def test_the_prompt_has_the_names_that_the_field_gave_it(reprise, flag):
    assert reprise("sample", "m", "-l", 0, flag, "cab").out == "cab"


def test_options_reach_the_draw(reprise):
    options = {"temperature": 0.5, "top_k": 4, "top_p": 0.9, "seed": 5}
    flags = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
    assert reprise("sample", "m", "-l", 30, *flags).out == text(30, **options)
    assert reprise("sample", "m", "-l", 30, "--greedy").out == text(30, greedy=True)


def test_unknown_words_of_a_prompt_are_told_where_the_model_has_a_word_for_them(reprise, monkeypatch):
    words = Vocabulary(("<unk>", *"abcdefgh"), "words")
    monkeypatch.setattr("reprise.cli.sample.restored", lambda **options: model(vocabulary=words))
    code, out, err = reprise("sample", "m", "-l", 0, "--prompt", "a nice c hotel")
    assert (code, out) == (0, "a nice c hotel")
    assert err == "note: read as <unk>, since the model does not know them: hotel nice\n"


def test_several_samples_come_one_after_the_other(reprise):
    result = reprise("sample", "m", "-l", 10, "--prompt", "a", "--seed", 1, "-n", 3)
    first, *others = result.out.split(RULE)
    assert first == "a" + text(10, prompt="a", seed=1)
    assert [len(other) for other in others] == [11, 11]


def test_each_symbol_is_written_when_it_is_drawn(reprise, monkeypatch):
    flushed = []

    class Pipe(io.StringIO):
        def flush(self):
            flushed.append(self.getvalue())

    monkeypatch.setattr(sys, "stdout", Pipe())
    reprise("sample", "m", "-l", 3, "--prompt", "ab", "--seed", 0)
    assert [len(seen) for seen in flushed[:4]] == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--prompt", "aXb"], r"1 symbols are not among the 9 of the vocabulary: 'X'"),
        (["--temperature", 0], "temperature: expected a number above 0"),
        (["--top-k", 0], "top_k: expected at least 1"),
        (["--length", -1], "length: expected at least 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is_written(reprise, flags, words):
    result = reprise("sample", "m", *flags)
    assert result.code == 1
    assert result.out == ""
    assert words in result.err
    assert result.err.count("\n") == 1
