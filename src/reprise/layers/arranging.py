"""Kinds of layers without weights that arrange values: they lay out, cut, repeat, reverse, reduce and cast them."""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType

from reprise.layers.kinds import Layer


@dataclass(frozen=True, slots=True, eq=False)
class Reshape(Layer):
    """The same numbers in other sizes, the batch aside unless they are those of all axes; one size may be -1."""

    sizes: tuple[int, ...]
    batch_too: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Flatten(Layer):
    """All axes but the batch as one; `channels_first` sizes are brought in the other order before."""

    channels_first: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Permute(Layer):
    """The axes in another order; the batch, 0, stays where it is."""

    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Repeat(Layer):
    """[N, D] as [N, times, D]."""

    times: int


@dataclass(frozen=True, slots=True, eq=False)
class Reverse(Layer):
    """An axis from its end to its beginning."""

    axis: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Pad(Layer):
    """A number before and after each axis, as many as `amounts` says; the batch aside."""

    amounts: tuple[tuple[int, int], ...]
    value: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Crop(Layer):
    """Without so many rows before and after each axis; the batch aside."""

    amounts: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Upsample(Layer):
    """Every row so many times along each axis; the batch aside."""

    times: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Take(Layer):
    """Parts of an input by an index for each axis, the batch first.

    An index is a place, whose axis goes; or (begin, end, step), None for all; or `...` for the axes that are left.
    """

    index: tuple[int | tuple[int | None, int | None, int | None] | EllipsisType, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Expand(Layer):
    """A new axis of one row."""

    axis: int


@dataclass(frozen=True, slots=True, eq=False)
class Squeeze(Layer):
    """Without some axes of one row each."""

    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Split(Layer):
    """So many parts of one size along an axis, each an output."""

    parts: int
    axis: int


@dataclass(frozen=True, slots=True, eq=False)
class Product(Layer):
    """The matrix products of two inputs over their last two axes, each of which may be transposed first."""

    transposed: tuple[bool, bool] = (False, False)


@dataclass(frozen=True, slots=True, eq=False)
class Reduction(Layer):
    """Over some axes: `mean`, `sum`, `max` or `min` of numbers, `any` or `all` of flags; the batch is 0."""

    kind: str
    axes: tuple[int, ...]
    keep: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Cast(Layer):
    """The same numbers as another element type."""

    dtype: str


@dataclass(frozen=True, slots=True, eq=False)
class Like(Layer):
    """One number as often as there are numbers in the input, of an element type or of that of the input."""

    value: float
    dtype: str = ""
