"""Which axis is time and which the batch, where the form of the state does not say it."""

import pytest

import reprise
from reprise.verify import check_steps
from tests.graphs import D, H, N, V, dense, gru, interface_of, lstm, rolled, saved
from tests.tensorflow.building import tf, v1, variable


def packed(batch, steps):
    """An LSTM whose state is one tensor [2, N, H]."""

    def graph():
        x, state = (v1.placeholder(tf.float32, s, n) for s, n in (([batch, steps, D], "x"), ([2, batch, H], "state")))
        cell = lambda row, held: (tf.stack(lstm(row, *tf.unstack(held))),)  # noqa: E731
        made, _ = rolled(cell, tf.transpose(x, [1, 0, 2]), [state])
        flat = tf.reshape(made[:, 1], [-1, H])
        tf.identity(dense("output", flat, V), "logits")

    return graph


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize(("batch", "steps"), [(None, None), (3, None), (3, 7)])
def test_the_batch_of_a_packed_state_is_that_of_what_is_read(batch, steps, functional):
    found = interface_of(packed(batch, steps), functional=functional)
    assert [(s.shape, s.batch_axis) for s in found.states] == [((2, None, H), 1)]
    assert [(p.shape, p.time_axis, p.batch_axis) for p in found.inputs] == [((None, None, D), 1, 0)]
    assert [(p.shape, p.rows) for p in found.outputs] == [((None, V), "time-major")]


def test_rows_that_are_flattened_with_their_numbers_have_no_order():
    def graph():
        packed(None, None)()
        tf.identity(tf.reshape(v1.get_default_graph().get_tensor_by_name("logits:0"), [-1]), "flat")

    found = interface_of(graph, outputs=("flat:0",))
    assert [(p.shape, p.rows) for p in found.outputs] == [((None,), None)]


AFTER = {
    "rows taken apart": lambda h: tf.concat(tf.unstack(h, 6, 1), 1),
    "the last rows by their places": lambda h: tf.gather(tf.reshape(h, [-1, H]), 6 * tf.range(tf.shape(h)[0]) + 5),
}


@pytest.mark.parametrize("after", AFTER)
def test_steps_that_the_graph_counts_on_stay_as_many_as_the_file_says(after):
    def graph():
        x = v1.placeholder(tf.float32, [None, 6, D], "x")
        made, _ = rolled(lstm, tf.transpose(x, [1, 0, 2]), [tf.zeros([tf.shape(x)[0], H])] * 2)
        tf.identity(dense("output", AFTER[after](tf.transpose(made, [1, 0, 2])), V), "logits")

    (port,) = interface_of(graph).inputs
    assert (port.shape, port.time_axis, port.batch_axis) == ((None, 6, D), 1, 0)


FIXED = {
    "a weight for every place": (None, lambda h: dense("all", tf.reshape(h, [-1, 6 * H]), V), "MatMul 'MatMul"),
    "numbers of places": (None, lambda h: h + tf.constant([[0.0]] * 6), "Add"),
    "rows of its own": (3, lambda h: h * tf.ones([3, 6, 1]), "Mul"),
}


@pytest.mark.parametrize("after", FIXED)
def test_axes_that_can_have_one_size_alone_are_named_and_what_fixes_them(after):
    rows, made_of, node = FIXED[after]

    def graph():
        x = v1.placeholder(tf.float32, [rows, 6, D], "x")
        made, _ = rolled(lstm, tf.transpose(x, [1, 0, 2]), [tf.zeros([tf.shape(x)[0], H])] * 2)
        tf.identity(made_of(tf.transpose(made, [1, 0, 2])), "logits")

    found = interface_of(graph)
    assert [(p.shape, p.time_axis, p.batch_axis) for p in found.inputs] == [((rows, 6, D), 1, 0)]
    assert [(s.shape, s.batch_axis) for s in found.states] == [((rows, H), 0)] * 2
    assert "x:0 has 6 steps" in found.why_not
    assert node in found.why_not


def test_sequences_that_are_flattened_together_have_the_same_steps_and_rows():
    def graph():
        x, y = (v1.placeholder(tf.float32, [None, None, D], name) for name in "xy")
        size = tf.shape(x)
        seen = [
            tf.reshape(dense(str(i), tf.reshape(z, [-1, D]), D), [size[0], size[1], D]) for i, z in enumerate((x, y))
        ]
        made, _ = rolled(lstm, tf.transpose(tf.concat(seen, 2), [1, 0, 2]), [tf.zeros([size[0], H])] * 2)
        tf.identity(made, "logits")

    found = interface_of(graph)
    assert [(p.time_axis, p.batch_axis) for p in found.inputs] == [(1, 0)] * 2
    assert found.steppable


def test_a_picture_that_is_pooled_to_one_row_takes_no_part_in_the_number_of_steps():
    def graph():
        x = v1.placeholder(tf.int32, [None, 4, 3], "x")
        letters = tf.gather(v1.get_variable("letters", [V, D]), tf.reshape(x, [-1, 1, 3]))
        pooled = tf.nn.max_pool2d(letters, [1, 3], 1, "VALID")
        words = tf.reshape(tf.reshape(pooled, [-1, D]), [-1, 4, D])
        made, _ = rolled(lstm, tf.transpose(words, [1, 0, 2]), [tf.zeros([tf.shape(x)[0], H])] * 2)
        tf.identity(made, "logits")

    found = interface_of(graph)
    assert [(p.shape, p.time_axis, p.batch_axis) for p in found.inputs] == [((None, None, 3), 1, 0)]
    assert found.steppable


def test_a_variable_of_any_shape_has_the_one_that_is_set_where_it_is_read():
    def graph():
        x = v1.placeholder(tf.float32, [None, None, D], "x")
        held = [v1.Variable(tf.zeros([3, H]), validate_shape=False, use_resource=False) for _ in "ch"]
        first = [tf.identity(v) for v in held]
        for value in first:
            value.set_shape([None, H])
        made, _ = rolled(lstm, tf.transpose(x, [1, 0, 2]), first)
        tf.identity(made, "logits")

    found = interface_of(graph)
    assert [(s.shape, s.batch_axis) for s in found.states] == [((None, H), 0)] * 2
    assert [(p.shape, p.time_axis, p.batch_axis) for p in found.inputs] == [((None, None, D), 1, 0)]


def test_rows_of_a_batch_that_the_file_bakes_in_are_told_from_steps(tmp_path):
    """The cell slices as many rows as there were when it was built; the scores have those of all steps in one axis."""

    def graph():
        rows = v1.placeholder(tf.float32, [None, N, D], "x")
        hidden, _ = rolled(lambda x, h: gru(x, tf.slice(h, [0, 0], [N, H])), rows, [tf.zeros([N, H])])
        tf.matmul(tf.reshape(hidden, [-1, H]), variable("output", H, V), name="y")

    model = reprise.restore(saved(tmp_path, graph))
    assert [(p.rows, p.time_axis) for p in model.interface.outputs] == [("time-major", None)]
    check_steps(model).raise_if_different()
