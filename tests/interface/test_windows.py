"""What a graph cuts out of its data itself: the piece is the input, not the place or the whole."""

import numpy as np
import pytest

from tests.graphs import D, H, V, dense, gru, interface_of, rolled
from tests.tensorflow.building import tf, v1, variable

N, T = 3, 5


def model(ids, targets):
    """A language model over ids [N, T], trained."""
    rows = tf.transpose(tf.nn.embedding_lookup(variable("embedding", V, D), ids), [1, 0, 2])
    hidden, _ = rolled(gru, rows, [tf.zeros([tf.shape(rows)[1], H])])
    logits = tf.identity(dense("output", tf.reshape(tf.transpose(hidden, [1, 0, 2]), [-1, H]), V), "logits")
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.reshape(targets, [-1]), logits=logits)
    v1.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_mean(loss))


def corpus(*shape):
    return tf.constant(np.random.default_rng(0).integers(0, V, shape), tf.int32)


def cut(text, start, name=None):
    piece = tf.strided_slice(text, [0, start], [N, start + T], name=name)
    piece.set_shape([N, T])
    return piece


def by_queue():
    """`ptb_producer`: a corpus of words in rows, and a queue of the numbers of steps."""
    text = tf.reshape(corpus(N * 40 + 1)[: N * 40], [N, 40])
    i = v1.train.range_input_producer((tf.shape(text)[1] - 1) // T, shuffle=False).dequeue()
    model(cut(text, i * T, "x"), cut(text, i * T + 1))


def by_random_number():
    start = v1.random_uniform([], 0, 30, tf.int32)
    text = corpus(N, 40)
    model(tf.slice(text, [0, start], [N, T], name="x"), tf.slice(text, [0, start + 1], [N, T]))


def by_rows():
    numbers = v1.data.make_one_shot_iterator(tf.data.Dataset.range(9).batch(N, drop_remainder=True)).get_next()
    model(tf.gather(corpus(9, T), numbers, name="x"), tf.gather(corpus(9, T), numbers))


def shifted():
    rows = v1.placeholder(tf.int32, [None, None], "rows")
    model(tf.strided_slice(rows, [0, 0], [0, -1], begin_mask=3, end_mask=1, name="x"), rows[:, 1:])


def shifted_beside_another():
    """What a queue gives beside the ids is of its own."""
    queue = v1.FIFOQueue(9, [tf.float32, tf.int32], shapes=[[2], [T + 1]])
    image, rows = queue.dequeue_many(N)
    tf.identity(image)
    model(tf.strided_slice(rows, [0, 0], [0, -1], begin_mask=3, end_mask=1, name="x"), rows[:, 1:])


def shifted_rows():
    numbers = v1.data.make_one_shot_iterator(tf.data.Dataset.range(9).batch(N, drop_remainder=True)).get_next()
    rows = tf.gather(corpus(9, T + 1), numbers)
    model(tf.strided_slice(rows, [0, 0], [0, -1], begin_mask=3, end_mask=1, name="x"), rows[:, 1:])


@pytest.mark.parametrize("graph", [by_queue, by_random_number, by_rows, shifted, shifted_beside_another, shifted_rows])
def test_the_piece_is_the_input(graph):
    found = interface_of(graph)
    assert [(p.tensor, p.shape, p.time_axis, p.batch_axis) for p in found.inputs] == [("x:0", (None, None), 1, 0)]
    assert [p.tensor for p in found.outputs] == ["logits:0"]
    assert found.steppable
    assert any(said.startswith("x:0 is a window that the graph cuts out itself") for said in found.evidence)


def test_ids_that_look_up_fixed_numbers_are_the_input():
    """An embedding that was frozen is no corpus."""

    def graph():
        ids = v1.data.make_one_shot_iterator(tf.data.Dataset.range(9).batch(T).batch(N)).get_next()
        table = tf.constant(np.random.default_rng(0).normal(size=(V, D)), tf.float32)
        rows = tf.transpose(tf.gather(table, ids), [1, 0, 2])
        rolled(gru, rows, [tf.zeros([tf.shape(rows)[1], H])])

    assert [p.tensor for p in interface_of(graph).inputs] == ["IteratorGetNext:0"]


def test_a_placeholder_that_is_only_cut_short_stays_the_input():
    def graph():
        rows = v1.placeholder(tf.int32, [None, None], "rows")
        model(rows[:, :-1], tf.zeros_like(rows[:, :-1]))

    assert [p.tensor for p in interface_of(graph).inputs] == ["rows:0"]


def strokes(cut, room):
    """A model over numbers of which a graph has room for one step more than it reads."""

    def graph():
        given, targets = cut(v1.placeholder(tf.float32, [1, room, D], "strokes"))
        rows = tf.transpose(given, [1, 0, 2])
        hidden, _ = rolled(gru, rows, [tf.zeros([1, H])])
        made = tf.identity(dense("output", tf.reshape(hidden, [-1, H]), D), "y")
        if targets is not None:
            tf.reduce_mean((made - tf.reshape(targets, [-1, D])) ** 2, name="cost")

    return graph


def first(rows, steps):
    return tf.strided_slice(rows, [0, 0, 0], [0, steps, 0], begin_mask=7, end_mask=5, name="x")


@pytest.mark.parametrize("steps", [1, T])
@pytest.mark.parametrize("trained", [False, True])
def test_the_first_steps_of_as_many_as_a_file_has_room_for_are_the_input(steps, trained):
    def cut(rows):
        return first(rows, steps), rows[:, 1 : steps + 1] if trained else None

    found = interface_of(strokes(cut, steps + 1))
    assert [(p.tensor, p.shape, p.time_axis) for p in found.inputs] == [("x:0", (None, None, D), 1)]
    assert found.steppable


def test_columns_are_no_steps():
    def cut(rows):
        return tf.concat([rows[:, :, 2:], rows[:, :, :2]], 2), None

    found = interface_of(strokes(cut, T))
    assert [(p.tensor, p.shape) for p in found.inputs] == [("strokes:0", (None, None, D))]
