"""Models of TensorFlow.js: their weights are read from shards as the program reads them, and compute what they did."""

import base64
import json

import numpy as np
import pytest

import reprise
from reprise import formats
from reprise.errors import DamagedFile, MissingFile
from tests.formats.contract import FormatContract

V, D, H = 7, 4, 5
SHARD = 300
TYPES = {np.dtype(np.float32): "float32", np.dtype(np.int32): "int32", np.dtype(bool): "bool"}


def layer(kind, name, **options):
    return {"class_name": kind, "config": {"name": name, "trainable": True, **options}}


def recurrent(kind, name, **options):
    """A layer as Keras 2 and TensorFlow.js describe it."""
    gates = {"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True, "return_sequences": True}
    return layer(kind, name, units=H, **{**gates, **options})


def model(*layers):
    return {"class_name": "Sequential", "config": {"name": "sequential", "layers": list(layers)}}


TABLE = layer("Embedding", "table", input_dim=V, output_dim=D, batch_input_shape=[None, None], mask_zero=False)
DENSE = layer("Dense", "head", units=V, activation="linear", use_bias=True)
BATCH = layer("BatchNormalization", "batch", axis=[-1], epsilon=0.001, center=True, scale=True)


def drawn(**shapes):
    rng = np.random.default_rng(0)
    return {name.replace("__", "/"): rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def of_lstm():
    return drawn(
        table__embeddings=(V, D),
        lstm__lstm_cell__kernel=(D, 4 * H),
        lstm__lstm_cell__recurrent_kernel=(H, 4 * H),
        lstm__lstm_cell__bias=(4 * H,),
        head__kernel=(H, V),
        head__bias=(V,),
    )


def entry(name, array, quantised=None):
    """What the manifest says of a weight, and its bytes."""
    said = {"name": name, "shape": list(array.shape), "dtype": TYPES[array.dtype]}
    if quantised is None:
        return said, array.tobytes()
    if quantised == "float16":
        return {**said, "quantization": {"dtype": quantised}}, array.astype(np.float16).tobytes()
    least, scale = float(array.min()), float(np.ptp(array)) / np.iinfo(quantised).max or 1.0
    whole = np.round((array.astype(np.float64) - least) / scale).astype(quantised)
    return {**said, "quantization": {"dtype": quantised, "min": least, "scale": scale}}, whole.tobytes()


def written(folder, topology, weights, quantised=None, **more):
    """A folder as TensorFlow.js writes it, its weights cut into small files wherever that falls."""
    entries, parts = zip(*(entry(name, array, quantised) for name, array in weights.items()), strict=True)
    content = b"".join(parts)
    cuts = [content[i : i + SHARD] for i in range(0, len(content), SHARD)]
    names = [f"group1-shard{i + 1}of{len(cuts)}.bin" for i in range(len(cuts))]
    for name, cut in zip(names, cuts, strict=True):
        (folder / name).write_bytes(cut)
    manifest = [{"paths": names, "weights": list(entries)}]
    (folder / "model.json").write_text(json.dumps({**more, "modelTopology": topology, "weightsManifest": manifest}))
    return folder


def converted(folder, config, weights, quantised=None):
    topology = {"keras_version": "2.4.0", "backend": "tensorflow", "model_config": config}
    about = {"format": "layers-model", "generatedBy": "keras v2.4.0", "convertedBy": "TensorFlow.js Converter v3.0.0"}
    return written(folder, topology, weights, quantised, **about)


class TestLayers(FormatContract):
    name = "TensorFlow.js layers"

    @classmethod
    def write(cls, folder):
        return converted(folder, model(TABLE, recurrent("LSTM", "lstm"), DENSE), of_lstm())

    @classmethod
    def told_by(cls, path):
        return path / "model.json"


def node(name, op, *inputs, **attributes):
    return {"name": name, "op": op, "input": list(inputs), "attr": attributes}


def graph(folder, **more):
    """h' = tanh([x, h] · W + b) and y = h' · V, whose product and sum the converter fused."""
    weights = drawn(W=(D + H, H), b=(H,), V=(H, 3)) | {"axis": np.array(1, np.int32)}
    real = {"type": "DT_FLOAT"}
    texts = [base64.b64encode(text).decode() for text in (b"BiasAdd", b"Tanh")]
    fused = {"T": real, "fused_ops": {"list": {"s": texts}}, "num_args": {"i": "1"}, "epsilon": {"f": 0}}

    def sizes(*shape):
        return {"dtype": real, "shape": {"shape": {"dim": [{"size": str(n)} for n in shape]}}}

    def constant(name):
        array, kind = weights[name], {"type": "DT_INT32"} if name == "axis" else real
        shape = {"dim": [{"size": str(n)} for n in array.shape]}
        return node(name, "Const", dtype=kind, value={"tensor": {"dtype": kind["type"], "tensorShape": shape}})

    nodes = [
        node("x", "Placeholder", **sizes(-1, D)),
        node("h", "Placeholder", **sizes(-1, H)),
        *(constant(name) for name in weights),
        node("both", "ConcatV2", "x", "h", "axis", T=real, N={"i": "2"}, Tidx={"type": "DT_INT32"}),
        node("next", "_FusedMatMul", "both", "W", "b", **fused),
        node("y", "MatMul", "next", "V", T=real),
    ]
    about = {"format": "graph-model", "generatedBy": "2.4.0", "convertedBy": "TensorFlow.js Converter v3.0.0", **more}
    return written(folder, {"node": nodes, "library": {}, "versions": {"producer": 440}}, weights, **about), weights


class TestGraph(FormatContract):
    name = "TensorFlow.js graph"

    @classmethod
    def write(cls, folder):
        return graph(folder)[0]

    @classmethod
    def told_by(cls, path):
        return path / "model.json"


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def hard_sigmoid(x):
    return np.clip(0.2 * x + 0.5, 0, 1)


def by_hand(weights, ids, gate=sigmoid):
    """What the equations of an LSTM give for a sequence of ids, from zeros."""
    table, kernel, recurrent_kernel, bias, head, offset = weights.values()
    h = c = np.zeros((len(ids), H))
    for x in np.moveaxis(table[ids], 1, 0):
        i, f, g, o = np.split(x @ kernel + h @ recurrent_kernel + bias, 4, axis=-1)
        c = gate(f) * c + gate(i) * np.tanh(g)
        h = gate(o) * np.tanh(c)
        yield h @ head + offset


def only(outputs):
    (found,) = outputs.values()
    return found


IDS = np.random.default_rng(1).integers(0, V, (2, 6)).astype(np.int32)


def test_a_model_of_keras_computes_in_steps_what_its_equations_say(tmp_path):
    restored = reprise.restore(TestLayers.write(tmp_path))
    state = restored.initial_state(2)
    for ids, want in zip(IDS.T, by_hand(of_lstm(), IDS), strict=True):
        outputs, state = restored.step(ids, state)
        np.testing.assert_allclose(only(outputs), want, rtol=1e-4, atol=1e-5)


def test_a_model_that_tensorflow_js_saved_has_its_hard_sigmoid_and_what_is_not_trained_at_the_end(tmp_path):
    config = model(TABLE, BATCH, recurrent("LSTM", "lstm", recurrent_activation="hard_sigmoid"), DENSE)
    weights = of_lstm()
    ones = {"batch/gamma": np.ones(D), "batch/beta": np.zeros(D)}
    kept = {"batch/moving_mean": np.full(D, 0.25), "batch/moving_variance": np.full(D, 3.999)}
    rows = [("table/embeddings", weights["table/embeddings"]), *ones.items(), *list(weights.items())[1:], *kept.items()]
    stored = {name: np.asarray(array, np.float32) for name, array in rows}
    config = {**config, "keras_version": "tfjs-layers 4.22.0", "backend": "tensor_flow.js"}
    written(tmp_path, config, stored, format="layers-model", generatedBy="TensorFlow.js", convertedBy=None)
    outputs, _ = reprise.restore(tmp_path / "model.json").run(IDS)
    weights["table/embeddings"] = (weights["table/embeddings"] - 0.25) / 2
    want = np.stack(list(by_hand(weights, IDS, hard_sigmoid)), axis=1)
    np.testing.assert_allclose(only(outputs), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "error"), [("uint8", 2e-2), ("uint16", 1e-4), ("float16", 2e-3)])
def test_quantised_weights_are_the_numbers_that_they_stand_for(kind, error, tmp_path):
    converted(tmp_path, model(TABLE, recurrent("LSTM", "lstm"), DENSE), of_lstm(), kind)
    stored = formats.read(tmp_path)
    for name, array in of_lstm().items():
        found = stored.weights[name].load()
        np.testing.assert_allclose(found, array, rtol=0, atol=error * np.abs(array).max())
        assert found.dtype == np.float32
        assert (found != array).any()


def test_whole_numbers_that_are_quantised_are_rounded(tmp_path):
    about, content = entry("n", np.array([-3, 0, 90, 252], np.int32), "uint8")
    (tmp_path / "w.bin").write_bytes(content)
    manifest = [{"paths": ["w.bin"], "weights": [about]}]
    (tmp_path / "model.json").write_text(json.dumps({"modelTopology": {"node": []}, "weightsManifest": manifest}))
    assert formats.tfjs_graph.tfjs.content(tmp_path).weights["n"].load().tolist() == [-3, 0, 90, 252]


def test_a_graph_computes_in_steps_what_its_operators_say(tmp_path):
    folder, w = graph(tmp_path)
    restored = reprise.restore(folder, states={"h:0": "next:0"})
    rng = np.random.default_rng(2)
    h = rng.normal(0, 1, (2, H)).astype(np.float32)
    state = restored.initial_state(2)
    state = state.replace(dict.fromkeys(state, h))
    for x in rng.normal(0, 1, (5, 2, D)).astype(np.float32):
        h = np.tanh(np.concatenate([x, h], axis=1) @ w["W"] + w["b"])
        outputs, state = restored.step(x, state)
        np.testing.assert_allclose(only(outputs), h @ w["V"], rtol=1e-4, atol=1e-5)


def test_the_signature_of_a_graph_is_read(tmp_path):
    ends = {"inputs": {"x": {"name": "x:0", "dtype": "DT_FLOAT"}}, "outputs": {"logits": {"name": "y:0"}}}
    stored = formats.read(graph(tmp_path, userDefinedMetadata={"signature": ends})[0])
    assert stored.declared() == {"y:0": "logits"}


def changed(folder, change):
    """A folder with a layers model whose `model.json` is changed."""
    converted(folder, model(TABLE, recurrent("LSTM", "lstm"), DENSE), of_lstm())
    said = json.loads((folder / "model.json").read_text())
    change(said, said["weightsManifest"][0])
    (folder / "model.json").write_text(json.dumps(said))
    return folder


def moved(_said, group):
    group["weights"][1], group["weights"][2] = group["weights"][2], group["weights"][1]


REFUSED = {
    "elsewhere": (lambda _, g: g.update(paths=["../w.bin"]), MissingFile, r"weights are in '\.\./w\.bin', which is no"),
    "absent": (lambda _, g: g["paths"].append("more.bin"), MissingFile, r"'more\.bin', which is no file beside it"),
    "too long": (lambda _, g: g["paths"].append("w" * 300), MissingFile, r"w', which is no file beside it"),
    "short": (lambda _, g: g["paths"].pop(), DamagedFile, r"weight '[\w/]+' ends at byte \d+ of files of \d+"),
    "long": (lambda _, g: g["weights"].pop(), DamagedFile, r"lists \d+ bytes of weights in files of \d+"),
    "endless": (lambda _, g: g["weights"][0].update(shape=[2**40, 2**40]), DamagedFile, r"ends at byte \d+ of files"),
    "negative": (lambda _, g: g["weights"][0].update(shape=[-1, 4]), DamagedFile, "the shape"),
    "type": (lambda _, g: g["weights"][0].update(dtype="float8"), DamagedFile, "the type float8"),
    "scale": (lambda _, g: g["weights"][0].update(quantization={"dtype": "uint8"}), DamagedFile, "a weight is .*scale"),
    "order": (moved, DamagedFile, "expected its kernel, found 'lstm/lstm_cell/recurrent_kernel'"),
    "no weights": (lambda said, _: said.pop("weightsManifest"), DamagedFile, "has no weightsManifest"),
    "code": (
        lambda said, _: said["modelTopology"]["model_config"]["config"]["layers"].append(layer("Lambda", "odd")),
        reprise.errors.LiftError,
        "'odd' is of the class Lambda.* its code is not read",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_by_name(name, tmp_path):
    change, error, words = REFUSED[name]
    with pytest.raises(error, match=words):
        reprise.restore(changed(tmp_path, change))
