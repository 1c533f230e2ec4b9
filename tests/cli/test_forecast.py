import csv
import io

import numpy as np
import pytest

from reprise.model import RecurrentModel
from tests.sampling.numbers import model_of_numbers


@pytest.fixture
def place(tmp_path):
    model_of_numbers(tmp_path)
    hours = np.datetime64("2026-03-01T00:00") + np.arange(400).astype("timedelta64[h]")
    rows = (f"{hour},{np.sin(k / 4):.4f}" for k, hour in enumerate(hours))
    (tmp_path / "h.csv").write_text("time,load\n" + "\n".join(rows) + "\n")
    return tmp_path


def test_a_forecast_is_csv_with_the_dates_that_follow(reprise, place):
    result = reprise("forecast", place / "m.json", place / "h.csv", "--steps", 3)
    assert result.code == 0
    head, *rows = csv.reader(io.StringIO(result.out))
    assert head == ["time", "load"]
    assert [row[0] for row in rows] == ["2026-03-17 16:00:00", "2026-03-17 17:00:00", "2026-03-17 18:00:00"]
    assert result.err == "note: no interval: there is no series beside the model that it was not trained on\n"


def test_a_forecast_has_an_interval_samples_and_a_picture(reprise, place, monkeypatch):
    series = np.sin(np.arange(400) / 4)
    forecast = RecurrentModel.forecast
    monkeypatch.setattr(RecurrentModel, "forecast", lambda *args, **given: forecast(*args, **given, validation=series))
    out, plot = place / "next.csv", place / "next.png"
    options = ["--steps", 5, "--samples", 2, "--seed", 1, "--out", out, "--plot", plot]
    assert reprise("forecast", place / "m.json", place / "h.csv", *options).code == 0
    head, *rows = csv.reader(io.StringIO(out.read_text()))
    assert head == ["time", "load", "load_low", "load_high", "load_sample1", "load_sample2"]
    assert all(float(row[2]) <= float(row[3]) for row in rows)
    assert plot.read_bytes()[:4] == b"\x89PNG"


def test_a_backtest_says_both_errors_and_takes_the_season_from_the_dates(reprise, place):
    result = reprise("score", place / "m.json", place / "h.csv", "--horizon", 48)
    assert "over 48 steps (" in result.out
    assert "by the value 24 steps before)" in result.out
    assert "forecasts of 48 steps\n" in result.out


def test_gaps_are_named_and_filled_as_asked(reprise, place):
    path = place / "h.csv"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "T05:00" not in line))
    result = reprise("forecast", place / "m.json", path, "--steps", 3)
    assert (result.code, "17 rows are missing in 17 places, the first 1 before line 7" in result.err) == (1, True)
    assert reprise("forecast", place / "m.json", path, "--steps", 3, "--fill", "linear").code == 0
