"""What a comparison found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from reprise.errors import VerificationError
from reprise.tensors import Array

#: Largest |a − b| / (1 + |a|) at which two float32 computations in another order of the same sums count as equal.
TOLERANCE = 1e-5
#: What the start of a comparison of one model with itself ends with.
ALONE = " alone"


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two models part.

    Attributes:
        start: Where the sequence started: `zero`, `random`, or `whole` (one call of all steps from random state); where
            ` alone` follows, one run and single steps of one model are compared.
        step: The call, counted from 1.
        tensor: The output or state that differs most in it.
        error: The largest |a − b| / (1 + |a|); infinite where shapes, text or not-a-numbers differ.
        found: The two numbers at that place, in words.
    """

    start: str
    step: int
    tensor: str
    error: float
    found: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a comparison found.

    Attributes:
        steps: How many calls were carried on.
        batch: How many rows each had.
        tolerance: The largest error that counts as equal.
        errors: Start → the largest error of each call.
        first: The first difference, None where the models are equal.
        largest: The largest difference of each output and state, over all starts of two models.
    """

    steps: int
    batch: int
    tolerance: float
    errors: Mapping[str, tuple[float, ...]]
    first: Difference | None
    largest: tuple[Difference, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether no error was above the tolerance."""
        return self.first is None

    @property
    def worst(self) -> float:
        """The largest error of all."""
        return max((e for errors in self.errors.values() for e in errors), default=0.0)

    def raise_if_different(self) -> None:
        """Nothing where the models are equal.

        Raises:
            VerificationError: They are not; the message names the first step and tensor that differ.
        """
        if self.first is not None:
            raise VerificationError(str(self))

    def __str__(self) -> str:
        over = f"{self.steps} carried steps of {self.batch} rows ({', '.join(self.errors)})"
        if self.first is None:
            return f"the same numbers over {over}: largest error {self.worst:.3g}"
        at = self.first
        differ = "single steps and one run of the model" if at.start.endswith(ALONE) else "the models"
        return (
            f"{differ} differ first at step {at.step} from {at.start.removesuffix(ALONE)} state, in {at.tensor!r}: "
            f"{at.found}; error {at.error:.3g} where {self.tolerance:.3g} is allowed (over {over}, "
            f"largest {self.worst:.3g})"
        )


def difference(start: str, step: int, tensor: str, a: Array, b: Array) -> Difference:
    """The largest one between two arrays."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return Difference(start, step, tensor, np.inf, f"{a.dtype}{list(a.shape)} and {b.dtype}{list(b.shape)}")
    if a.size == 0:
        return Difference(start, step, tensor, 0.0, "nothing")
    if a.dtype.kind in "biuOSU":
        error = np.where(a == b, 0.0, np.inf)
    else:
        error = _relative(a.astype(np.complex128 if a.dtype.kind == "c" else np.float64), b)
    place = np.unravel_index(int(error.argmax()), a.shape)
    where = f"at {[int(i) for i in place]} " if place else ""
    return Difference(start, step, tensor, float(error[place]), f"{where}{_number(a[place])} and {_number(b[place])}")


def _number(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float | np.floating) else str(value)


def _relative(a: Array, b: Array) -> Array:
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(a - b) / (1 + np.abs(a))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(np.isnan(error), np.inf, error))
