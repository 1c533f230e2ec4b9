"""Weights that programs for the browser keep as JSON: World Models' MDN-RNN and sketch-rnn's decoder."""

import base64
import json

import numpy as np
import pytest

import reprise
from reprise.errors import DamagedFile, UnknownFormat
from tests.formats.contract import FormatContract
from tests.formats.test_numpy import assert_same, sigmoid
from tests.formats.test_pytorch import numbers

D, H, OUT = 5, 4, 9


def basic_lstm_step(w):
    """BasicLSTMCell: gates i, j, f, o, and 1 added to f."""

    def step(x, states):
        c, h = states
        i, j, f, o = np.split(np.concatenate([x, h], 1) @ w["kernel"] + w["bias"], 4, axis=1)
        c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(j)
        h = sigmoid(o) * np.tanh(c)
        return h @ w["output"] + w["output_bias"], [c, h]

    return step


def weights(step):
    """Numbers that are multiples of a step."""
    shapes = {"output": (H, OUT), "output_bias": (OUT,), "kernel": (D + H, 4 * H), "bias": (4 * H,)}
    drawn = {name: numbers(*shape, seed=k) for k, (name, shape) in enumerate(shapes.items())}
    return {name: np.round(a / step) * step for name, a in drawn.items()}


def world_model(path, order=("output", "output_bias", "kernel", "bias"), **changes):
    w = weights(1e-4) | changes
    path.write_text(json.dumps([np.round(w[n] * 1e4).astype(int).tolist() for n in order], indent=0))
    return w


@pytest.mark.parametrize("cell_first", [True, False])
def test_an_mdn_rnn_is_read_in_either_order(tmp_path, cell_first):
    names = ("output", "output_bias", "kernel", "bias")
    w = world_model(tmp_path / "rnn.json", names[2:] + names[:2] if cell_first else names)
    assert_same(reprise.restore(tmp_path / "rnn.json"), basic_lstm_step(w), 2, D)


def test_an_output_for_a_restart_is_told(tmp_path):
    world_model(tmp_path / "rnn.json", output=numbers(H, OUT + 1), output_bias=numbers(OUT + 1))
    notes = " ".join(reprise.restore(tmp_path / "rnn.json").stored.notes)
    assert "the first of the outputs is the logit of a restart" in notes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kernel": numbers(D + H, 4 * H - 1)}, r"are an LSTM and a layer in 0 ways"),
        ({"bias": numbers(3, 4 * H)}, r"a model with layer normalisation has more"),
    ],
)
def test_arrays_of_another_model_are_refused_in_words(tmp_path, changes, words):
    world_model(tmp_path / "rnn.json", **changes)
    with pytest.raises(DamagedFile, match=words):
        reprise.restore(tmp_path / "rnn.json")


def sketch_rnn(path, more=0):
    w = weights(10 / 32767)
    parts = [w["output"], w["output_bias"], w["kernel"][:D], w["kernel"][D:], w["bias"], *[np.zeros(3)] * more]
    texts = [base64.b64encode(np.round(p / 10 * 32767).astype("<i2").tobytes()).decode() for p in parts]
    about = {"name": "cat", "mode": 2, "version": 6, "max_seq_len": 125, "scale_factor": 103.5}
    path.write_text(json.dumps([about, [list(p.shape) for p in parts], texts]))
    return w


def test_a_decoder_of_drawings_is_read_from_int16(tmp_path):
    w = sketch_rnn(tmp_path / "cat.gen.json")
    model = reprise.restore(tmp_path / "cat.gen.json")
    assert_same(model, basic_lstm_step(w), 2, D)
    assert "divided by 103.5" in model.stored.notes[0]


def test_a_model_that_encodes_too_is_refused(tmp_path):
    sketch_rnn(tmp_path / "cat.json", more=12)
    with pytest.raises(UnknownFormat, match=r"has 17 arrays, so it also encodes drawings; only a decoder alone"):
        reprise.restore(tmp_path / "cat.json")


def test_an_array_of_another_length_is_damage(tmp_path):
    sketch_rnn(tmp_path / "cat.gen.json")
    text = (tmp_path / "cat.gen.json").read_text()
    (tmp_path / "cat.gen.json").write_text(text.replace("[9]", "[8]"))
    with pytest.raises(DamagedFile, match=r"9 numbers for the shape \[8\]"):
        reprise.restore(tmp_path / "cat.gen.json")


class TestWorldModels(FormatContract):
    name = "World Models"

    @classmethod
    def write(cls, folder):
        world_model(folder / "rnn.json")
        return folder / "rnn.json"


class TestSketchRnn(FormatContract):
    name = "sketch-rnn"

    @classmethod
    def write(cls, folder):
        sketch_rnn(folder / "cat.gen.json")
        return folder / "cat.gen.json"
