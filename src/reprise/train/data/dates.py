"""Dates beside numbers: understood, their frequency found, what is missing between them named."""

from __future__ import annotations

from calendar import monthrange
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal

import numpy as np

from reprise.errors import CallError
from reprise.tensors import Array

Fill = Literal["", "previous", "linear"]

#: Ways to write a date besides ISO 8601.
_DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y")
_TIMES = ("", " %H:%M", " %H:%M:%S")

#: Steps of a season by the seconds between two dates: a day of hours, a week of days.
_SEASONS = {60: 1440, 300: 288, 600: 144, 900: 96, 1800: 48, 3600: 24, 86400: 7, 604800: 52}
_SEASON_OF_MONTHS = {1: 12, 3: 4}
_LAST_YEAR = 9000
#: How many rows one gap may have before it is taken for two series.
_LONGEST_GAP = 10_000


@dataclass(frozen=True, slots=True)
class DateStep:
    """The time from one row to the next: seconds, or months where they are no fixed number of seconds.

    `ends` says that each row has the last day of its month.
    """

    seconds: int = 0
    months: int = 0
    ends: bool = False

    def after(self, moment: datetime, count: int = 1) -> datetime:
        """The moment `count` steps later."""
        if not self.months:
            return moment + timedelta(seconds=self.seconds * count)
        year, month = divmod(moment.year * 12 + moment.month - 1 + self.months * count, 12)
        last = monthrange(year, month + 1)[1]
        return moment.replace(year=year, month=month + 1, day=last if self.ends else min(moment.day, last))

    @property
    def season(self) -> int | None:
        """How many steps later a season repeats; None where that is not usual."""
        return _SEASON_OF_MONTHS.get(self.months) if self.months else _SEASONS.get(self.seconds)

    def __str__(self) -> str:
        if self.months:
            return f"{self.months} months" if self.months > 1 else "month"
        for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
            if self.seconds % size == 0:
                count = self.seconds // size
                return f"{count} {unit}s" if count > 1 else unit
        return f"{self.seconds} seconds"


@dataclass(frozen=True, slots=True)
class Dates:
    """The dates of rows that follow each other by one step.

    Attributes:
        name: Of their column.
        last: The date of the last row.
        step: From one row to the next; None where there is one row.
        form: How a date is written: `isoformat`'s, or a format of `strftime`.
    """

    name: str
    last: datetime
    step: DateStep | None
    form: str

    def following(self, count: int) -> list[str]:
        """The dates of the next rows, as text."""
        return [self.format_date(self.moment(k + 1)) for k in range(count)]

    def preceding(self, count: int) -> list[datetime]:
        """The dates of the last `count` rows."""
        return [self.moment(-k) for k in reversed(range(count))]

    def moment(self, count: int) -> datetime:
        """The date `count` steps after the last."""
        return (self.step or DateStep(seconds=1)).after(self.last, count)

    def format_date(self, moment: datetime) -> str:
        """A date as the file writes it."""
        return moment.strftime(self.form) if self.form else moment.isoformat(" ", "seconds")


def are_dates(cells: Sequence[str]) -> bool:
    """Whether all cells are dates, in one way of writing them."""
    return bool(cells) and bool(_readings([cell.strip() for cell in cells]))


def placed(
    name: str, column: str, cells: Sequence[str], lines: Sequence[int], rows: Array, fill: Fill
) -> tuple[Dates, Array]:
    """The dates of `rows`, and the rows with those that are missing, as NaN, where `fill` says that they are filled.

    Raises:
        CallError: Dates can be read in two ways, do not follow each other by one step, or rows are missing and nothing
            says how to fill them; the message has the line.
    """
    form, moments = _read(name, column, [cell.strip() for cell in cells])
    for at, (one, two) in enumerate(pairwise(moments)):
        if two <= one:
            how = "the date of the line before" if two == one else "before it"
            where = f"{name} line {lines[at + 1]}, column {column!r}"
            raise CallError(f"{where}: {cells[at + 1]!r} is {how}. Sort the rows, and keep one of each date.")
    step = _step(moments)
    missing = _missing(name, lines, moments, step) if step else {}
    if missing and not fill:
        at, count = next(iter(missing.items()))
        raise CallError(
            f"{name}: {sum(missing.values())} rows are missing in {len(missing)} places, the first {count} before line "
            f"{lines[at]}, between {cells[at - 1]!r} and {cells[at]!r}. Fill them by --fill previous or --fill linear."
        )
    for at, count in reversed(missing.items()):
        rows = np.insert(rows, at, np.full((count, rows.shape[1]), np.nan), axis=0)
    return Dates(column, moments[-1], step, form), rows


def fill_gaps(rows: Array, fill: Fill) -> Array:
    """The rows [M, D] with NaN replaced: by the value before, or on the line between the values beside it.

    Raises:
        CallError: A column has no value at all.
    """
    known = ~np.isnan(rows)
    if not known.any(axis=0).all():
        raise CallError(f"column {int(np.argmin(known.any(axis=0))) + 1} has no value from which it could be filled")
    places = np.arange(len(rows))
    made = rows.copy()
    for column, there in enumerate(known.T):
        at = places[there]
        if fill == "linear":
            made[:, column] = np.interp(places, at, rows[at, column])
        else:
            made[:, column] = rows[at[np.maximum(np.searchsorted(at, places, side="right") - 1, 0)], column]
    return made


def _readings(cells: Sequence[str]) -> dict[str, list[datetime]]:
    """Every way of writing dates in which all cells are dates → what they are."""
    with suppress(ValueError):
        if not any(cell.isdecimal() for cell in cells):
            return {"": [_utc(datetime.fromisoformat(cell)) for cell in cells]}
    found = {}
    for form in (day + clock for day in _DAYS for clock in _TIMES):
        with suppress(ValueError):
            found[form] = [datetime.strptime(cell, form) for cell in cells]
    return found


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC)


def _read(name: str, column: str, cells: Sequence[str]) -> tuple[str, list[datetime]]:
    found = _readings(cells)
    if not found:
        wrong = next(cell for cell in cells if not _readings([cell]))
        raise CallError(f"{name}, column {column!r}: {wrong!r} is not a date, unlike the values above it.")
    far = next(
        (cell for cell, m in zip(cells, next(iter(found.values())), strict=True) if not m.year < _LAST_YEAR), None
    )
    if far is not None:  # what follows it would have to be a date, too
        raise CallError(f"{name}, column {column!r}: {far!r} is too far away; expected years before {_LAST_YEAR}.")
    if len({tuple(moments) for moments in found.values()}) > 1:
        found = {form: moments for form, moments in found.items() if _are_even(moments)} or found
    if len({tuple(moments) for moments in found.values()}) > 1:
        ways = " or ".join(f"{moments[-1]:%d %B %Y}" for moments in found.values())
        raise CallError(f"{name}, column {column!r}: {cells[-1]!r} may be {ways}. Write dates as 2026-12-31 23:00.")
    return next(iter(found.items()))


def _are_even(moments: Sequence[datetime]) -> bool:
    step = _step(moments)
    return step is not None and all(step.after(one) == two for one, two in pairwise(moments))


def _step(moments: Sequence[datetime]) -> DateStep | None:
    """The usual step; months where the time of day and the day, or its being the last, are the same in all."""
    if len(moments) < 2:
        return None
    months = [m.year * 12 + m.month for m in moments]
    between = Counter(int(b - a) for a, b in pairwise(months))
    ends = all(m.day == monthrange(m.year, m.month)[1] for m in moments)
    if 0 not in between and len({m.time() for m in moments}) == 1 and (ends or len({m.day for m in moments}) == 1):
        return DateStep(months=between.most_common(1)[0][0], ends=ends)
    seconds = Counter((b - a).total_seconds() for a, b in pairwise(moments))
    return DateStep(seconds=max(1, int(seconds.most_common(1)[0][0])))


def _missing(name: str, lines: Sequence[int], moments: Sequence[datetime], step: DateStep) -> dict[int, int]:
    """How many rows are missing before a row, for each before which some are.

    Raises:
        CallError: Two dates are no number of steps apart.
    """
    found = {}
    for at, (one, two) in enumerate(pairwise(moments), start=1):
        if step.after(one) == two:
            continue
        count = 2
        while count <= _LONGEST_GAP and step.after(one, count) < two:
            count += 1
        if step.after(one, count) != two:
            raise CallError(
                f"{name} line {lines[at]}: {two} is no number of steps of one {step} after {one}. Give a series of "
                "equal steps."
            )
        found[at] = count - 1
    return found
