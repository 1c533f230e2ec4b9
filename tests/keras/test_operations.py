"""Functions of TensorFlow that Keras 2 keeps among the layers of a functional model (TFOpLambda, slices)."""

import json

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="Keras saves the weights")

import reprise as package  # noqa: E402 - only where Keras is there
from reprise.errors import LiftError  # noqa: E402
from tests.keras.models import D, functional, randomised  # noqa: E402

X = np.random.default_rng(1).normal(size=(2, 5, D)).astype(np.float32)
H = ["lstm", 0, 0]
ALL = {"start": None, "stop": None, "step": None}


def lstm(x):
    return keras.layers.LSTM(D, return_sequences=True, name="lstm")(x)


def plain(kind, name, *reads, **config):
    nodes = [[[read, 0, 0, {}] for read in reads]] if reads else []
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}


def described(folder, function, node):
    """The configuration of Keras 2 for an LSTM and a function of what it gives."""
    kind = "SlicingOpLambda" if function.endswith("getitem") else "TFOpLambda"
    last = {**plain(kind, "last", trainable=True, dtype="float32", function=function), "inbound_nodes": [node]}
    options = {"activation": "tanh", "recurrent_activation": "sigmoid", "return_sequences": True, "units": D}
    first = plain("InputLayer", "x", batch_input_shape=[None, None, D], dtype="float32")
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["last", 0, 0]]}
    config = {"name": "model", "layers": [first, plain("LSTM", "lstm", "x", **options), last], **ends}
    (folder / "model.json").write_text(
        json.dumps({"class_name": "Functional", "keras_version": "2.10.0", "config": config})
    )
    return folder / "model.json"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights alone, and what the LSTM gives."""
    model = randomised(functional(lstm, (None, D)))
    model.save_weights(path := tmp_path_factory.mktemp("weights") / "lstm.weights.h5")
    return path, np.asarray(model(X))


def softmax(h, axis):
    powers = np.exp(h - h.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


FUNCTIONS = {
    "mean": ("math.reduce_mean", [*H, {"axis": 1, "keepdims": True}], lambda h: h.mean(1, keepdims=True)),
    "number": ("math.multiply", [*H, {"y": 2.5, "name": None}], lambda h: 2.5 * h),
    "number first": ("math.subtract", ["_CONSTANT_VALUE", -1, 1.0, {"y": H, "name": None}], lambda h: 1 - h),
    "quotient": ("math.truediv", [*H, {"y": 4.0}], lambda h: h / 4),
    "sum": ("__operators__.add", [*H, {"y": H}], lambda h: h + h),
    "power": ("math.pow", [*H, {"y": 2}], lambda h: h * h),
    "greater": ("math.maximum", [*H, {"y": 0.1}], lambda h: np.maximum(h, 0.1)),
    "joined": ("concat", [[*H, {"axis": -1}], [*H, {"axis": -1}]], lambda h: np.concatenate([h, h], -1)),
    "stacked": ("stack", [[*H, {"axis": 2}], [*H, {"axis": 2}]], lambda h: np.stack([h, h], 2)),
    "product": ("linalg.matmul", [*H, {"b": H, "transpose_b": True}], lambda h: h @ h.transpose(0, 2, 1)),
    "turned": ("compat.v1.transpose", [*H, {"perm": [0, 2, 1], "conjugate": False}], lambda h: h.transpose(0, 2, 1)),
    "reversed": ("reverse", [*H, {"axis": [1]}], lambda h: h[:, ::-1]),
    "softmax over time": ("nn.softmax", [*H, {"axis": 1}], lambda h: softmax(h, 1)),
    "slope": ("nn.leaky_relu", [*H, {"alpha": 0.1}], lambda h: np.where(h > 0, h, 0.1 * h)),
    "last step": ("__operators__.getitem", [*H, {"slice_spec": [ALL, -1]}], lambda h: h[:, -1]),
    "features": (
        "__operators__.getitem",
        [*H, {"slice_spec": [ALL, ALL, {"start": 1, "stop": 3, "step": None}]}],
        lambda h: h[:, :, 1:3],
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_tensorflow_computes_what_it_says(name, weights, tmp_path):
    function, node, want = FUNCTIONS[name]
    outputs, _ = package.restore(weights[0], layers=described(tmp_path, function, node)).run(X)
    (got,) = outputs.values()
    np.testing.assert_allclose(got, want(weights[1]), rtol=1e-4, atol=2e-5)


REFUSED = {
    "of another module": ("sparse.add", [*H, {"b": H}], "'sparse.add', which has no translation"),
    "of the batch": ("math.reduce_mean", [*H, {"axis": None}], "'reduce_mean' over all axes"),
    "of strings": ("strings.join", [*H, {}], "'strings.join', which has no translation"),
    "by a number": ("math.pow", [*H, {"y": 1.5}], "'pow' to 1.5, which has no translation"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_function_without_a_translation_is_refused_by_name(name, weights, tmp_path):
    function, node, words = REFUSED[name]
    with pytest.raises((LiftError, package.errors.DamagedFile), match=f"'last' .* {words}"):
        package.restore(weights[0], layers=described(tmp_path, function, node))
