"""SavedModels and Saver files of restored models, used as a program without Reprise would use them."""

import json
from importlib import import_module

import numpy as np
import pytest

import reprise
from reprise.cli import execute
from reprise.errors import MissingDependency, SaveError, VerificationError
from reprise.export import export
from reprise.export.tf_graph import build_values
from reprise.runtime import Engine
from reprise.wire import onnx
from tests.export import stacks
from tests.export.models import H, V, model
from tests.foreign.building import D, cell_weights, gru_step, numbers, save, tensors, value

tf = pytest.importorskip("tensorflow")


def carried(original, ids, first):
    """The logits and last state of a run, from a first state."""
    found, state = original.run(ids, original.initial_state(len(ids)).replace({"h": first}))
    return found["logits"], state["h"]


def test_a_step_takes_the_state_and_gives_the_next(tmp_path):
    original = model()
    export(original, tmp_path / "m", to="saved-model")
    step = tf.saved_model.load(str(tmp_path / "m")).signatures["step"]
    ids, h = np.array([[2, 4, 1], [0, 3, 6]], np.int32), numbers(2, H)
    wanted, last = carried(original, ids, h)
    for t in range(3):
        found = step(ids=tf.constant(ids[:, t]), h=tf.constant(h))
        np.testing.assert_allclose(found["logits"], wanted[:, t], rtol=1e-5, atol=1e-6)
        h = found["h"].numpy()
    np.testing.assert_allclose(h, last, rtol=1e-5, atol=1e-6)


def test_a_sequence_of_any_rows_and_steps_starts_from_the_models_own_state(tmp_path):
    original = model(initial="file")
    export(original, tmp_path / "m", to="saved-model")
    loaded = tf.saved_model.load(str(tmp_path / "m"))
    first = loaded.signatures["initial_state"](batch=tf.constant(3))["h"]
    np.testing.assert_array_equal(first, original.initial_state(3)["h"])
    ids = np.arange(12, dtype=np.int32).reshape(3, 4) % V
    found = loaded.signatures["serving_default"](ids=tf.constant(ids))
    wanted, last = carried(original, ids, original.initial_state(3)["h"])
    np.testing.assert_allclose(found["logits"], wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["h"], last, rtol=1e-5, atol=1e-6)


def test_the_vocabulary_lies_among_the_assets(tmp_path):
    export(model(), tmp_path / "m", to="saved-model")
    assert json.loads((tmp_path / "m/assets/vocabulary.json").read_text())["symbols"] == list("abcdefg")


def test_saver_files_are_imported_and_say_which_tensors_are_state(tmp_path):
    original = model(initial="file")
    export(original, tmp_path / "m", to="saver")
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        saver = v1.train.import_meta_graph(str(tmp_path / "m/model.ckpt.meta"))
        saver.restore(session, str(tmp_path / "m/model.ckpt"))
        meta = v1.MetaGraphDef.FromString((tmp_path / "m/model.ckpt.meta").read_bytes())
        signature = meta.signature_def["step"]
        ids = np.array([[1, 5, 2]], np.int32)
        logits = session.run(signature.outputs["logits"].name, {signature.inputs["ids"].name: ids})
    wanted, _ = carried(original, ids, original.initial_state(1)["h"])
    np.testing.assert_allclose(logits, wanted, rtol=1e-5, atol=1e-6)


def test_saver_files_are_restored_with_their_vocabulary(tmp_path):
    original = model()
    export(original, tmp_path / "m", to="saver")
    again = reprise.restore(tmp_path / "m")
    assert again.vocabulary == original.vocabulary
    assert again.sample(20, seed=3, temperature=0.5) == original.sample(20, seed=3, temperature=0.5)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("entrance", ["embedding", "one-hot", "features"])
def test_saver_files_of_layers_are_those_layers_when_they_are_restored(tmp_path, kind, entrance):
    original = stacks.model(kind, entrance, 1)
    export(original, tmp_path / "m", to="saver", steps=4)
    again = reprise.restore(tmp_path / "m")
    found = reprise.compare(original, again, steps=4, symbols=20)
    assert found.equal
    assert [p.role for p in again.interface.inputs] == [p.role for p in original.interface.inputs]
    assert again.lifted.fast == (kind,)


@pytest.mark.parametrize("to", ["saved-model", "saver"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN", "step", "Scan"])
def test_every_kind_of_recurrence_is_written(tmp_path, to, kind):
    if kind == "step":
        path = gru_step(tmp_path / "m.onnx")
    elif kind == "Scan":
        nodes = [
            onnx.node("MatMul", ["before", "R"], ["turned"]),
            onnx.node("Add", ["turned", "row"], ["after"]),
            onnx.node("Tanh", ["after"], ["shown"]),
        ]
        outputs = [onnx.value_info("after"), onnx.value_info("shown")]
        body = onnx.graph(nodes, "b", [onnx.value_info("before", 1), onnx.value_info("row", 1)], outputs)
        scan = onnx.node("Scan", ["h", "x"], ["h2", "y"], body=body, num_scan_inputs=1)
        path = save(
            tmp_path / "m.onnx",
            [scan],
            [value("x", "t", "n", D), value("h", "n", D)],
            ["y", "h2"],
            tensors(R=numbers(D, D)),
        )
    else:
        gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
        nodes = [onnx.node(kind, ["x", "W", "R", "B"], ["y"], hidden_size=5)]
        path = save(tmp_path / "m.onnx", nodes, [value("x", "t", "n", D)], ["y"], tensors(**cell_weights(gates)))
    assert export(reprise.restore(path), tmp_path / "m", to=to).equal


@pytest.mark.parametrize("to", ["saved-model", "saver"])
def test_an_operator_without_a_counterpart_is_named_and_nothing_is_left(tmp_path, to):
    nodes = [
        onnx.node("GRU", ["x", "W", "R", "B"], ["Y"], hidden_size=5),
        onnx.node("MeanVarianceNormalization", ["Y"], ["y"], axes=[3]),
    ]
    path = save(tmp_path / "m.onnx", nodes, [value("x", "t", "n", D)], ["y"], tensors(**cell_weights(3)))
    with pytest.raises(SaveError, match=r"MeanVarianceNormalization 'y' has no counterpart in TensorFlow"):
        export(reprise.restore(path), tmp_path / "m", to=to)
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("to", ["saved-model", "saver"])
def test_gates_in_another_order_are_refused_and_nothing_is_left(tmp_path, monkeypatch, to):
    from reprise.export.tf_graph import recurrent

    def exchanged(site, index, r, bias):
        step = recurrent._lstm(site, index, r, bias)
        return lambda part, states: step(tf.concat(tf.split(part, 4, axis=1)[::-1], 1), states)

    monkeypatch.setitem(recurrent._STEPS, "LSTM", exchanged)
    nodes = [onnx.node("LSTM", ["x", "W", "R", "B"], ["y"], hidden_size=5)]
    path = save(tmp_path / "m.onnx", nodes, [value("x", "t", "n", D)], ["y"], tensors(**cell_weights(4)))
    with pytest.raises(VerificationError, match="differ first at step 1 from zero state"):
        export(reprise.restore(path), tmp_path / "m", to=to)
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_a_target_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("reprise.export"), "find_spec", lambda name: None)
    with pytest.raises(
        MissingDependency, match=r"the export 'saver' needs TensorFlow: .* -m pip install .*\[tensorflow\]"
    ):
        export(model(), tmp_path / "m", to="saver")


def test_the_command_writes_the_target_that_it_is_told(tmp_path, capsys):
    nodes = [onnx.node("GRU", ["x", "W", "R", "B"], ["y"], hidden_size=5)]
    path = save(tmp_path / "m.onnx", nodes, [value("x", "t", "n", D)], ["y"], tensors(**cell_weights(3)))
    execute(["export", str(path), str(tmp_path / "out"), "--to", "saved-model"])
    assert (tmp_path / "out/saved_model.pb").is_file()


@pytest.mark.parametrize("mode", ["NOTSET", "SAME_UPPER"])
def test_convolutions_in_groups_and_pooling_are_computed_as_onnx_runtime_does(mode):
    x, kernel = numbers(2, 4, 6, 5), numbers(6, 2, 3, 2)
    padding = {"pads": [1, 0, 1, 1]} if mode == "NOTSET" else {"auto_pad": mode}
    nodes = [
        onnx.node("Conv", ["x", "k"], ["c"], group=2, strides=[2, 1], **padding),
        onnx.node("MaxPool", ["c"], ["m"], kernel_shape=[2, 2], strides=[1, 2]),
        onnx.node("AveragePool", ["m"], ["y"], kernel_shape=[1, 2]),
    ]
    info = [onnx.value_info(n, onnx.ELEMENT_TYPES["float32"], s) for n, s in (("x", x.shape), ("k", kernel.shape))]
    graph = onnx.graph(nodes, "g", info, [onnx.value_info("y", onnx.ELEMENT_TYPES["float32"], None)], [])
    wanted = Engine(graph, {}).run({"x": x, "k": kernel}, ["y"])["y"]
    found = build_values(graph, {"x": tf.constant(x), "k": tf.constant(kernel)})["y"]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_activations_with_numbers_of_their_own_take_them_in_order():
    x, w, r = numbers(3, 2, D), numbers(1, 4 * H, D), numbers(1, 4 * H, H)
    options = {
        "hidden_size": H,
        "activations": ["HardSigmoid", "LeakyRelu", "HardSigmoid"],
        "activation_alpha": [0.3, 0.1, 0.4],
        "activation_beta": [0.4, 0.6],
    }
    nodes = [onnx.node("LSTM", ["x", "w", "r"], ["y"], **options)]
    kinds = onnx.ELEMENT_TYPES["float32"]
    info = [onnx.value_info(n, kinds, a.shape) for n, a in (("x", x), ("w", w), ("r", r))]
    graph = onnx.graph(nodes, "g", info, [onnx.value_info("y", kinds, None)], [])
    feeds = {"x": x, "w": w, "r": r}
    wanted = Engine(graph, {}).run(feeds, ["y"])["y"]
    found = tf.function(lambda **given: build_values(graph, given)["y"])(
        **{n: tf.constant(a) for n, a in feeds.items()}
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
