"""SavedModels of Keras 2 whose functions were not saved: the layers from `keras_metadata.pb`, the weights by object."""

import json

import numpy as np
import pytest
import tensorflow as tf

import reprise
from reprise.errors import DamagedFile
from reprise.wire.messages import message_class

V, D, H = 9, 4, 5


def shared(kind, name, before, **options):
    return {
        "class_name": kind,
        "name": name,
        "config": {"name": name, **options},
        "inbound_nodes": [[[before, 0, 0, {}]]],
    }


def saved(folder, *, layers):
    """A model of a table, an LSTM and a dense layer as tf_keras saves it, and the weights."""
    sizes = {
        "embeddings": (V, D),
        "kernel": (D, 4 * H),
        "recurrent_kernel": (H, 4 * H),
        "bias": (4 * H,),
        "head": (H, V),
    }
    random = np.random.default_rng(1)
    held = {name: random.normal(0, 0.6, shape).astype(np.float32) for name, shape in sizes.items()}
    root, table, recurrent, dense = tf.Module(), tf.Module(), tf.Module(), tf.Module()
    table.embeddings, recurrent.cell = tf.Variable(held["embeddings"]), tf.Module()
    for name in ("kernel", "recurrent_kernel", "bias"):
        setattr(recurrent.cell, name, tf.Variable(held[name]))
    dense.kernel = tf.Variable(held["head"])
    for k, layer in enumerate((table, recurrent, dense)[:layers]):
        setattr(root, f"layer_with_weights-{k}", layer)
    tf.saved_model.save(root, str(folder))
    ids = {"class_name": "__tuple__", "items": [None, None]}
    source = {"class_name": "InputLayer", "name": "ids", "config": {"name": "ids", "batch_input_shape": ids}}
    config = {
        "name": "model",
        "layers": [
            {**source, "inbound_nodes": []},
            shared("Embedding", "table", "ids", input_dim=V, output_dim=D),
            shared("LSTM", "lstm", "table", units=H, return_sequences=True, recurrent_activation="sigmoid"),
            shared("Dense", "head", "lstm", units=V, use_bias=False, activation="linear"),
        ],
        "input_layers": [["ids", 0, 0]],
        "output_layers": [["head", 0, 0]],
    }
    metadata = message_class("KerasMetadata")()
    described = {"class_name": "Functional", "config": config, "keras_version": "2.10.0"}
    metadata.nodes.add(node_path="root", metadata=json.dumps(described))
    (folder / "keras_metadata.pb").write_bytes(metadata.SerializeToString())
    return held


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_the_layers_are_read_without_functions(tmp_path):
    held = saved(tmp_path, layers=3)
    model = reprise.restore(tmp_path)
    c, h = np.zeros((2, H)), np.zeros((2, H))
    state = model.initial_state(2)
    for ids in np.random.default_rng(3).integers(0, V, (4, 2)):
        gates = held["embeddings"][ids] @ held["kernel"] + h @ held["recurrent_kernel"] + held["bias"]
        i, f, g, o = np.split(gates, 4, 1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs, state = model.step(ids.astype(np.int32), state)
        np.testing.assert_allclose(next(iter(outputs.values())), h @ held["head"], atol=1e-5)


def test_weights_of_another_model_are_refused(tmp_path):
    saved(tmp_path, layers=2)
    with pytest.raises(DamagedFile, match="3 layers have weights by the configuration, and 2 do in the checkpoint"):
        reprise.restore(tmp_path)


def test_metadata_without_the_model_are_refused(tmp_path):
    saved(tmp_path, layers=3)
    metadata = message_class("KerasMetadata")()
    metadata.nodes.add(node_path="root.layer-0", metadata="{}")
    (tmp_path / "keras_metadata.pb").write_bytes(metadata.SerializeToString())
    with pytest.raises(DamagedFile, match=r"keras_metadata\.pb: does not describe the model; expected .* 'root'"):
        reprise.restore(tmp_path)
