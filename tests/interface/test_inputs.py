"""Inputs that are no placeholders: what an operator reads out of records is given in its place."""

import numpy as np
import pytest

import reprise
from tests.graphs import D, H, V, dense, lstm, rolled, saved
from tests.tensorflow.building import tf, v1

STEPS = 6


def parsed(serialized, *, later):
    """A feature [N, T, D] out of records, beside a sparse one."""
    if later:
        features = {"x": tf.io.FixedLenFeature([STEPS, D], tf.float32), "name": tf.io.VarLenFeature(tf.string)}
        return tf.io.parse_example(serialized, features)["x"]
    keys = {"sparse_keys": [b"name"], "sparse_types": [tf.string], "dense_keys": [b"x"]}
    return tf.raw_ops.ParseExample(
        serialized=serialized, names=[], dense_defaults=[tf.zeros([0])], dense_shapes=[[STEPS, D]], **keys
    ).dense_values[0]


@pytest.mark.parametrize("later", [False, True])
def test_numbers_out_of_records_are_given_as_numbers(tmp_path, later):  # ParseExample, ParseExampleV2
    def graph():
        x = parsed(v1.placeholder(tf.string, [None], "records"), later=later)
        made, _ = rolled(lstm, tf.transpose(x, [1, 0, 2]), [tf.zeros([tf.shape(x)[0], H])] * 2)
        tf.identity(dense("scores", made[-1], V), "logits")

    model = reprise.restore(saved(tmp_path, graph))
    assert [(p.dtype, p.shape, p.time_axis, p.batch_axis) for p in model.interface.inputs] == [
        ("float32", (None, None, D), 1, 0)
    ]
    outputs, _ = model.run(np.ones((2, STEPS, D), np.float32))
    assert outputs["logits"].shape == (2, V)


def test_an_output_that_is_called_as_an_input_has_a_number(tmp_path):
    def graph():
        x = v1.placeholder(tf.float32, [None, None, D], "fed/values")
        made, _ = rolled(lstm, tf.transpose(x, [1, 0, 2]), [tf.zeros([tf.shape(x)[0], H])] * 2)
        tf.identity(dense("scores", made[-1], V), "made/values")

    model = reprise.restore(saved(tmp_path, graph))
    assert [p.name for p in (*model.interface.inputs, *model.interface.outputs)] == ["values", "values2"]
    assert model.run(np.ones((2, STEPS, D), np.float32))[0]["values2"].shape == (2, V)
