"""Sizes that may be unknown numbers: the arithmetic of symbolic tensor shapes.

A `Dim` is a whole number times a sequence of symbols. The sequence keeps the row-major order in which axes were
flattened, so `(N, T)` and `(T, N)` tell a batch-major from a time-major row axis.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Dim:
    """`scale` × the product of `symbols`; a known size has no symbols.

    `factors` are both in their row-major order, where the size came of flattening axes: `6·N` and `N·6` are the same
    size, taken apart in different ways.
    """

    scale: int
    symbols: tuple[str, ...] = ()
    factors: tuple[int | str, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.factors:
            object.__setattr__(self, "factors", (*self.symbols, self.scale))

    @property
    def known(self) -> bool:
        """Whether it is a plain number."""
        return not self.symbols

    def __mul__(self, other: Dim | int) -> Dim:
        other = dim(other)
        factors = tuple(f for f in (*self.factors, *other.factors) if f != 1)
        return Dim(self.scale * other.scale, self.symbols + other.symbols, factors)

    __rmul__ = __mul__

    def __str__(self) -> str:
        return "·".join(([str(self.scale)] if self.scale != 1 or self.known else []) + list(self.symbols))


def dim(size: Dim | int) -> Dim:
    """A number as a `Dim`."""
    return size if isinstance(size, Dim) else Dim(int(size))


def product(sizes: Iterable[Dim | int]) -> Dim:
    """The product, symbols in the order given."""
    return math.prod((dim(s) for s in sizes), start=Dim(1))


class Equalities:
    """Which symbols are equal, and to what: grows as operators are seen that force sizes to agree.

    A symbol may have a *nominal* size: the number that the file baked in. It stays free until it meets a plain number
    from elsewhere (a weight, a constant); then it is that number.

    A symbol may be a *sum*: a size and a number, such as `T-1`, the rows of a sequence without its first. It is known
    with its size, and what it is equal to says what its size is.

    With `lasting`, nominal sizes stay symbols whatever they meet: so axes can be told apart where a graph holds for the
    numbers of the file alone.

    Attributes:
        place: Where sizes are compared at present, for `fixed_by`.
    """

    def __init__(self, *, lasting: bool = False) -> None:
        self.place = ""
        self._lasting = lasting
        self._fixed: dict[str, str] = {}
        self._parent: dict[str, str | Dim] = {}
        self._nominal: dict[str, int] = {}
        self._sums: dict[str, tuple[Dim, int]] = {}
        self._baked: set[str] = set()

    def symbol(self, name: str, nominal: int | None = None) -> Dim:
        """The symbol `name`."""
        if nominal is not None:
            self._nominal.setdefault(name, nominal)
        return Dim(1, (name,))

    def nominal(self, size: Dim) -> int | None:
        """The number that the file has for `size`, or None where it leaves it free."""
        resolved = self.resolve(size)
        numbers = [self._number(name) for name in resolved.symbols]
        return None if None in numbers else math.prod((n for n in numbers if n is not None), start=resolved.scale)

    def _number(self, name: str) -> int | None:
        base, added = self._sums.get(name, (None, 0))
        if base is None:
            return self._nominal.get(name)
        number = self.nominal(base)
        return None if number is None else number + added

    def plus(self, size: Dim, number: int) -> Dim:
        """`size` with a number added, which may be below zero: the same symbol wherever the sum is the same."""
        base, added = self._sum(self.resolve(size))
        if base.known or not added + number:
            return base if not base.known else Dim(base.scale + added + number)
        name = f"{base}{added + number:+d}"
        self._sums[name] = base, added + number
        return Dim(1, (name,))

    def apart(self, first: Dim, second: Dim) -> int | None:
        """By how much the first size is larger, whatever their number; None where that is not known."""
        (a, more), (b, less) = self._sum(self.resolve(first)), self._sum(self.resolve(second))
        return more - less if a == b else None

    def least(self, size: Dim) -> int:
        """The smallest number that `size` can be, none of the sums with it being below zero."""
        sums = (self.apart(Dim(1, (name,)), size) for name in self._sums)
        return max([0, *(-n for n in sums if n is not None)])

    def base(self, name: str) -> str:
        """The symbol that a number is added to in a sum such as `T-1`; any other symbol as it is."""
        base = self._sum(Dim(1, (name,)))[0]
        return base.symbols[0] if len(base.symbols) == 1 and base.scale == 1 else name

    def _sum(self, size: Dim) -> tuple[Dim, int]:
        """A size as another and the number that is added to that."""
        return self._sums.get(size.symbols[0], (size, 0)) if len(size.symbols) == 1 and size.scale == 1 else (size, 0)

    def _within(self, size: Dim) -> set[str]:
        """The symbols that a size is made of, in sums too."""
        return {
            s
            for name in size.symbols
            for s in ((name,) if name not in self._sums else self._within(self._sums[name][0]))
        }

    def resolve(self, size: Dim) -> Dim:
        """`size` in terms of the representatives of its symbols."""
        if size.known:
            return size
        return product(self._root(f) if isinstance(f, str) else f for f in size.factors)

    def _root(self, name: str) -> Dim:
        parent = self._parent.get(name)
        if parent is None:
            base, added = self._sums.get(name, (Dim(1), 0))
            resolved = self.resolve(base)
            return Dim(1, (name,)) if resolved == base else self.plus(resolved, added)
        root = self.resolve(parent) if isinstance(parent, Dim) else self._root(parent)
        if root.known and isinstance(parent, str):
            self._fixed.setdefault(name, self._fixed.get(parent, ""))
        self._parent[name] = root.symbols[0] if len(root.symbols) == 1 and root.scale == 1 else root
        return root

    def equate(self, first: Dim, second: Dim) -> Dim:
        """States that `first` and `second` are equal; gives the more definite one."""
        a, b = self.resolve(first), self.resolve(second)
        if a == b:
            return a
        if self._lasting and a.known != b.known and None not in (self.nominal(a), self.nominal(b)):
            return b if a.known else a
        for size, to in ((b, a), (a, b)):
            base, added = self._sum(size)
            if len(base.symbols) == 1 and base.scale == 1 and not self._within(base) & self._within(to):
                self._bind(base.symbols[0], self.plus(to, -added))
                return self.resolve(to)
            if len(base.symbols) == 1 and to.known and not (to.scale - added) % base.scale:
                self._bind(base.symbols[0], Dim((to.scale - added) // base.scale))
                return to
        self._equate_factors(a, b)
        return a if a.known else self.resolve(b)

    def _equate_factors(self, first: Dim, second: Dim) -> None:
        """Axes that were flattened together, as many and in the same order in both sizes, are equal one by one."""
        pairs = [(a, b) for a, b in zip(first.symbols, second.symbols, strict=False) if a != b]
        alike = len(first.symbols) == len(second.symbols) > 1 and first.scale == second.scale
        if alike and not {a for a, _ in pairs} & {b for _, b in pairs}:
            for a, b in pairs:
                self.equate(Dim(1, (a,)), Dim(1, (b,)))

    def _bind(self, name: str, to: Dim) -> None:
        base, added = self._sum(to)
        if to.known:
            self._fixed[name] = self.place
        if name in self._nominal and len(base.symbols) == 1:
            number, rest = divmod(self._nominal[name] - added, base.scale)
            if not rest:
                self._nominal.setdefault(base.symbols[0], number)
        self._parent[name] = to.symbols[0] if len(to.symbols) == 1 and to.scale == 1 else to

    def bake(self, size: Dim, number: int | None = None) -> None:
        """States that what is computed holds for the number of the file alone, or for `number`; the symbols stay."""
        base, added = self._sum(self.resolve(size))
        if number is not None and len(base.symbols) == 1 and base.scale == 1:
            self._nominal.setdefault(base.symbols[0], number - added)
        self._baked |= self._within(base) & set(self._nominal)

    def number(self, size: Dim) -> int | None:
        """The only number that `size` may be, or None where it is free."""
        resolved = self.resolve(size)
        baked = {symbol for name in self._baked for symbol in self._within(self._root(name))}
        return self.nominal(resolved) if self._within(resolved) <= baked else None

    def fixed_by(self, name: str) -> str:
        """The place where a symbol became a number, empty where that is not known."""
        self._root(name)
        return self._fixed.get(name, "")

    def fix(self, size: Dim) -> None:
        """Makes every symbol of `size` the number that the file baked in, where it did."""
        if self._lasting:
            return
        for name in self._within(self.resolve(size)):
            if name in self._nominal:
                self._bind(name, Dim(self._nominal[name]))

    def fix_ones(self, *sizes: Dim) -> None:
        """Makes every symbol of these sizes that the file baked in as 1 that number.

        A row that stands alone among flattened rows needs no offset, so the places that are computed for it would be
        wrong for a second one.
        """
        for name in {name for size in sizes for name in self.resolve(size).symbols}:
            if self._number(name) == 1:
                self.fix(Dim(1, (name,)))

    def fix_all(self, but: Collection[str]) -> None:
        """Makes every symbol the number that the file baked in, where it did, the symbols in `but` aside."""
        kept = self._within(Dim(1, tuple(but)))
        for name in list(self._nominal):
            size = self._root(name)
            if not self._within(size) & kept:
                self.fix(size)
