"""Forecasts of many steps: what a model gives is what it reads next; and how large the errors of that are."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from reprise.errors import CallError, DamagedFile
from reprise.sampling.drawing import check_seed
from reprise.sampling.forecast import check_series, forecast_ports, forecast_rows, step_rows
from reprise.sampling.symbols import SteppableModel
from reprise.tensors import Array

#: From so many places of a series forecasts are begun, at the most, to measure errors.
MOST_ORIGINS = 256
#: Rows that are read before the first of these places, or a third of the series if that is less.
WARM_UP = 200


@dataclass(frozen=True)
class Forecast:
    """What follows a series, by a model.

    Attributes:
        values: [steps, D], in the units of the series.
        lower: [steps, D], below which the truth is to lie with probability (1 − `interval`) / 2; None without errors.
        upper: [steps, D], likewise above.
        samples: [S, steps, D], ways in which the series may go on; empty where none were asked for.
        columns: Names of the D columns.
        interval: The probability with which the truth is to lie between `lower` and `upper`.
        basis: What the interval rests on, a clause.
    """

    values: Array
    lower: Array | None
    upper: Array | None
    samples: Array
    columns: tuple[str, ...]
    interval: float
    basis: str

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
        rows = "".join(
            f"<tr><td>{k + 1}</td>" + "".join(f"<td>{value:.6g}</td>" for value in row) + "</tr>"
            for k, row in enumerate(self.values[:48])
        )
        return f"<table><tr><th>step</th>{head}</tr>{rows}</table><p>{escape(self.basis)}</p>"


@dataclass(frozen=True)
class Backtest:
    """Forecasts from many places of a series, and what then came.

    Attributes:
        errors: [origins, horizon, D], truth minus forecast.
        naive: [origins, horizon, D], truth minus the seasonal naive forecast: the value one season before.
        season: Steps of that season.
    """

    errors: Array
    naive: Array
    season: int

    @property
    def rmse(self) -> tuple[float, ...]:
        """The root of the mean squared error of each column, over all origins and steps ahead."""
        return _rmse(self.errors)

    @property
    def rmse_naive(self) -> tuple[float, ...]:
        """That of the seasonal naive forecast."""
        return _rmse(self.naive)

    def _repr_html_(self) -> str:
        rows = zip(self.rmse, self.rmse_naive, strict=True)
        cells = "".join(f"<tr><td>{ours:.6g}</td><td>{naive:.6g}</td></tr>" for ours, naive in rows)
        return f"<table><tr><th>RMSE</th><th>seasonal naive</th></tr>{cells}</table>"


def _rmse(errors: Array) -> tuple[float, ...]:
    return tuple(np.sqrt(np.square(errors).mean(axis=(0, 1))).tolist())


def forecast(
    model: SteppableModel[Any],
    history: Array,
    steps: int,
    *,
    samples: int = 0,
    seed: int | None = None,
    interval: float = 0.9,
    validation: Array | None = None,
    columns: tuple[str, ...] = (),
) -> Forecast:
    """What follows `history` for so many steps.

    Args:
        model: Can be stepped, reads D numbers a step and gives D.
        history: [T, D], or [T] where D is 1, in the units that the model reads; all of it is read.
        steps: How many.
        samples: How many ways to go on to draw: at each step the error of a random place of `validation` is added.
        seed: The same seed draws the same samples.
        interval: The probability of the interval.
        validation: A series that the model was not trained on, on which its errors are measured; None, or one that is
            too short for forecasts of so many steps, gives neither interval nor samples.
        columns: Names of the columns.

    Raises:
        CallError: The model forecasts nothing, or an argument does not fit.
    """
    if steps < 1 or samples < 0 or not 0 < interval < 1:
        raise CallError(
            f"expected steps of at least 1, samples of at least 0 and an interval between 0 and 1, found {steps}, "
            f"{samples} and {interval}"
        )
    check_seed(seed)
    rows = check_series(model, history, least=1)
    first, state = _after_rows(model, rows, model.initial_state(forecast_ports(model.interface)[0].rows))
    values = _onward(model, first[None], state, steps)[0]
    names = columns or tuple(str(k + 1) for k in range(rows.shape[1]))
    errors, basis = _errors(model, validation, steps)
    if errors is None:
        if samples:
            raise CallError(f"samples need errors to draw from: {basis}. Give validation=, or fewer steps.")
        return Forecast(values, None, None, np.zeros((0, *values.shape)), names, interval, f"no interval: {basis}")
    beyond = (1 - interval) / 2
    low, high = np.quantile(errors, [beyond, 1 - beyond], axis=0)
    basis = f"{interval:.0%} interval from {basis}"
    drawn = _samples(model, first, state, steps, samples, errors[:, 0], seed)
    return Forecast(values, values + low, values + high, drawn, names, interval, basis)


def _errors(model: SteppableModel[Any], validation: Array | None, steps: int) -> tuple[Array | None, str]:
    """The errors [origins, steps, D] of forecasts on a series, None where there are none, and what they are or why."""
    if validation is None:
        return None, "there is no series beside the model that it was not trained on"
    if len(validation) < _first_origin(len(validation), 1) + steps:
        return None, f"{len(validation)} rows to measure on are too few for forecasts of {steps} steps"
    errors = backtest(model, validation, steps).errors
    return errors, f"the errors of {len(errors)} forecasts of {steps} steps"


def _first_origin(rows: int, season: int) -> int:
    """From which place of a series of so many rows the first forecast is made."""
    return max(min(WARM_UP, rows // 3), season)


def backtest(model: SteppableModel[Any], series: Array, horizon: int, season: int = 1) -> Backtest:
    """Forecasts of `horizon` steps from many places of `series`, each from all that precedes it.

    Args:
        model: As in `forecast`.
        series: [T, D], or [T] where D is 1.
        horizon: Steps of each forecast.
        season: Steps of the season of the naive forecast; 1 takes the last value.

    Raises:
        CallError: The series is too short, or does not fit the model.
    """
    rows = check_series(model, series, least=2)
    begin = _first_origin(len(rows), season)
    last = len(rows) - horizon
    if horizon < 1 or season < 1 or begin > last:
        raise CallError(
            f"series: {len(rows)} rows are too few for forecasts of {horizon} steps with a season of {season}; at "
            f"least {begin + horizon} are needed. Give more rows or a smaller horizon."
        )
    ends = np.arange(begin, last + 1, -(-(last - begin + 1) // MOST_ORIGINS))
    firsts, states, read = [], [], 0
    state = model.initial_state(forecast_ports(model.interface)[0].rows)
    for end in ends.tolist():
        first, state = _after_rows(model, rows[read:end], state)
        firsts.append(first)
        states.append(state)
        read = end
    forecasts = _from_all(model, np.stack(firsts), states, horizon)
    truth = np.stack([rows[end : end + horizon] for end in ends])
    back = season - np.arange(horizon) % season
    naive = np.stack([rows[end - back] for end in ends])
    return Backtest(truth - forecasts, truth - naive, season)


def read_validation(path: Path) -> Array:
    """The rows that a run folder keeps for measuring errors, float64 [M, D].

    Raises:
        DamagedFile: It is no array of numbers.
    """
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False), np.float64)
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise DamagedFile(f"{path}: not a complete array of numbers ({error}). Copy it again.") from error


def _after_rows(model: SteppableModel[Any], rows: Array, state: Any) -> tuple[Array, Any]:
    """What the model gives after the last of the rows, [D], and the state."""
    given, state = forecast_rows(model, rows, state)
    return given[-1], state


def _onward(model: SteppableModel[Any], first: Array, state: Any, steps: int, errors: Array | None = None) -> Array:
    """The forecasts [B, steps, D] that begin with `first` [B, D]; `errors` [B, steps, D] are added to what is read."""
    values = [first if errors is None else first + errors[:, 0]]
    for k in range(1, steps):
        following, state = step_rows(model, values[-1], state)
        values.append(following if errors is None else following + errors[:, k])
    return np.stack(values, axis=1)


def _from_all(model: SteppableModel[Any], firsts: Array, states: list[Any], steps: int) -> Array:
    """The forecasts [B, steps, D] from B places, all at once where the model takes any number of rows."""
    source = forecast_ports(model.interface)[0]
    if not source.any_rows or any(port.batch_axis is None for port in model.interface.states):
        each = [_onward(model, first[None], state, steps) for first, state in zip(firsts, states, strict=True)]
        return np.concatenate(each)
    axes = {port.name: port.batch_axis for port in model.interface.states}
    joined = {name: np.concatenate([state[name] for state in states], axis) for name, axis in axes.items()}
    return _onward(model, firsts, model.initial_state(len(firsts)).replace(joined), steps)


def _samples(
    model: SteppableModel[Any], first: Array, state: Any, steps: int, samples: int, errors: Array, seed: int | None
) -> Array:
    """So many ways to go on, [S, steps, D]: each step adds an error one step ahead of a random place."""
    if not samples:
        return np.zeros((0, steps, len(first)))
    drawn = errors[np.random.default_rng(seed).integers(0, len(errors), (samples, steps))]
    source = forecast_ports(model.interface)[0]
    if not source.any_rows or any(port.batch_axis is None for port in model.interface.states):
        return np.concatenate([_onward(model, first[None], state, steps, one[None]) for one in drawn])
    axes = {port.name: port.batch_axis for port in model.interface.states}
    joined = {name: np.repeat(state[name], samples, axis) for name, axis in axes.items()}
    return _onward(
        model, np.repeat(first[None], samples, axis=0), model.initial_state(samples).replace(joined), steps, drawn
    )
