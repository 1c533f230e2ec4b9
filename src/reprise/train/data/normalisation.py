"""Numbers in the units of a source, and as a model takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reprise.errors import CallError
from reprise.tensors import Array

#: The least relative difference of numbers in float32; whole numbers from this size on may be one number in float64.
_SINGLE, _WHOLE = float(np.finfo(np.float32).eps), 2.0**53
#: How much of a standard deviation may be lost between two such numbers.
_COARSE = 0.1


@dataclass(frozen=True, slots=True)
class Normalisation:
    """What makes each column one of mean 0 and standard deviation 1.

    Attributes:
        columns: Names of the D columns; a column without a name has its number, from 1.
        mean: Of each column over the training part.
        std: Of each column over the training part; 1 for a column that never changes there.
    """

    columns: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, columns: tuple[str, ...], rows: Array) -> Normalisation:
        """The statistics of `rows`, float64 [M, D]."""
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = rows.mean(axis=0), rows.std(axis=0)
        # Rounding gives a constant column a standard deviation of about 1e-17, which would blow up what follows it.
        changes = (rows.max(axis=0) > rows.min(axis=0)) & (std > 0)
        return cls(columns, tuple(mean.tolist()), tuple(np.where(changes, std, 1.0).tolist()))

    def check_resolved(self, rows: Array) -> None:
        """Refuses columns whose changes are lost at their size: a saved model takes them as they are, in float32.

        Raises:
            CallError: There is one; the message names it.
        """
        largest, changes = np.abs(rows).max(axis=0), rows.max(axis=0) > rows.min(axis=0)
        with np.errstate(over="ignore"):
            coarse = np.where(changes, _SINGLE * largest > _COARSE * np.array(self.std), largest >= _WHOLE)
        for name, number in zip(self.columns, np.where(coarse, largest, 0.0).tolist(), strict=True):
            if number:
                raise CallError(
                    f"column {name!r}: numbers up to {number:.6g} that differ by too little to be told apart at that "
                    "size. Subtract what they have in common, or choose other columns with --columns."
                )

    def apply(self, values: Array) -> Array:
        """Numbers in the units of the source, [..., D], as a model takes them, float32.

        Raises:
            CallError: They overflow.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            normal = ((values - np.array(self.mean)) / np.array(self.std)).astype(np.float32)
        if not np.isfinite(normal).all() or not np.isfinite(self.std).all():
            raise CallError(f"corpus: numbers too large to normalise (mean {self.mean}, standard deviation {self.std})")
        return normal
