"""CSV as columns of numbers."""

from __future__ import annotations

import csv
import re
import shlex
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from itertools import chain, islice

import numpy as np

from reprise.errors import CallError
from reprise.tensors import Array
from reprise.train.data.dates import Dates, Fill, are_dates, fill_gaps, placed
from reprise.train.data.documents import Document, blocks, decoded

Line = tuple[int, list[str]]

#: How much of a file tells whether it is a table, and how many lines of one it must have.
_HEAD, _FEWEST_LINES = 1 << 16, 5
_MOST_LOOKED_AT = 8
#: What stands for a number that is missing.
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-"})


@dataclass(frozen=True, slots=True)
class NumericTable:
    """Columns of numbers.

    Attributes:
        names: Of the columns.
        rows: Their numbers, float64 [M, D].
        dates: Those that stand beside them, or None.
    """

    names: tuple[str, ...]
    rows: Array
    dates: Dates | None = None


def read_table(
    document: Document, columns: Sequence[str] | None, encoding: str, *, header: bool | None, fill: Fill = ""
) -> NumericTable:
    """The wanted columns of a file; a column of dates is understood, and none of those by default.

    Raises:
        CallError: See `read_numeric`.
    """
    lines = _lines(document.name, "".join(decoded(blocks(document), document.name, encoding)))
    first = list(islice(lines, 2))
    if not first:
        raise CallError(f"{document.name} has no lines")
    titled = _has_header(document.name, first) if header is None else header
    names = tuple(cell.strip() for cell in first[0][1]) if titled else numbered(len(first[0][1]))
    shown = [cells for _, cells in first[titled:]]
    dated = _dated(names, shown)
    wanted = [i for i in indices(document.name, names, columns) if columns or i != dated]
    others = _columns_of_numbers(names, shown)
    body = list(chain(first[titled:], lines))
    rows = _numbers(document.name, names, wanted, others, body, may_miss=bool(fill))
    dates = None
    if dated is not None and body:
        cells, places = [cells[dated] for _, cells in body], [line for line, _ in body]
        try:
            dates, rows = placed(document.name, names[dated], cells, places, rows, fill)
        except CallError as error:
            numbers = ", ".join(names[i] for i in wanted)
            raise CallError(
                f"{error} Or remove column {names[dated]!r} from the file: then the values of {numbers} are read, and "
                "each row is one step after the last."
            ) from error
    return NumericTable(tuple(names[i] for i in wanted), fill_gaps(rows, fill) if fill else rows, dates)


def _dated(names: tuple[str, ...], rows: list[list[str]]) -> int | None:
    """The first column of dates."""
    columns = [[cells[i] for cells in rows if i < len(cells)] for i in range(len(names))]
    numbers = _columns_of_numbers(names, rows)
    return next((i for i, column in enumerate(columns) if names[i] not in numbers and are_dates(column)), None)


def columns_in(document: Document) -> tuple[str, ...]:
    """The names of the columns of numbers in the first lines of what looks like CSV; none where it does not."""
    head = next(blocks(document), b"")[:_HEAD]
    text = head.decode("utf-8", "replace")
    whole = text if len(head) < _HEAD else text[: text.rfind("\n") + 1]
    try:
        rows = [cells for _, cells in _lines(document.name, whole)]
        titled = len(rows) > 1 and _has_header(document.name, list(enumerate(rows[:2])))
    except CallError:
        return ()
    if len(rows) < _FEWEST_LINES or len({len(cells) for cells in rows}) > 1:
        return ()
    names = tuple(cell.strip() for cell in rows[0]) if titled else numbered(len(rows[0]))
    return _columns_of_numbers(names, rows[titled:])


def read_as_text(documents: Sequence[Document]) -> str:
    """What to say of tables of numbers whose characters are trained on; empty where they are text."""
    columns = [columns_in(document) for document in documents[:_MOST_LOOKED_AT]]
    if not columns or not all(columns):
        return ""
    shown = ", ".join(columns[0][:8]) + (", …" if len(columns[0]) > 8 else "")
    return f"{documents[0].name} holds rows of numbers ({shown}) and is read as text; --level values forecasts them"


def _columns_of_numbers(names: tuple[str, ...], rows: list[list[str]]) -> tuple[str, ...]:
    return tuple(
        name for i, name in enumerate(names) if all(len(r) == len(names) and _number(r[i]) is not None for r in rows)
    )


def numbered(count: int) -> tuple[str, ...]:
    """The names of columns that have none."""
    return tuple(str(number) for number in range(1, count + 1))


def indices(name: str, names: tuple[str, ...], wanted: Sequence[str] | None) -> list[int]:
    """Where the wanted columns stand.

    Raises:
        CallError: There is no such column, or several.
    """
    for column in wanted or ():
        if names.count(column) != 1:
            raise CallError(
                f"{name}: {names.count(column)} columns are called {column!r}; the columns are {list(names)}. "
                "Choose among them with --columns."
            )
    return [names.index(column) for column in wanted] if wanted else list(range(len(names)))


def _lines(name: str, content: str) -> Iterator[Line]:
    """The lines that are not blank, with their numbers."""
    text = StringIO(content, newline="")
    bare = re.sub('"[^"]*"', "", text.readline())
    text.seek(0)
    reader = csv.reader(text, delimiter=next((mark for mark in "\t;," if mark in bare), ","), strict=True)
    try:
        yield from ((reader.line_num, cells) for cells in reader if cells)
    except csv.Error as error:
        raise CallError(f"{name} line {reader.line_num}: not CSV ({error})") from error


def _has_header(name: str, lines: list[Line]) -> bool:
    """Whether the first line has text only, or text where the second has numbers."""
    above, below = lines[0][1], lines[-1][1]
    text = [bool(cell.strip()) and _number(cell) is None for cell in above]
    if not any(_number(cell) is not None for cell in above):
        return any(text)
    if any(is_text and _number(cell) is not None for is_text, cell in zip(text, below, strict=False)):
        raise CallError(
            f"{name} line {lines[0][0]}: {above} may be names or values, as some are numbers. "
            "Say which with --header or --no-header."
        )
    return False


def _numbers(
    name: str,
    names: tuple[str, ...],
    wanted: list[int],
    others: tuple[str, ...],
    lines: Iterable[Line],
    *,
    may_miss: bool,
) -> Array:
    values = array("d")
    for line, cells in lines:
        if len(cells) != len(names):
            raise CallError(f"{name} line {line}: {len(cells)} columns, expected {len(names)} as in the first line")
        for i in wanted:
            values.append(_value(name, line, names[i], cells[i], others, may_miss=may_miss))
    return np.array(values, np.float64).reshape(-1, len(wanted))


def _value(name: str, line: int, column: str, cell: str, others: tuple[str, ...], *, may_miss: bool) -> float:
    if may_miss and cell.strip().lower() in _MISSING:
        return float("nan")
    value = _number(cell)
    if value is None or not np.isfinite(value):
        choice = others if column not in others else ()
        raise CallError(f"{name} line {line}, column {column!r}: {_wrong(cell, choice)}")
    return value


def _wrong(cell: str, others: tuple[str, ...]) -> str:
    """What is wrong with a cell that is no number, and what to do; `others` are columns that are numbers."""
    if "," in cell and _number(cell.replace(",", "")) is not None:
        return f"{cell!r} has a comma. Write numbers with a decimal point, and nothing between thousands."
    found = f"{cell[:80]!r} is not a finite number."
    if others:
        return f"{found} Choose the columns that are numbers: --columns {shlex.quote(','.join(others))}"
    return f"{found} Fill the gap by --fill previous or --fill linear, or choose other columns with --columns."


def _number(cell: str) -> float | None:
    with suppress(ValueError):
        return float(cell)
    return None
