"""The one way to put stored tensors together that uses all of them: table, cells one after the other, dense layers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, groupby

from reprise.errors import AmbiguousInterface
from reprise.weights.candidates import CandidateCell, candidate_cells
from reprise.weights.own import Shapes, listed, nearest

_MOST_TENSORS, _MOST_TRIED = 256, 10_000
_NUMBER = re.compile(r"_?(\d+)")


@dataclass(frozen=True, slots=True)
class DenseWeights:
    """A matrix [inputs, outputs], and the vector [outputs] that is added, or None."""

    kernel: str
    bias: str | None


@dataclass(frozen=True, slots=True)
class WeightsReading:
    """A model that uses every tensor.

    Attributes:
        table: A matrix [V, E] whose rows the first cell reads; without, it reads its inputs themselves.
        cells: In the order of the data.
        heads: Dense layers that each read the outputs of the last cell.
        kind: Of the cells.
    """

    table: str | None
    cells: tuple[CandidateCell, ...]
    heads: tuple[DenseWeights, ...]
    kind: str

    def __str__(self) -> str:
        parts = [f"rows of {self.table}"] if self.table else [f"{self.cells[0].inputs} numbers"]
        parts += [
            f"{self.kind.upper()} {c.inputs} → {c.outputs} ({c.scope or c.tensors['kernel']})" for c in self.cells
        ]
        heads = ", ".join(head.kernel for head in self.heads)
        return " → ".join([*parts, *([heads] if heads else [])])


def readings(kind: str, shapes: Shapes) -> tuple[WeightsReading, ...]:
    """Every reading with cells of a kind; of those that differ in the order of layers, the one that counts them up.

    Raises:
        AmbiguousInterface: Layers of the same shapes could stand in either order, or there are too many ways to look.
    """
    found = []
    for table, chain, left in _ways(kind, shapes):
        heads = _heads(left, chain[-1].outputs)
        if heads is not None:
            found.append(WeightsReading(table, chain, heads, kind))
    rising = [r for r in found if (places := _places(r.cells)) is not None and places == sorted(places)]
    orders = {(r.table, frozenset(c.scope for c in r.cells), r.heads) for r in found}
    return tuple(rising) if len(rising) == 1 and len(orders) == 1 else tuple(found)


def leftover(kind: str, shapes: Shapes) -> tuple[str, ...]:
    """The tensors that have no place in the reading that uses most of them; all where nothing is a cell."""
    best = tuple(shapes)
    for _, chain, left in _ways(kind, shapes):
        heads = [name for name, shape in left.items() if len(shape) == 2 and shape[0] == chain[-1].outputs]
        placed = {*heads, *(v for head in heads for v, shape in left.items() if shape == left[head][1:])}
        best = min(best, tuple(name for name in left if name not in placed), key=len)
    return best


def _ways(kind: str, shapes: Shapes) -> Iterator[tuple[str | None, tuple[CandidateCell, ...], Shapes]]:
    """A table or none, cells that can follow one another from there, and the tensors that they leave."""
    if len(shapes) > _MOST_TENSORS:
        raise AmbiguousInterface(f"{len(shapes)} tensors are too many to be put together by their shapes alone")
    tried = count()
    candidates = candidate_cells(kind, shapes)
    for table in [None, *(name for name, shape in shapes.items() if len(shape) == 2 and shape[0] > 1)]:
        width = None if table is None else shapes[table][1]
        rest = {name: shape for name, shape in shapes.items() if name != table}
        possible = tuple(c for c in candidates if table not in c.tensors.values())
        for chain, left in _chains(possible, width, rest, tried):
            yield table, chain, left


def _chains(
    candidates: tuple[CandidateCell, ...], width: int | None, shapes: Shapes, tried: Iterator[int]
) -> Iterator[tuple[tuple[CandidateCell, ...], Shapes]]:
    """Cells of which each reads what the one before gives, with the tensors that they leave."""
    if next(tried) > _MOST_TRIED:
        raise AmbiguousInterface(f"more than {_MOST_TRIED} orders of layers are possible, too many to choose from")
    fitting = [c for c in candidates if width in (None, c.inputs)]
    for _, alike in groupby(sorted(fitting, key=lambda c: c.shape), key=lambda c: c.shape):
        first = _first(tuple(alike))
        left = {name: shape for name, shape in shapes.items() if name not in first.tensors.values()}
        yield (first,), left
        rest = tuple(c for c in candidates if not set(c.tensors.values()) & set(first.tensors.values()))
        for chain, last in _chains(rest, first.outputs, left, tried):
            yield (first, *chain), last


def _first(alike: tuple[CandidateCell, ...]) -> CandidateCell:
    """Of cells that could change places, the one that its scope counts first.

    Raises:
        AmbiguousInterface: Their scopes do not count them.
    """
    places = _places(alike)
    if places is None:
        raise AmbiguousInterface(
            f"the order of layers is not known: {listed([c.scope or 'cells without a scope' for c in alike])} have the "
            "same shapes, and their scopes do not count them"
        )
    return alike[places.index(min(places))]


def _places(alike: tuple[CandidateCell, ...]) -> list[int] | None:
    """The numbers by which alone the scopes differ; a scope without one comes before that with `_1`."""
    if len(alike) == 1:
        return [0]
    plain = {tuple(_NUMBER.sub("", part) for part in c.scope.split("/")) for c in alike}
    numbers = [[tuple(map(int, _NUMBER.findall(part))) for part in c.scope.split("/")] for c in alike]
    differing = [i for i, column in enumerate(zip(*numbers, strict=False)) if len(set(column)) > 1]
    if len(plain) > 1 or len(differing) != 1:
        return None
    if any(len(column[differing[0]]) > 1 for column in numbers):
        return None
    found = [sum(column[differing[0]]) for column in numbers]  # of one number or none
    return found if len(set(found)) == len(alike) else None


def _heads(left: Shapes, width: int) -> tuple[DenseWeights, ...] | None:
    """Dense layers that read `width` numbers each and use every tensor that is left; None where they cannot."""
    matrices = [name for name, shape in left.items() if len(shape) == 2]
    if any(left[name][0] != width for name in matrices):
        return None
    if len(matrices) > 1 and any(left[name][1] == width for name in matrices):
        return None  # it may stand before the others
    biases: dict[str, str] = {}
    for name in matrices:
        near = nearest(name, [v for v, shape in left.items() if shape == left[name][1:]])
        if len(near) > 1:
            return None
        biases.update((name, bias) for bias in near)
    if len(set(biases.values())) < len(biases) or len(matrices) + len(biases) != len(left):
        return None
    return tuple(DenseWeights(name, biases.get(name)) for name in matrices)
