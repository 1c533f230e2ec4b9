"""What a caller decides where a file holds more than one answer: moving averages of the weights."""

import numpy as np
import pytest
import tensorflow as tf

import reprise
from reprise.errors import CallError

tf1 = tf.compat.v1


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    """A model whose weights are 1 and whose moving averages are 0.5."""
    prefix = tmp_path_factory.mktemp("averaged") / "model.ckpt"
    with tf.Graph().as_default(), tf1.Session() as session:
        x = tf1.placeholder(tf.float32, [None, None, 2], "x")
        weight = tf1.get_variable("weight", initializer=tf.ones([2, 2]), use_resource=False)
        first = tf1.placeholder(tf.float32, [None, 2], "first")
        states = tf1.scan(lambda h, row: tf.tanh(tf.matmul(row, weight) + 0.5 * h), x, first)
        tf.identity(states * 2.0, "y")
        average = tf1.train.ExponentialMovingAverage(0.5)
        average.apply([weight])
        shadow = average.average(weight)
        session.run(weight.initializer)
        session.run(shadow.assign(tf.fill([2, 2], 0.5)))
        tf1.train.Saver().save(session, str(prefix))
    return prefix


def first_row(model):
    x = np.full((1, 1, 2), 0.1, np.float32)
    return model.run({"x": x})[0]["y"].ravel()


def test_the_plain_weights_are_used_unless_their_averages_are_asked_for(averaged):
    np.testing.assert_allclose(first_row(reprise.restore(averaged)), 2 * np.tanh(0.2), atol=1e-6)
    np.testing.assert_allclose(first_row(reprise.restore(averaged, averages=True)), 2 * np.tanh(0.1), atol=1e-6)


def test_averages_that_a_file_does_not_keep_are_refused(tmp_path):
    with tf.Graph().as_default(), tf1.Session() as session:
        x = tf1.placeholder(tf.float32, [None, None, 2], "x")
        weight = tf1.get_variable("weight", [2, 2], use_resource=False)
        states = tf1.scan(
            lambda h, row: tf.tanh(tf.matmul(row, weight) + 0.5 * h), x, tf1.placeholder(tf.float32, [None, 2])
        )
        tf.identity(states * 2.0)
        session.run(tf1.global_variables_initializer())
        tf1.train.Saver().save(session, str(tmp_path / "m"))
    with pytest.raises(CallError, match="averages were asked for, and the file keeps no moving averages"):
        reprise.restore(tmp_path / "m", averages=True)


@pytest.fixture(scope="module")
def steered(tmp_path_factory):
    """A model that multiplies by a setting with a default, and may turn its input around."""
    prefix = tmp_path_factory.mktemp("steered") / "model.ckpt"
    with tf.Graph().as_default(), tf1.Session() as session:
        x = tf1.placeholder(tf.float32, [None, None, 2], "x")
        factor = tf1.placeholder_with_default(1.0, [], "factor")
        turned = tf1.placeholder_with_default(False, [], "turned")
        weight = tf1.get_variable("weight", initializer=tf.ones([2, 2]), use_resource=False)
        rows = tf1.cond(turned, lambda: -x, lambda: x)
        states = tf1.scan(lambda h, row: tf.tanh(row @ weight + 0.5 * h), rows, tf.zeros_like(x[0]))
        tf.multiply(states, factor, "y")
        session.run(weight.initializer)
        tf1.train.Saver().save(session, str(prefix))
    return prefix


def test_a_setting_has_the_value_that_the_caller_gives(steered):
    expected = np.tanh([0.2, 0.2])
    for settings, factor in (({}, 1), ({"factor": 3}, 3), ({"factor": 2.0, "turned": True}, -2)):
        np.testing.assert_allclose(first_row(reprise.restore(steered, settings=settings)), factor * expected, atol=1e-6)


def test_a_call_still_decides_over_the_value_given_before(steered):
    model = reprise.restore(steered, settings={"factor": 3})
    assert next(s for s in model.interface.settings if s.name == "factor").why == "chosen by the caller"
    y, _ = model.run({"x": np.full((1, 1, 2), 0.1, np.float32)}, settings={"factor": 5})
    np.testing.assert_allclose(y["y"].ravel(), 5 * np.tanh([0.2, 0.2]), atol=1e-6)


def test_settings_that_the_model_lacks_or_that_are_of_another_kind_are_refused(steered):
    with pytest.raises(CallError, match=r"settings: 'keep' is not a setting of the model; it has factor, turned"):
        reprise.restore(steered, settings={"keep": 0.5})
    with pytest.raises(CallError, match=r"settings: 'turned' is of type bool, and 0.5 was given"):
        reprise.restore(steered, settings={"turned": 0.5})
    with pytest.raises(CallError, match=r"settings: 'factor' is of type float32, and 'high' was given"):
        reprise.restore(steered, settings={"factor": "high"})
    for value in ("high", [1.0, 2.0], None):
        with pytest.raises(CallError, match=r"settings: 'factor' is of type float32, and .* was given"):
            reprise.restore(steered).run({"x": np.zeros((1, 1, 2), np.float32)}, settings={"factor": value})


def test_a_format_is_chosen_by_a_part_of_its_name(steered):
    assert reprise.restore(steered, format="Checkpoint").interface.steppable
    with pytest.raises(CallError, match=r"format 'tensorflow': more than one has this name; there are: TensorFlow ch"):
        reprise.restore(steered, format="tensorflow")
    with pytest.raises(CallError, match=r"format 'tape': none has this name; there are: .*ONNX"):
        reprise.restore(steered, format="tape")
