"""Which axes are time: those along which a run of T steps gives what T single steps give that carry the states.

The comparison starts from random states, so a state that is paired wrongly fails it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product

import numpy as np

from reprise.foreign.batch import Batch
from reprise.foreign.program import Entry
from reprise.foreign.trial import GUESSES, TOLERANCE, Axes, Trial, distance, doubled_axis, resized
from reprise.tensors import Array

#: How many steps are compared.
STEPS = 4


@dataclass(frozen=True, slots=True)
class Time:
    """The axes of time, or why there are none.

    Attributes:
        inputs: The axis of each input that changes from step to step.
        outputs: The axis of each output, None where it is of the last step alone.
        difference: Where a run differs from single steps; empty where it does not.
    """

    inputs: Axes
    outputs: Axes
    difference: str = ""


class _DifferentError(Exception):
    """Steps that do not give what a run gives."""


def time_of(trial: Trial, batch: Batch) -> Time | None:
    """The first guess for which T steps at once are T single steps; else one for which they differ; else None."""
    different: Time | None = None
    for axes in islice(_guesses(trial, batch), GUESSES):
        found = _compared(trial, batch, axes)
        if found is not None and not found.difference:
            return found
        different = different or found
    return different


def visible_time_axes(trial: Trial, batch: Batch) -> Time | None:
    """The axes along which a model that cannot be stepped takes sequences of any length; None where it takes none."""
    for axes in islice(_guesses(trial, batch), GUESSES):
        shapes = resized(batch.shapes, batch.axes, batch.rows)
        short, long = (trial.probe.run(trial.feeds(resized(shapes, axes, n), n)) for n in (STEPS, 2 * STEPS))
        if short is not None and long is not None:
            names = [o.name for o in trial.probe.program.outputs]
            return Time(axes, {n: doubled_axis(short[n].shape, long[n].shape) for n in names})
    return None


def _guesses(trial: Trial, batch: Batch) -> Iterator[Axes]:
    """Axes that may be time: free ones first, then those of size 1, then the others."""
    moving = [i for i in trial.data if i.name not in trial.lengths and i.sizes]
    choices = [sorted((k for k in range(len(i.sizes)) if k != batch.axes[i.name]), key=_bound(i)) for i in moving]
    if moving and all(choices):
        for axes in product(*choices):
            yield {i.name: axis for i, axis in zip(moving, axes, strict=True)}


def _bound(entry: Entry) -> Callable[[int], int]:
    """How firmly the file states the size of an axis."""
    return lambda axis: 0 if not isinstance(entry.sizes[axis], int) else 1 if entry.sizes[axis] == 1 else 2


def _compared(trial: Trial, batch: Batch, axes: Axes) -> Time | None:
    """A guess with what a run shows, None where one step or several cannot be run."""
    shapes = resized(resized(batch.shapes, batch.axes, batch.rows), axes, STEPS)
    feeds = trial.feeds(shapes, STEPS, seed=1)
    whole = trial.probe.run(feeds)
    steps = [] if whole is None else list(_single_steps(trial, feeds, axes))
    if whole is None or len(steps) < STEPS:
        return None
    given = {p.given for p in trial.pairs}
    try:
        _check_states(whole, steps[-1], sorted(given))
        outputs = {n: _time_axis(n, whole[n], [s[n] for s in steps]) for n in trial.probe.certain if n not in given}
    except _DifferentError as why:
        return Time(axes, {}, str(why))
    return Time(axes, outputs) if any(axis is not None for axis in outputs.values()) or given else None


def _single_steps(trial: Trial, feeds: Mapping[str, Array], axes: Axes) -> Iterator[dict[str, Array]]:
    """The results of single steps, each from the states that the one before it left."""
    states = {i.name: feeds[i.name] for i in trial.states}
    for step in range(STEPS):
        single = {n: a if (at := axes.get(n)) is None else a.take([step], at) for n, a in feeds.items()}
        single |= {n: np.ones_like(feeds[n]) for n in trial.lengths}
        results = trial.probe.run({**single, **states})
        if results is None:
            return
        yield results
        states = trial.carry(results)


def _check_states(whole: Mapping[str, Array], last: Mapping[str, Array], names: Sequence[str]) -> None:
    for name in names:
        if whole[name].shape != last[name].shape or distance(whole[name], last[name]) > TOLERANCE:
            raise _DifferentError(
                f"after {STEPS} steps at once the state {name!r} differs from that after single steps"
            )


def _time_axis(name: str, whole: Array, steps: Sequence[Array]) -> int | None:
    """The axis along which the results of single steps stand in that of the run, None where it is that of the last."""
    if whole.shape == steps[-1].shape and distance(whole, steps[-1]) <= TOLERANCE:
        return None
    for axis in range(whole.ndim):
        if whole.ndim == steps[0].ndim and sum(s.shape[axis] for s in steps) == whole.shape[axis]:
            joined = np.concatenate(steps, axis)
            if joined.shape == whole.shape and distance(joined, whole) <= TOLERANCE:
                return axis
    raise _DifferentError(f"a run of {STEPS} steps gives other numbers in {name!r} than single steps do")
