import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprise.errors import CallError, VocabularyError
from reprise.sampling import generate, log_softmax, score
from reprise.vocabulary import Vocabulary
from tests.sampling.fakes import LAYOUTS, LETTERS, FakeInterface, FakeModel, FakePort, V, model

TEXT = "fade a cafe\nbad cab"


def text(*arguments, **options):
    return ["".join(pieces) for pieces in zip(*generate(*arguments, **options), strict=True)]


def by_hand(fake, symbols):
    """Bits per symbol of `symbols`, one step after the other."""
    ids, state, bits = LETTERS.encode(symbols), fake.initial_state(), 0.0
    for now, following in pairwise(ids):
        state = np.tanh(fake.a[[now]] + state @ fake.r)
        bits -= log_softmax(state @ fake.w)[0, following] / math.log(2)
    return bits / (len(ids) - 1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_text(layout):
    expected = text(model(), 40, prompt="a bad cab", seed=4)
    assert text(model(layout), 40, prompt="a bad cab", seed=4) == expected
    assert len(expected[0]) == 40


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in ("no batch", "one scalar")])
def test_every_layout_gives_the_same_texts_side_by_side(layout):
    expected = text(model(), 40, prompt="a bad cab", seed=4, samples=3)
    assert text(model(layout), 40, prompt="a bad cab", seed=4, samples=3) == expected


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_score(layout):
    result = score(model(layout), TEXT)
    assert result.bits_per_symbol == pytest.approx(by_hand(model(), TEXT), rel=1e-12)
    assert result.symbols == len(TEXT) - 1
    assert result.perplexity == pytest.approx(2**result.bits_per_symbol)


def test_a_prompt_is_read_in_one_run_where_time_is_free():
    fake = model()
    text(fake, 3, prompt="a bad cab", seed=0)
    assert fake.runs == [8]


def test_sample_k_is_the_same_however_many_are_drawn():
    five, two = (text(model(), 30, prompt="a", seed=9, samples=n) for n in (5, 2))
    assert five[:2] == two
    assert len(set(five)) == 5


def test_a_file_with_fixed_batch_gives_as_many_samples_as_asked_for_up_to_it():
    assert text(model("fixed batch and time"), 20, seed=1, samples=2) == text(model(), 20, seed=1, samples=2)
    with pytest.raises(CallError, match="samples: input 'x' takes 3 at once in this file, found 4"):
        text(model("fixed batch and time"), 20, samples=4)


def test_a_model_without_batch_gives_one_sample():
    with pytest.raises(CallError, match="samples: input 'x' takes 1 at once in this file, found 2"):
        text(model("no batch"), 20, samples=2)


def test_the_state_at_the_end_has_read_the_prompt_and_all_that_was_drawn():
    kept, whole = [], []
    drawn = text(model(), 10, prompt="bad", greedy=True, keep=kept.append)[0]
    text(model(), 0, prompt="bad" + drawn, keep=whole.append)
    np.testing.assert_allclose(kept[0], whole[0], rtol=1e-12)
    further = text(model(), 10, prompt=" ", state=kept[0], greedy=True)
    assert further == text(model(), 10, prompt="bad" + drawn + " ", greedy=True)


def test_a_state_without_what_comes_next_is_refused():
    with pytest.raises(CallError, match="prompt: a state goes on after what it has read, so give what comes next"):
        text(model(), 5, state=np.zeros((1, 5)))


@pytest.mark.parametrize(("symbols", "first"), [("ab\n ", "\n"), ("ab ", " "), ("ba", "b")])
def test_without_a_prompt_the_model_reads_a_newline_or_a_space_or_the_symbol_with_id_0(symbols, first):
    ports = FakePort("x", "tokens", (None, None), 0, 1), FakePort("y", "logits", (None, None, len(symbols)), 0, 1)
    fake = FakeModel(Vocabulary(tuple(symbols)), FakeInterface(ports[:1], ports[1:]))
    assert text(fake, 30, seed=2) == text(fake, 30, seed=2, prompt=first)


def test_pieces_come_one_by_one_as_they_are_drawn():
    pieces = generate(model(), 10**9, prompt="a", seed=0)
    assert [len(next(pieces)[0]) for _ in range(3)] == [1, 1, 1]


def test_words_are_joined_by_spaces():
    words = Vocabulary(("the", "cat", "sat"), "words")
    fake = FakeModel(
        words, FakeInterface((FakePort("x", "tokens", (None, None), 0, 1),), (FakePort("y", "logits", (3,)),))
    )
    assert set(text(fake, 5, seed=0)[0].split(" ")) <= set(words.symbols)
    assert text(fake, 5, seed=0, prompt="the cat")[0][0] == " "


def test_bytes_appear_as_whole_characters():
    fake = FakeModel(
        Vocabulary(("\xc3", "\xa9"), "bytes"),
        FakeInterface((FakePort("x", "tokens", (None, None), 0, 1),), (FakePort("y", "logits", (2,)),)),
    )
    fake.a = np.array([[9.0, 0, 0, 0, 0], [-9.0, 0, 0, 0, 0]])  # the first byte is followed by the second and so on
    fake.r = np.zeros((5, 5))
    fake.w = np.zeros((5, 2))
    fake.w[0] = [-9, 9]
    assert [piece for (piece,) in generate(fake, 4, greedy=True, prompt="é")] == ["", "é", "", "é"]


@given(st.text(st.sampled_from(LETTERS.symbols), min_size=2, max_size=60))
def test_a_score_does_not_depend_on_where_the_text_is_cut(symbols):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "reprise.sampling.text._chunks", lambda steps, width: ((i, min(i + 3, steps)) for i in range(0, steps, 3))
        )
        assert score(model(), symbols).bits_per_symbol == pytest.approx(by_hand(model(), symbols), rel=1e-12)


def test_a_long_text_is_scored_in_pieces():
    fake = model()
    score(fake, "ab" * 1500)
    assert fake.runs == [1024, 1024, 951]


def test_a_model_that_is_sure_of_the_wrong_symbol_has_infinite_perplexity():
    fake = model()
    fake.w *= 1e6
    assert score(fake, TEXT).perplexity == math.inf


def test_weights_that_are_not_numbers_give_no_score():
    fake = model()
    fake.w[:] = np.nan
    with pytest.raises(CallError, match="logits: NaN among those for symbols 1 to 18, so the text has no score"):
        score(fake, TEXT)


def test_unknown_symbols_are_listed():
    with pytest.raises(VocabularyError, match=r"2 symbols are not among the 9 of the vocabulary: 'X', 'é'"):
        text(model(), 5, prompt="a éXé")


def test_a_vocabulary_of_another_length_shows_both():
    with pytest.raises(VocabularyError, match=r"it has 3 symbols, but 'y' of the model has 9"):
        score(model(vocabulary=Vocabulary(("a", "b", "c"))), "abc")


def test_ids_that_have_no_symbol_are_told_with_how_to_name_them():
    words = r"has 9; if the program that trained it added 1 for padding, .* \(id 0\) by --symbols-b.* \(id 8\) by --sy"
    with pytest.raises(VocabularyError, match=words):
        score(model(vocabulary=Vocabulary(LETTERS.symbols[1:])), "abc")
    with pytest.raises(VocabularyError, match=r"added 2 .* \(ids 0 to 1\) by .* \(ids 7 to 8\) by "):
        score(model(vocabulary=Vocabulary(LETTERS.symbols[2:])), "abc")
    with pytest.raises(VocabularyError, match=r"it has 10 symbols, but 'y' of the model has 9; give the one"):
        score(model(vocabulary=LETTERS.extended(before=["<pad>"])), "abc")


def test_a_width_that_the_file_leaves_free_is_checked_when_it_is_seen():
    fake = model()
    fake.interface = replace(fake.interface, outputs=(replace(fake.interface.outputs[0], shape=(None, None, None)),))
    fake.w = fake.w[:, :7]
    with pytest.raises(VocabularyError, match=r"it has 9 symbols, but 'y' of the model has 7"):
        score(fake, "abc")


def test_a_model_without_a_vocabulary_asks_for_one():
    with pytest.raises(VocabularyError, match="the files have none; give the one that the model was trained with"):
        text(model(vocabulary=None), 5)


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        (
            [("x", "features")],
            [("y", "logits")],
            r"inputs: expected one with the role tokens or one-hot, found x \(features\)",
        ),
        ([("x", "tokens"), ("z", "features")], [("y", "logits")], r"found x \(tokens\), z \(features\)"),
        (
            [("x", "tokens")],
            [("y", "values")],
            r"outputs: expected one with the role logits or probabilities, found y \(val",
        ),
        ([("x", "tokens")], [], r"outputs: .* found none"),
        ([("x", "tokens")], [("y", "logits"), ("z", "logits")], r"outputs: 2 have the role logits \(y, z\); say which"),
    ],
)
def test_what_is_no_model_of_symbols_is_refused(inputs, outputs, words):
    shape = (None, None, V)
    face = FakeInterface(
        tuple(FakePort(name, role, shape[:2], 0, 1) for name, role in inputs),
        tuple(FakePort(name, role, shape, 0, 1) for name, role in outputs),
    )
    with pytest.raises(CallError, match=words):
        text(FakeModel(LETTERS, face) if outputs else replace_interface(face), 5)


def replace_interface(face):
    fake = model()
    fake.interface = face
    return fake


def test_logits_are_preferred_to_probabilities():
    fake = model()
    extra = FakePort("p", "probabilities", (None, None, V), 0, 1)
    fake.interface = replace(fake.interface, outputs=(*fake.interface.outputs, extra))
    assert text(fake, 20, seed=3) == text(model(), 20, seed=3)


def test_lengths_are_left_to_the_model():
    fake = model()
    fake.interface = replace(fake.interface, inputs=(*fake.interface.inputs, FakePort("n", "lengths", (None,), 0)))
    assert text(fake, 20, seed=3) == text(model(), 20, seed=3)


def test_a_model_that_cannot_be_stepped_is_refused():
    fake = model()
    fake.interface = replace(fake.interface, steppable=False, why_not="bidirectional")
    with pytest.raises(CallError, match=r"model: it cannot be stepped \(bidirectional\), so it neither samples"):
        score(fake, TEXT)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"length": -1}, "length: expected at least 0, found -1"),
        ({"samples": 0}, "samples: expected at least 1, found 0"),
        ({"temperature": -1.0}, "temperature: expected a number above 0"),
    ],
)
def test_options_are_refused_before_the_first_step(options, words):
    with pytest.raises(CallError, match=words):
        generate(model(), **{"length": 5, **options})


@pytest.mark.parametrize("symbols", ["", "a"])
def test_a_text_with_nothing_to_predict_is_refused(symbols):
    with pytest.raises(CallError, match=f"text: expected at least 2 symbols, .* found {len(symbols)}"):
        score(model(), symbols)
