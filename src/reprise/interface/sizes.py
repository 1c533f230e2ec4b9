"""Sizes that may be unknown numbers: the arithmetic of symbolic tensor shapes.

A `Dim` is a whole number times a sequence of symbols. The sequence keeps the row-major order in which axes were
flattened, so `(N, T)` and `(T, N)` tell a batch-major from a time-major row axis.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dim:
    """`scale` × the product of `symbols`; a known size has no symbols."""

    scale: int
    symbols: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether it is a plain number."""
        return not self.symbols

    def __mul__(self, other: Dim | int) -> Dim:
        other = dim(other)
        return Dim(self.scale * other.scale, self.symbols + other.symbols)

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
    """

    def __init__(self) -> None:
        self._parent: dict[str, str | Dim] = {}
        self._nominal: dict[str, int] = {}

    def symbol(self, name: str, nominal: int | None = None) -> Dim:
        """The symbol `name`."""
        if nominal is not None:
            self._nominal.setdefault(name, nominal)
        return Dim(1, (name,))

    def nominal(self, size: Dim) -> int | None:
        """The number that the file has for `size`, or None where it leaves it free."""
        resolved = self.resolve(size)
        if any(name not in self._nominal for name in resolved.symbols):
            return None
        return math.prod((self._nominal[name] for name in resolved.symbols), start=resolved.scale)

    def resolve(self, size: Dim) -> Dim:
        """`size` in terms of the representatives of its symbols."""
        if size.known:
            return size
        return product([Dim(size.scale), *(self._root(s) for s in size.symbols)])

    def _root(self, name: str) -> Dim:
        parent = self._parent.get(name)
        if parent is None:
            return Dim(1, (name,))
        root = parent if isinstance(parent, Dim) else self._root(parent)
        self._parent[name] = root.symbols[0] if len(root.symbols) == 1 and root.scale == 1 else root
        return root

    def equate(self, first: Dim, second: Dim) -> Dim:
        """States that two sizes are equal; gives the more definite one."""
        a, b = self.resolve(first), self.resolve(second)
        if a == b:
            return a
        if len(b.symbols) == 1 and b.scale == 1 and b.symbols[0] not in a.symbols:
            return self._bind(b.symbols[0], a)
        if len(a.symbols) == 1 and a.scale == 1 and a.symbols[0] not in b.symbols:
            return self._bind(a.symbols[0], b)
        return a if a.known else b

    def _bind(self, name: str, to: Dim) -> Dim:
        if name in self._nominal and len(to.symbols) == 1:
            self._nominal.setdefault(to.symbols[0], self._nominal[name])
        self._parent[name] = to.symbols[0] if len(to.symbols) == 1 and to.scale == 1 else to
        return to

    def fix(self, size: Dim) -> None:
        """Makes every symbol of `size` the number that the file baked in, where it did."""
        for name in self.resolve(size).symbols:
            if name in self._nominal:
                self._bind(name, Dim(self._nominal[name]))

    def fix_ones(self, *sizes: Dim) -> None:
        """Makes every symbol of these sizes that the file baked in as 1 that number.

        A row that stands alone among flattened rows needs no offset, so the places that are computed for it would be
        wrong for a second one.
        """
        for name in {name for size in sizes for name in self.resolve(size).symbols}:
            if self._nominal.get(name) == 1:
                self.fix(Dim(1, (name,)))

    def fix_all(self, but: Collection[str]) -> None:
        """Makes every symbol the number that the file baked in, where it did, the symbols in `but` aside."""
        for name in list(self._nominal):
            size = self._root(name)
            if not set(size.symbols) & set(but):
                self.fix(size)
