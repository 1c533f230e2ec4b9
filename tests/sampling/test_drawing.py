import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from reprise.errors import CallError
from reprise.sampling import draw, log_softmax, uniforms

rows = hnp.arrays(np.float64, st.tuples(st.just(1), st.integers(1, 12)), elements=st.floats(-50, 50))
close_rows = hnp.arrays(np.float64, st.tuples(st.just(1), st.integers(1, 12)), elements=st.floats(-2, 2))
numbers = st.floats(0, 1, exclude_max=True)


def test_each_symbol_owns_a_stretch_of_the_unit_interval_as_long_as_its_probability():
    logits = np.log([[0.5, 0.25, 0.25]]).repeat(5, axis=0)
    assert draw(logits, np.array([0.0, 0.499, 0.501, 0.749, 0.751])).tolist() == [0, 0, 1, 1, 2]


def test_frequencies_are_the_probabilities():
    chances = np.array([0.1, 0.2, 0.3, 0.4])
    stream = uniforms(3, 20_000)
    counts = np.bincount(draw(np.log(chances)[None].repeat(20_000, 0), next(stream)), minlength=4)
    assert np.abs(counts / 20_000 - chances).max() < 0.015


@given(rows, numbers)
def test_greedy_is_the_first_of_the_largest(logits, u):
    assert draw(logits, np.array([u]), greedy=True) == [logits[0].tolist().index(logits.max())]


@given(rows, numbers)
def test_top_k_of_one_is_greedy_with_equals_going_to_the_lower_id(logits, u):
    shifted = np.exp(logits - logits.max())
    assert draw(logits, np.array([u]), top_k=1) == [shifted[0].tolist().index(1.0)]


@given(close_rows, numbers, st.integers(1, 12), st.floats(0.01, 1))
@example(np.array([[0.0, 2e-16]]), 0.0, 1, 1.0)
def test_a_filtered_symbol_is_never_drawn(logits, u, k, p):
    chances = np.exp(log_softmax(logits))[0]
    drawn = draw(logits, np.array([u]), top_k=k, top_p=p)[0]
    better = chances[chances > chances[drawn] * (1 + 1e-12)]  # those that rounding cannot make its equals
    assert len(better) < k
    assert better.sum() <= (p + 1e-9) * np.sort(chances)[-k:].sum()


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(2, 4), st.integers(1, 12)), elements=st.floats(-800, 50)),
    st.lists(numbers, min_size=4, max_size=4),
    st.floats(0.01, 3),
    st.none() | st.integers(1, 12),
    st.none() | st.floats(0.01, 1),
)
@example(np.array([[0.0, -800.0], [0.0, -1.0]]), [1 - 2.0**-53] * 4, 1.0, None, None)
def test_a_row_alone_draws_what_it_draws_among_others(logits, u, temperature, k, p):
    u, options = np.array(u[: len(logits)]), {"temperature": temperature, "top_k": k, "top_p": p}
    alone = [draw(logits[i : i + 1], u[i : i + 1], **options)[0] for i in range(len(logits))]
    assert draw(logits, u, **options).tolist() == alone


def test_top_p_keeps_the_fewest_symbols_that_reach_it():
    logits = np.log([[0.2, 0.5, 0.3]]).repeat(100, axis=0)
    u = np.linspace(0, 0.999, 100)
    assert set(draw(logits, u, top_p=0.45)) == {1}
    assert set(draw(logits, u, top_p=0.7)) == {1, 2}
    assert set(draw(logits, u, top_p=1.0)) == {0, 1, 2}


def test_top_p_is_measured_after_top_k():
    logits = np.log([[0.4, 0.3, 0.2, 0.1]]).repeat(100, axis=0)
    u = np.linspace(0, 0.999, 100)
    assert set(draw(logits, u, top_p=0.55)) == {0, 1}
    assert set(draw(logits, u, top_k=2, top_p=0.55)) == {0}, "4/7 of the two that are left"


def test_temperature_divides_the_logits():
    logits = np.array([[1.0, 2.0, 0.5]]).repeat(50, axis=0)
    u = np.linspace(0, 0.99, 50)
    assert (draw(logits, u, temperature=0.5) == draw(logits * 2, u)).all()


def test_a_tiny_temperature_is_greedy_and_raises_no_warning():
    assert draw(np.array([[1.0, 3.0, 2.0]]), np.array([0.999]), temperature=1e-308) == [1]


def test_forbidden_symbols_are_never_drawn_even_at_the_ends_of_the_interval():
    logits = np.array([[-np.inf, 0.0, -np.inf]]).repeat(2, axis=0)
    assert draw(logits, np.array([0.0, 1 - 2.0**-53])).tolist() == [1, 1]


@pytest.mark.parametrize("bad", [[np.nan, 1.0], [np.inf, 1.0], [-np.inf, -np.inf]])
def test_logits_without_a_distribution_are_refused(bad):
    with pytest.raises(CallError, match=r"logits: row 1 has NaN, \+inf or no finite number"):
        draw(np.array([[0.0, 0.0], bad]), np.zeros(2))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": 0}, r"temperature: expected a number above 0, found 0; greedy takes"),
        ({"temperature": math.nan}, r"temperature: .* found nan"),
        ({"top_k": 0}, r"top_k: expected at least 1, found 0"),
        ({"top_p": 0.0}, r"top_p: expected a number above 0 and at most 1, found 0\.0"),
        ({"top_p": 1.5}, r"top_p: .* found 1\.5"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(CallError, match=words):
        draw(np.zeros((1, 2)), np.zeros(1), **options)


def test_logits_of_another_rank_are_refused():
    with pytest.raises(CallError, match=r"logits: expected shape \[N, V\], found \[3\]"):
        draw(np.zeros(3), np.zeros(1))


def test_the_stream_of_a_seed_is_fixed_for_ever():
    stream = uniforms(1, 2)
    assert next(stream).tolist() == [0.3035680343067586, 0.0751511510959112]
    assert next(stream).tolist() == [0.8487087496857769, 0.9837951334859096]


def test_a_sample_does_not_depend_on_how_many_are_drawn():
    alone, beside = uniforms(5, 1), uniforms(5, 4)
    assert [next(alone)[0] for _ in range(9)] == [next(beside)[0] for _ in range(9)]


def test_no_seed_is_another_stream_each_time():
    assert next(uniforms(None)) != next(uniforms(None))


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(CallError, match=rf"seed: expected a whole number from 0 to 2\*\*64 - 1, found {seed}"):
        uniforms(seed)
