"""Streams show every chunk once an epoch, read onward from position to position, and split among workers exactly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprise.errors import CallError
from reprise.train.data import Streams

SIZES = st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(0, 300))


def streams_over(size: tuple[int, int, int]) -> tuple[np.ndarray, Streams]:
    """A corpus whose ids are their own places, long enough for one chunk a stream."""
    batch, seq_length, extra = size
    ids = np.arange(batch * seq_length + 1 + extra, dtype=np.uint16)
    return ids, Streams(ids, batch, seq_length)


@given(SIZES)
def test_an_epoch_shows_every_token_once_up_to_a_tail_of_less_than_one_chunk_for_every_stream(size):
    ids, streams = streams_over(size)
    epoch = [streams.chunk(position)[0] for position in range(streams.chunks_per_epoch)]
    shown = np.sort(np.concatenate([x.ravel() for x in epoch]))
    np.testing.assert_array_equal(shown, ids[: len(shown)])
    assert len(ids) - 1 - len(shown) < streams.batch * streams.seq_length


@given(SIZES, st.integers(0, 50))
def test_targets_are_the_tokens_one_step_later(size, position):
    _, streams = streams_over(size)
    x, y = streams.chunk(position)
    np.testing.assert_array_equal(y, x + 1)


@given(SIZES)
def test_a_row_reads_on_without_a_gap_through_every_epoch_except_where_it_begins_again(size):
    _, streams = streams_over(size)
    for position in range(1, 2 * streams.chunks_per_epoch * streams.batch):
        before, after = streams.chunk(position - 1)[1][:, -1], streams.chunk(position)[0][:, 0]
        begins = streams.begins(position)
        np.testing.assert_array_equal(after[~begins], before[~begins])
        np.testing.assert_array_equal(after[begins], 0)


def test_the_first_chunks_begin_at_equal_distances():
    x, _ = Streams(np.arange(31), batch=3, seq_length=5).chunk(0)
    np.testing.assert_array_equal(x, [[0, 1, 2, 3, 4], [10, 11, 12, 13, 14], [20, 21, 22, 23, 24]])


def test_every_row_begins_at_position_0():
    assert Streams(np.arange(31), 3, 5).begins(0).tolist() == [True, True, True]


def test_chunks_are_int32_copies_that_leave_the_corpus_alone():
    ids = np.arange(11, dtype=np.uint8)
    x, y = Streams(ids, 2, 5).chunk(0)
    x[:] = y[:] = 0
    assert (x.dtype, y.dtype, x.flags.c_contiguous, y.flags.c_contiguous) == (np.int32, np.int32, True, True)
    np.testing.assert_array_equal(ids, np.arange(11))


@given(SIZES, st.integers(0, 50))
def test_the_chunks_of_all_workers_one_below_the_other_are_the_whole_chunk(size, position):
    _, streams = streams_over(size)
    for workers in (w for w in range(1, streams.batch + 1) if streams.batch % w == 0):
        parts = [streams.part(worker, workers) for worker in range(workers)]
        for of_parts, whole in zip(
            zip(*(p.chunk(position) for p in parts), strict=True), streams.chunk(position), strict=True
        ):
            np.testing.assert_array_equal(np.concatenate(of_parts), whole)
        begins = np.concatenate([part.begins(position) for part in parts])
        np.testing.assert_array_equal(begins, streams.begins(position))
        assert {part.chunks_per_epoch for part in parts} == {streams.chunks_per_epoch}


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(1, 4), st.integers(1, 5))
def test_no_chunk_crosses_from_one_series_into_another_and_each_is_shown_once(lengths, batch, seq_length):
    series = tuple(np.stack([np.full(n, i), np.arange(n)], axis=1).astype(np.float32) for i, n in enumerate(lengths))
    whole_chunks = sum(max(n - 1, 0) // seq_length for n in lengths)
    if whole_chunks < batch:
        return
    streams = Streams(series, batch, seq_length)
    seen = set()
    for position in range(streams.chunks_per_epoch):
        x, y = streams.chunk(position)
        assert x.shape == (batch, seq_length, 2)
        np.testing.assert_array_equal(y[..., 0], x[..., 0])
        np.testing.assert_array_equal(y[..., 1], x[..., 1] + 1)
        np.testing.assert_array_equal(streams.begins(position), (x[:, 0, 1] == 0) | (position == 0))
        seen |= {(int(row[0, 0]), int(row[0, 1])) for row in x}
    assert len(seen) == batch * (whole_chunks // batch)


def test_a_row_that_comes_to_the_next_series_begins_again():
    streams = Streams((np.arange(7.0)[:, None], 10 + np.arange(7.0)[:, None]), batch=1, seq_length=3)
    assert [float(streams.chunk(p)[0][0, 0, 0]) for p in range(5)] == [0, 3, 10, 13, 0]
    assert [bool(streams.begins(p)[0]) for p in range(5)] == [True, False, True, False, True]


def test_data_shorter_than_one_chunk_for_every_stream_is_refused():
    with pytest.raises(
        CallError, match=r"3 chunks of 5 steps are not enough for 4 streams.*--batch-size or --seq-length"
    ):
        Streams(np.arange(20), batch=4, seq_length=5)


def test_the_shortest_data_is_one_chunk_for_every_stream_and_the_last_target():
    assert Streams(np.arange(21), batch=4, seq_length=5).chunks_per_epoch == 1


@pytest.mark.parametrize(("batch", "seq_length"), [(0, 5), (5, 0), (-1, 5)])
def test_sizes_below_1_are_refused(batch, seq_length):
    with pytest.raises(CallError, match=f"--batch-size {batch} and --seq-length {seq_length} must both be at least 1"):
        Streams(np.arange(20), batch, seq_length)


def test_a_negative_position_is_refused():
    with pytest.raises(CallError, match="position -1 must be 0 or more"):
        Streams(np.arange(20), 2, 5).chunk(-1)


@pytest.mark.parametrize(("worker", "workers"), [(0, 4), (2, 2), (-1, 2)])
def test_workers_that_cannot_share_the_streams_equally_are_refused(worker, workers):
    with pytest.raises(
        CallError, match=f"6 streams cannot be shared equally by {workers} workers.*multiple of --workers"
    ):
        Streams(np.arange(100), 6, 5).part(worker, workers)
