"""The small formats of communities: RTNeural's JSON, ml5's folders, checkpoints of torch-rnn."""

import json
import re

import numpy as np
import pytest

import reprise
from reprise import cells
from reprise.errors import DamagedFile, DiscoveryError, MissingFile
from tests.formats import torch7_files
from tests.formats.contract import FormatContract
from tests.formats.test_pytorch import numbers
from tests.formats.torch7_files import Object

D, H, V = 3, 4, 5


def by_hand(framework, kernel, recurrent, bias, x, recurrent_bias=None):
    """The outputs [N, T, H] of one layer by the equations of `reprise.cells`, from zeros."""
    layout = next(entry for entry in cells.LAYOUTS if entry.framework == framework)
    parts = [cells.divide_gates(a, layout.order) for a in (kernel, recurrent, bias)]
    parts[2] = {g: b + layout.forget_bias * (g == "f") for g, b in parts[2].items()}
    more = {} if recurrent_bias is None else cells.divide_gates(recurrent_bias, layout.order)
    weights = cells.Weights(*parts, more)
    state, outputs = {k: np.zeros((len(x), H), np.float32) for k in layout.cell.states}, []
    for t in range(x.shape[1]):
        state = layout.cell.step(x[:, t], state, weights, layout.cell.activations)
        outputs.append(state["h"])
    return np.stack(outputs, 1)


# RTNeural


def rtneural(path, kind="lstm", **changes):
    gates = {"lstm": 4, "gru": 3}[kind]
    w = {"in": numbers(2, D), "W": numbers(D, gates * H), "R": numbers(H, gates * H), "out": numbers(H, 1)}
    bias = numbers(gates * H) if kind == "lstm" else numbers(2, gates * H)
    layers = [
        {
            "type": "time-distributed-dense",
            "activation": "tanh",
            "shape": [None, None, D],
            "weights": [w["in"], np.ones(D)],
        },
        {"type": kind, "activation": "tanh", "weights": [w["W"], w["R"], bias]},
        {"type": "dense", "activation": "", "weights": [w["out"], np.zeros(1)]},
    ]
    layers[2] |= changes
    content = {"in_shape": [None, None, 2], "layers": layers}
    path.write_text(json.dumps(content, default=lambda a: a.tolist()))
    return w | {"bias": bias}


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_layers_of_rtneural_have_the_gates_of_keras(tmp_path, kind):
    w = rtneural(tmp_path / "m.json", kind)
    x = numbers(2, 6, 2)
    before = np.tanh(x @ w["in"] + 1)
    biases = (w["bias"], None) if kind == "lstm" else tuple(w["bias"])
    framework = "Keras LSTM" if kind == "lstm" else "Keras GRU, reset_after=True"
    hidden = by_hand(framework, w["W"], w["R"], biases[0], before, biases[1])
    (found,) = reprise.restore(tmp_path / "m.json").run(x)[0].values()
    np.testing.assert_allclose(found, hidden @ w["out"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"type": "conv1d"}, "layer2 is a 'conv1d', which is not read; dense, time-distributed-dense, lstm, gru are"),
        ({"activation": "swish"}, "layer2 has the activation 'swish', which is not read"),
    ],
)
def test_a_layer_that_is_not_known_is_named(tmp_path, changes, words):
    rtneural(tmp_path / "m.json", **changes)
    with pytest.raises(DiscoveryError, match=words):
        reprise.restore(tmp_path / "m.json")


class TestRTNeural(FormatContract):
    name = "RTNeural"

    @classmethod
    def write(cls, folder):
        rtneural(folder / "m.json")
        return folder / "m.json"


# ml5


def ml5(folder, layers=2):
    held = {
        "embedding": numbers(V, H),
        "rnnlm/softmax_w": numbers(H, V),
        "rnnlm/softmax_b": numbers(V),
        "Variable": numbers(),
    }
    for k in range(layers):
        scope = f"rnnlm/multi_rnn_cell/cell_{k}/basic_lstm_cell"
        held |= {f"{scope}/weights": numbers(2 * H, 4 * H, seed=k), f"{scope}/biases": numbers(4 * H, seed=k)}
    files = {name: name.replace("/", "_") for name in held}
    for name, array in held.items():
        (folder / files[name]).write_bytes(np.asarray(array, "<f4").tobytes())
    manifest = {name: {"filename": files[name], "shape": list(np.shape(a))} for name, a in held.items()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "vocab.json").write_text(json.dumps({s: i for i, s in enumerate("abcde")}))
    return held


def test_a_folder_of_ml5_is_a_char_rnn_with_its_forget_bias(tmp_path):
    held = ml5(tmp_path, layers=1)
    ids = np.array([[0, 3, 1, 4], [2, 2, 0, 1]])
    both, bias = (held[f"rnnlm/multi_rnn_cell/cell_0/basic_lstm_cell/{end}"] for end in ("weights", "biases"))
    hidden = by_hand("TensorFlow 1 LSTMCell", both[:H], both[H:], bias, held["embedding"][ids])
    model = reprise.restore(tmp_path)
    (found,) = model.run(ids)[0].values()
    np.testing.assert_allclose(found, hidden @ held["rnnlm/softmax_w"] + held["rnnlm/softmax_b"], rtol=1e-4, atol=1e-5)
    assert [s.name for s in model.interface.states] == ["cell_0.c", "cell_0.h"]
    assert len(model.sample(7, seed=1)) == 7


def test_a_file_that_the_manifest_names_must_lie_in_the_folder(tmp_path):
    ml5(tmp_path)
    text = (tmp_path / "manifest.json").read_text()
    (tmp_path / "manifest.json").write_text(text.replace('"filename": "embedding"', '"filename": "../embedding"'))
    with pytest.raises(
        MissingFile, match=re.escape("keeps 'embedding' in '../embedding', which is no file of the folder")
    ):
        reprise.restore(tmp_path)


def test_an_endless_size_in_the_manifest_is_damage(tmp_path):
    ml5(tmp_path)
    text = (tmp_path / "manifest.json").read_text()
    (tmp_path / "manifest.json").write_text(text.replace('"shape": [', '"shape": [Infinity, ', 1))
    with pytest.raises(DamagedFile, match="names no files with shapes"):
        reprise.restore(tmp_path, format="ml5")


def test_a_file_of_another_length_is_damage(tmp_path):
    ml5(tmp_path)
    (tmp_path / "embedding").write_bytes(b"1234")
    with pytest.raises(DamagedFile, match=r"expected 80 bytes for 'embedding' of shape \[5, 4\], found 4"):
        reprise.restore(tmp_path)


class TestMl5(FormatContract):
    name = "ml5"

    @classmethod
    def write(cls, folder):
        ml5(folder)
        return folder

    @classmethod
    def told_by(cls, path):
        return path / "manifest.json"


# torch-rnn


def torch_rnn(path, kind="LSTM", **changes):
    gates = {"LSTM": 4, "VanillaRNN": 1}[kind]
    w = {"table": numbers(V, D), "both": numbers(D + H, gates * H), "bias": numbers(gates * H), "out": numbers(V, H)}
    modules = [
        Object("nn.LookupTable", weight=w["table"]),
        Object(f"nn.{kind}", weight=w["both"], bias=w["bias"], _return_grad=False),
        Object("nn.View", size=None),
        Object("nn.Linear", weight=w["out"], bias=np.zeros(V)),
    ]
    net = Object("nn.Sequential", modules={k + 1: m for k, m in enumerate(modules)})
    symbols = {k + 1: s for k, s in enumerate("vwxyz")}
    model = Object("nn.LanguageModel", net=net, idx_to_token=symbols, vocab_size=V)
    torch7_files.save(path, {"model": model, "i": 3} | changes)
    return w


@pytest.mark.parametrize("kind", ["LSTM", "VanillaRNN"])
def test_a_checkpoint_of_torch_rnn_counts_its_ids_from_1(tmp_path, kind):
    w = torch_rnn(tmp_path / "m.t7", kind)
    model, ids = reprise.restore(tmp_path / "m.t7"), np.array([[1, 5, 2], [3, 3, 4]])
    hidden = by_hand(f"torch-rnn {kind}", w["both"][:D], w["both"][D:], w["bias"], w["table"][ids - 1])
    (found,) = model.run(ids)[0].values()
    np.testing.assert_allclose(found, hidden @ w["out"].T, rtol=1e-4, atol=1e-5)
    assert model.vocabulary.symbols == tuple("vwxyz")
    assert model.vocabulary.encode("vz").tolist() == [1, 5]
    assert len(model.sample(7, seed=1)) == 7


def test_what_is_exported_of_torch_rnn_counts_its_ids_from_1_too(tmp_path):
    torch_rnn(tmp_path / "m.t7")
    model = reprise.restore(tmp_path / "m.t7")
    reprise.export(model, tmp_path / "m.onnx")
    again = reprise.restore(tmp_path / "m.onnx")
    assert again.vocabulary == model.vocabulary
    assert again.sample(30, seed=1) == model.sample(30, seed=1)


def test_a_model_of_other_modules_is_refused_in_words(tmp_path):
    torch_rnn(tmp_path / "m.t7", model=Object("nn.Other", net=None))
    with pytest.raises(DamagedFile, match=r"no nn\.LSTM or nn\.VanillaRNN is among them"):
        reprise.restore(tmp_path / "m.t7")


class TestLuaTorch(FormatContract):
    name = "Lua Torch"

    @classmethod
    def write(cls, folder):
        torch_rnn(folder / "m.t7")
        return folder / "m.t7"
