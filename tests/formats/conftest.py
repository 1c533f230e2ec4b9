"""Small saved models, written by TensorFlow itself once for each test process."""

import os

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf

v1 = tf.compat.v1


def variables():
    """Variables of many types and kinds; returns what each must hold by its stored name."""
    rng = np.random.default_rng(0)
    kernel, wide = rng.normal(size=(3, 8)).astype(np.float32), rng.normal(size=(140, 1))
    v1.get_variable("cell/kernel", initializer=kernel, use_resource=False)
    v1.get_variable("cell/bias", initializer=np.zeros(8, np.float32), use_resource=True)
    v1.get_variable("half", initializer=tf.constant([1.5, -2], tf.float16), use_resource=True)
    v1.get_variable("brain", initializer=tf.constant([[1.5, -2]], tf.bfloat16), use_resource=True)
    v1.get_variable("step", initializer=np.int64(300), use_resource=False, trainable=False)
    v1.get_variable("names", initializer=tf.constant(["é", "", "abc" * 50]), use_resource=False, trainable=False)

    def rows(shape, dtype, partition_info):
        start = partition_info.var_offset[0]
        return tf.constant(wide[start : start + shape[0]], dtype)

    with tf.device("/cpu:1"):
        three = v1.fixed_size_partitioner(3)
        v1.get_variable("wide", [140, 1], tf.float64, rows, partitioner=three, use_resource=False)
    return {
        "cell/kernel": kernel,
        "cell/bias": np.zeros(8, np.float32),
        "half": np.array([1.5, -2], np.float16),
        "brain": np.array([[1.5, -2]], np.float32),
        "step": np.int64(300),
        "names": np.array(["é".encode(), b"", b"abc" * 50], object),
        "wide": wide,
    }


def two_devices():
    """A session in which variables of two devices are saved to two shards."""
    return v1.Session(config=v1.ConfigProto(device_count={"CPU": 2}))


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """A folder with one model in every form that a Saver has: V2, sharded, V1, under an import scope."""
    folder = tmp_path_factory.mktemp("saved")
    for name in ("v2", "sharded", "v1", "v1-sharded", "renamed"):
        (folder / name).mkdir()
    with tf.Graph().as_default(), two_devices() as session:
        expected = variables()
        x = v1.placeholder(tf.float32, [None, 3], "x")
        tf.nn.bias_add(x @ v1.global_variables()[0], v1.global_variables()[1], name="y")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(folder / "v2" / "model.ckpt"), global_step=300)
        v1.train.Saver(sharded=True).save(session, str(folder / "sharded" / "model.ckpt"))
        plain = [v for v in v1.global_variables() if v.op.name not in ("brain", "names", "half")]  # V1 cannot hold them
        v1.train.Saver(plain, write_version=v1.train.SaverDef.V1).save(session, str(folder / "v1" / "model.ckpt"))
        saver = v1.train.Saver(plain, write_version=v1.train.SaverDef.V1, sharded=True)
        saver.save(session, str(folder / "v1-sharded" / "model.ckpt"), global_step=300)
        graph = v1.get_default_graph().as_graph_def()
    with tf.Graph().as_default(), two_devices() as session:
        tf.graph_util.import_graph_def(graph, name="outer")
        kernel = v1.get_variable("renamed", [3, 8], use_resource=False)
        v1.train.Saver({"cell/kernel": kernel}).restore(session, str(folder / "v2" / "model.ckpt-300"))
        v1.train.Saver({"average": kernel}).save(session, str(folder / "renamed" / "model.ckpt"))
    return folder, expected


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of the folder, to be damaged."""
    import shutil

    shutil.copytree(saved[0], tmp_path / "saved")
    return tmp_path / "saved"
