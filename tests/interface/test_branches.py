"""A model that stands in both branches of a flag is read for the flag that inference uses."""

import numpy as np
import pytest

import reprise
from reprise.errors import NoRecurrence
from tests.graphs import D, H, N, T, V, gru, interface_of, rolled, saved
from tests.tensorflow.building import saved_by_tensorflow, session, tf, v1, variable


def two_ways(training, dropped=True):
    """A recurrence for each value of `training`; the side of training drops inputs, and doubles them."""

    def side(keep):
        def make():
            inputs = x * 2 if keep < 1 else x
            if keep < 1 and dropped:
                inputs = inputs * tf.floor(keep + tf.random.uniform(tf.shape(x)))
            return rolled(gru, inputs, [tf.zeros([tf.shape(x)[1], H])])[0]

        return make

    x = v1.placeholder(tf.float32, [None, None, D], "x")
    hidden = v1.cond(training(), side(0.5), side(1.0))
    tf.tensordot(hidden, variable("output", H, V), [[2], [0]], name="y")


def plain():
    x = v1.placeholder(tf.float32, [None, None, D], "x")
    hidden, _ = rolled(gru, x, [tf.zeros([tf.shape(x)[1], H])])
    tf.tensordot(hidden, variable("output", H, V), [[2], [0]], name="y")


def fed():
    return v1.placeholder(tf.bool, [], "training")


def by_default():
    return v1.placeholder_with_default(True, [], "training")


def held():
    return v1.get_variable("training", initializer=True, trainable=False)


@pytest.mark.parametrize("training", [fed, by_default, held])
def test_the_side_without_random_numbers_is_the_model(tmp_path, training):
    (tmp_path / "two").mkdir()
    both = reprise.restore(saved(tmp_path / "two", lambda: two_ways(training)))
    alone = reprise.restore(saved(tmp_path, plain))
    assert both.interface.steppable
    assert len(both.interface.states) == 1
    xs = np.random.default_rng(0).normal(size=(T, N, D)).astype(np.float32)
    assert np.array_equal(both.run(xs)[0].popitem()[1], alone.run(xs)[0].popitem()[1])


def test_what_was_decided_is_said():
    said = "training:0 decides what is computed; read for False: a flag: its other side draws random numbers"
    assert said in interface_of(lambda: two_ways(fed)).evidence


def test_without_random_numbers_the_default_of_the_file_decides():
    evidence = interface_of(lambda: two_ways(by_default, dropped=False)).evidence
    assert "training:0 decides what is computed; read for True: the default in the file" in evidence


def test_a_flag_that_the_graph_computes_is_not_decided():
    with pytest.raises(NoRecurrence):
        interface_of(lambda: two_ways(lambda: tf.reduce_sum(variable("flag", 1)) > 0))


def teacher_or_own(teacher):
    """A decoder of four written steps that reads the symbols given or, in the other branch, those that it draws."""
    table, head = variable("table", V, D), variable("output", H, V)
    given = v1.placeholder(tf.int32, [4, None], "given")

    def steps(forced):
        x, h, made = tf.nn.embedding_lookup(table, given[0]), tf.zeros([tf.shape(given)[1], H]), []
        for t in range(4):
            (h,) = gru(x, h)
            made.append(tf.matmul(h, head))
            if t < 3:
                x = tf.nn.embedding_lookup(table, given[t + 1] if forced else tf.argmax(made[-1], 1))
        return tf.stack(made)

    tf.identity(v1.cond(teacher(), lambda: steps(True), lambda: steps(False)), "y")


def test_steps_written_out_in_both_branches_are_those_of_the_branch_taken(tmp_path):
    symbols = np.random.default_rng(0).integers(0, V, (4, N)).astype(np.int32)
    with session() as opened:
        teacher_or_own(by_default)
        saved_by_tensorflow(opened, tmp_path / "model")
        truth = opened.run("y:0", {"given:0": symbols})
    model = reprise.restore(tmp_path / "model")
    np.testing.assert_allclose(model.run(symbols)[0]["logits"], truth, rtol=1e-4, atol=1e-5)
    assert "training:0 decides what is computed; read for True: the default in the file" in model.interface.evidence
