import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprise.errors import CallError
from reprise.train.data.streams import Streams
from reprise.train.data.validation import WARM_UP, validation


def read(found):
    """For every target that counts: how many steps its row had read before, from zeros or the beginning of a series."""
    rows = [0] * found.batch
    for inputs, targets, fresh, counted in found.chunks():
        for n in range(found.batch):
            rows[n] = 0 if fresh[n] else rows[n]
            if counted[n]:
                yield from ((int(y), rows[n] + k + 1) for k, y in enumerate(targets[n].ravel()))
            rows[n] += inputs.shape[1]


@given(st.integers(2, 4000), st.integers(0, 2000), st.integers(1, 60), st.integers(1, 80))
def test_every_step_counts_at_most_once_and_is_warmed_up_by_all_that_there_is(steps, before, batch, seq_length):
    whole = np.arange(before + steps)
    found = validation(whole, (whole[before:],), batch, seq_length)
    seen = list(read(found))
    assert len({step for step, _ in seen}) == len(seen)
    assert min(step for step, _ in seen) > before, "the training part never counts"
    length = found.streams.seq_length
    assert len(seen) > steps - 1 - length * (found.streams.batch + 1), "but for what fills no chunk, all is counted"
    assert all(warm > min(WARM_UP, step - length - before % length) - length for step, warm in seen)


def test_several_workers_count_what_one_does():
    whole = np.arange(9000)
    found = validation(whole, (whole[4000:],), 8, 10)
    assert found.streams.batch == 8
    shared = [step for k in range(2) for step, _ in read(found.part(k, 2))]
    assert sorted(shared) == sorted(step for step, _ in read(found))
    assert found.part(1, 3) == found, "rows that cannot be shared equally are read by all"


def test_series_that_begin_in_the_validation_part_begin_from_zeros():
    first, second = np.arange(100), np.arange(1000, 1300)
    found = validation(first, (first[50:], second), 1, 10)
    assert {step for step, warm in read(found) if warm == 1} == {1001}


def test_a_validation_part_may_be_shorter_than_a_chunk():
    whole = np.arange(40)
    found = validation(whole, (whole[36:],), 50, 50)
    assert [step for step, _ in read(found)] == [37, 38, 39]
    with pytest.raises(CallError, match="one step; use a larger --val-frac, or 0"):
        validation(whole, (whole[39:],), 1, 10)


def test_streams_say_which_chunks_they_read():
    assert Streams(np.arange(61), 2, 10).chunks_at(1).tolist() == [1, 4]
