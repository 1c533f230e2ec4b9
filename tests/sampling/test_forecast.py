"""What is given after a row is the forecast of the next; errors are in the units of the series."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from reprise.errors import CallError
from reprise.sampling import score_forecast
from tests.sampling.fakes import FakeInterface, FakePort


@dataclass
class Summing:
    """Forecasts the sum of all rows so far, in the layout of its ports."""

    interface: FakeInterface
    vocabulary: None = None

    def initial_state(self, batch=1):
        return np.zeros((batch, 2))

    def run(self, inputs, state=None):
        x, time = inputs["x"], self.interface.inputs[0].time_axis
        sums = np.cumsum(x, axis=time) + np.expand_dims(state, time)
        return {"y": sums}, np.take(sums, -1, axis=time)

    def step(self, inputs, state=None):
        return {"y": state + inputs["x"]}, state + inputs["x"]


def summing(shape=(None, None, 2), batch=0, time=1):
    ports = FakePort("x", "features", shape, batch, time, "float32"), FakePort("y", "values", shape, batch, time)
    return Summing(FakeInterface(*((port,) for port in ports)))


SERIES = np.random.default_rng(3).normal(size=(2100, 2)).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize(
    "model",
    [
        summing(),
        summing(batch=1, time=0),
        summing(shape=(3, None, 2)),
        summing(shape=(None, 1, 2)),
        summing(shape=(None, 2), time=None),
    ],
    ids=["batch first", "time first", "batch fixed", "one step", "no time"],
)
def test_the_error_is_that_of_the_next_row_in_any_layout(model):
    found = score_forecast(model, SERIES)
    differences = np.cumsum(SERIES, axis=0)[:-1] - SERIES[1:]
    assert found.steps == len(SERIES) - 1
    np.testing.assert_allclose(found.rmse, np.sqrt((differences**2).mean(axis=0)), rtol=1e-4)
    np.testing.assert_allclose(found.rmse_unchanged, np.sqrt((np.diff(SERIES, axis=0) ** 2).mean(axis=0)))


def test_a_series_of_another_width_or_of_one_row_is_refused():
    with pytest.raises(
        CallError, match=r"series: expected \[T, 2\] numbers with at least 2 rows, .* found shape \[9, 3\]"
    ):
        score_forecast(summing(), np.zeros((9, 3)))
    with pytest.raises(CallError, match=r"found shape \[1, 2\]"):
        score_forecast(summing(), np.zeros((1, 2)))


def test_a_model_of_symbols_forecasts_no_numbers():
    face = summing().interface
    symbols = replace(face, inputs=(replace(face.inputs[0], role="tokens"),))
    with pytest.raises(
        CallError, match=r"expected one input of numbers and one output of values as wide, found x \(tokens\) and y"
    ):
        score_forecast(Summing(symbols), SERIES)


@pytest.mark.parametrize("role", ["logits", "probabilities", "hidden"])
def test_scores_of_classes_are_no_forecast_though_there_are_as_many_as_columns(role):
    face = summing().interface
    scores = replace(face, outputs=(replace(face.outputs[0], role=role),))
    with pytest.raises(CallError, match=rf"one output of values as wide, found x \(features\) and y \({role}\)"):
        score_forecast(Summing(scores), SERIES)


def test_a_model_that_cannot_be_stepped_forecasts_nothing():
    with pytest.raises(CallError, match=r"cannot be stepped \(it reads backwards\), so it forecasts nothing"):
        score_forecast(Summing(replace(summing().interface, steppable=False, why_not="it reads backwards")), SERIES)
