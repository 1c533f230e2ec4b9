"""Batches of parallel streams: every row reads onward through the data, so that carried state is meaningful."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from reprise.errors import CallError
from reprise.tensors import Array


@dataclass(frozen=True)
class Streams:
    """Chunks of N rows and T steps, addressed by one integer: the position.

    The data is cut into chunks of T steps; row n starts at the n-th of N equal shares of them and then reads on, from
    share to share and from the end to the beginning. So each epoch shows every chunk once, and the state that a row
    carries from one position to the next is always that of the data just before, except where `begins` says otherwise.
    What is left over at the end (less than N·T steps) is not shown.

    Attributes:
        series: The data in reading order, [M] token ids or [M, D] numbers; a tuple if it is several independent series.
        batch: N, the number of streams, over all workers together.
        seq_length: T, the steps of a chunk.
        rows: The streams that this object reads; all of them if None.
    """

    series: Array | tuple[Array, ...]
    batch: int
    seq_length: int
    rows: range | None = None

    def __post_init__(self) -> None:
        if self.batch < 1 or self.seq_length < 1:
            raise CallError(
                f"streams: --batch-size {self.batch} and --seq-length {self.seq_length} must both be at least 1"
            )
        if not self.chunks_per_epoch:
            raise CallError(
                f"streams: {self._chunk_count} chunks of {self.seq_length} steps are not enough for {self.batch} "
                "streams. Give more data, or a smaller --batch-size or --seq-length."
            )

    @property
    def chunks_per_epoch(self) -> int:
        """The number of positions after which every chunk was shown once."""
        return self._chunk_count // self.batch

    @property
    def largest(self) -> float:
        """The largest absolute value of numeric data."""
        return max(float(np.abs(part).max(initial=0.0)) for part in self._parts)

    def chunk(self, position: int) -> tuple[Array, Array]:
        """The inputs and, one step later in the data, the targets at `position`.

        Args:
            position: 0 or more; the epoch it lies in is `position // chunks_per_epoch`.

        Returns:
            x and y, int32 [N, T] for token ids, and [N, T, D] in the data's own type for numbers. They are copies.
        """
        indices = self.chunks_at(position)
        at = np.searchsorted(self._ends, indices, side="right")
        starts = (indices - self._firsts[at]) * self.seq_length
        places = zip(at.tolist(), starts.tolist(), strict=True)
        steps = np.stack([self._parts[i][start : start + self.seq_length + 1] for i, start in places])
        if steps.dtype.kind in "ui":
            steps = steps.astype(np.int32, copy=False)
        return np.ascontiguousarray(steps[:, :-1]), np.ascontiguousarray(steps[:, 1:])

    def begins(self, position: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """The rows whose state must be the initial one before `position`, bool [N]: nothing they read precedes it."""
        return np.isin(self.chunks_at(position), self._firsts) | (position == 0)

    def chunks_at(self, position: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The index of the chunk that each row reads at `position`, [N]."""
        if position < 0:
            raise CallError(f"streams: position {position} must be 0 or more")
        rows = np.asarray(self.rows if self.rows is not None else range(self.batch), np.int64)
        return (rows * self.chunks_per_epoch + position) % (self.batch * self.chunks_per_epoch)

    def part(self, worker: int, workers: int) -> Streams:
        """The streams of one of several workers; their chunks, one below the other, are the chunks of the whole.

        Raises:
            CallError: The streams cannot be shared equally.
        """
        each, left = divmod(self.batch, workers)
        if left or not 0 <= worker < workers:
            raise CallError(
                f"streams: {self.batch} streams cannot be shared equally by {workers} workers (this is {worker}). "
                "Give a --batch-size that is a multiple of --workers."
            )
        return replace(self, rows=range(worker * each, (worker + 1) * each))

    @cached_property
    def _parts(self) -> tuple[Array, ...]:
        """The series as plain arrays, since slices of `np.memmap` are slow to make."""
        return tuple(map(np.asarray, self.series if isinstance(self.series, tuple) else (self.series,)))

    @cached_property
    def _ends(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The index after the last chunk of each series; the last step of a series is a target only."""
        return np.cumsum([max(len(part) - 1, 0) // self.seq_length for part in self._parts], dtype=np.int64)

    @cached_property
    def _firsts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The index of the first chunk of each series."""
        return np.concatenate([[0], self._ends[:-1]])

    @cached_property
    def _chunk_count(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0
