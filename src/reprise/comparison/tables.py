"""What both reports print alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reprise.printable import printable_line
from reprise.vocabulary import Vocabulary


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of aligned columns."""
    lines = [head, *([printable_line(cell) for cell in row] for row in rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def vocabularies(a: Vocabulary | None, b: Vocabulary | None) -> str:
    """How two vocabularies differ, in words; empty where they do not, or one is missing."""
    if a is None or b is None or a == b:
        return ""
    if a.kind != b.kind:
        return f"the symbols of the first are {a.kind}, those of the second {b.kind}"
    if len(a) != len(b):
        return f"the first has {len(a)} symbols, the second {len(b)}{_first_other(a, b)}"
    moved = sum(one != other for one, other in zip(a.symbols, b.symbols, strict=True))
    kind = "stand in another order" if set(a.symbols) == set(b.symbols) else "differ"
    return f"{moved} of {len(a)} symbols {kind}{_first_other(a, b)}"


def _first_other(a: Vocabulary, b: Vocabulary) -> str:
    pairs = zip(a.symbols, b.symbols, strict=False)
    found = next(((i, one, other) for i, (one, other) in enumerate(pairs) if one != other), None)
    return "" if found is None else f": id {found[0]} is {found[1]!r} in the first and {found[2]!r} in the second"
