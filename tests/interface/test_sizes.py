"""The arithmetic of sizes that may be unknown."""

import math

from hypothesis import assume, given
from hypothesis import strategies as st

from reprise.operators.rules.sizes import Dim, Equalities, dim, product

NAMES = st.sampled_from("NTHDV")
DIMS = st.builds(Dim, st.integers(1, 6), st.lists(NAMES, max_size=3).map(tuple))


def valued(size, numbers):
    return size.scale * math.prod(numbers[s] for s in size.symbols)


@given(DIMS, DIMS, st.fixed_dictionaries({n: st.integers(1, 9) for n in "NTHDV"}))
def test_products_are_those_of_the_numbers(a, b, numbers):
    assert valued(a * b, numbers) == valued(a, numbers) * valued(b, numbers)
    assert valued(a * 3, numbers) == 3 * valued(a, numbers) == valued(3 * a, numbers)


@given(st.lists(DIMS))
def test_a_product_keeps_the_order_of_its_symbols(sizes):
    assert product(sizes).symbols == tuple(s for d in sizes for s in d.symbols)


def test_batch_major_rows_are_not_time_major_rows():
    n, t = Dim(1, ("N",)), Dim(1, ("T",))
    assert n * t != t * n
    assert (str(n * t), str(2 * n), str(dim(5))) == ("N·T", "2·N", "5")


@given(st.lists(st.tuples(NAMES, NAMES)))
def test_equality_is_an_equivalence(pairs):
    sizes = Equalities()
    for a, b in pairs:
        sizes.equate(sizes.symbol(a), sizes.symbol(b))
    groups = {name: {name} for name in "NTHDV"}
    for a, b in pairs:
        merged = groups[a] | groups[b]
        groups |= dict.fromkeys(merged, merged)
    for a in "NTHDV":
        for b in "NTHDV":
            same = sizes.resolve(sizes.symbol(a)) == sizes.resolve(sizes.symbol(b))
            assert same == (b in groups[a])


@given(st.lists(st.tuples(NAMES, st.one_of(NAMES, st.integers(1, 4)))))
def test_a_size_that_is_known_stays_what_it_is(statements):
    sizes, known = Equalities(), {}
    for name, other in statements:
        size = Dim(other) if isinstance(other, int) else sizes.symbol(other)
        sizes.equate(sizes.symbol(name), size)
        for n in "NTHDV":
            resolved = sizes.resolve(sizes.symbol(n))
            assert n not in known or resolved == known[n]
            if resolved.known:
                known[n] = resolved


@given(st.integers(1, 9), st.integers(1, 9))
def test_a_baked_size_is_free_until_it_is_fixed(nominal, factor):
    sizes = Equalities()
    n = sizes.symbol("N", nominal)
    assert not sizes.resolve(n).known
    assert sizes.nominal(factor * n) == factor * nominal
    assert sizes.nominal(sizes.symbol("T")) is None
    sizes.fix(factor * n)
    assert sizes.resolve(factor * n) == Dim(factor * nominal)


@given(st.integers(1, 9), st.integers(1, 9))
def test_a_baked_size_that_meets_a_weight_is_that_number(nominal, number):
    assume(nominal != number)
    sizes = Equalities()
    assert sizes.equate(sizes.symbol("N", nominal), Dim(number)) == Dim(number)
    assert sizes.resolve(sizes.symbol("N")) == Dim(number)


@given(st.lists(st.integers(-4, 4), max_size=4), st.integers(5, 30))
def test_sums_are_those_of_the_numbers(added, number):
    sizes = Equalities()
    whole = sizes.symbol("T", number)
    longer = whole
    for n in added:
        longer = sizes.plus(longer, n)
    assert (longer == whole) == (sum(added) == 0)
    assert longer == sizes.plus(whole, sum(added))
    assert sizes.apart(longer, whole) == sum(added)
    assert sizes.nominal(longer) == number + sum(added)
    assert sizes.base(longer.symbols[0]) == "T"
    sizes.fix(longer)
    assert sizes.resolve(longer) == Dim(number + sum(added))


@given(st.integers(-4, 4), st.integers(-4, 4), st.integers(5, 30))
def test_sums_that_are_equal_tell_what_they_are_sums_of(more, less, number):
    sizes = Equalities()
    one, other = sizes.plus(sizes.symbol("T"), more), sizes.plus(sizes.symbol("S", number), less)
    sizes.equate(one, other)
    assert sizes.resolve(one) == sizes.resolve(other)
    assert sizes.apart(sizes.symbol("S"), sizes.symbol("T")) == more - less
    assert sizes.nominal(sizes.symbol("T")) == number + less - more
    sizes.equate(other, Dim(number + 10))
    assert sizes.resolve(sizes.symbol("T")) == Dim(number + 10 - more)


def test_a_size_is_no_sum_of_itself():
    """Such a contradiction comes of a graph that cannot run; it is no reason to search for ever."""
    sizes = Equalities()
    size = sizes.symbol("T")
    for other in (sizes.plus(size, 1), size * sizes.plus(size, 1), sizes.plus(2 * size, 1)):
        sizes.equate(size, other)
        sizes.equate(other, size)
        assert sizes.resolve(size) == size


def test_what_is_not_fixed_keeps_its_sums_free():
    sizes = Equalities()
    longer = sizes.plus(sizes.symbol("T", 6), 1)
    sizes.symbol("N", 3)
    sizes.fix_all(but=longer.symbols)
    assert not sizes.resolve(longer).known
    assert sizes.resolve(sizes.symbol("N")) == Dim(3)
    assert sizes.least(sizes.symbol("T")) == 0
    sizes.plus(sizes.symbol("T"), -2)
    assert sizes.least(sizes.symbol("T")) == 2
    assert sizes.least(longer) == 3


def test_a_size_that_only_the_number_of_the_file_serves_keeps_its_symbol():
    sizes = Equalities()
    steps, other = sizes.symbol("T", 7), sizes.symbol("U", 7)
    assert sizes.number(steps) is None
    sizes.bake(steps)
    assert (sizes.number(steps), sizes.number(2 * steps), sizes.number(sizes.plus(steps, -1))) == (7, 14, 6)
    assert sizes.number(other) is None
    sizes.equate(steps, other)
    assert (sizes.number(other), sizes.resolve(other).known) == (7, False)


def test_a_free_size_that_must_be_a_number_keeps_its_symbol():
    sizes = Equalities()
    steps = sizes.symbol("T")
    sizes.bake(steps, 7)
    assert (sizes.number(steps), sizes.resolve(steps).known) == (7, False)
