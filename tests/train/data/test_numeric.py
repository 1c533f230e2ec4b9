"""Tables and arrays become normalised series; what is not a number is named with its place."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from reprise.errors import CallError, DamagedFile, RepriseError
from reprise.sampling.horizon import _first_origin, read_validation
from reprise.train.data import Normalisation, read_numeric
from reprise.train.data.documents import Document
from reprise.train.data.numeric import VALIDATION, keep_validation
from reprise.train.data.table import read_as_text


@pytest.fixture
def table(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "table.csv"
        path.write_text(text, encoding=encoding, newline="")
        return path

    return write


@pytest.fixture
def saved(tmp_path):
    def write(values, name="it.npy"):
        np.save(tmp_path / name, values)
        return tmp_path / name

    return write


def undone(normalisation, values):
    return values.astype(np.float64) * normalisation.std + normalisation.mean


def values_of(corpus):
    return [undone(corpus.normalisation, series).round(4).tolist() for series in corpus.series]


# Tables


@pytest.mark.parametrize(
    ("text", "columns", "values"),
    [
        ("a,b\n1,2\n3,5\n", ("a", "b"), [[1, 2], [3, 5]]),
        ("1;2\r\n3;5\r\n", ("1", "2"), [[1, 2], [3, 5]]),
        ("x\ty\n1e1\t-2\n", ("x", "y"), [[10, -2]]),
        ('\n"1"\n\n2\n', ("1",), [[1], [2]]),
        ("\ufeffa\n1", ("a",), [[1]]),
        ('"low; high, at noon",b\n1,2\n', ("low; high, at noon", "b"), [[1, 2]]),
    ],
)
def test_delimiter_header_and_blank_lines_are_understood(table, text, columns, values):
    corpus = read_numeric(table(text), val_frac=0)
    assert (corpus.normalisation.columns, values_of(corpus)) == (columns, [values])


def test_columns_are_chosen_by_name_in_the_order_asked_for(table):
    corpus = read_numeric(table("date,low,high\n1949-01,1,2\n1949-02,3,5\n"), columns=["high", "low"], val_frac=0)
    assert (corpus.normalisation.columns, values_of(corpus)) == (("high", "low"), [[[2, 1], [5, 3]]])


def test_columns_without_a_name_are_chosen_by_number(table):
    assert values_of(read_numeric(table("1949-01,1\n1949-02,3\n"), columns=["2"], val_frac=0)) == [[[1], [3]]]


def test_a_first_line_that_may_be_names_or_values_is_decided_by_the_caller(table):
    path = table("year,2019\n1,2\n3,4\n")
    with pytest.raises(CallError, match=r"line 1: \['year', '2019'\] may be names or values.*--header or --no-header"):
        read_numeric(path)
    assert values_of(read_numeric(path, header=True, val_frac=0)) == [[[1, 2], [3, 4]]]
    assert values_of(read_numeric(path, header=False, columns=["2"], val_frac=0)) == [[[2019], [2], [4]]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n3,\n", r"table\.csv line 3, column 'b': '' is not a finite number.*--columns"),
        ("1,nan\n2,3\n", "line 1, column '2': 'nan' is not a finite number"),
        ("a\n1\n\n-inf\n", "line 4, column 'a': '-inf' is not a finite number"),
        ("1,2\n3\n", "line 2: 1 columns, expected 2"),
        ("", "has no lines"),
        ("1\n" + "9" * 200_000, "line 2: not CSV"),
        ('a\n"1\n2\n', r"line 3: not CSV \(unexpected end of data\)"),
        ("a;b\n1,5;2\n", r"line 2, column 'a': '1,5' has a comma\. Write numbers with a decimal point"),
        ('a\n1\n"1,000"\n', "line 3, column 'a': '1,000' has a comma"),
        ("a,b\n", "holds no time step"),
    ],
)
def test_what_is_not_a_number_is_named_with_line_and_column(table, text, words):
    with pytest.raises(CallError, match=words):
        read_numeric(table(text))


def test_beside_a_column_of_dates_the_columns_of_numbers_are_named(table):
    path = table("date,low,high price\n1949-01,1,2\n1949-02,3,5\n")
    with pytest.raises(CallError, match=r"column 'date': '1949-01' is not .* numbers: --columns 'low,high price'$"):
        read_numeric(path)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("date,price\n" + "2017-01-02,5.5\n" * 9, "price"),
        ("1;2\n" * 9, "1, 2"),
        ("1\n2.5\n" * 9, "1"),
        ("1,2\n" * 9_999, "1, 2"),
    ],
)
def test_a_table_that_is_read_as_text_is_told(table, text, columns):
    said = read_as_text([Document("prices.csv", table(text))])
    assert said == f"prices.csv holds rows of numbers ({columns}) and is read as text; --level values forecasts them"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1,2\n" * 4,
        "Call me Ishmael, he said,\n" * 9,
        "year,2019\n" + "1,2\n" * 9,
        "1,2\n" * 9 + "3\n",
        "word,other\n" * 9,
        'a "quote\n' * 9,
    ],
)
def test_what_is_no_table_of_numbers_is_text(table, text):
    assert read_as_text([Document("it", table(text))]) == ""


@pytest.mark.parametrize(("text", "count"), [("a,b\n1,2\n", 0), ("c,c\n1,2\n", 2)])
def test_a_column_that_is_missing_or_there_twice_is_refused(table, text, count):
    with pytest.raises(CallError, match=rf"{count} columns are called 'c'; the columns are \["):
        read_numeric(table(text), columns=["c"])


def test_a_table_in_another_encoding_is_read_as_said(table):
    path = table("año\n1\n", "latin-1")
    assert read_numeric(path, encoding="latin-1", val_frac=0).normalisation.columns == ("año",)
    with pytest.raises(RepriseError, match="at byte 1: 0xf1 is not utf-8"):
        read_numeric(path)


# Arrays


@pytest.mark.parametrize(
    ("values", "shapes"),
    [
        (np.arange(5), [(5, 1)]),
        (np.arange(10, dtype=np.float16).reshape(5, 2), [(5, 2)]),
        (np.asfortranarray(np.arange(30.0).reshape(2, 5, 3)), [(5, 3), (5, 3)]),
    ],
)
def test_an_array_is_one_series_or_several(saved, values, shapes):
    corpus = read_numeric(saved(values), val_frac=0)
    assert [series.shape for series in corpus.series] == shapes
    np.testing.assert_allclose(np.ravel(values_of(corpus)), np.ravel(values), atol=1e-3)


@pytest.mark.parametrize(
    "values", [np.array("text"), np.zeros((2, 0)), np.zeros((1, 1, 1, 1)), np.zeros(3, complex), np.array(1.0)]
)
def test_an_array_of_another_kind_is_refused(saved, values):
    with pytest.raises(CallError, match=r"expected real numbers of shape \[steps\]"):
        read_numeric(saved(values))


def test_a_value_that_is_not_finite_is_named_with_its_place(saved):
    with pytest.raises(CallError, match="series 0, step 2, column 1 is inf"):
        read_numeric(saved(np.array([0, 1, np.inf])))


def test_an_array_of_objects_runs_no_code_and_is_refused(tmp_path):
    np.save(tmp_path / "it.npy", np.array([print], object), allow_pickle=True)
    with pytest.raises(DamagedFile, match=r"it\.npy: not a complete \.npy file"):
        read_numeric(tmp_path / "it.npy")


def test_any_byte_changed_or_cut_gives_numbers_or_an_error_of_the_tree(saved):
    path = saved(np.arange(6.0))
    whole = path.read_bytes()
    for i in range(len(whole)):
        for damaged in (whole[:i], *(whole[:i] + byte + whole[i + 1 :] for byte in (b"\xff", b"9", b"-", b"(", b"'"))):
            path.write_bytes(damaged)
            with suppress(RepriseError):
                read_numeric(path, val_frac=0)


def test_sources_must_have_the_same_columns(table, saved):
    with pytest.raises(CallError, match=r"it\.npy: columns \['1', '2'\], but .*table\.csv has \['a'\]"):
        read_numeric([table("a\n1\n"), saved(np.zeros((3, 2)))])


# Normalisation and parts


def test_statistics_are_those_of_the_training_part_only(saved):
    corpus = read_numeric(saved(np.array([0.0, 2.0, 0.0, 2.0, 100.0])), val_frac=0.2)
    assert (corpus.normalisation.mean, corpus.normalisation.std) == ((1.0,), (1.0,))
    assert [part.ravel().tolist() for part in (*corpus.train, *corpus.validation)] == [[-1, 1, -1, 1], [99]]


def test_a_constant_column_stays_small_where_it_changes_later(saved):
    corpus = read_numeric(saved(np.array([0.1] * 18 + [1.1] * 2)), val_frac=0.1)
    assert corpus.series[0].ravel().round(5).tolist() == [0] * 18 + [1] * 2


@pytest.mark.filterwarnings("error")
def test_numbers_too_large_to_normalise_are_refused(saved):
    with pytest.raises(CallError, match="too large to normalise"):
        read_numeric(saved(np.array([1e300, -1e300, 0])), val_frac=0)


@pytest.mark.parametrize("size", [2**30, 2**60, -(2**60)])
def test_changes_that_are_lost_at_the_size_of_their_numbers_are_refused(saved, size):
    numbers = size + np.arange(40) % 17
    with pytest.raises(CallError, match=r"column '1': numbers up to 1\..* too little to be told apart .*Subtract"):
        read_numeric(saved(numbers))
    assert read_numeric(saved(numbers - size)).steps == 40
    assert read_numeric(saved(2**30 + 1000 * np.arange(40))).steps == 40


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 9), st.just(2)), elements=st.floats(-1e6, 1e6, width=32)))
def test_normalisation_can_be_undone(rows):
    normalisation = Normalisation.of(("a", "b"), rows)
    tolerance = 1e-6 * (np.abs(rows).max() + np.array(normalisation.std))
    assert (np.abs(undone(normalisation, normalisation.apply(rows)) - rows) <= tolerance).all()


def test_the_validation_part_is_the_tail_over_all_series_in_order(saved):
    corpus = read_numeric(saved(np.arange(12.0).reshape(3, 4, 1)), val_frac=0.5)
    assert [len(part) for part in corpus.train] == [4, 2]
    assert [len(part) for part in corpus.validation] == [2, 4]


def test_targets_are_the_next_values(saved):
    corpus = read_numeric(saved(np.arange(60.0).reshape(30, 2)), val_frac=0.3)
    training, validation = corpus.streams(2, 3)
    for x, y in (training.chunk(0), next(validation.chunks())[:2]):
        assert (x.shape[1:], x.shape, x.dtype) == ((3, 2), y.shape, np.float32)
        before, after = (undone(corpus.normalisation, part) for part in (x, y))
        np.testing.assert_allclose(after, before + 2, atol=1e-4)


def test_a_validation_part_of_one_step_names_the_option(saved):
    with pytest.raises(CallError, match=r"validation part has one step.*--val-frac"):
        read_numeric(saved(np.arange(30.0))).streams(2, 3)


def test_the_fingerprint_changes_with_the_numbers_and_where_series_end(saved):
    values = np.arange(12.0)
    corpora = [read_numeric(saved(v), val_frac=0) for v in (values, values, values[::-1], values.reshape(2, 6, 1))]
    first, same, *others = (corpus.fingerprint for corpus in corpora)
    assert first == same
    assert first not in others


@pytest.mark.parametrize("count", [4, 7, 60, 101, 399, 400, 401, 3000])
def test_errors_are_measured_on_rows_that_were_not_trained_on_alone(saved, tmp_path, count):
    """Who forecasts begins at the same row, wherever the validation part begins."""
    path = saved(np.arange(10.0 * count))
    corpus = read_numeric(path, val_frac=0.1)
    keep_validation(corpus, tmp_path)
    kept = read_validation(tmp_path / VALIDATION)
    first = kept[_first_origin(len(kept), season=1), 0]
    assert first == pytest.approx(9 * count, abs=1.01)
    assert round(first) >= 9 * count
