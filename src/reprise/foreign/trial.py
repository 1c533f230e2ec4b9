"""Runs of one program with its states paired: what the experiments about axes are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reprise.foreign.pairing import StatePair
from reprise.foreign.probe import Probe
from reprise.foreign.program import Entry
from reprise.tensors import Array

#: How many guesses about axes are tried at most.
GUESSES = 64
#: Relative difference that rounding explains.
TOLERANCE = 1e-3

Axes = Mapping[str, int | None]
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Trial:
    """One program to be run.

    Attributes:
        probe: What runs it.
        pairs: Its states.
        lengths: Inputs that hold how long each sequence is.
    """

    probe: Probe
    pairs: Sequence[StatePair]
    lengths: frozenset[str] = frozenset()

    @cached_property
    def states(self) -> list[Entry]:
        """The inputs that are states."""
        taken = {p.taken for p in self.pairs}
        return [i for i in self.probe.program.inputs if i.name in taken]

    @cached_property
    def data(self) -> list[Entry]:
        """The inputs that are none."""
        taken = {p.taken for p in self.pairs}
        return [i for i in self.probe.program.inputs if i.name not in taken]

    def feeds(self, shapes: Shapes, steps: int, seed: int = 0) -> dict[str, Array]:
        """Drawn numbers for inputs of these shapes; every sequence is as long as it can be."""
        drawn = self.probe.draw(shapes, seed)
        return drawn | {n: np.full_like(drawn[n], steps) for n in self.lengths if n in drawn}

    def carry(self, results: Mapping[str, Array]) -> dict[str, Array]:
        """The states after a call as those before the next."""
        return {p.taken: results[p.given] for p in self.pairs}


def resized(shapes: Shapes, axes: Axes, size: int) -> dict[str, tuple[int, ...]]:
    """`shapes` with another size along one axis of each."""
    return {
        name: shape if (at := axes.get(name)) is None else (*shape[:at], size, *shape[at + 1 :])
        for name, shape in shapes.items()
    }


def doubled_axis(before: tuple[int, ...], after: tuple[int, ...]) -> int | None:
    """The one axis along which a result is twice as long, None where there is none or not only one."""
    if len(before) != len(after):
        return None
    grown = [k for k, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    return grown[0] if len(grown) == 1 and after[grown[0]] == 2 * before[grown[0]] else None


def distance(a: Array, b: Array) -> float:
    """The largest |a − b| / (1 + |b|); infinite where values that are no real numbers differ."""
    if a.dtype.kind != "f":
        return 0.0 if np.array_equal(a, b) else np.inf
    error = np.abs(a.astype(np.float64) - b) / (1 + np.abs(b.astype(np.float64)))
    return float(np.max(np.where(np.isnan(error), np.inf, error), initial=0.0))
