"""Rows by their places and places by what stands there, against TensorFlow itself; places that are not there."""

import numpy as np
import pytest

from reprise.operators import OPERATORS
from tests.lift.translating import assert_refused, check, normal, raw, tf, v1, whole


def test_rows_of_tables():
    ids = whole(0, 5, 2, 3)
    check(lambda x, n: raw.Gather(params=x, indices=n), normal(5, 3), ids)
    for axis in (0, 1, -1):
        check(lambda x, n, a=axis: tf.gather(x, n, axis=a), normal(5, 5), ids, free=True)
    check(lambda x, n: tf.gather(x, n), normal(5, 3), ids.astype(np.int64))
    check(lambda x, n: tf.gather_nd(x, n), normal(5, 3, 2), np.array([[0, 1], [4, 2]], np.int32))
    check(lambda x, n: tf.gather_nd(x, n), normal(5, 3, 2), np.array([[0], [4]], np.int32))


def test_rows_of_variables():
    def build(ids):
        table = v1.get_variable("table", initializer=normal(5, 3), use_resource=True)
        return tf.gather(table, ids), tf.gather_nd(table, ids[:, :2])

    check(build, whole(0, 3, 2, 3))
    assert {"ResourceGather", "ResourceGatherNd", "VarHandleOp", "ReadVariableOp", "VariableV2"} <= set(OPERATORS)


@pytest.mark.parametrize("free", [False, True])
def test_a_table_in_several_parts(free):
    def build(ids):  # DynamicPartition, DynamicStitch
        initial, parts = v1.random_normal_initializer(seed=1), v1.fixed_size_partitioner(3)
        return v1.nn.embedding_lookup(v1.get_variable("table", [7, 3], None, initial, partitioner=parts), ids)

    check(build, whole(0, 7, 2, 3), free=free)


def test_the_last_of_rows_for_one_place_stays():
    first, second = np.array([0, 1], np.int32), np.array([1, 2], np.int32)
    check(lambda a, b, x, y: tf.dynamic_stitch([a, b], [x, y]), first, second, normal(2, 3), normal(2, 3))
    nested = np.array([[1, 2], [3, 4]], np.int32)
    check(lambda a, b, x, y: tf.dynamic_stitch([a, b], [x, y]), np.int32(0), nested, normal(3), normal(2, 2, 3))
    apart = lambda a, b, x, y: raw.ParallelDynamicStitch(indices=[a, b], data=[x, y])  # noqa: E731
    check(apart, first, second + 1, normal(2, 3), normal(2, 3))


@pytest.mark.parametrize("op", [tf.gather, lambda x, n: tf.gather_nd(x, n[:, None])])
@pytest.mark.parametrize("place", [-1, 5])
def test_a_row_that_the_table_does_not_have_is_an_error_as_in_tensorflow(op, place):
    ids = np.array([1, place], np.int32)
    with pytest.raises(tf.errors.InvalidArgumentError):
        check(op, normal(5, 3), ids)
    assert_refused(op, "could not run", normal(5, 3), ids, at=1)


@pytest.mark.parametrize("kind", ["float32", "float64", "int32", "int64", "bool"])
def test_one_hot_rows_are_empty_for_ids_outside(kind):
    ids = np.array([-1, 0, 4, 5, -5, 9, -6], np.int32)
    if kind == "bool":
        check(lambda x: tf.one_hot(x, 5, on_value=True, off_value=False), ids)
    else:
        check(lambda x: tf.one_hot(x, 5, dtype=kind), ids)
        check(lambda x: tf.one_hot(x, 5, on_value=tf.cast(3, kind), off_value=tf.cast(-1, kind)), ids.astype(np.int64))


def test_one_hot_axes_and_depths():
    for axis in (-1, 0, 1):
        check(lambda x, a=axis: tf.one_hot(x, 5, axis=a), whole(0, 5, 2, 3))
    check(lambda x: (tf.one_hot(x, 5), tf.one_hot(x, 5, axis=0)), np.int32(2))
    check(lambda x, depth: tf.one_hot(x, depth), whole(0, 5, 4), np.int32(5))


@pytest.mark.parametrize("free", [False, True])
def test_rows_of_tables_that_belong_together_with_their_places(free):
    table = normal(2, 3, 5, 4)
    for axis, together in ((1, 1), (2, 1), (3, 1), (2, 2), (3, 2), (-1, 1)):
        size = table.shape[axis]
        for places in (whole(0, size, 2, 3), whole(0, size, 2, 3, 2), whole(0, size, 2, 3).astype(np.int64)):
            build = lambda x, n, a=axis, b=together: tf.gather(x, n, axis=a, batch_dims=b)  # noqa: E731
            check(build, table, places, free=free)
    check(lambda x, n: tf.gather(x, n, axis=2, batch_dims=-1), table, whole(0, 5, 2, 3, 2)[:, :, 0], free=free)


@pytest.mark.parametrize("free", [False, True])
def test_rows_added_at_their_places(free):
    rows, places = normal(4, 3), np.array([[1], [5], [1], [0]], np.int32)
    check(lambda n, x: raw.ScatterNd(indices=n, updates=x, shape=[6, 3]), places, rows, free=free)
    pairs = np.array([[1, 2], [0, 0], [1, 2]], np.int64)
    check(lambda n, x: raw.ScatterNd(indices=n, updates=x, shape=[2, 3]), pairs, whole(0, 9, 3).astype("int64"))
    for op in ("TensorScatterAdd", "TensorScatterSub", "TensorScatterUpdate"):
        apart = np.array([[1], [5], [2], [0]], np.int32)
        build = lambda x, n, y, op=op: getattr(raw, op)(tensor=x, indices=n, updates=y)  # noqa: E731
        check(build, normal(6, 3), apart if op.endswith("Update") else places, rows, free=free)


@pytest.mark.parametrize("op", ["SegmentSum", "SegmentMean", "SegmentProd"])
def test_rows_of_one_segment_together(op):
    numbers = np.array([0, 0, 1, 3, 3], np.int32)
    check(lambda x, n: getattr(raw, op)(data=x, segment_ids=n), normal(5, 3), numbers, free=True)


@pytest.mark.parametrize("op", ["UnsortedSegmentSum", "UnsortedSegmentProd"])
def test_rows_of_one_number_together_in_any_order(op):
    build = lambda x, n: getattr(raw, op)(data=x, segment_ids=n, num_segments=4)  # noqa: E731
    check(build, normal(5, 3), np.array([3, 0, -1, 3, 1], np.int32), free=True)
    check(build, normal(2, 3, 2), np.array([[3, 0, 0], [1, 1, 3]], np.int64))
    check(lambda x, n: tf.math.unsorted_segment_mean(x, n, 4), normal(5, 3), np.array([3, 0, 2, 3, 0], np.int32))


@pytest.mark.parametrize("op", ["SparseSegmentSum", "SparseSegmentMean", "SparseSegmentSqrtN"])
def test_rows_of_a_table_together(op):
    places, numbers = np.array([4, 0, 4, 2], np.int32), np.array([0, 0, 2, 2], np.int32)
    build = lambda x, i, n: getattr(raw, op)(data=x, indices=i, segment_ids=n)  # noqa: E731
    check(build, normal(5, 3), places, numbers, free=True)


def test_sparse_numbers_made_dense():
    places, values = np.array([[0, 1], [2, 0]], np.int64), normal(2)
    build = lambda n, x: raw.SparseToDense(sparse_indices=n, output_shape=[3, 2], sparse_values=x, default_value=-1.0)  # noqa: E731
    check(build, places, values)
    build = lambda n, x: raw.SparseToDense(sparse_indices=n, output_shape=[4], sparse_values=x, default_value=0)  # noqa: E731
    check(build, np.array([1, 3], np.int32), np.int32(7))


def test_the_places_of_what_is_not_zero():
    check(lambda x: raw.Where(condition=x), whole(0, 2, 3, 4) > 0, free=True)
    check(lambda x: raw.Where(condition=x), np.array([0, 2.5, 0, -1], np.float32))
    check(lambda c, x: tf.boolean_mask(x, c), whole(0, 2, 3) > 0, normal(3, 4))


def test_each_number_once_in_the_order_of_first_places():
    numbers = np.array([5, 2, 5, 9, 2], np.int32)
    check(lambda x: list(raw.Unique(x=x)), numbers)
    check(lambda x: list(raw.Unique(x=x, out_idx=tf.int64)), numbers.astype(np.float32))
    check(lambda x: list(raw.UniqueWithCounts(x=x)), numbers)


def test_whether_a_place_is_among_the_greatest():
    scores = np.array([[1, 3, 2, 2], [1, 1, 1, 0], [0, np.inf, 1, 2], [0, 1, np.nan, 2]], np.float32)
    for place in range(4):
        for k in (1, 2):
            places = np.full(4, place, np.int32)
            check(lambda x, n, k=k: raw.InTopK(predictions=x, targets=n, k=k), scores, places)
            check(lambda x, n, k=k: raw.InTopKV2(predictions=x, targets=n, k=k), scores, places)


def test_a_place_before_the_first_is_an_error_as_in_tensorflow():
    places, rows = np.array([[0], [-1]], np.int32), normal(2, 3)
    build = lambda x, n: raw.ScatterNd(indices=n, updates=x, shape=[4, 3])  # noqa: E731
    assert_refused(build, "could not run", rows, places, at=1)
