"""The layouts of inputs, outputs and states: what the axes of each are to a stack, which computes [T, N, D]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reprise.interface import Port, StatePort
from reprise.tensors import Array


@dataclass(frozen=True, slots=True)
class PortAxes:
    """Where the axes of [T, N, D] lie in a port.

    Attributes:
        order: Axes of the port in the order of time, batch and features; those that it lacks are left out.
        missing: Axes of [T, N, D], or of [T, N] for ids, that it lacks.
    """

    order: tuple[int, ...]
    missing: tuple[int, ...]


def axes_of(port: Port, *, features: bool) -> PortAxes | None:
    """Where the axes lie; None where there are others, as far as that has a meaning (`rows` aside)."""
    known = [port.time_axis, port.batch_axis]
    rest = [axis for axis in range(len(port.shape)) if axis not in known]
    if len(rest) != int(features):
        return None
    order = [axis for axis in (*known, *rest) if axis is not None]
    return PortAxes(tuple(order), tuple(i for i, axis in enumerate(known) if axis is None))


def row_width(port: StatePort) -> int | None:
    """How many numbers of a state belong to one row of the batch; None where that is not known."""
    sizes = [n for axis, n in enumerate(port.shape) if axis != port.batch_axis]
    return None if None in sizes else math.prod(n for n in sizes if n is not None)


def as_rows(port: StatePort, state: Array) -> Array:
    """A state as [N, R]."""
    if port.batch_axis is None:
        return state.reshape(1, -1)
    moved = np.moveaxis(state, port.batch_axis, 0)
    return moved.reshape(len(moved), -1)


def of_rows(port: StatePort, rows: Array) -> Array:
    """The inverse of `as_rows`."""
    if port.batch_axis is None:
        return rows.reshape([1 if n is None else n for n in port.shape])
    rest = [1 if n is None else n for axis, n in enumerate(port.shape) if axis != port.batch_axis]
    return np.moveaxis(rows.reshape(len(rows), *rest), 0, port.batch_axis)


def inverse(order: Sequence[int]) -> list[int]:
    """The permutation that undoes `order`."""
    return [int(i) for i in np.argsort(order)]
