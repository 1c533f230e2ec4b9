"""cuDNN needs a GPU; so its operator is read here as a strange model is, by the restorer, and computed without it."""

import numpy as np
import pytest
import tensorflow as tf

import reprise
from reprise.train import cells, cudnn, plain, recurrence
from reprise.train.learner import Learner
from reprise.train.model import Architecture

CELLS = ("lstm", "gru", "rnn")
T, N, D, H, V = 5, 3, 4, 6, 7


def normal(*shape):
    return np.random.default_rng(sum(shape)).normal(0, 0.5, shape).astype(np.float32)


def frozen(path, cell, weights, embedding):
    """A layer that cuDNN computes, as a graph with its weights inside; ids or features are what enters."""
    with tf.Graph().as_default() as graph:
        shape, dtype = ([None, None, D], tf.float32) if embedding is None else ([None, None], tf.int32)
        x = tf.compat.v1.placeholder(dtype, shape, "x")
        states = tuple(tf.compat.v1.placeholder(tf.float32, [None, H], s) for s in cells.state_names(cell))
        held = {name: tf.constant(value) for name, value in weights.items()}
        table = None if embedding is None else tf.constant(embedding)
        outputs, last = cudnn.layer(cell, x, held, states, embedding=table)
        for name, value in zip(("outputs", *cells.state_names(cell)), (outputs, *last), strict=True):
            tf.identity(value, f"{name}_after")
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


@pytest.mark.parametrize("entering", ["features", "rows of an embedding"])
@pytest.mark.parametrize("cell", CELLS)
def test_cudnn_finds_every_weight_where_it_looks_for_it(tmp_path, cell, entering):
    weights = {name: normal(*shape) for name, shape in cells.weight_shapes(cell, D, H).items()}
    embedding = None if entering == "features" else normal(V, D)
    x = normal(T, N, D) if embedding is None else np.arange(T * N, dtype=np.int32).reshape(T, N) % V
    names = [f"layer0.{name}" for name in cells.state_names(cell)]
    states = [normal(N, H) + k for k, _ in enumerate(names)]
    model = reprise.restore(frozen(tmp_path / "layer.pb", cell, weights, embedding))
    outputs, after = model.run(x, model.initial_state(N).replace(dict(zip(names, states, strict=True))))
    expected, last = plain.loop(cell, tf.constant(x), weights, tuple(map(tf.constant, states)), embedding=embedding)
    np.testing.assert_allclose(next(iter(outputs.values())), expected, rtol=0, atol=1e-6)
    for name, value in zip(names, last, strict=True):
        np.testing.assert_allclose(after[name], value, rtol=0, atol=1e-6)


def test_the_learner_differentiates_what_cudnn_computes():
    learner = Learner(Architecture("gru", 2, H, D, V), seed=1, grad_clip=0.0, dropout=0.5, layer=cudnn.layer)
    ids, states = tf.TensorSpec([N, T], tf.int32), learner.initial_state(N)
    traced = tf.function(learner._step).get_concrete_function(ids, ids, tf.constant(0.1), states)
    called = [node.op for function in traced.graph.as_graph_def().library.function for node in function.node_def]
    assert called.count("CudnnRNNBackprop") == 2


def test_without_a_gpu_layers_are_compiled(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    assert cudnn.chosen("lstm") == (recurrence.layer, ())


@pytest.fixture
def with_a_gpu(monkeypatch):
    """A GPU as far as the choice can see; what is asked of TensorFlow for its sake."""
    asked = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: asked.append("the same bits"))
    return asked


def test_on_a_gpu_cudnn_is_chosen_if_a_trial_gives_the_numbers_of_plain_operators(with_a_gpu, monkeypatch):
    monkeypatch.setattr(cudnn, "layer", plain.loop)
    assert cudnn.chosen("lstm") == (plain.loop, ("the GPU computes the layers with cuDNN",))
    assert with_a_gpu == ["the same bits"], "or a resumed run would not be the run that never stopped"


@pytest.mark.usefixtures("with_a_gpu")
def test_cudnn_that_gives_other_numbers_is_not_used(monkeypatch):
    def wrong(cell, inputs, weights, states):
        return plain.loop(cell, inputs, {**weights, "bias": tf.roll(weights["bias"], 6, 0)}, states)

    monkeypatch.setattr(cudnn, "layer", wrong)
    layer, (note,) = cudnn.chosen("lstm")
    assert layer is recurrence.layer
    assert note.startswith("the GPU computes without cuDNN, which is slower: a trial differs by 0.")


@pytest.mark.usefixtures("with_a_gpu")
def test_cudnn_that_cannot_run_is_not_used():
    layer, (note,) = cudnn.chosen("gru")
    assert layer is recurrence.layer
    assert "CudnnRNN" in note
