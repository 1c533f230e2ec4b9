"""What measures a model: the validation part, read as a user reads it, with the state carried into what counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from reprise.errors import CallError
from reprise.tensors import Array
from reprise.train.data.streams import Streams

#: Steps that a row reads before its losses count: more than a week of hours.
WARM_UP = 200


@dataclass(frozen=True)
class Validation:
    """The validation part as streams whose rows are warmed up: each chunk counts once, after what precedes it.

    Attributes:
        streams: Rows that read on through the last steps of the training part and the whole validation part.
        lead: Chunks in front that belong to the training part and never count.
        warm_up: Positions before any row counts.
    """

    streams: Streams
    lead: int
    warm_up: int

    @property
    def batch(self) -> int:
        """Rows of `chunk`."""
        return len(self.streams.chunks_at(0))

    @property
    def largest(self) -> float:
        """The largest absolute value of numeric data."""
        return self.streams.largest

    def chunks(self) -> Iterator[tuple[Array, Array, Array, Array]]:
        """Inputs and targets as `Streams.chunk` gives them, the rows that begin from zeros, and the rows that count."""
        for position in range(self.warm_up + self.streams.chunks_per_epoch):
            counted = (self.streams.chunks_at(position) >= self.lead) & (position >= self.warm_up)
            yield *self.streams.chunk(position), self.streams.begins(position), counted

    def part(self, worker: int, workers: int) -> Validation:
        """The rows of one of several workers; all of them where they cannot be shared equally."""
        if self.streams.batch % workers:
            return self
        return replace(self, streams=self.streams.part(worker, workers))


def validation(before: Array | None, series: tuple[Array, ...], batch: int, seq_length: int) -> Validation | None:
    """The validation part; None where there is none.

    Args:
        before: The series that the first of `series` is the end of, with that end; None where it begins by itself.
        series: The validation part.
        batch: The rows of the training part: the most that are read at once, and a multiple of those.
        seq_length: The steps of a chunk; fewer where the part is shorter.

    Raises:
        CallError: The part has fewer than two steps.
    """
    if not series:
        return None
    longest = max(map(len, series))
    if longest < 2:
        raise CallError("corpus: the validation part has one step; use a larger --val-frac, or 0 for none")
    length = min(seq_length, longest - 1)
    warm_up = -(-WARM_UP // length)
    lead = min(warm_up, (len(before) - len(series[0])) // length) if before is not None else 0
    if before is not None and lead:
        series = (before[len(before) - len(series[0]) - lead * length :], *series[1:])
    one_row = Streams(series, 1, length)
    counted = one_row.chunks_per_epoch - lead
    rows = max(n for n in range(1, min(batch, max(1, counted // warm_up)) + 1) if batch % n == 0)
    streams = replace(one_row, batch=rows)
    return Validation(streams, lead, min(warm_up, streams.chunks_per_epoch))
