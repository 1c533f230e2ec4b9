import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from reprise.train import checkpoints
from reprise.train.data import load_text
from reprise.train.learner import Learner
from tests.train.small import resumed, trained

STRANGER = """
import sys, numpy as np, tensorflow.compat.v1 as tf
prefix, feeds, results, goes_on = sys.argv[1:]
feeds, found = np.load(feeds), {}
with tf.Graph().as_default(), tf.Session() as session:
    saver = tf.train.import_meta_graph(prefix + ".meta")
    saver.restore(session, prefix)
    meta = tf.MetaGraphDef.FromString(open(prefix + ".meta", "rb").read())
    step, train = meta.signature_def["step"], meta.signature_def["train"]
    states = {key for key in step.inputs if key.startswith("state/")}
    def run(signature, feed):
        fetches = {key: info.name for key, info in signature.outputs.items()}
        return session.run(fetches, {signature.inputs[key].name: value for key, value in feed.items()})
    carried = {}
    for t in range(feeds["tokens"].shape[1]):
        out = run(step, {"tokens": feeds["tokens"][:, t : t + 1], **carried})
        found[f"logits{t}"] = out["logits"]
        carried = {key: out[key] for key in states}
    variables = {variable.op.name: variable for variable in tf.global_variables()}
    carried = {key: session.run(variables["trainer/" + key]) for key in states}
    for k, (x, y) in enumerate(zip(feeds["x"], feeds["y"])):
        out = run(train, {"tokens": x, "targets": y, **carried})
        found[f"loss{k}"], carried = out["loss"], {key: out[key] for key in states}
    found["global_step"] = session.run(variables["global_step"])
    saver.save(session, goes_on)
assert "reprise" not in sys.modules
np.savez(results, **found)
"""


def stranger(folder, prefix, **feeds):
    """What a program of plain TensorFlow makes of a checkpoint."""
    np.savez(folder / "feeds.npz", **feeds)
    paths = [prefix, folder / "feeds.npz", folder / "results.npz", folder / "stranger.ckpt"]
    done = subprocess.run([sys.executable, "-c", STRANGER, *map(str, paths)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return np.load(folder / "results.npz")


@pytest.fixture(scope="module", params=[("lstm", 0.3, 5), ("gru", 0.0, 0)], ids=lambda p: p[0])
def run(request, tmp_path_factory):
    """The folder above a run of four steps: with dropout and an embedding, or with neither."""
    cell, dropout, embedding_size = request.param
    folder = tmp_path_factory.mktemp(cell)
    trained(folder, model=cell, dropout=dropout, embedding_size=embedding_size, max_steps=4, checkpoint_every=4)
    return folder


@pytest.fixture
def meta(run):
    return tf.compat.v1.MetaGraphDef.FromString((run / "run/model.ckpt-4.meta").read_bytes())


def test_plain_tensorflow_steps_and_goes_on_training_as_we_do(run, tmp_path):
    shutil.copytree(run / "run", tmp_path / "run")
    step, checkpoint, _ = checkpoints.newest(tmp_path / "run")
    streams, _ = load_text(tmp_path / "run").streams(3, 6)
    chunks = [streams.chunk(step + k) for k in range(3)]
    tokens = chunks[0][0]

    theirs = stranger(tmp_path, checkpoint.prefix, tokens=tokens, x=[x for x, _ in chunks], y=[y for _, y in chunks])

    ours, _ = learner_of(checkpoint).predict(tokens, learner_of(checkpoint).initial_state(3))
    for t in range(tokens.shape[1]):
        np.testing.assert_allclose(theirs[f"logits{t}"][:, 0], ours[:, t], atol=1e-5)
    again = resumed(tmp_path, max_steps=7)
    np.testing.assert_allclose([theirs[f"loss{k}"] for k in range(3)], again.losses(), atol=1e-5)
    assert theirs["global_step"] == 7
    _, after, _ = checkpoints.newest(tmp_path / "run")
    reader = tf.train.load_checkpoint(str(tmp_path / "stranger.ckpt"))
    np.testing.assert_allclose(reader.get_tensor("output/kernel"), after.values["output/kernel"], atol=1e-5)


def learner_of(checkpoint):
    learner = Learner(checkpoint.model, seed=0, grad_clip=5.0, dropout=0.0)
    learner.assign({name: checkpoint.values[name] for name in learner.variables})
    return learner


def test_the_signatures_name_every_input_output_and_state(meta):
    step, train = meta.signature_def["step"], meta.signature_def["train"]
    states = {key for key in step.inputs if key.startswith("state/")}
    assert states in (
        {"state/layer0.c", "state/layer0.h", "state/layer1.c", "state/layer1.h"},
        {"state/layer0.h", "state/layer1.h"},
    )
    assert set(step.inputs) == {"tokens", *states}
    assert set(step.outputs) == {"logits", "probabilities", *states}
    assert set(train.inputs) == {"tokens", "targets", "learning_rate", *states}
    assert set(train.outputs) == {"loss", "gradient_norm", "train_op", *states}
    assert [d.size for d in step.inputs["tokens"].tensor_shape.dim] == [-1, -1]


def test_the_metagraph_carries_vocabulary_and_configuration(meta):
    about = json.loads(meta.collection_def["reprise"].bytes_list.value[0])
    assert about["version"] == 1
    assert about["vocabulary"] == {"kind": "characters", "symbols": list("\n ?acdfhiklmouw")}
    assert about["config"]["rnn_size"] == 8


def test_the_graph_has_only_what_tensorflow_1_knows(meta):
    operators = {node.op for node in meta.graph_def.node}
    assert {"Enter", "Exit", "TensorArrayV3"} <= operators
    assert not operators & {"While", "StatelessWhile", "TensorListReserve", "StatelessRandomUniformV2"}
    assert not meta.graph_def.library.function
    attributes = {name for node in meta.graph_def.node for name in node.attr}
    assert "transpose_a" in attributes
    assert not attributes & {"grad_a", "grad_b", "debug_name"}
