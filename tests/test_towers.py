"""A batch that is split over copies of one model."""

import numpy as np
import pytest

import reprise
from tests.graphs import D, H, V, gru, rolled
from tests.tensorflow.building import tf, v1, variable
from tests.test_declared import published


def towers(axis_of_time, head=lambda scores: scores):
    """Two copies, each with half of the first axis, put together again."""

    def build():
        x, made = v1.placeholder(tf.float32, [None, None, D], "x"), []
        for k, part in enumerate(tf.split(x, 2, 0)):
            with tf.name_scope(f"tower_{k}"), v1.variable_scope("model", reuse=k > 0):
                rows = tf.transpose(part, [1, 0, 2]) if axis_of_time else part
                hidden, _ = rolled(gru, rows, [tf.zeros([tf.shape(rows)[1], H])])
                hidden = tf.transpose(hidden, [1, 0, 2]) if axis_of_time else hidden
                made.append(tf.identity(head(tf.tensordot(hidden, variable("output", H, V), 1)), "scores"))
        return {"x": x}, {"y": tf.concat(made, 0)}

    return build


@pytest.mark.parametrize("options", [{}, {"scope": "tower_0"}, {"outputs": ["tower_1/model/scores:0"]}])
def test_copies_over_parts_of_the_batch_are_one_model(tmp_path, options):
    x = np.random.default_rng(0).normal(size=(4, 3, D)).astype(np.float32)
    expected = published(tmp_path / "model", towers(1), {"x": x})["y"]
    model = reprise.restore(tmp_path / "model", **options)
    assert [s.name for s in model.interface.states] == ["layer0.h"]
    assert model.interface.steppable
    (found,) = model.run(x)[0].values()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("build", [towers(0), towers(1, lambda scores: scores - tf.reduce_mean(scores, 0))])
def test_parts_that_are_no_rows_of_their_own_are_not_put_together(tmp_path, build):
    """Steps of which each part begins anew, and rows that each part compares with each other."""
    published(tmp_path / "model", build, {"x": np.zeros((4, 3, D), np.float32)})
    model = reprise.restore(tmp_path / "model")
    assert not any("copies over parts" in line for line in model.interface.evidence)
