from datetime import datetime

import numpy as np
import pytest

from reprise.errors import CallError
from reprise.train.data.dates import are_dates
from reprise.train.data.numeric import read_series


@pytest.fixture
def table(tmp_path):
    def read(dates, values=None, **options):
        path = tmp_path / "a.csv"
        cells = range(len(dates)) if values is None else values
        path.write_text("time,load\n" + "".join(f"{d},{v}\n" for d, v in zip(dates, cells, strict=True)))
        (found,) = read_series(path, **options)
        return found

    return read


def hours(*numbers, day="2026-03-01"):
    return [f"{day} {n:02}:00" for n in numbers]


def test_a_column_of_dates_is_understood_and_goes_on(table):
    found = table(hours(21, 22, 23))
    assert (found.names, found.rows.ravel().tolist()) == (("load",), [0, 1, 2])
    assert found.dates.following(2) == ["2026-03-02 00:00:00", "2026-03-02 01:00:00"]
    assert (str(found.dates.step), found.dates.step.season) == ("hour", 24)
    assert found.dates.preceding(2) == [datetime(2026, 3, 1, 22), datetime(2026, 3, 1, 23)]


@pytest.mark.parametrize(
    ("dates", "step", "next_one"),
    [
        (["2026-01-31", "2026-02-01", "2026-02-02"], "day", "2026-02-03 00:00:00"),
        (["2025-11-01", "2025-12-01", "2026-01-01"], "month", "2026-02-01 00:00:00"),
        (["2025-12-31", "2026-01-31", "2026-02-28"], "month", "2026-03-31 00:00:00"),
        (["2025-08-31", "2025-10-31", "2025-12-31"], "2 months", "2026-02-28 00:00:00"),
        (["2025-08-30", "2025-10-30", "2025-12-30"], "2 months", "2026-02-28 00:00:00"),
        (["30.01.2026", "31.01.2026", "01.02.2026"], "day", "02.02.2026"),
        (["2026-01-01T00:00Z", "2026-01-01T00:15Z", "2026-01-01T00:30Z"], "15 minutes", "2026-01-01 00:45:00+00:00"),
        (["01/02/2026", "01/03/2026", "01/04/2026", "01/05/2026", "01/31/2026"][:4], "day", "01/06/2026"),
    ],
)
def test_dates_are_read_and_written_as_the_file_writes_them(table, dates, step, next_one):
    if dates[0].startswith("01/0"):
        with pytest.raises(CallError, match=r"'01/05/2026' may be 01 May 2026 or 05 January 2026\. Write dates as"):
            table(dates)
        return
    found = table(dates).dates
    assert (str(found.step), found.following(1)) == (step, [next_one])


def test_missing_rows_are_named_with_their_place_and_filled_as_asked(table):
    dates = hours(1, 2, 5, 6)
    with pytest.raises(
        CallError, match=r"2 rows are missing in 1 places, the first 2 before line 4, between '2026-03-01 02:00' and"
    ):
        table(dates)
    assert table(dates, [1, 2, 8, 9], fill="linear").rows.ravel().tolist() == [1, 2, 4, 6, 8, 9]
    assert table(dates, [1, 2, 8, 9], fill="previous").rows.ravel().tolist() == [1, 2, 2, 2, 8, 9]


def test_missing_numbers_are_named_with_their_place_and_filled_as_asked(table):
    values = ["1", "", "NA", "4"]
    with pytest.raises(CallError, match=r"line 3, column 'load': '' is not a finite number\. Fill the gap by --fill"):
        table(hours(1, 2, 3, 4), values)
    assert table(hours(1, 2, 3, 4), values, fill="linear").rows.ravel().tolist() == [1, 2, 3, 4]
    assert table(hours(1, 2, 3), ["", "5", "6"], fill="previous").rows.ravel().tolist() == [5, 5, 6]
    with pytest.raises(CallError, match="column 1 has no value from which it could be filled"):
        table(hours(1, 2), ["", ""], fill="linear")


@pytest.mark.parametrize(
    ("dates", "words"),
    [
        (hours(1, 3, 2), r"line 4, column 'time': '2026-03-01 02:00' is before it\. Sort the rows"),
        (hours(1, 2, 2), r"line 4.* is the date of the line before"),
        ([*hours(1, 2, 3), "2026-03-01 03:20"], r"line 5: 2026-03-01 03:20:00 is no number of steps of one hour after"),
        (["9999-12-30", "9999-12-31"], r"'9999-12-30' is too far away; expected years before 9000"),
        ([*hours(1, 2), "soon"], r"column 'time': 'soon' is not a date"),
    ],
)
def test_dates_that_are_no_equal_steps_are_refused_with_the_line(table, dates, words):
    with pytest.raises(CallError, match=words):
        table(dates)


def test_dates_that_cannot_be_used_are_answered_with_what_the_file_could_be_without_them(table, tmp_path):
    words = r"Or remove column 'time' from the file: then the values of load are read, and each row is one step after"
    with pytest.raises(CallError, match=words):
        table(hours(1, 3, 2))
    with pytest.raises(CallError, match=words):
        table(hours(1, 3, 2), columns=["load"])
    (tmp_path / "a.csv").write_text("load\n0\n1\n2\n")
    assert read_series(tmp_path / "a.csv")[0].rows.ravel().tolist() == [0, 1, 2]


def test_numbers_are_no_dates():
    assert not are_dates(["2024", "2025"])
    assert not are_dates([])
    assert are_dates(["2024-01-01"])


def test_a_long_series_has_the_dates_of_its_rows(table):
    start = np.datetime64("2024-01-01T00:00")
    found = table([str(start + np.timedelta64(k, "h")) for k in range(3000)])
    assert found.dates.last == datetime(2024, 5, 4, 23)
