"""Numbers in the units of a source, and as a model takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reprise.errors import CallError
from reprise.tensors import Array


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
