"""Dropout whose probability a file bakes in: it is seen, however the program wrote it, and told of."""

import numpy as np
import pytest

import reprise
from reprise.examine import examine
from tests.graphs import D, H, V, dense, gru, interface_of, lstm, rolled, saved
from tests.tensorflow.building import tf, v1, variable


def dropped(x, keep):
    return x / keep * tf.floor(keep + tf.random.uniform(tf.shape(x)))


def ends_with_dropout(keep):
    def graph():
        x = v1.placeholder(tf.float32, [None, None, D], "x")
        hidden, _ = rolled(lstm, tf.transpose(x, [1, 0, 2]), [tf.zeros([tf.shape(x)[0], H])] * 2)
        tf.identity(dense("output", dropped(hidden[-1], keep()), V), "scores")

    return graph


#: What keeps a share of 0.75, written as TensorFlow up to 1.12, 1.13, and 1.13's wrappers of cells do.
KEEPING = {
    "a constant": lambda: tf.constant(0.75),
    "1 - rate": lambda: 1 - tf.constant(0.25),
    "1 - (1 - keep)": lambda: 1 - (1 - tf.constant(0.75)),
}


@pytest.mark.parametrize("keep", KEEPING)
def test_dropout_that_a_file_bakes_in_is_told_of(keep):
    told = interface_of(ends_with_dropout(KEEPING[keep])).evidence
    assert any("keeps a share of 0.75 in every call" in line for line in told)


def test_dropout_that_keeps_everything_is_not_worth_a_word():
    assert not any("dropout" in line for line in interface_of(ends_with_dropout(lambda: tf.constant(1.0))).evidence)


@pytest.mark.parametrize(("rate", "draws"), [(0.25, True), (0.0, False)])
def test_a_model_says_whether_it_draws_random_numbers(tmp_path, rate, draws):
    path = saved(tmp_path, ends_with_dropout(lambda: 1 - tf.constant(rate)))
    model, x = reprise.restore(path), np.ones((2, 3, D), np.float32)
    assert model.draws == draws
    assert (model.run(x)[0]["scores"] == model.run(x)[0]["scores"]).all() != draws
    assert ("draws random numbers in every call" in str(examine(path))) == draws


def with_dropout_in_each_step():
    x = v1.placeholder(tf.float32, [None, None, D], "x")
    keep = v1.placeholder_with_default(np.float32(1), [], "keep_prob")
    hidden, _ = rolled(lstm, tf.transpose(x, [1, 0, 2]), [tf.zeros([tf.shape(x)[0], H])] * 2)
    scores = dense("output", dropped(tf.reshape(hidden, [-1, H]), keep), V)
    tf.reshape(scores, [-1, tf.shape(x)[0], V], "scores")


@pytest.mark.parametrize("engine", ["numpy", "onnxruntime"])
def test_every_engine_takes_a_keep_probability(tmp_path, engine):
    model = reprise.restore(saved(tmp_path, with_dropout_in_each_step), engine=engine)
    x = np.ones((1, D), np.float32)
    assert model.engine == engine
    kept, lost = (model.step(x, settings={"keep_prob": keep})[0]["scores"] for keep in (1.0, 0.5))
    assert np.array_equal(kept, model.step(x)[0]["scores"])
    assert not np.array_equal(kept, lost)


def test_time_and_batch_are_found_behind_dropout_of_the_inputs():
    """Today's dropout chooses between the numbers and one zero for all of them."""

    def graph():
        keep = v1.placeholder_with_default(1.0, [], "keep")
        rows = v1.nn.dropout(v1.placeholder(tf.float32, [None, None, D], "x"), rate=1 - keep)
        hidden, _ = rolled(gru, rows, [tf.zeros([tf.shape(rows)[1], H])])
        tf.tensordot(hidden, variable("output", H, V), 1, name="y")

    found = interface_of(graph)
    assert [(p.shape, p.time_axis, p.batch_axis) for p in found.inputs] == [((None, None, D), 0, 1)]
    assert found.steppable, found.why_not
