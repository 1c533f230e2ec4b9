"""What `inspect` says a model is, on one screen, and what it advises to type next."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reprise.errors import MissingWeights
from reprise.examine import Examination, _options
from reprise.formats import StoredModel
from reprise.interface import Interface, Port, StatePort
from reprise.stack import Stack, StackEmbedding, StackRecurrent
from reprise.vocabulary import Vocabulary


@pytest.mark.parametrize(
    ("choices", "options"),
    [
        ({}, ""),
        ({"graph": "a graph.pbtxt", "scope": ""}, "--graph 'a graph.pbtxt'"),
        ({"inputs": ["x:0", "y:0"], "averages": True, "zero_state": False}, "--input x:0 --input y:0 --averages"),
        ({"tags": ("serve", "gpu"), "settings": {"keep": 0.5, "n": 2}}, "--set keep=0.5,n=2 --tags serve gpu"),
        ({"cell": {"kind": "gru", "activation": "tanh"}}, "--cell kind=gru,activation=tanh"),
    ],
)
def test_what_was_chosen_is_part_of_the_advice(choices, options):
    assert _options(choices) == options


def layer(kind, width):
    gates = {"LSTM": 4, "GRU": 3}[kind]
    zeros = np.zeros((gates * width, width), np.float32)
    return StackRecurrent(kind, 0, zeros, zeros, zeros[:, 0], zeros[:, 0], (), {})


def examination(*layers, **metadata):
    stored = StoredModel(Path("m"), "a format", "it is one", None, metadata=metadata)
    stack = Stack((StackEmbedding(np.zeros((65, 8), np.float32)), *layers), {}) if layers else None
    return Examination(stored, None, None, None, None, stack=stack)


@pytest.mark.parametrize(
    ("found", "headline"),
    [
        (
            examination(layer("LSTM", 128), layer("LSTM", 128), tensorflow_version="1.15.5"),
            "2-layer LSTM of 128 units, 65 symbols, TensorFlow 1.15",
        ),
        (examination(layer("GRU", 64), keras_version="3.15.1"), "GRU of 64 units, 65 symbols, Keras 3.15"),
        (
            examination(layer("LSTM", 64), layer("LSTM", 32), layer("GRU", 16), producer="pytorch 2.1.0"),
            "2-layer LSTM of 64 and 32 units and GRU of 16 units, 65 symbols, ONNX of pytorch 2.1",
        ),
        (examination(), "weights without a graph, a format"),
        (
            replace(examination(), vocabulary=Vocabulary(tuple("abc"))),
            "weights without a graph, 3 characters, a format",
        ),
        (
            examination(layer("GRU", 2), tensorflow_version="2\x1b[2J"),
            r"GRU of 2 units, 65 symbols, TensorFlow 2\x1b[2J",
        ),
    ],
)
def test_one_line_says_what_the_model_is(found, headline):
    assert found.headline == headline
    assert str(found).startswith(f"{headline}\n\n")


def test_an_overview_keeps_to_a_screen_whatever_was_found():
    ports = tuple(Port(f"y{i}", None, "float32", (None, 3), None, 0, "values") for i in range(30))
    states = tuple(StatePort(f"layer{i}.h", "a:0", "b:0", None, "float32", (None, 3), 0, "zeros") for i in range(30))
    found = examination()
    found = replace(
        found,
        stored=replace(found.stored, notes=tuple(f"note {i}" for i in range(9))),
        interface=Interface(ports[:1], ports, states, (), True, "", ()),
        obstacle=MissingWeights("w: is missing"),
    )
    lines = found.overview.splitlines()
    assert len(lines) == 24
    assert "Interface" in lines
    assert lines[0] == "model with 30 recurrent states, a format"
    assert "  note        … 7 more lines" in lines
    assert "  … 51 more lines" in lines
    assert lines[-3:] == [
        "It cannot be run",
        "  MissingWeights: w: is missing",
        "(everything that was found: --evidence)",
    ]
