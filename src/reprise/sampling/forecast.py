"""How well a model of numbers forecasts a series: what it gives after a row is taken for the next row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from reprise.errors import CallError
from reprise.sampling.symbols import InterfaceLike, PortLike, SteppableModel, names_and_roles
from reprise.tensors import DTYPES, Array

_MOST_STEPS = 1024  # of one call, so that memory does not grow with the series


@dataclass(frozen=True, slots=True)
class ForecastScore:
    """How well a model forecasts a series one step ahead.

    Attributes:
        rmse: The root of the mean squared error of each column, in the units of the series.
        rmse_unchanged: That of the forecast that every row is as the one before: what a useful model stays below.
        steps: How many rows were forecast: all but the first, which is only read.
    """

    rmse: tuple[float, ...]
    rmse_unchanged: tuple[float, ...]
    steps: int


def score_forecast(model: SteppableModel[Any], series: Array) -> ForecastScore:
    """How well `model` forecasts each row of `series` from all before it: the state is carried through.

    Args:
        model: Can be stepped, reads D numbers a step and gives D.
        series: [T, D], or [T] where D is 1, in the units that the model reads.

    Raises:
        CallError: The model is no such model, or the series does not fit it.
    """
    rows = check_series(model, series, least=2)
    errors, state = [], model.initial_state(forecast_ports(model.interface)[0].rows)
    for start in range(0, len(rows) - 1, _MOST_STEPS):
        chunk = rows[start : min(start + _MOST_STEPS, len(rows) - 1)]
        given, state = _forecast(model, chunk, state)
        errors.append(np.square(given - rows[start + 1 : start + 1 + len(chunk)]).sum(axis=0))
    steps = len(rows) - 1
    unchanged = np.sqrt(np.square(np.diff(rows, axis=0)).mean(axis=0))
    return ForecastScore(tuple(np.sqrt(np.sum(errors, axis=0) / steps).tolist()), tuple(unchanged.tolist()), steps)


def check_series(model: SteppableModel[Any], series: Array, least: int) -> Array:
    """The series as [T, D], float64.

    Raises:
        CallError: The model forecasts nothing, or the series does not fit it.
    """
    width = forecast_ports(model.interface)[0].port.shape[-1]
    rows = np.asarray(series, np.float64)
    rows = rows[:, None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or len(rows) < least or (width is not None and rows.shape[1] != width):
        only = ", of which the first is only read" if least > 1 else ""
        raise CallError(
            f"series: expected [T, {width or 'D'}] numbers with at least {least} rows{only}, "
            f"found shape {list(np.shape(series))}"
        )
    if not np.isfinite(rows).all():
        raise CallError(
            f"series: row {int(np.argwhere(~np.isfinite(rows))[0][0])} holds NaN or infinity; fill it first"
        )
    return rows


@dataclass(frozen=True, slots=True)
class ForecastInput:
    """The input of a model of numbers.

    Attributes:
        port: It.
        rows: How many to feed: one, or as many as the file fixed.
        any_rows: Whether any number can be fed at once.
    """

    port: PortLike
    rows: int
    any_rows: bool


def forecast_ports(interface: InterfaceLike) -> tuple[ForecastInput, PortLike]:
    """The input and the output of a model of numbers.

    Raises:
        CallError: It is none.
    """
    if not interface.steppable:
        raise CallError(f"model: it cannot be stepped ({interface.why_not}), so it forecasts nothing; use run()")
    sources = [p for p in interface.inputs if p.role != "lengths"]
    numbers = [p for p in interface.outputs if p.role == "values"]
    fitting = [p for p in numbers if sources and p.shape and p.shape[-1] == sources[0].shape[-1]]
    if len(sources) != 1 or sources[0].role in ("tokens", "one-hot") or len(fitting) != 1:
        raise CallError(
            "model: expected one input of numbers and one output of values as wide, found "
            f"{names_and_roles(interface.inputs)} and {names_and_roles(interface.outputs)}; use step() or run()"
        )
    port = sources[0]
    free = port.batch_axis is not None and port.shape[port.batch_axis] is None
    return ForecastInput(port, _rows(port), free), fitting[0]


def forecast_rows(model: SteppableModel[Any], rows: Array, state: Any) -> tuple[Array, Any]:
    """What the model gives after the rows [K, D], at least for the last ones, and the state."""
    given = rows
    for start in range(0, len(rows), _MOST_STEPS):
        given, state = _forecast(model, rows[start : start + _MOST_STEPS], state)
    return given, state


def step_rows(model: SteppableModel[Any], rows: Array, state: Any) -> tuple[Array, Any]:
    """What the model gives after one step of B sequences [B, D], and the state; B is 1 unless any number can be fed."""
    source, output = forecast_ports(model.interface)
    fed = rows.astype(DTYPES[source.port.dtype]) if source.any_rows else _fed(source.port, rows, None)
    outputs, state = model.step({source.port.name: fed}, state)
    return np.asarray(outputs[output.name], np.float64).reshape(-1, rows.shape[1])[: len(rows)], state


def _forecast(model: SteppableModel[Any], rows: Array, state: Any) -> tuple[Array, Any]:
    """What the model gives after each of the rows [K, D], and the state."""
    found, output = forecast_ports(model.interface)
    source = found.port
    whole = source.time_axis is not None and source.shape[source.time_axis] is None and output.time_axis is not None
    if whole:
        outputs, state = model.run({source.name: _fed(source, rows, source.time_axis)}, state)
        return _first_row(outputs[output.name], output.batch_axis).reshape(rows.shape), state
    given = []
    for row in rows:
        outputs, state = model.step({source.name: _fed(source, row[None], None)}, state)
        given.append(np.asarray(outputs[output.name]).reshape(-1, rows.shape[1])[0])
    return np.stack(given), state


def _fed(port: PortLike, rows: Array, time_axis: int | None) -> Array:
    """The rows [K, D] in the layout of an input, the same in every row of its batch; K is 1 without a time axis."""
    if port.batch_axis is None:
        data = rows if time_axis is not None else rows[0]
    else:
        axis = 0 if time_axis is None or port.batch_axis < time_axis else 1
        data = np.repeat(np.expand_dims(rows, axis), _rows(port), axis=axis)
        data = data if time_axis is not None else data[:, 0]
    return data.astype(DTYPES[port.dtype])


def _first_row(values: Array, batch_axis: int | None) -> Array:
    return np.asarray(values) if batch_axis is None else np.take(values, 0, axis=batch_axis)


def _rows(port: PortLike) -> int:
    """How many rows to feed: one, or as many as the file fixed."""
    return 1 if port.batch_axis is None else port.shape[port.batch_axis] or 1
