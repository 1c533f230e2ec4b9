import numpy as np
import pytest

from reprise.errors import CallError
from tests.sampling.numbers import model_of_numbers

SERIES = np.random.default_rng(1).normal(size=(90, 1))


def by_hand(model, rows, steps):
    """The forecast, row after row from the beginning."""
    state, given = model.initial_state(), None
    output = model.interface.outputs[0].name
    for row in rows:
        outputs, state = model.step(row[None].astype("float32"), state)
        given = outputs[output]
    values = [given]
    for _ in range(steps - 1):
        outputs, state = model.step(values[-1], state)
        values.append(outputs[output])
    return np.concatenate(values)


def test_a_forecast_reads_what_it_gave(tmp_path):
    model = model_of_numbers(tmp_path)
    found = model.forecast(SERIES, 5)
    np.testing.assert_allclose(found.values, by_hand(model, SERIES, 5), atol=1e-6)
    assert (found.lower, len(found.samples), found.columns) == (None, 0, ("1",))


def test_a_backtest_forecasts_from_each_place_what_a_forecast_from_there_gives(tmp_path):
    model = model_of_numbers(tmp_path)
    found = model.backtest(SERIES, 7, season=3)
    assert found.errors.shape == (90 - 30 - 7 + 1, 7, 1)
    for origin in (0, 20, 53):
        end = 30 + origin
        truth = SERIES[end : end + 7]
        np.testing.assert_allclose(found.errors[origin], truth - by_hand(model, SERIES[:end], 7), atol=1e-6)
        season = SERIES[end - 3 : end]
        np.testing.assert_allclose(found.naive[origin], truth - np.concatenate([season] * 3)[:7])
    np.testing.assert_allclose(found.rmse, np.sqrt((found.errors**2).mean((0, 1))))


def test_the_interval_is_that_of_the_errors_at_each_step_ahead(tmp_path):
    model = model_of_numbers(tmp_path)
    series = SERIES
    found = model.forecast(series, 4, validation=series, interval=0.5, samples=3, seed=1)
    errors = model.backtest(series, 4).errors
    np.testing.assert_allclose(found.lower, found.values + np.quantile(errors, 0.25, axis=0))
    np.testing.assert_allclose(found.upper, found.values + np.quantile(errors, 0.75, axis=0))
    assert found.samples.shape == (3, 4, 1)
    again = model.forecast(series, 4, validation=series, samples=3, seed=1).samples
    np.testing.assert_array_equal(found.samples, again)
    assert "50% interval from the errors of 57 forecasts of 4 steps" in found._repr_html_()


def test_a_series_too_short_to_measure_errors_on_gives_a_forecast_without_an_interval(tmp_path):
    found = model_of_numbers(tmp_path).forecast(SERIES, 80, validation=SERIES)
    assert (found.lower, len(found.values)) == (None, 80)
    assert found.basis == "no interval: 90 rows to measure on are too few for forecasts of 80 steps"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.forecast(SERIES, 0), "expected steps of at least 1"),
        (lambda m: m.forecast(np.zeros((4, 3)), 3), r"expected \[T, 1\] numbers with at least 1 rows, found"),
        (lambda m: m.forecast(SERIES * np.nan, 3), "row 0 holds NaN or infinity"),
        (
            lambda m: m.forecast(SERIES, 3, samples=2),
            r"samples need errors to draw from: there is no .* Give validation=, or",
        ),
        (
            lambda m: m.forecast(SERIES, 3, validation=SERIES, samples=2, seed=-1),
            "seed: expected a whole number from 0 to",
        ),
        (lambda m: m.backtest(SERIES, 80), "90 rows are too few for forecasts of 80 steps .* at least 110 are needed"),
    ],
)
def test_what_cannot_be_forecast_is_refused(tmp_path, call, words):
    with pytest.raises(CallError, match=words):
        call(model_of_numbers(tmp_path))
