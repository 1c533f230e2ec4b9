"""Which axes are the batch: those along which the rows of a run are what each row gives alone.

A size of 1 that an exporter baked in is tried as if it were free.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, product

from reprise.foreign.program import Entry
from reprise.foreign.recurrent_nodes import slots
from reprise.foreign.trial import GUESSES, TOLERANCE, Axes, Shapes, Trial, distance, grown_axis, resized
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
    """The first guess whose rows are independent, else the first that runs; None where the program runs on none."""
    for axes in islice(_guesses(trial), GUESSES):
        found = _first_size(trial, axes, 1)
        if found is not None and _rows_are_independent(trial, found):
            return found
    fixed = (_first_size(trial, axes, None) for axes in islice(_guesses(trial), GUESSES))
    return next((guess for guess in fixed if guess is not None), None)


def first_run(trial: Trial) -> dict[str, Array] | None:
    """The inputs and results of a run of two rows, or of as many as run; None where none does."""
    inside = [s.initial for s in slots(trial.probe.program) if s.initial]
    wanted = list(dict.fromkeys([*(o.name for o in trial.probe.program.outputs), *inside]))
    for rows in (2, 1, None):
        for axes in islice(_guesses(trial), GUESSES):
            guess = _first_size(trial, axes, rows)
            if guess is not None:
                feeds = trial.feeds(guess.shapes, guess.size)
                results = trial.probe.run(feeds, wanted)
                return None if results is None else feeds | results
    return None


def _guesses(trial: Trial) -> Iterator[Axes]:
    """Axes of all inputs that may be the batch together: where the file states their sizes, these are equal."""
    entries = [*trial.states, *trial.data]
    counts = Counter(size for i in entries for size in set(i.sizes) if isinstance(size, str))
    words = {word for word, count in counts.items() if count > 1}  # a word that several inputs have is likely it
    for axes in product(*(_likely_axes(i, words) for i in entries)):
        stated = {i.sizes[axis] for i, axis in zip(entries, axes, strict=True) if axis is not None}
        if len({size for size in stated if isinstance(size, int)}) <= 1:
            yield {i.name: axis for i, axis in zip(entries, axes, strict=True)}


def _likely_axes(entry: Entry, words: set[str]) -> list[int | None]:
    """Axes that may be the batch: the one whose word others have; else free ones and those of size 1; else all."""
    free = [k for k, size in enumerate(entry.sizes) if not isinstance(size, int)]
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


def _row(array: Array, axis: int | None, row: int) -> Array:
    return array if axis is None else array.take([row], axis)


def _holds_row(both: Array, alone: Array, row: int) -> bool:
    """Whether a result of two rows holds that of one row; rows may be flattened with steps, batch-major."""
    if both.shape == alone.shape:
        return distance(both, alone) <= TOLERANCE
    axis = grown_axis(alone.shape, both.shape, 2)
    if axis is None:
        return False
    length = alone.shape[axis]
    part = both.take(range(row * length, (row + 1) * length), axis)
    return distance(part, alone) <= TOLERANCE
