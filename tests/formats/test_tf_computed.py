"""Variables that a saver computes from several stored tensors, as it does with the one vector of cuDNN's layers."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.training.saving.saveable_object import SaveableObject, SaveSpec

from reprise import formats

v1 = tf.compat.v1
D, H = 3, 2


class Joined(SaveableObject):
    """A vector that is stored as a kernel [D + H, H] and a bias, and restored as cuDNN wants it."""

    def __init__(self, vector, join):
        specs = [SaveSpec(v1.placeholder(tf.float32), "", name) for name in ("cell/kernel", "cell/bias")]
        super().__init__(vector, specs, "joined")
        self._vector, self._join = vector, join

    def restore(self, restored_tensors, restored_shapes):
        return v1.assign(self._vector, self._join(*restored_tensors), validate_shape=False)


def for_cudnn(kernel, bias):
    of_input, of_state = tf.split(tf.transpose(kernel), [D, H], axis=1)
    return tf.raw_ops.CudnnRNNCanonicalToParams(
        num_layers=1,
        num_units=H,
        input_size=D,
        weights=[tf.reshape(of_input, [-1]), of_state],
        biases=[bias * 0.5] * 2,
        rnn_mode="rnn_tanh",
    )


@pytest.fixture
def stored(tmp_path):
    rng = np.random.default_rng(4)
    numbers = {"cell/kernel": rng.normal(size=(D + H, H)), "cell/bias": rng.normal(size=H), "vector": np.ones(14)}
    numbers = {name: array.astype(np.float32) for name, array in numbers.items()}
    with tf.Graph().as_default(), v1.Session() as session:
        for name, array in numbers.items():
            v1.get_variable(name, initializer=array)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"), write_meta_graph=False)
    return tmp_path, numbers


def write_graph(folder, join, *, plain):
    with tf.Graph().as_default():
        vector = v1.get_variable("vector", initializer=tf.zeros([14]), validate_shape=False, use_resource=False)
        also = [vector] if plain else []
        v1.train.Saver([*also, Joined(vector, join)]).export_meta_graph(str(folder / "model.ckpt.meta"))


@pytest.mark.parametrize("plain", [True, False], ids=["stored too", "computed only"])
def test_a_variable_is_what_its_saver_computes(stored, plain):
    folder, numbers = stored
    write_graph(folder, for_cudnn, plain=plain)
    model = formats.read(folder)
    found = model.weights[model.variable_names["vector"]]
    of_input, of_state = np.split(numbers["cell/kernel"], [D])
    right = np.concatenate([of_input.T.ravel(), of_state.T.ravel(), *[numbers["cell/bias"] / 2] * 2])
    assert found.shape == right.shape
    assert np.array_equal(found.load(), right)


def test_what_is_computed_from_more_than_stored_tensors_is_not_restored(stored):
    folder, _ = stored
    write_graph(folder, lambda kernel, bias: tf.concat([bias, tf.random.normal([12])], 0), plain=False)
    assert formats.read(folder).variable_names["vector"] == "vector"


def test_the_graph_is_read_where_the_stored_tensors_are_elsewhere(stored):
    folder, _ = stored
    write_graph(folder, for_cudnn, plain=False)
    for file in folder.glob("model.ckpt.[id]*"):
        file.unlink()
    assert "vector" not in formats.read(folder / "model.ckpt.meta").variable_names
