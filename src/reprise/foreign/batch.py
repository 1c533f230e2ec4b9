"""Which axes are the batch: those along which the rows of a run are what each row gives alone.

A size of 1 that an exporter baked in is tried as if it were free.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product

import numpy as np

from reprise.foreign.program import Entry
from reprise.foreign.recurrent_nodes import slots
from reprise.foreign.trial import GUESSES, TOLERANCE, Axes, Shapes, Trial, distance, doubled_axis, resized
from reprise.tensors import Array

#: Sizes that are tried for a free axis that is not the batch: steps, bands of a spectrum, samples of a frame.
_SIZES = (3, 1, 4, 8, 16, 32, 64, 80, 128, 160, 256, 257, 320, 512, 576, 1024, 1536)


@dataclass(frozen=True, slots=True)
class Batch:
    """The axes of the batch.

    Attributes:
        axes: By the name of the input, None where it has none.
        shapes: The shapes of a call on which the program runs, of one row where it takes any number of rows.
        size: What its other free sizes are there.
        free: Whether any number of rows can be given.
    """

    axes: Axes
    shapes: Shapes
    size: int
    free: bool

    @property
    def rows(self) -> int:
        """How many rows an experiment has."""
        fixed = (self.shapes[name][axis] for name, axis in self.axes.items() if axis is not None)
        return 2 if self.free else next(fixed, 1)


def batch_of(trial: Trial) -> Batch | None:
    """The first guess whose rows are independent, as many as are given or as the file states; None where none runs.

    Where that shows of no guess, as with one row that the file states, it is the first that runs.
    """
    for axes in _guesses(trial):
        found = _first_size(trial, axes, 1)
        if found is not None and _rows_are_independent(trial, found):
            return found
    running = [found for axes in _guesses(trial) if (found := _first_size(trial, axes, None)) is not None]
    apart = (guess for guess in running if guess.rows > 1 and _rows_stay_apart(trial, guess))
    stated = (guess for guess in running if guess.rows == 1 and _is_stated(trial, guess))
    return next(apart, None) or next(stated, None) or next(iter(running), None)


def _is_stated(trial: Trial, guess: Batch) -> bool:
    """Whether the file itself states the sizes of all axes of the batch: a free one is more likely another."""
    sizes = {i.name: i.sizes for i in trial.probe.program.inputs}
    return all(isinstance(sizes[name][axis], int) for name, axis in guess.axes.items() if axis is not None)


def first_run(trial: Trial) -> dict[str, Array] | None:
    """The inputs and results of a run of two rows that are independent, else of the sizes that the file states.

    None where none runs. In another run what is a state could get a shape that its next value does not have.
    """
    inside = [s.initial for s in slots(trial.probe.program) if s.initial]
    wanted = list(dict.fromkeys([*(o.name for o in trial.probe.program.outputs), *inside]))
    guess = _first_running(trial)
    if guess is None:
        return None
    feeds = trial.feeds(guess.shapes, guess.size)
    results = trial.probe.run(feeds, wanted)
    return None if results is None else feeds | results


def _first_running(trial: Trial) -> Batch | None:
    two = [guess for axes in _guesses(trial) if (guess := _first_size(trial, axes, 2)) is not None]
    apart = next((guess for guess in two if _rows_are_independent(trial, guess)), None)
    stated = (_first_size(trial, axes, rows) for rows in (None, 1) for axes in _guesses(trial))
    return apart or next((guess for guess in stated if guess is not None), None) or next(iter(two), None)


def _guesses(trial: Trial) -> Iterator[Axes]:
    """Axes of all inputs that may be the batch together: the likely ones first, then those of a size that is stated."""
    yield from islice(_likely_guesses([*trial.states, *trial.data]), GUESSES)
    yield from islice(_stated_guesses([*trial.states, *trial.data]), GUESSES)


def _stated_guesses(entries: Sequence[Entry]) -> Iterator[Axes]:
    """Axes of one size that the file states, of each input that has such; free ones of the others."""
    stated = {size for i in entries for size in i.sizes if isinstance(size, int) and size > 1}
    for rows in sorted(stated):
        choices: list[Sequence[int | None]] = [
            [k for k, n in enumerate(i.sizes) if n == rows] or _free(i) or (None,) for i in entries
        ]
        for axes in product(*choices):
            yield {i.name: axis for i, axis in zip(entries, axes, strict=True)}


def _free(entry: Entry) -> list[int]:
    return [k for k, size in enumerate(entry.sizes) if not isinstance(size, int)]


def _likely_guesses(entries: Sequence[Entry]) -> Iterator[Axes]:
    """Free axes and those of size 1; where the file states sizes, these are equal."""
    counts = Counter(size for i in entries for size in set(i.sizes) if isinstance(size, str))
    words = {word for word, count in counts.items() if count > 1}  # a word that several inputs have is likely it
    for axes in product(*(_likely_axes(i, words) for i in entries)):
        stated = {i.sizes[axis] for i, axis in zip(entries, axes, strict=True) if axis is not None}
        if len({size for size in stated if isinstance(size, int)}) <= 1:
            yield {i.name: axis for i, axis in zip(entries, axes, strict=True)}


def _likely_axes(entry: Entry, words: set[str]) -> list[int | None]:
    """Axes that may be the batch: the one whose word others have; else free ones and those of size 1; else all."""
    free = _free(entry)
    named = [k for k in free if entry.sizes[k] in words]
    ones = [k for k, size in enumerate(entry.sizes) if size == 1]
    others = [] if free else [k for k in range(len(entry.sizes)) if k not in ones]
    return [*(named if len(named) == 1 else (*free, *ones, *others))] or [None]


def _first_size(trial: Trial, axes: Axes, rows: int | None) -> Batch | None:
    """The guess with the first of the sizes on which so many rows run; as many as the file states where None."""
    entries = [*trial.states, *trial.data]
    count = _stated_rows(entries, axes) if rows is None else rows
    for size in _SIZES:
        shapes = {i.name: _shape(i, axes[i.name], size, count) for i in entries}
        if trial.probe.can_run(trial.feeds(shapes, size)):
            return Batch(axes, shapes, size, free=rows is not None)
    return None


def _stated_rows(entries: Iterable[Entry], axes: Axes) -> int | None:
    """The number of rows that the file states for an input, which is that of all; None where it states none."""
    stated = (i.sizes[axis] for i in entries if (axis := axes[i.name]) is not None)
    return next((size for size in stated if isinstance(size, int)), None)


def _shape(entry: Entry, batch: int | None, size: int, rows: int | None) -> tuple[int, ...]:
    """The shape of an input of some rows whose other free sizes are all `size`."""
    stated = [n if isinstance(n, int) else size for n in entry.sizes]
    if batch is not None and rows is not None:
        stated[batch] = rows
    return tuple(stated)


def _rows_are_independent(trial: Trial, guess: Batch) -> bool:
    """Whether two rows at once give what each gives alone."""
    feeds = trial.feeds(resized(guess.shapes, guess.axes, 2), guess.size)
    both = trial.probe.run(feeds) if trial.probe.can_run(feeds) else None
    if both is None:
        return False
    for row in (0, 1):
        alone = trial.probe.run({n: _row(a, guess.axes[n], row) for n, a in feeds.items()})
        if alone is None or not all(_holds_row(both[n], alone[n], row) for n in trial.probe.certain):
            return False
    return True


def _rows_stay_apart(trial: Trial, guess: Batch) -> bool:
    """Whether each row of the inputs reaches its own row of every result alone, tried with the first and the last."""
    feeds, others = (trial.feeds(guess.shapes, guess.size, seed) for seed in (0, 1))
    before = trial.probe.run(feeds)
    for row in (0, guess.rows - 1):
        after = trial.probe.run({n: _with_row(a, others[n], guess.axes[n], row) for n, a in feeds.items()})
        if before is None or after is None:
            return False
        if not all(_only_part_differs(before[n], after[n], guess.rows, row) for n in trial.probe.certain):
            return False
    return True


def _with_row(array: Array, other: Array, axis: int | None, row: int) -> Array:
    """`array` with one row of another."""
    if axis is None:
        return array
    rows = [(other if k == row else array).take([k], axis) for k in range(array.shape[axis])]
    return np.concatenate(rows, axis)


def _only_part_differs(before: Array, after: Array, rows: int, row: int) -> bool:
    """Whether along one axis all of `rows` parts but one are the same."""
    for axis, size in enumerate(before.shape):
        length = size // rows
        same = [k for k in range(size) if k // max(length, 1) != row]
        if size == rows * length > 0 and distance(before.take(same, axis), after.take(same, axis)) <= TOLERANCE:
            return True
    return False


def _row(array: Array, axis: int | None, row: int) -> Array:
    return array if axis is None else array.take([row], axis)


def _holds_row(both: Array, alone: Array, row: int) -> bool:
    """Whether a result of two rows holds that of one row; rows may be flattened with steps, batch-major."""
    if both.shape == alone.shape:
        return distance(both, alone) <= TOLERANCE
    axis = doubled_axis(alone.shape, both.shape)
    if axis is None:
        return False
    length = alone.shape[axis]
    part = both.take(range(row * length, (row + 1) * length), axis)
    return distance(part, alone) <= TOLERANCE
