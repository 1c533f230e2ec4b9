"""The arithmetic of sizes that may be unknown."""

import math

from hypothesis import assume, given
from hypothesis import strategies as st

from reprise.interface.sizes import Dim, Equalities, dim, product

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
