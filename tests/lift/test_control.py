"""Loops, branches and arrays against TensorFlow itself, in both of its ways to write them."""

import numpy as np
import pytest

from tests.lift.translating import assert_refused, check, tf, v1

RANDOM = np.random.default_rng(0)


@pytest.fixture(params=["frames", "functions"], autouse=True)
def generation(request):
    """Control flow of TensorFlow 1 (Enter, Exit, Switch, Merge) and of TensorFlow 2 (While, If)."""
    before = v1.control_flow_v2_enabled()
    (v1.disable_control_flow_v2 if request.param == "frames" else v1.enable_control_flow_v2)()
    yield request.param
    (v1.enable_control_flow_v2 if before else v1.disable_control_flow_v2)()


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def loop(condition, body, *initial):
    return v1.while_loop(condition, body, list(initial))


@pytest.mark.parametrize("rows", [5, 1, 0])
def test_a_loop_runs_once_for_each_row(rows):
    check(
        lambda x: loop(lambda i, s: i < tf.shape(x)[0], lambda i, s: (i + 1, s * 0.5 + x[i]), 0, tf.ones([4])),
        normal(rows, 4),
        free=True,
    )


CONDITIONS = {
    "a number": lambda i, s: i < 3,
    "up to and with": lambda i, s: i <= 3,
    "the other way round": lambda i, s: tf.greater(3, i),
    "the smaller of two": lambda i, s: tf.logical_and(i < 7, i < 3),
    "one of two": lambda i, s: tf.logical_or(i < 2, tf.reduce_max(s) < 3.0),
    "both, one computed": lambda i, s: tf.logical_and(i < 100, tf.reduce_max(s) < 9.0),
    "computed": lambda i, s: tf.reduce_max(s) < 20.0,
    "false at once": lambda i, s: tf.reduce_max(s) < -90.0,
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions(condition):
    body = lambda i, s: (i + 1, s + tf.cast(i, tf.float32) + 1.0)  # noqa: E731
    check(lambda x: loop(CONDITIONS[condition], body, 0, x), normal(4), free=True)


@pytest.mark.parametrize(
    ("start", "bound", "step"),
    [(0, 7, 2), (3, 7, 1), (5, 0, -1), (0.0, 4.5, 1.0), (np.int64(0), np.int64(3), np.int64(1))],
)
def test_counters_that_do_not_number_the_iterations(start, bound, step):
    going = (lambda i, s: i > bound) if step < 0 else (lambda i, s: i < bound)
    check(lambda x: loop(going, lambda i, s: (i + step, s + tf.cast(i, tf.float32)), start, x), normal(4))


def test_flags_that_are_carried():
    check(lambda x: loop(lambda go, s: go, lambda go, s: (tf.reduce_sum(s) < 10.0, s + 1.0), True, x), normal(4))
    done = lambda i, d, s: (i + 1, tf.logical_or(d, s > 3.0), tf.where(d, s, s + 1.0))  # noqa: E731
    check(lambda x: loop(lambda i, d, s: ~tf.reduce_all(d), done, 0, tf.zeros([4], tf.bool), x), normal(4))


def test_variables_that_change_places_or_stay_as_they_are():
    three = lambda i, a, b: i < 3  # noqa: E731
    check(lambda x, y: loop(three, lambda i, a, b: (i + 1, b, a + b), 0, x, y), normal(4), normal(4))
    check(lambda x, y: loop(three, lambda i, a, b: (i + 1, a + b, b), 0, x, y), normal(4), normal(4))


def test_a_loop_inside_a_loop():
    def rows(x):
        inner = lambda s: loop(lambda j, t: j < tf.shape(x)[0], lambda j, t: (j + 1, t * 1.1 + x[j]), 0, s)[1]  # noqa: E731
        return loop(lambda i, s: i < 3, lambda i, s: (i + 1, inner(s)), 0, tf.zeros([4]))

    def triangle(x):
        inner = lambda i, s: loop(lambda j, t: j <= i, lambda j, t: (j + 1, t + tf.cast(i * j, tf.float32)), 0, s)[1]  # noqa: E731
        return loop(lambda i, s: i < 3, lambda i, s: (i + 1, inner(i, s)), 0, x)

    check(rows, normal(5, 4), free=True)
    check(triangle, normal(4))


@pytest.mark.parametrize("taken", [True, False])
def test_branches(taken):
    flag = np.array(taken)
    for one, other in (
        (lambda x: x * 2, lambda x: x - 1),
        (lambda x: x, lambda x: x * 3),
        (lambda x: tf.constant([1.0, 2.0]), lambda x: x),
        (lambda x: (x * 2, x + 1), lambda x: (x, x - 1)),
        (lambda x: loop(lambda i, s: i < 3, lambda i, s: (i + 1, s + x), 0, x)[1], lambda x: x - 1),
    ):
        check(lambda x, p, a=one, b=other: v1.cond(p, lambda: a(x), lambda: b(x)), normal(2), flag)
    nested = lambda x, p, q: v1.cond(p, lambda: v1.cond(q, lambda: x * 2, lambda: x * 3), lambda: x * 5)  # noqa: E731
    check(nested, normal(2), flag, np.array(False))


def test_a_branch_inside_a_loop():
    even = lambda i, s, x: v1.cond(tf.equal(i % 2, 0), lambda: s * 2, lambda: s + x)  # noqa: E731
    check(lambda x: loop(lambda i, s: i < 5, lambda i, s: (i + 1, even(i, s, x)), 0, tf.ones([4])), normal(4))


def written(x, size, bound, grows=False):
    """A loop that reads the rows of x and writes one row at each step, to an array of `size`."""
    array = tf.TensorArray(tf.float32, 0 if grows else size, dynamic_size=grows)
    rows = tf.TensorArray(tf.float32, tf.shape(x)[0]).unstack(x)

    def body(i, array, s):
        s = s * 0.5 + rows.read(i)
        return i + 1, array.write(i, s), s

    _, array, s = loop(lambda i, a, s: i < bound, body, 0, array, tf.zeros(tf.shape(x)[1:]))
    return array.stack(), s


@pytest.mark.parametrize("grows", [False, True])
@pytest.mark.parametrize("free", [False, True])
def test_arrays_that_are_written_row_by_row(grows, free):
    check(lambda x: written(x, tf.shape(x)[0], tf.shape(x)[0], grows), normal(5, 4), free=free)


@pytest.mark.parametrize("free", [False, True])
def test_rows_that_the_loop_does_not_reach_are_zeros(free):
    check(lambda x: written(x, tf.shape(x)[0], 3), normal(5, 4), free=free)


def test_a_loop_that_ends_early_leaves_zeros():
    def build(x):
        array = tf.TensorArray(tf.float32, tf.shape(x)[0])
        going = lambda i, a, s: tf.logical_and(i < tf.shape(x)[0], tf.reduce_sum(s) < 3.0)  # noqa: E731
        body = lambda i, a, s: (i + 1, a.write(i, s), s + tf.abs(x[i]))  # noqa: E731
        _, array, s = loop(going, body, 0, array, tf.zeros([4]))
        return array.stack(), s

    check(build, normal(9, 4), free=True)


def test_rows_read_backwards_and_after_the_loop():
    def build(x):
        rows = tf.TensorArray(tf.float32, tf.shape(x)[0], clear_after_read=False).unstack(x)
        last = tf.shape(x)[0] - 1
        _, s = loop(lambda i, s: i <= last, lambda i, s: (i + 1, s * 0.5 + rows.read(last - i)), 0, tf.zeros([4]))
        return s, rows.read(0), rows.size()

    check(build, normal(5, 4), free=True)


@pytest.mark.parametrize("free", [False, True])
def test_arrays_that_grow_have_as_many_rows_as_were_written(free):
    def build(x):
        empty = tf.TensorArray(tf.float32, 0, dynamic_size=True, clear_after_read=False)
        written = loop(lambda i, a: i < 3, lambda i, a: (i + 1, a.write(i, x[i])), 0, empty)[1]
        filled = tf.TensorArray(tf.float32, 0, dynamic_size=True).unstack(x)
        return written.size(), written.stack(), filled.stack()

    check(build, normal(5, 4), free=free)


def test_scans_maps_and_folds():
    step = lambda s, row: s * 0.5 + row  # noqa: E731
    check(lambda x: v1.scan(step, x, tf.zeros([4])), normal(5, 4), free=True)
    check(lambda x: v1.map_fn(lambda row: tf.tanh(row) * 2, x), normal(5, 4), free=True)
    check(lambda x: (v1.foldl(step, x), v1.foldr(step, x)), normal(5, 4))


def test_rows_taken_out_and_put_in_by_number(generation):
    def filled(x, count=5):
        array = tf.TensorArray(tf.float32, count)
        return loop(lambda i, a: i < count, lambda i, a: (i + 1, a.write(i, x + tf.cast(i, tf.float32))), 0, array)[1]

    scattered = lambda x, n: tf.TensorArray(tf.float32, 6).scatter(n, x).stack()  # noqa: E731
    if generation == "frames":
        check(lambda x: filled(x).gather([3, 1]), normal(4))
        check(lambda x: (filled(x).gather([0, 1]), filled(x).gather(tf.range(2))), normal(4))
        check(lambda x, n: filled(x).gather(tf.range(n)), normal(4), np.int32(2))
        check(lambda x: filled(x).concat(), normal(2, 4))
        check(scattered, normal(3, 4), np.array([4, 0, 2], np.int32))
    else:
        assert_refused(lambda x: filled(x).gather([3, 1]), "TensorListGather", normal(4))


def test_rows_written_in_another_order_are_refused():
    def build(x):
        body = lambda i, a: (i + 1, a.write(4 - i, x * tf.cast(i, tf.float32)))  # noqa: E731
        return loop(lambda i, a: i < 5, body, 0, tf.TensorArray(tf.float32, 5))[1].stack()

    assert_refused(build, "writes rows in another order than that of the iterations", normal(4))
